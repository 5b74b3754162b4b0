//! The EAPI an ebuild names in its text (PMS 7.3.1).

/// The EAPI named by the head of an ebuild, read without running it: `0` if there is none.
///
/// Only the first line that is neither blank nor a comment counts, and it must have the form
/// `^[ \t]*EAPI=(['"]?)([A-Za-z0-9+_.-]*)\1[ \t]*([ \t]#.*)?$`; anything else means EAPI 0. The
/// name may be unknown: [`Eapi::parse`](super::Eapi::parse) tells. An ebuild that sets another
/// EAPI when it is sourced is invalid, which is for the caller to find out.
pub fn scan(ebuild: &[u8]) -> &str {
    ebuild
        .split(|byte| *byte == b'\n')
        .map(trim_start)
        .find(|line| !line.is_empty() && !line.starts_with(b"#"))
        .and_then(assigned)
        .filter(|name| !name.is_empty())
        .unwrap_or("0")
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|byte| is_blank(byte)).count();
    line.get(blanks..).unwrap_or_default()
}

/// The value of a line that assigns EAPI in the form demanded.
fn assigned(line: &[u8]) -> Option<&str> {
    let value = line.strip_prefix(b"EAPI=")?;
    let quote = value.first().filter(|byte| matches!(byte, b'\'' | b'"'));
    let value = match quote {
        Some(_) => value.get(1..)?,
        None => value,
    };
    let length = value
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"+_.-".contains(byte))
        .count();
    let (name, rest) = value.split_at_checked(length)?;
    let rest = match quote {
        Some(quote) => rest.strip_prefix(&[*quote])?,
        None => rest,
    };
    let comment = trim_start(rest);
    let separated = comment.len() < rest.len();
    match comment.first() {
        None => std::str::from_utf8(name).ok(),
        Some(b'#') if separated => std::str::from_utf8(name).ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_line() {
        for (text, eapi) in [
            ("EAPI=8\n", "8"),
            ("EAPI=8", "8"),
            ("# Copyright\n\n  \t\n\t# more\nEAPI=7\nEAPI=8\n", "7"),
            ("\t EAPI=8 \t\n", "8"),
            ("EAPI='8'\n", "8"),
            ("EAPI=\"8\" # comment\n", "8"),
            ("EAPI=8\t#\n", "8"),
            ("EAPI=8 #c \"#\n", "8"),
            ("EAPI=5-progress\n", "5-progress"),
            ("EAPI=\n", "0"),
            ("EAPI=\"\"\n", "0"),
            ("EAPI=''\n", "0"),
            ("", "0"),
            ("# only a comment", "0"),
            ("EAPI=\"8\"#c\n", "0"),
            ("EAPI=8#c\n", "0"),
            ("EAPI=8;\n", "0"),
            ("EAPI=8; true\n", "0"),
            ("EAPI='8\"\n", "0"),
            ("EAPI=\"8\n", "0"),
            ("EAPI=8\"\n", "0"),
            ("EAPI = 8\n", "0"),
            ("EAPI=${X}\n", "0"),
            ("eapi=8\n", "0"),
            ("export EAPI=8\n", "0"),
            ("inherit foo\nEAPI=8\n", "0"),
            ("A=1\nEAPI=8\n", "0"),
            ("EAPI=8\r\n", "0"),
            ("\r\nEAPI=8\n", "0"),
            ("\u{feff}EAPI=8\n", "0"),
        ] {
            assert_eq!(scan(text.as_bytes()), eapi, "{text:?}");
        }
        assert_eq!(scan(b"# \xff\nEAPI=8 # \xfe\n"), "8");
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            scan(&text);
        }

        #[test]
        fn survives_near_misses(text in "[ \t]{0,2}EAPI=['\"]?[0-9a-z+.-]{0,3}['\"]?[ \t;#]{0,3}") {
            scan(text.as_bytes());
        }
    }
}
