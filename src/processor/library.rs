//! The bash library, embedded in the program.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::frame;
use crate::util::digest::HashName;

/// The files of the library in the order in which they are loaded.
const FILES: &[&str] = &[
    include_str!("../../bash/protocol.bash"),
    include_str!("../../bash/die.bash"),
    include_str!("../../bash/lib/common.bash"),
    include_str!("../../bash/lib/output.bash"),
    include_str!("../../bash/lib/version.bash"),
    include_str!("../../bash/lib/use.bash"),
    include_str!("../../bash/lib/query.bash"),
    include_str!("../../bash/lib/install_state.bash"),
    include_str!("../../bash/lib/configure.bash"),
    include_str!("../../bash/lib/unpack.bash"),
    include_str!("../../bash/lib/patch.bash"),
    include_str!("../../bash/lib/docs.bash"),
    include_str!("../../bash/lib/phases.bash"),
    include_str!("../../bash/lib/misc.bash"),
    include_str!("../../bash/lib/eapi.bash"),
    include_str!("../../bash/eclass.bash"),
    include_str!("../../bash/ebuild.bash"),
    include_str!("../../bash/phase.bash"),
    include_str!("../../bash/environment.bash"),
];

/// What a fork evaluates to build a package.
pub const BUILD: &str = concat!(
    include_str!("../../bash/build.bash"),
    include_str!("../../bash/load.bash"),
    include_str!("../../bash/serve.bash"),
);

/// What a shell for a person evaluates behind [`interactive_text`].
pub const INTERACTIVE: &str = concat!(
    include_str!("../../bash/interactive_start.bash"),
    include_str!("../../bash/load.bash"),
    include_str!("../../bash/interactive_end.bash"),
);

/// What a shell evaluates behind [`interactive_text`] to source an ebuild and write down, into the
/// file whose name is in `__EBD_INTO`, what that gave; with `__EBD_TRACE` also, into that file and one
/// beside it, where things were set.
pub const FRESH: &str = concat!(
    include_str!("../../bash/fresh.bash"),
    include_str!("../../bash/load.bash"),
    include_str!("../../bash/fresh_end.bash"),
);

/// What a processor evaluates once to source ebuilds of one EAPI.
pub const SOURCER: &str = include_str!("../../bash/sourcer.bash");

/// What a fork evaluates to source an ebuild for its metadata.
pub const METADATA: &str = include_str!("../../bash/metadata.bash");

/// The text that makes a fresh bash a processor: the library, then the loop that serves jobs.
#[must_use]
pub fn processor_text() -> String {
    let mut text = functions();
    text.push_str("__ebd_remember_library\n");
    text.push_str(include_str!("../../bash/processor.bash"));
    text
}

/// The text that makes a fresh bash one in which a person can work: the library with the commands
/// for people.
#[must_use]
pub fn interactive_text() -> String {
    let mut text = functions();
    text.push_str(include_str!("../../bash/interactive.bash"));
    text.push_str("__ebd_remember_library\n");
    text
}

/// The functions of the library.
fn functions() -> String {
    let mut text = frame::bash_table();
    for content in FILES {
        let _ = writeln!(text, "{content}");
    }
    text
}

/// Tells one version of the library from another.
#[must_use]
pub fn version() -> String {
    HashName::Md5.hex(format!("{}{SOURCER}{METADATA}", processor_text()).as_bytes())
}

/// Shell text that assigns these values.
#[must_use]
pub fn assignments(variables: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in variables {
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend(quote(value));
        text.push(b'\n');
    }
    text
}

/// Shell text that tells where eclasses are looked for.
#[must_use]
pub fn eclass_dirs(folders: &[PathBuf]) -> Vec<u8> {
    let mut text = b"__EBD_ECLASS_DIRS=(".to_vec();
    for folder in folders {
        text.extend(quote(folder.as_os_str().as_encoded_bytes()));
        text.push(b' ');
    }
    text.extend_from_slice(b")\n");
    text
}

/// `value` as a word of shell text that stands for exactly these bytes.
#[must_use]
pub fn quote(value: &[u8]) -> Vec<u8> {
    let mut word = Vec::with_capacity(value.len() + 2);
    word.push(b'\'');
    for &byte in value {
        if byte == b'\'' {
            word.extend_from_slice(b"'\\''");
        } else if byte != 0 {
            word.push(byte);
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_quoted_value_comes_back_from_bash_as_it_was() {
        for value in [
            &b""[..],
            b"it's",
            b"$x `y` \\ \"z\"\n\t",
            b"\x01\xff",
            b"'''",
        ] {
            let mut script = b"printf %s ".to_vec();
            script.extend(quote(value));
            let output = std::process::Command::new("bash")
                .arg("-c")
                .arg(std::ffi::OsString::from_vec(script))
                .output()
                .unwrap();
            assert_eq!(output.stdout, value);
        }
    }
}
