//! The commands PMS wants as programs: `dobin`, `doins`, `emake` and their kin (PMS 11.3.3).
//!
//! They are one executable under many names, found through a private directory in `PATH`, so that
//! `find … -print0 | xargs -0 doins` works; and each is called hundreds of times in a large
//! install, so all of them do their work in this process. Only where the meaning of an argument
//! belongs to another program (symbolic modes, unusual `install` options, `make`) is that program
//! run.
//!
//! A helper returns what went wrong; whether that ends the build is for
//! [`HelperEnv::is_fatal`] to say and for the caller to do.

mod dodir;
mod doexe;
mod dohtml;
mod doins;
mod doman;
mod dosed;
mod dosym;
mod emake;
mod env;
mod error;
mod install;
mod message;
mod new;
mod query;
mod source;
mod tree;

use std::ffi::{OsStr, OsString};
use std::process::Command;

pub use env::{HelperEnv, Stdin};
pub use error::{FileError, HelperError};

use crate::pms::eapi::{CommandForm, CommandStatus, Eapi};
use message::Level;
use new::Sibling;

/// Programs the specification wants as functions only, which child processes of an ebuild call all
/// the same.
const ALSO_EXTERNAL: [&str; 8] = [
    "best_version",
    "die",
    "eerror",
    "einfo",
    "elog",
    "eqawarn",
    "ewarn",
    "has_version",
];

/// What is left to do for the process after a helper that did not fail.
#[derive(Debug)]
pub enum Outcome {
    /// Exit with this status. It is not 0 for the answer "no" of `has_version`.
    Exit(u8),
    /// Become this command.
    Exec(Command),
}

