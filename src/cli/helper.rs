//! The program as one of the helpers that ebuilds call.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use crate::build::helper::{self, HelperEnv, HelperError, Outcome};
use crate::build::runtime;

/// Runs the helper called `name` and gives its exit code. A failure that must end the build is
/// reported to the build's shell and supervisor.
pub(super) fn main(name: &OsStr, arguments: &[OsString]) -> ExitCode {
    let env = match HelperEnv::from_process() {
        Ok(env) => env,
        Err(error) => {
            complain(&error);
            return ExitCode::FAILURE;
        }
    };
    match helper::run(name, arguments, &env) {
        Ok(Outcome::Exit(status)) => ExitCode::from(status),
        Ok(Outcome::Exec(mut command)) => {
            let error = command.exec();
            eprintln!(
                " * {}: cannot be run: {error}",
                command.get_program().to_string_lossy()
            );
            ExitCode::from(127)
        }
        Err(error) => {
            let message = complain(&error);
            if env.is_fatal(&error) {
                runtime::report_failure(&message);
            }
            ExitCode::FAILURE
        }
    }
}

/// Prints an error with its causes as ebuilds' messages look, and gives the text.
fn complain(error: &HelperError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    for line in text.lines() {
        eprintln!(" * {line}");
    }
    text
}
