//! The `ebd` program: arguments in, one call into [`ebd::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ebd::cli::main(std::env::args_os().collect())
}
