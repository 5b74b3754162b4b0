//! Parts of files (RFC 9110, section 14).

/// What a client wants of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes, first and last.
    Part(u64, u64),
    /// Bytes that it does not have.
    Nothing,
}

/// Reads the value of `Range` for a file of so many bytes. Several ranges at once, other units, and what is no range
/// at all are answered with the whole file, as may be done.
pub(super) fn wanted(value: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = value
        .and_then(|value| value.trim().strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Numbers that are too large are behind the end of any file.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), Some(last)) if first < size => Wanted::Part(first, last.min(size - 1)),
        (Some(first), None) if last.is_empty() && first < size => Wanted::Part(first, size - 1),
        (None, Some(count)) if first.is_empty() && count > 0 && size > 0 => {
            Wanted::Part(size - count.min(size), size - 1)
        }
        (Some(_), Some(_)) => Wanted::Nothing,
        (Some(_), None) if last.is_empty() => Wanted::Nothing,
        (None, Some(_)) if first.is_empty() => Wanted::Nothing,
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (value, expected) in [
            ("bytes=0-9", Wanted::Part(0, 9)),
            ("bytes=90-", Wanted::Part(90, 99)),
            ("bytes=-5", Wanted::Part(95, 99)),
            ("bytes=-500", Wanted::Part(0, 99)),
            ("bytes=50-500", Wanted::Part(50, 99)),
            ("bytes=99-99", Wanted::Part(99, 99)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=100-200", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-3", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(value), 100), expected, "{value}");
        }
        assert_eq!(wanted(None, 100), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
        assert_eq!(wanted(Some("bytes=-5"), 0), Wanted::Nothing);
    }

    proptest! {
        #[test]
        fn a_part_is_inside_of_the_file(value: String, first: u64, last: u64, size: u64) {
            for value in [value, format!("bytes={first}-{last}"), format!("bytes=-{last}")] {
                if let Wanted::Part(first, last) = wanted(Some(&value), size) {
                    prop_assert!(first <= last && last < size);
                }
            }
        }
    }
}
