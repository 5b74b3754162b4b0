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
#[cfg(test)]
mod testing;
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

#[cfg(test)]
mod tests {
    use crate::claim::rows;
    use std::collections::HashMap;

    use super::testing::Build;
    use super::*;

    fn eapi(name: &str) -> Eapi {
        Eapi::parse(name).unwrap()
    }

    #[test]
    fn banned_commands_abort_in_every_form() {
        let _rows = rows(&[112]);
        for (name, first) in [
            ("dohard", 4),
            ("dosed", 4),
            ("einstall", 6),
            ("dohtml", 7),
            ("dolib", 7),
            ("libopts", 7),
            ("useq", 8),
            ("hasv", 8),
            ("hasq", 8),
            ("assert", 9),
            ("domo", 9),
        ] {
            for eapi_name in ["3", "4", "5", "6", "7", "8", "9"] {
                let build = Build::new(eapi_name);
                build.var("__EBD_NONFATAL", "1");
                if eapi_name.parse::<u32>().unwrap() < first {
                    let called = build.call(&[name, "x"]);
                    assert!(
                        !matches!(called.result, Err(HelperError::Banned { .. })),
                        "{name}"
                    );
                    continue;
                }
                assert!(names(eapi(eapi_name)).contains(&name), "{name} {eapi_name}");
                let called = build.call(&[name, "x"]);
                assert_eq!(
                    called.error(),
                    format!("{name}: banned in EAPI {eapi_name}")
                );
                assert!(called.fatal, "{name}");
            }
        }
    }

    #[test]
    fn names_follow_the_eapi() {
        let _rows = rows(&[105, 106, 115]);
        let has = |eapi_name: &str, name: &str| names(eapi(eapi_name)).contains(&name);
        assert!(!has("6", "nonfatal") && has("7", "nonfatal"));
        assert!(!has("6", "eqawarn") && has("7", "eqawarn"));
        assert!(!has("4", "doheader") && has("5", "newheader"));
        assert!(has("0", "has_version") && has("8", "best_version") && has("8", "die"));
        assert!(!has("8", "into") && !has("8", "econf") && !has("8", "prepall"));
        assert!(is_name(OsStr::new("dohard")) && !is_name(OsStr::new("ebd")));
    }

    #[test]
    fn every_name_can_be_run() {
        for eapi in Eapi::all() {
            let build = Build::new(eapi.name());
            for name in names(eapi).into_iter().filter(|name| *name != "emake") {
                let called = build.call(&[name]);
                assert!(
                    !matches!(called.result, Err(HelperError::Unknown { .. })),
                    "{name}"
                );
                assert!(
                    !matches!(called.result, Err(HelperError::Unsupported { .. })),
                    "{name}"
                );
            }
        }
        let called = Build::new("4").call(&["doheader", "x"]);
        assert_eq!(called.error(), "doheader: not supported in EAPI 4");
        assert!(called.fatal);
        assert_eq!(
            Build::new("8").call(&["ebd"]).error(),
            "ebd: not a helper command"
        );
    }

    #[test]
    fn failures_end_the_build_from_eapi_4_unless_nonfatal() {
        let _rows = rows(&[103, 104]);
        for (eapi_name, nonfatal, fatal) in [
            ("3", "", false),
            ("4", "", true),
            ("8", "", true),
            ("8", "1", false),
        ] {
            for variable in ["__EBD_NONFATAL", "PORTAGE_NONFATAL"] {
                let build = Build::new(eapi_name);
                let called = build.var(variable, nonfatal).call(&["dobin", "missing"]);
                assert_eq!(called.fatal, fatal, "{eapi_name} {nonfatal}");
                assert!(called.error().ends_with("missing: does not exist"));
            }
        }
    }

    #[test]
    fn the_image_is_for_install_and_preinst() {
        let _rows = rows(&[116]);
        let build = Build::new("8");
        build
            .state("EBUILD_PHASE", "compile")
            .state("EBUILD_PHASE_FUNC", "src_compile");
        let called = build.call(&["dodir", "/x"]);
        assert_eq!(
            called.error(),
            "dodir: not allowed in src_compile, only in src_install and pkg_preinst"
        );
        assert!(called.fatal && build.listing().is_empty());
        // An ebuild cannot talk its way around it.
        build.var("EBUILD_PHASE", "install");
        assert!(build.call(&["dodir", "/x"]).fatal);
        build
            .state("EBUILD_PHASE", "preinst")
            .call(&["dodir", "/x"])
            .ok();
    }

    #[test]
    fn no_file_is_an_error() {
        let _rows = rows(&[120]);
        for eapi in Eapi::all() {
            let build = Build::new(eapi.name());
            for name in names(eapi) {
                let on_image = name.starts_with("do") || name.starts_with("new");
                let passes = name == "dodoc" && eapi.dodoc_recursive();
                if on_image && !passes {
                    assert!(build.call(&[name]).result.is_err(), "{name} {eapi}");
                }
            }
        }
        let called = Build::new("8").call(&["dodoc"]).ok();
        assert_eq!(
            called.stderr,
            " * QA Notice: dodoc called with no arguments\n"
        );
    }

    #[test]
    fn die_respects_nonfatal_only_with_its_option() {
        let _rows = rows(&[107, 108]);
        let build = Build::new("8");
        let called = build.call(&["die", r"it\tbroke", "here"]);
        assert_eq!(called.error(), "it\tbroke here");
        assert!(called.fatal);
        assert!(build.call(&["die", "-n", "x"]).fatal);
        build.var("__EBD_NONFATAL", "1");
        assert!(build.call(&["die", "x"]).fatal);
        assert!(!build.call(&["die", "-n", "x"]).fatal);
        let old = Build::new("5");
        let called = old.var("__EBD_NONFATAL", "1").call(&["die", "-n", "x"]);
        assert!(called.fatal);
        assert_eq!(called.error(), "-n x");
        assert_eq!(build.call(&["die"]).error(), "die called without a message");
    }

    #[test]
    fn environment_comes_before_the_state() {
        let build = Build::new("8");
        let other = build.path("other");
        build
            .var("ED", other.to_str().unwrap())
            .call(&["dodir", "/x"])
            .ok();
        assert!(other.join("x").is_dir() && build.listing().is_empty());
    }

    #[test]
    fn the_root_directory_is_no_image() {
        for image in ["", "/", "//"] {
            let build = Build::new("8");
            let called = build.state("ED", image).call(&["dodir", "/nowhere/at/all"]);
            assert_eq!(called.error(), "ED: not set in the build state");
            assert!(called.fatal);
        }
        let old = Build::new("2");
        old.state("ED", "/").call(&["dodir", "/x"]).ok();
    }

    #[test]
    fn a_state_needs_an_eapi() {
        let make = |state: &[(&str, &str)]| {
            let state: HashMap<OsString, OsString> =
                state.iter().map(|(k, v)| (k.into(), v.into())).collect();
            HelperEnv::from_maps(state, HashMap::new(), "/".into(), Stdin::Terminal)
        };
        assert!(matches!(
            make(&[]),
            Err(HelperError::Variable { variable: "EAPI" })
        ));
        assert!(matches!(
            make(&[("EAPI", "10")]),
            Err(HelperError::Eapi { .. })
        ));
        assert!(make(&[("EAPI", "8")]).is_ok());
    }
}
