//! What a command says of who runs and what is read.

use std::path::Path;

use memchr::memmem;
use sandbox::{Kind, Trace};

/// What a shell does itself with the words behind it.
const BY_THE_SHELL: [&[u8]; 6] = [b"eval", b".", b"source", b"exec", b"command", b"builtin"];

/// Whether the shell may do itself what a command says, so that no program of that name runs.
pub(super) fn is_the_shells(script: &[u8], command: &[u8]) -> bool {
    command.is_empty() || BY_THE_SHELL.contains(&command) || may_define(script, command)
}

/// Whether a script may have a function or an alias of this name.
fn may_define(script: &[u8], name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./+$".contains(byte);
    memmem::find_iter(script, name).any(|at| {
        let (before, rest) = script.split_at_checked(at).unwrap_or_default();
        let after = rest.get(name.len()..).unwrap_or_default();
        if before.last().is_some_and(is_part) || after.first().is_some_and(is_part) {
            return false;
        }
        let has_brackets = trimmed(after)
            .strip_prefix(b"(")
            .is_some_and(|rest| trimmed(rest).starts_with(b")"));
        let line = before.rsplit(|byte| *byte == b'\n').next();
        let line = line.unwrap_or_default();
        let is_aliased = after.starts_with(b"=") && memmem::find(line, b"alias").is_some();
        has_brackets || is_aliased || line.trim_ascii_end().ends_with(b"function")
    })
}

fn trimmed(text: &[u8]) -> &[u8] {
    let from = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    from.and_then(|from| text.get(from..)).unwrap_or_default()
}

/// Whether a word names what is open already, or a file with more words, so that what is read is not seen.
pub(super) fn reads_unseen(word: &[u8]) -> bool {
    word == b"-" || word.starts_with(b"@") || is_open_file(word)
}

/// Whether a path may lead to something that a program has open.
fn is_open_file(path: &[u8]) -> bool {
    let has = |part: &[u8]| memmem::find(path, part).is_some();
    has(b"/dev/stdin") || has(b"/dev/fd") || (has(b"/proc/") && has(b"/fd"))
}

/// Whether a program of this name has run.
pub(super) fn has_run(trace: &Trace, command: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let name = Path::new(std::ffi::OsStr::from_bytes(command)).file_name();
    trace.programs().any(|program| program.file_name() == name)
}

/// Whether a program has opened what another had open.
pub(super) fn has_read_unseen(trace: &Trace) -> bool {
    use std::os::unix::ffi::OsStrExt;
    trace
        .accesses()
        .filter(|(_, kind, _)| *kind == Kind::Open)
        .any(|(path, ..)| is_open_file(path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_aliases_of_a_script_are_found() {
        for script in [
            "my_cc () {\n  cc\n}",
            ":\nmy_cc(){ cc; }",
            "function my_cc\n{\n  cc\n}",
            "if x; then my_cc ( ) { cc; }; fi",
            "eval 'my_cc () { cc; }'",
            "alias my_cc='cc -DX'",
        ] {
            assert!(is_the_shells(script.as_bytes(), b"my_cc"), "{script}");
        }
        for script in ["CC=my_cc", "not_my_cc () { :; }", "my_cc -c (x)", "my_cc=1"] {
            assert!(!is_the_shells(script.as_bytes(), b"my_cc"), "{script}");
        }
        assert!(is_the_shells(b"", b"eval"));
    }
}
