//! What the command line says of itself: completions and manual pages.

use std::path::Path;

use clap::CommandFactory;

use super::arguments::Arguments;
use super::exit::Exit;
use super::stdout;

/// Prints the completions for a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ebd", &mut script);
    stdout::write(&script);
    Exit::Done
}

/// Writes a manual page for the program and one for each subcommand.
pub(super) fn manual(folder: &Path) -> Exit {
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder));
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("ebd: {}: cannot be written: {error}", folder.display());
            Exit::Failed
        }
    }
}
