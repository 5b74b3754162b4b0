//! Versions and how they compare (PMS 3.2 and 3.3).
//!
//! The specification forbids limits on the number of components and on their length, so a
//! version keeps its text and numbers are compared as strings of digits.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version `{text}`: expected {expected} at character {}", .offset + 1)]
pub struct VersionError {
    /// The whole text that was read.
    pub text: String,
    /// The byte offset of the first character that does not fit.
    pub offset: usize,
    /// What would have fitted there.
    pub expected: &'static str,
}

/// A version such as `1.2.3b_alpha4-r5`.
///
/// Equality, order and hash follow the comparison of PMS 3.3, not the text: `1.0`, `1.0-r0` and
/// `01.0` are the same version. [`Version::as_str`] gives back the text that was read.
#[derive(Debug, Clone)]
pub struct Version {
    text: Box<str>,
    /// Where the dotted numbers end.
    numbers_end: usize,
    /// Where the suffixes begin: at `numbers_end`, or one further behind a letter.
    suffixes: usize,
    /// Where the revision's hyphen stands; the text's length without one.
    revision: usize,
}

/// The kinds of version suffix, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuffixKind {
    /// `_alpha`
    Alpha,
    /// `_beta`
    Beta,
    /// `_pre`
    Pre,
    /// `_rc`
    Rc,
    /// `_p`
    P,
}

impl SuffixKind {
    /// The suffix's word without its underscore and number, such as `alpha`.
    pub fn name(self) -> &'static str {
        match self {
            SuffixKind::Alpha => "alpha",
            SuffixKind::Beta => "beta",
            SuffixKind::Pre => "pre",
            SuffixKind::Rc => "rc",
            SuffixKind::P => "p",
        }
    }

    /// Every kind, with a word that is the beginning of another behind that other.
    const ALL: [SuffixKind; 5] = [
        SuffixKind::Alpha,
        SuffixKind::Beta,
        SuffixKind::Pre,
        SuffixKind::Rc,
        SuffixKind::P,
    ];
}

impl Version {
    /// The text as it was read, revision included.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The digits behind `-r` as written, or `0` when there is no revision.
    pub fn revision(&self) -> &str {
        match self.text.get(self.revision + 2..) {
            Some(digits) if !digits.is_empty() => digits,
            _ => "0",
        }
    }

    /// Whether a revision other than zero is given.
    pub fn has_revision(&self) -> bool {
        !trim_zeros(self.revision()).is_empty()
    }

    /// Whether a revision is written, be it `-r0`.
    pub fn writes_revision(&self) -> bool {
        self.revision < self.text.len()
    }

    /// The version without its revision, as text.
    pub fn base(&self) -> &str {
        self.text.get(..self.revision).unwrap_or_default()
    }

    /// The same version without its revision.
    pub fn without_revision(&self) -> Version {
        Version {
            text: self.base().into(),
            ..*self
        }
    }

    /// The dotted numbers, as text.
    pub fn numbers(&self) -> impl Iterator<Item = &str> {
        self.text
            .get(..self.numbers_end)
            .unwrap_or_default()
            .split('.')
    }

    /// The letter behind the numbers.
    pub fn letter(&self) -> Option<char> {
        self.text
            .get(self.numbers_end..self.suffixes)
            .and_then(|letter| letter.chars().next())
    }

    /// The suffixes with their digits, which are empty when no number is written.
    pub fn suffixes(&self) -> impl Iterator<Item = (SuffixKind, &str)> {
        self.text
            .get(self.suffixes..self.revision)
            .unwrap_or_default()
            .split('_')
            .skip(1)
            .filter_map(|suffix| {
                SuffixKind::ALL.into_iter().find_map(|kind| {
                    let digits = suffix.strip_prefix(kind.name())?;
                    digits
                        .bytes()
                        .all(|byte| byte.is_ascii_digit())
                        .then_some((kind, digits))
                })
            })
    }

