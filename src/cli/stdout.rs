//! The one way to standard output: whoever has read enough may go, but what cannot be written is an error.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::OnceLock;

use super::arguments::When;
use super::exit::Exit;
use super::paint::Paint;

/// Why it cannot be written; nothing more is tried then.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Writes a line.
pub(super) fn line(text: impl Display) {
    lines(std::iter::once(text));
}

/// Writes lines, as long as somebody reads them.
pub(super) fn lines(mut lines: impl Iterator<Item = impl Display>) {
    if FAILED.get().is_some() {
        return;
    }
    let mut output = BufWriter::new(io::stdout().lock());
    note(
        lines
            .try_for_each(|line| writeln!(output, "{line}"))
            .and_then(|()| output.flush()),
    );
}

/// Writes bytes as they are.
pub(super) fn write(bytes: &[u8]) {
    if FAILED.get().is_some() {
        return;
    }
    let mut output = io::stdout().lock();
    note(output.write_all(bytes).and_then(|()| output.flush()));
}

/// Remembers that something could not be written there.
pub(super) fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = FAILED.set(error);
    }
}

/// How the program ends that would end so: not well if what was asked for could not be written, which is told.
pub(super) fn finish(exit: Exit) -> Exit {
    let Some(error) = FAILED.get() else {
        return exit;
    };
    let word = Paint::new(When::Auto).bad("error:");
    let _ = writeln!(
        io::stderr(),
        "{word} standard output: cannot be written\n  because: {error}"
    );
    match exit {
        Exit::Done | Exit::Status(0) => Exit::Failed,
        exit => exit,
    }
}
