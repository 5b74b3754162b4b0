//! `emake` and the external `nonfatal`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::dodir::{finish, start};
use super::env::HelperEnv;
use super::error::{HelperError, lossy, usage};
use super::install::{split_words, status_code};

/// Runs make with the user's options, says what it runs, and waits for it.
///
/// It is waited for, not replaced: only so can its failure end the build.
pub(super) fn emake(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    let words = command_words(env, args);
    if env.var("PORTAGE_QUIET").is_none_or(|quiet| quiet != "1") {
        env.print_error(&shown(&words));
    }
    let Some((program, rest)) = words.split_first() else {
        return Err(usage(helper, "MAKE is empty"));
    };
    let mut command = env.command(program);
    command.args(rest);
    if inherits_jobserver(env) {
        command.env_remove("MAKEOPTS");
    }
    let program = lossy(program);
    let status = command
        .status()
        .map_err(|source| start(helper, &program, source))?;
    finish(helper, &program, status_code(status))
}

fn command_words(env: &HelperEnv, args: &[OsString]) -> Vec<OsString> {
    let make = env.var("MAKE").filter(|make| !make.is_empty());
    let mut words = split_words(&make.unwrap_or_else(|| OsString::from("make")));
    if !inherits_jobserver(env) {
        words.extend(split_words(&env.var("MAKEOPTS").unwrap_or_default()));
    }
    words.extend(args.iter().cloned());
    words.extend(split_words(&env.var("EXTRA_EMAKE").unwrap_or_default()));
    words
}

/// Below another make, whose job server a `-j` in MAKEOPTS would leave.
fn inherits_jobserver(env: &HelperEnv) -> bool {
    env.var("MAKEFLAGS").is_some_and(|flags| !flags.is_empty())
}

fn shown(words: &[OsString]) -> Vec<u8> {
    let mut line = Vec::new();
    for word in words {
        let bytes = word.as_bytes();
        if bytes.contains(&b' ') {
            line.extend([b"'", bytes, b"' "].concat());
        } else {
            line.extend([bytes, b" "].concat());
        }
    }
    line.push(b'\n');
    line
}

/// The command that takes the place of `nonfatal`: its arguments, with failures made to be reported
/// and no more.
pub(super) fn nonfatal(
    env: &HelperEnv,
    helper: &str,
    args: &[OsString],
) -> Result<Command, HelperError> {
    let Some((program, rest)) = args.split_first() else {
        return Err(HelperError::NoArgument {
            helper: helper.to_owned(),
        });
    };
    let mut command = env.command(program);
    command
        .args(rest)
        .env("__EBD_NONFATAL", "1")
        .env("PORTAGE_NONFATAL", "1");
    Ok(command)
}