    /// Whether `other` agrees with this version as far as this one goes, which is what the
    /// asterisk of `=cat/pkg-1.2*` means (PMS 8.3.1): the components given here are compared,
    /// further ones of `other` are not.
    ///
    /// A suffix's word and its number are two components; a version that writes a revision gives
    /// all of them.
    pub fn is_prefix_of(&self, other: &Version) -> bool {
        if self.writes_revision() {
            return self == other;
        }
        let mut theirs = other.numbers();
        for (index, mine) in self.numbers().enumerate() {
            let Some(theirs) = theirs.next() else {
                return false;
            };
            let order = match index {
                0 => compare_integers(mine, theirs),
                _ => compare_fractions(mine, theirs),
            };
            if order.is_ne() {
                return false;
            }
        }
        let more_numbers = theirs.next().is_some();
        if let Some(letter) = self.letter()
            && (more_numbers || other.letter() != Some(letter))
        {
            return false;
        }
        let mut mine = self.suffixes().peekable();
        if mine.peek().is_none() {
            return true;
        }
        if more_numbers || self.letter() != other.letter() {
            return false;
        }
        let mut theirs = other.suffixes();
        while let Some((kind, digits)) = mine.next() {
            let Some((their_kind, their_digits)) = theirs.next() else {
                return false;
            };
            let number_given = !digits.is_empty() || mine.peek().is_some();
            if kind != their_kind || number_given && compare_integers(digits, their_digits).is_ne()
            {
                return false;
            }
        }
        true
    }

