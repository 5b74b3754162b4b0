//! The bash library, embedded in the program.

use std::fmt::Write as _;

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
pub const BUILD: &str = include_str!("../../bash/build.bash");

/// What a processor evaluates once to source ebuilds of one EAPI.
pub const SOURCER: &str = include_str!("../../bash/sourcer.bash");

/// What a fork evaluates to source an ebuild for its metadata.
pub const METADATA: &str = include_str!("../../bash/metadata.bash");

/// The text that makes a fresh bash a processor: the library, then the loop that serves jobs.
#[must_use]
pub fn processor_text() -> String {
    let mut text = frame::bash_table();
    for content in FILES {
        let _ = writeln!(text, "{content}");
    }
    text.push_str("__ebd_remember_library\n");
    text.push_str(include_str!("../../bash/processor.bash"));
    text
}

/// Tells one version of the library from another.
#[must_use]
pub fn version() -> String {
    HashName::Md5.hex(format!("{}{SOURCER}{METADATA}", processor_text()).as_bytes())
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
