//! Whether a value may tell in which line of a program something stands.

use memchr::memmem;

/// Whether a value that these texts have set may have such a number in it, if the program stands behind so many lines of
/// definitions. Numbers that a program has printed which was compiled are none.
pub(super) fn may_tell_lines(texts: &[&[u8]], value: &[u8], lines: u32) -> bool {
    if names_line(value) {
        return true;
    }
    let mut numbers = numbers(value).peekable();
    if numbers.peek().is_none() {
        return false;
    }
    // A preprocessor leaves lines out.
    let preprocesses = |text: &&[u8]| has(text, b"-E") || has(text, b"ac_cpp") || has(text, b"CPP");
    let looks = |text: &&[u8]| has(text, b"2>&1") || has(text, b"conftest.err") || reads(text);
    texts.iter().any(preprocesses)
        || (texts.iter().any(looks) && numbers.any(|number| number > u64::from(lines)))
}

fn has(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}

/// Whether a text has a program look at the program that is compiled, other than by the commands of autoconf.
fn reads(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| {
        let removes = line.trim_ascii_start().starts_with(b"rm -f");
        let is_read = |at: usize| {
            let before = line.get(..at).unwrap_or_default().trim_ascii_end();
            let behind = line.get(at + b"conftest.".len()..).unwrap_or_default();
            let is_program = behind.starts_with(b"$ac_ext")
                || behind.starts_with(b"${ac_ext}")
                || behind.starts_with(b"c");
            is_program && !before.ends_with(b">")
        };
        !removes && memmem::find_iter(line, b"conftest.").any(is_read)
    })
}

/// The numbers in a value.
pub(super) fn numbers(value: &[u8]) -> impl Iterator<Item = u64> {
    let runs = value.split(|byte| !byte.is_ascii_digit());
    runs.filter(|run| !run.is_empty()).map(|run| {
        let digits = std::str::from_utf8(run).ok();
        digits.and_then(|run| run.parse().ok()).unwrap_or(u64::MAX)
    })
}

/// Whether a value is what a compiler says of a program, and in which line.
fn names_line(value: &[u8]) -> bool {
    let mut all = memmem::find_iter(value, b"conftest.").filter_map(|at| value.get(at + 9..));
    all.any(|behind| {
        let end = behind.iter().position(|byte| !byte.is_ascii_alphanumeric());
        let behind = end.and_then(|end| behind.get(end..));
        matches!(behind, Some([b':', b'0'..=b'9', ..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_lines_come_from_who_sees_them() {
        let tells =
            |text: &str, value: &str| may_tell_lines(&[text.as_bytes()], value.as_bytes(), 3);
        for text in [
            "x=`(eval \"$ac_compile\") 2>&1 | sed -n 1p`",
            "(eval \"$ac_compile\") 2>conftest.err",
            "x=`wc -l <conftest.c`",
            "x=`grep -n it conftest.$ac_ext`",
        ] {
            assert!(tells(text, "4"), "{text}");
            assert!(tells(text, ":4:2: warning"), "{text}");
            assert!(!tells(text, "3"), "{text}");
            assert!(!tells(text, "yes"), "{text}");
        }
        assert!(tells("x=`$CC -E conftest.c | wc -l`", "2"));
        for text in [
            "cat >conftest.$ac_ext <<_ACEOF",
            "cat confdefs.h - <<_ACEOF > conftest.c",
            "rm -f conftest.err conftest.$ac_objext conftest.$ac_ext",
            "x=`./conftest`",
        ] {
            let own = text.replace("conftest.err ", "");
            assert!(!tells(&own, "8"), "{text}");
        }
        assert!(tells("", "conftest.c:3: warning"));
        assert!(tells(
            "x=`cat <conftest.c | wc -l`",
            "99999999999999999999999"
        ));
    }
}