    /// Reads a version at the beginning of `text` and says where it ends.
    fn scan(text: &str) -> Result<(usize, usize, usize, usize), (usize, &'static str)> {
        let bytes = text.as_bytes();
        let digits_from = |start: usize| {
            bytes
                .iter()
                .skip(start)
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let mut at = digits_from(0);
        if at == 0 {
            return Err((0, "a digit"));
        }
        while bytes.get(at) == Some(&b'.') {
            let count = digits_from(at + 1);
            if count == 0 {
                return Err((at + 1, "a digit"));
            }
            at += 1 + count;
        }
        let numbers_end = at;
        if bytes.get(at).is_some_and(u8::is_ascii_lowercase) {
            at += 1;
        }
        let suffixes = at;
        while bytes.get(at) == Some(&b'_') {
            let rest = text.get(at + 1..).unwrap_or_default();
            let Some(kind) = SuffixKind::ALL
                .into_iter()
                .find(|kind| rest.starts_with(kind.name()))
            else {
                return Err((at + 1, "one of `alpha`, `beta`, `pre`, `rc`, `p`"));
            };
            at += 1 + kind.name().len();
            at += digits_from(at);
        }
        let revision = at;
        if bytes.get(at) == Some(&b'-') {
            if bytes.get(at + 1) != Some(&b'r') {
                return Err((at + 1, "`r` and the revision's number"));
            }
            let count = digits_from(at + 2);
            if count == 0 {
                return Err((at + 2, "the revision's number"));
            }
            at += 2 + count;
        }
        Ok((numbers_end, suffixes, revision, at))
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |(offset, expected)| VersionError {
            text: text.to_owned(),
            offset,
            expected,
        };
        let (numbers_end, suffixes, revision, end) = Version::scan(text).map_err(error)?;
        if end < text.len() {
            let expected = if revision < end {
                "a digit or the end"
            } else if suffixes > numbers_end || suffixes < revision {
                "`_`, `-r` or the end"
            } else {
                "a digit, `.`, a lower-case letter, `_`, `-r` or the end"
            };
            return Err(error((end, expected)));
        }
        Ok(Version {
            text: text.into(),
            numbers_end,
            suffixes,
            revision,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_numbers(self, other)
            .then_with(|| self.letter().cmp(&other.letter()))
            .then_with(|| compare_suffixes(self, other))
            .then_with(|| compare_integers(self.revision(), other.revision()))
    }
}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (index, number) in self.numbers().enumerate() {
            if index == 0 {
                trim_zeros(number).hash(state);
            } else if number.starts_with('0') {
                number.trim_end_matches('0').hash(state);
            } else {
                number.hash(state);
            }
        }
        self.letter().hash(state);
        for (kind, digits) in self.suffixes() {
            kind.hash(state);
            trim_zeros(digits).hash(state);
        }
        trim_zeros(self.revision()).hash(state);
    }
}

/// Digits without the zeros that lead them: empty for zero.
fn trim_zeros(digits: &str) -> &str {
    digits.trim_start_matches('0')
}

/// Compares digits as integers; no digits count as zero.
fn compare_integers(a: &str, b: &str) -> Ordering {
    let (a, b) = (trim_zeros(a), trim_zeros(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Compares a number behind a dot (algorithm 3.3): with a leading zero on either side the
/// numbers are fractions, of which trailing zeros say nothing.
fn compare_fractions(a: &str, b: &str) -> Ordering {
    if a.starts_with('0') || b.starts_with('0') {
        a.trim_end_matches('0').cmp(b.trim_end_matches('0'))
    } else {
        compare_integers(a, b)
    }
}

fn compare_numbers(a: &Version, b: &Version) -> Ordering {
    let (mut mine, mut theirs) = (a.numbers(), b.numbers());
    let mut first = true;
    loop {
        let order = match (mine.next(), theirs.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) if first => compare_integers(a, b),
            (Some(a), Some(b)) => compare_fractions(a, b),
        };
        if order.is_ne() {
            return order;
        }
        first = false;
    }
}

fn compare_suffixes(a: &Version, b: &Version) -> Ordering {
    let (mut mine, mut theirs) = (a.suffixes(), b.suffixes());
    loop {
        // A further `_p` makes a version later, any other further suffix earlier.
        let order = match (mine.next(), theirs.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some((SuffixKind::P, _))) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (Some((SuffixKind::P, _)), None) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some((a, a_digits)), Some((b, b_digits))) => {
                a.cmp(&b).then_with(|| compare_integers(a_digits, b_digits))
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use proptest::prelude::*;
    use std::collections::hash_map::DefaultHasher;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn hash(version: &Version) -> u64 {
        let mut hasher = DefaultHasher::new();
        version.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn orders_as_specified() {
        let _rows = rows(&[185, 187, 188]);
        for (a, b) in [
            ("1", "2"),
            ("1.01", "1.1"),
            ("1.1", "1.10"),
            ("1.9", "1.10"),
            ("1.0", "1.0.0"),
            ("1", "1.0"),
            ("1a", "1b"),
            ("1", "1a"),
            ("1b", "1.0"),
            ("1_alpha", "1_beta"),
            ("1_beta", "1_pre"),
            ("1_pre", "1_rc"),
            ("1_rc", "1"),
            ("1", "1_p"),
            ("1_p", "1_p1"),
            ("1_alpha", "1_alpha_p"),
            ("1_alpha_beta", "1_alpha"),
            ("1_alpha9", "1_alpha10"),
            ("1", "1-r1"),
            ("1-r9", "1-r10"),
            ("1-r1", "1_p"),
            ("1.001", "1.01"),
            ("99999999999999999999", "100000000000000000000"),
            ("1.99999999999999999999", "1.100000000000000000000"),
            ("1-r99999999999999999999", "1-r100000000000000000000"),
        ] {
            assert!(version(a) < version(b), "{a} < {b}");
            assert!(version(b) > version(a), "{b} > {a}");
        }
    }

    #[test]
    fn equal_by_rule_and_not_by_text() {
        let _rows = rows(&[185, 186, 188, 189]);
        for (a, b) in [
            ("1", "01"),
            ("1.01", "1.010"),
            ("1.0", "1.00"),
            ("1", "1-r0"),
            ("1-r0", "1-r00"),
            ("1_p", "1_p0"),
            ("1_alpha01", "1_alpha1"),
            ("1-r01", "1-r1"),
        ] {
            assert_eq!(version(a), version(b), "{a} = {b}");
            assert_eq!(hash(&version(a)), hash(&version(b)), "{a} = {b}");
        }
        assert_ne!(version("1.1"), version("1.10"));
    }

    // pkgcraft refuses numbers beyond 64 bits.
    #[test]
    fn has_no_limits() {
        let _rows = rows(&[187]);
        let long = "7".repeat(4000);
        let many = vec!["3"; 1000].join(".");
        let text = format!("{long}.{many}_p{long}-r{long}");
        assert_eq!(version(&text).to_string(), text);
        assert_eq!(version(&text).revision(), long);
        assert!(version(&text) < version(&format!("{text}0")));
    }

    #[test]
    fn takes_revisions_apart() {
        let plain = version("1.2b_rc3");
        assert_eq!((plain.revision(), plain.has_revision()), ("0", false));
        let revised = version("1.2b_rc3-r04");
        assert_eq!((revised.revision(), revised.base()), ("04", "1.2b_rc3"));
        assert_eq!(revised.without_revision(), plain);
        assert_eq!(revised.without_revision().to_string(), "1.2b_rc3");
        assert!(!version("1-r00").has_revision() && version("1-r00").writes_revision());
        assert_eq!(plain.letter(), Some('b'));
        assert_eq!(
            plain.suffixes().collect::<Vec<_>>(),
            [(SuffixKind::Rc, "3")]
        );
    }

    #[test]
    fn wildcards_compare_components() {
        let _rows = rows(&[190]);
        for (pattern, text, matches) in [
            ("1", "1", true),
            ("1", "1.2", true),
            ("1", "1_p1", true),
            ("1", "1-r3", true),
            ("1", "1b", true),
            ("1", "10", false),
            ("1.2", "1.2.3", true),
            ("1.2", "1.20", false),
            ("1.2", "1", false),
            ("01", "1.5", true),
            ("1b", "1b_p2", true),
            ("1b", "1.0b", false),
            ("1b", "1c", false),
            ("1_p", "1_p4", true),
            ("1_p", "1.0_p4", false),
            ("1_p", "1b_p4", false),
            ("1_p4", "1_p40", false),
            ("1_p4", "1_p4-r2", true),
            ("1_alpha", "1_alpha3_p", true),
            ("1_alpha_p", "1_alpha3_p", false),
            ("1_rc1_p2", "1_rc1_p2_beta", true),
            ("1-r1", "1-r1", true),
            ("1-r1", "1-r10", false),
        ] {
            assert_eq!(
                version(pattern).is_prefix_of(&version(text)),
                matches,
                "={pattern}* on {text}"
            );
        }
    }

    #[test]
    fn rejects_and_points_at_the_place() {
        for (text, offset) in [
            ("", 0),
            ("a", 0),
            ("1.", 2),
            ("1..2", 2),
            ("1.2B", 3),
            ("1bb", 2),
            ("1_foo", 2),
            ("1_P", 2),
            ("1-1", 2),
            ("1-r", 3),
            ("1-r1-r2", 4),
            ("1-r1_p", 4),
            ("1 ", 1),
            ("1é", 1),
            ("1_alpha.2", 7),
        ] {
            let error = text.parse::<Version>().unwrap_err();
            assert_eq!(error.offset, offset, "{text}: {error}");
        }
    }

    fn any_version() -> impl Strategy<Value = Version> {
        r"[0-2]{1,3}(\.[0-2]{1,3}){0,3}[a-b]?(_(alpha|beta|pre|rc|p)[0-1]{0,2}){0,2}(-r[0-2]{1,2})?"
            .prop_map(|text| version(&text))
    }

    proptest! {
        #[test]
        fn prints_back(version in any_version()) {
            let again: Version = version.to_string().parse().unwrap();
            prop_assert_eq!(again.as_str(), version.as_str());
        }

        #[test]
        fn order_is_total(a in any_version(), b in any_version(), c in any_version()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a == b {
                prop_assert_eq!(hash(&a), hash(&b));
                prop_assert_eq!(a.cmp(&c), b.cmp(&c));
            }
        }

        #[test]
        fn prefix_of_itself(version in any_version()) {
            prop_assert!(version.is_prefix_of(&version));
        }

        #[test]
        fn never_panics(text in r"[0-9a-c._pralhbetc-]{0,20}|\PC{0,8}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.as_str(), text);
            }
        }
    }
}
