//! The functions of a shell that has sourced other files than its script.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::checks::{does_more, named_in, names};

/// What sets variables in a function, or looks at them, or at the shell, by what is no name behind a dollar.
static UNNAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?m)(?:^|[\s;&|({!])[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=|\(\(|\[\[|\s-v|\$\{!|\$\{\w+:?=|\$\[|\$[!$_-]|\$\{?#?0|(?:^|\s)\.\s",
    )
    .ok()
});

/// Words of a shell, besides those of builtins, by which variables are set, a script ends, or the folder and its
/// definitions are looked at.
const WORDS: [&[u8]; 7] = [
    b"OLDPWD",
    b"PWD",
    b"confdefs",
    b"exit",
    b"for",
    b"pwd",
    b"select",
];

static QUOTED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"'[^']*'|"(?:[^"\\]|\\.)*"|\$[?*]|\[ "#).ok());

/// Whether a function, as bash prints it, does nothing but running programs, and looks at its arguments and at known
/// variables only.
pub(super) fn is_plain(text: &[u8], is_known: impl Fn(&[u8]) -> bool) -> bool {
    let (Some(unnamed), Some(quoted)) = (UNNAMED.as_ref(), QUOTED.as_ref()) else {
        return false;
    };
    let unquoted = quoted.replace_all(text, &b""[..]);
    let globs = unquoted.iter().any(|byte| b"*?[".contains(byte));
    let is_odd = |word: &[u8]| does_more(word) || WORDS.contains(&word);
    !globs
        && !unnamed.is_match(text)
        && !names(text).any(|(word, _)| is_odd(word))
        && named_in(text).all(is_known)
}

/// Functions by their names, as bash prints them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Functions {
    all: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Those that are not the script's own.
    foreign: BTreeSet<Vec<u8>>,
}

impl Functions {
    /// From what `declare -F` and then `declare -f` printed; none if it is something else. All are foreign.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut all: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(name) = lines.peek().and_then(|line| declared(line)) {
            all.insert(name.to_vec(), Vec::new());
            lines.next();
        }
        let mut last: Option<&[u8]> = None;
        for line in lines {
            let named = line.strip_suffix(b" () \n");
            if let Some(name) = named.filter(|name| all.contains_key(*name)) {
                last = Some(name);
            }
            all.get_mut(last?)?.extend_from_slice(line);
        }
        let is_whole = all.values().all(|text| !text.is_empty());
        is_whole.then(|| Self {
            foreign: all.keys().cloned().collect(),
            all,
        })
    }

    /// Where files were sourced between these and `before`: what has not changed then, and was the script's own in
    /// `known`, is that still.
    pub(super) fn since(mut self, before: &Self, known: Option<&Self>) -> Self {
        let was_foreign = |name: &Vec<u8>| known.is_some_and(|known| known.foreign.contains(name));
        self.foreign
            .retain(|name| before.all.get(name) != self.all.get(name) || was_foreign(name));
        self
    }

    /// The foreign ones that texts may call, by themselves or by others, with their texts; none of this program's.
    pub(super) fn called<'t>(
        &self,
        texts: impl Iterator<Item = &'t [u8]>,
    ) -> impl Iterator<Item = (&[u8], &[u8])> {
        let is_foreign = |(name, _): &(&[u8], &[u8])| self.foreign.contains(*name);
        self.reached(texts).filter(is_foreign)
    }

    /// Those that texts may call, whoever has defined them.
    pub(super) fn reached<'t>(
        &self,
        texts: impl Iterator<Item = &'t [u8]>,
    ) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut called: BTreeSet<&[u8]> = BTreeSet::new();
        let mut left: Vec<&[u8]> = texts.flat_map(|text| self.named_in(text)).collect();
        while let Some(name) = left.pop() {
            if !name.starts_with(b"__ebd_") && called.insert(name) {
                left.extend(
                    self.all
                        .get(name)
                        .into_iter()
                        .flat_map(|text| self.named_in(text)),
                );
            }
        }
        called
            .into_iter()
            .filter_map(|name| Some((name, self.all.get(name)?.as_slice())))
    }

    /// Whether a function is none of the script's own.
    pub(super) fn is_foreign(&self, name: &[u8]) -> bool {
        self.foreign.contains(name)
    }

    fn named_in(&self, text: &[u8]) -> Vec<&[u8]> {
        let known = |(name, _): (&[u8], usize)| self.all.get_key_value(name);
        let known = names(text).filter_map(known);
        known.map(|(name, _)| name.as_slice()).collect()
    }
}

/// The name in a line of `declare -F`.
fn declared(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_suffix(b"\n")?.strip_prefix(b"declare -f")?;
    let at = rest.iter().position(|byte| *byte == b' ')?;
    rest.get(at + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_of_other_files_count() {
        let functions = |all: &[(&str, &str)]| {
            let mut text = String::new();
            for (name, _) in all {
                text.push_str(&format!("declare -f {name}\n"));
            }
            for (name, body) in all {
                text.push_str(&format!("{name} () \n{{ \n    {body}\n}}\n"));
            }
            Functions::parse(text.as_bytes()).unwrap()
        };
        let called = |functions: &Functions, text: &str| -> Vec<String> {
            let called = functions.called(std::iter::once(text.as_bytes()));
            called
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                .collect()
        };
        let before = functions(&[("a", "b"), ("b", "echo own")]);
        let after = functions(&[("a", "b"), ("b", "echo other"), ("c", ":")]);
        let first = after.since(&before, None);
        assert_eq!(called(&first, "a"), ["b"]);
        assert_eq!(called(&first, "c a"), ["b", "c"]);
        // Another file, which brings one more.
        let before = functions(&[("a", "b"), ("b", "echo other"), ("c", ":")]);
        let after = functions(&[("a", "b"), ("b", "echo other"), ("c", ":"), ("d", "a")]);
        let second = after.since(&before, Some(&first));
        assert_eq!(called(&second, "d"), ["b", "d"]);
    }

    #[test]
    fn functions_are_told_apart() {
        let text = b"declare -f a\ndeclare -fx b\ndeclare -f c-d\na () \n{ \n    b 1\n}\nb () \n{ \n    cat <<E\nx () \nE\n\n}\nc-d () \n{ \n    :\n}\n";
        let functions = Functions::parse(text).unwrap();
        let called = |text: &str| -> Vec<String> {
            let called = functions.called(std::iter::once(text.as_bytes()));
            called
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                .collect()
        };
        assert_eq!(called("x=`a`"), ["a", "b"]);
        assert_eq!(called("b"), ["b"]);
        assert_eq!(called("ab; $c"), [""; 0]);
        let texts: Vec<&[u8]> = functions
            .called(std::iter::once(&b"b"[..]))
            .map(|(_, text)| text)
            .collect();
        assert!(texts[0].ends_with(b"E\n\n}\n"));
        assert_eq!(Functions::parse(b""), Some(Functions::default()));
        for text in [
            &b"declare -f a\n"[..],
            b"a () \n{ \n}\n",
            b"declare -f a\nb () \n{ \n}\n",
        ] {
            assert_eq!(Functions::parse(text), None);
        }
    }
}
