//! The command line: the only floor that prints and picks exit codes.

mod arguments;
mod binpkg;
mod build;
mod confcache;
mod config;
mod documents;
mod env;
mod exit;
mod fetch;
mod helper;
mod manifest;
mod paint;
mod plan;
mod progress;
mod query;
mod regen;
mod sandboxed;
mod shell;
mod show;
mod signals;
mod stdout;
mod terminal;
mod transfer;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use exit::Exit;

use crate::build::helper::is_name;
use crate::util::causes::causes;

/// Runs the program with `arguments` (the program's name first) and gives its exit code: 0 done,
/// 1 the work failed, 2 wrong usage, 128 + n ended by signal n.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if let Some((program, rest)) = arguments.split_first() {
        if let Some(name) = Path::new(program).file_name().filter(|name| is_name(name)) {
            return helper::main(name, rest);
        }
        match rest.split_first() {
            Some((first, command)) if first == sandbox::warden::ARGUMENT => {
                return role(sandbox::warden::run(command));
            }
            Some((first, command)) if first == sandbox::confinement::ARGUMENT => {
                return role(sandbox::confinement::run(command).map(|_| 0));
            }
            Some((first, command)) if first == sandbox::terminal::ARGUMENT => {
                return role(sandbox::terminal::run(command).map(|_| 0));
            }
            Some((first, words)) if first == crate::confcache::ROLE => {
                return confcache::in_build(words).into();
            }
            _ => {}
        }
    }
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let printed = error.print();
            if error.use_stderr() {
                return Exit::Usage.into();
            }
            stdout::note(printed);
            return stdout::finish(Exit::Done).into();
        }
    };
    let exit = match arguments.command {
        Command::Build(arguments) => build::main(*arguments),
        Command::Shell(arguments) => shell::main(*arguments),
        Command::Env(arguments) => env::main(*arguments),
        Command::Config(arguments) => config::main(*arguments),
        Command::Fetch(arguments) => fetch::main(*arguments),
        Command::Manifest(arguments) => manifest::main(*arguments),
        Command::Binpkg(arguments) => binpkg::main(arguments),
        Command::Query(arguments) => query::query(*arguments),
        Command::Search(arguments) => query::find(*arguments),
        Command::Regen(arguments) => regen::main(*arguments),
        Command::Transfer(arguments) => transfer::main(&arguments),
        Command::Sandbox(arguments) => return sandboxed::main(&arguments),
        Command::Confcache(arguments) => confcache::main(&arguments),
        Command::Completions { shell } => documents::completions(shell),
        Command::Manual { folder } => documents::manual(&folder),
    };
    stdout::finish(exit).into()
}

/// How the program ends in a hidden role.
fn role<E: std::error::Error>(result: Result<u8, E>) -> ExitCode {
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            for (at, cause) in causes(&error).iter().enumerate() {
                eprintln!("{}{cause}", if at == 0 { "ebd: " } else { "  because: " });
            }
            ExitCode::from(127)
        }
    }
}
