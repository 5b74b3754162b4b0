//! The command line: the only floor that prints and picks exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with `arguments` (the program's name first) and gives its exit code: 0 done,
/// 1 the work failed, 2 wrong usage, 128 + n ended by signal n.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if arguments
        .get(1)
        .is_some_and(|a| a == sandbox::warden::ARGUMENT)
    {
        return warden(arguments.get(2..).unwrap_or_default());
    }
    ExitCode::SUCCESS
}

/// Serves as the warden of one processor.
fn warden(command: &[OsString]) -> ExitCode {
    match sandbox::warden::run(command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("ebd: {error}");
            if let Some(source) = std::error::Error::source(&error) {
                eprintln!("  because: {source}");
            }
            ExitCode::from(127)
        }
    }
}