/// The names under which the executable has to be found for an EAPI, sorted.
///
/// Banned commands are among them, those that were functions too: calling one must end the build
/// even from `xargs` (PMS 11.3.3.2).
#[must_use]
pub fn names(eapi: Eapi) -> Vec<&'static str> {
    let external = eapi
        .commands()
        .filter(|c| c.form == CommandForm::External)
        .map(|c| c.name);
    let also = ALSO_EXTERNAL
        .into_iter()
        .filter(|name| !matches!(eapi.command(name), CommandStatus::Unknown));
    let mut names: Vec<_> = external
        .chain(also)
        .chain(eapi.banned_commands().map(|c| c.name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether some EAPI has a helper of this name: the test for what a process was started as.
#[must_use]
pub fn is_name(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| Eapi::all().any(|eapi| names(eapi).contains(&name)))
}

/// Runs the helper called `name` with the arguments after its name.
///
/// # Errors
///
/// The helper failed, is banned or unknown in the EAPI, or may not be called in the phase. When
/// several files fail, the rest are installed before that is returned.
pub fn run(name: &OsStr, args: &[OsString], env: &HelperEnv) -> Result<Outcome, HelperError> {
    let unknown = || HelperError::Unknown {
        name: name.to_string_lossy().into_owned(),
    };
    let helper = name.to_str().ok_or_else(unknown)?;
    let eapi = env.eapi().name().to_owned();
    match env.eapi().command(helper) {
        CommandStatus::Banned(_) => {
            return Err(HelperError::Banned {
                helper: helper.to_owned(),
                eapi,
            });
        }
        CommandStatus::Unknown if is_name(name) => {
            return Err(HelperError::Unsupported {
                helper: helper.to_owned(),
                eapi,
            });
        }
        CommandStatus::Unknown => return Err(unknown()),
        CommandStatus::Available(_) => {}
    }
    let level = match helper {
        "emake" => {
            emake::emake(env, helper, args)?;
            return Ok(Outcome::Exit(0));
        }
        "nonfatal" if env.eapi().nonfatal_external() => {
            return Ok(Outcome::Exec(emake::nonfatal(env, helper, args)?));
        }
        "die" => return Err(die(env, args)),
        "has_version" => return query::has_version(env, helper, args).map(Outcome::Exit),
        "best_version" => return query::best_version(env, helper, args).map(Outcome::Exit),
        "einfo" => Some(Level::Info),
        "elog" => Some(Level::Log),
        "ewarn" => Some(Level::Warn),
        "eerror" => Some(Level::Error),
        "eqawarn" => Some(Level::Qa),
        _ => None,
    };
    if let Some(level) = level {
        message::run(env, level, args);
        return Ok(Outcome::Exit(0));
    }
    let work = Work::of(helper, env.eapi()).ok_or_else(unknown)?;
    env.require_image_phase(helper)?;
    match work {
        Work::Files(Sibling::Doins(kind)) => doins::run(env, helper, kind, args)?,
        Work::Files(Sibling::Doexe(kind)) => doexe::run(env, helper, kind, args)?,
        Work::Files(Sibling::Doman) => doman::run(env, helper, args)?,
        Work::New(sibling) => new::run(env, helper, sibling, args)?,
        Work::Other(function) => function(env, helper, args)?,
    }
    Ok(Outcome::Exit(0))
}

/// The commands that work on the image.
enum Work {
    Files(Sibling),
    New(Sibling),
    Other(fn(&HelperEnv, &str, &[OsString]) -> Result<(), HelperError>),
}

impl Work {
    fn of(helper: &str, eapi: Eapi) -> Option<Self> {
        let other: fn(&HelperEnv, &str, &[OsString]) -> Result<(), HelperError> = match helper {
            "dodir" => dodir::dodir,
            "dohard" => dosym::dohard,
            "dohtml" => dohtml::run,
            "dosed" => dosed::run,
            "dosym" => dosym::dosym,
            "fowners" => dodir::fowners,
            "fperms" => dodir::fperms,
            "keepdir" => dodir::keepdir,
            _ => {
                return match helper.strip_prefix("new") {
                    Some(rest) => sibling(rest, eapi).map(Self::New),
                    None => sibling(helper.strip_prefix("do")?, eapi).map(Self::Files),
                };
            }
        };
        Some(Self::Other(other))
    }
}

/// The command for files called `do` plus this.
fn sibling(name: &str, eapi: Eapi) -> Option<Sibling> {
    Some(match name {
        "bin" => Sibling::Doexe(doexe::Kind::Dobin),
        "sbin" => Sibling::Doexe(doexe::Kind::Dosbin),
        "exe" => Sibling::Doexe(doexe::Kind::Doexe),
        "initd" => Sibling::Doexe(doexe::Kind::Doinitd),
        "info" => Sibling::Doexe(doexe::Kind::Doinfo),
        "lib" => Sibling::Doexe(doexe::Kind::Dolib),
        "lib.a" => Sibling::Doexe(doexe::Kind::DolibA),
        "lib.so" => Sibling::Doexe(doexe::Kind::DolibSo),
        "mo" => Sibling::Doexe(doexe::Kind::Domo),
        "doc" if eapi.dodoc_recursive() => Sibling::Doins(doins::Kind::Dodoc),
        "doc" => Sibling::Doexe(doexe::Kind::OldDodoc),
        "ins" => Sibling::Doins(doins::Kind::Doins),
        "confd" => Sibling::Doins(doins::Kind::Doconfd),
        "envd" => Sibling::Doins(doins::Kind::Doenvd),
        "header" => Sibling::Doins(doins::Kind::Doheader),
        "man" => Sibling::Doman,
        _ => return None,
    })
}

fn die(env: &HelperEnv, args: &[OsString]) -> HelperError {
    let (respects_nonfatal, args) = match args.split_first() {
        Some((first, rest)) if first == "-n" && env.eapi().die_nonfatal_option() => (true, rest),
        _ => (false, args),
    };
    let text = args.join(OsStr::new(" "));
    let text = message::unescape(text.as_encoded_bytes());
    let message = match String::from_utf8_lossy(&text).trim_end_matches('\n') {
        "" => "die called without a message".to_owned(),
        text => text.to_owned(),
    };
    HelperError::Died {
        message,
        respects_nonfatal,
    }
}
