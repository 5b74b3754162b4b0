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

#[cfg(test)]
mod tests {
    use crate::claim::rows;
    use std::ffi::OsStr;

    use super::super::testing::Build;
    use super::super::{Outcome, run};
    use super::*;

    #[test]
    fn make_gets_options_before_and_after() {
        let build = Build::new("8");
        build.file(
            "Makefile",
            "all:\n\t@echo \"$(X)$(Y) $(MAKEOPTS)\" > out\nfail:\n\t@exit 3\n",
        );
        build
            .var("MAKEOPTS", "-j2  X=user")
            .var("EXTRA_EMAKE", "Y=extra");
        let called = build.call(&["emake", "X=a b", "all"]).ok();
        assert_eq!(called.stderr, "make -j2 X=user 'X=a b' all Y=extra \n");
        let out = build.path("src/out");
        assert_eq!(
            std::fs::read_to_string(out).unwrap(),
            "a bextra -j2  X=user\n"
        );
        let called = build.call(&["emake", "fail"]);
        assert_eq!(called.error(), "emake: make failed with exit status 2");
        assert!(called.fatal);
        assert_eq!(called.result.unwrap_err().exit_status(), 2);
        build.var("PORTAGE_QUIET", "1");
        assert_eq!(build.call(&["emake", "-n", "all"]).ok().stderr, "");
    }

    #[test]
    fn a_job_server_is_not_left() {
        let build = Build::new("8");
        build
            .var("MAKEOPTS", "-j9")
            .var("MAKEFLAGS", " -j2")
            .var("MAKE", "true  --x");
        assert_eq!(build.call(&["emake", "y"]).ok().stderr, "true --x y \n");
    }

    #[test]
    fn any_phase_may_call_it_and_a_missing_make_is_named() {
        let build = Build::new("8");
        build
            .state("EBUILD_PHASE", "compile")
            .var("MAKE", "no-such-make");
        let called = build.call(&["emake"]);
        assert!(
            called
                .error()
                .starts_with("emake: cannot run no-such-make: ")
        );
        assert_eq!(called.result.unwrap_err().exit_status(), 127);
        let called = build.var("MAKE", "sh -c").call(&["emake", "kill -9 $$"]);
        assert_eq!(called.error(), "emake: sh failed with exit status 137");
    }

    #[test]
    fn nonfatal_becomes_its_command() {
        let _rows = rows(&[105]);
        let build = Build::new("8");
        let args = ["sh", "-c", "echo $__EBD_NONFATAL $PORTAGE_NONFATAL; exit 4"];
        let outcome = run(
            OsStr::new("nonfatal"),
            &args.map(OsString::from),
            &build.env(),
        );
        let Ok(Outcome::Exec(mut command)) = outcome else {
            panic!("{outcome:?}")
        };
        let output = command.output().unwrap();
        assert_eq!(
            (output.status.code(), output.stdout),
            (Some(4), b"1 1\n".to_vec())
        );
        assert!(
            build
                .call(&["nonfatal"])
                .error()
                .ends_with("at least one argument needed")
        );
    }
}
