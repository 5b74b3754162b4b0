//! The functions of a shell that has sourced other files than its script.

use std::collections::{BTreeMap, BTreeSet};

use super::super::checks::names;

/// Functions by their names, as bash prints them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Functions(BTreeMap<Vec<u8>, Vec<u8>>);

impl Functions {
    /// From what `declare -F` and then `declare -f` printed; none if it is something else.
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
        is_whole.then_some(Self(all))
    }

    /// Those that texts may call, by themselves or by others, with their texts; none of this program's.
    pub(super) fn called<'t>(
        &self,
        texts: impl Iterator<Item = &'t [u8]>,
    ) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut called: BTreeSet<&[u8]> = BTreeSet::new();
        let mut left: Vec<&[u8]> = texts.flat_map(|text| self.named_in(text)).collect();
        while let Some(name) = left.pop() {
            if !name.starts_with(b"__ebd_") && called.insert(name) {
                left.extend(
                    self.0
                        .get(name)
                        .into_iter()
                        .flat_map(|text| self.named_in(text)),
                );
            }
        }
        called.into_iter().filter_map(|name| {
            let text = self.0.get(name)?;
            Some((name, text.as_slice()))
        })
    }

    fn named_in(&self, text: &[u8]) -> Vec<&[u8]> {
        let known = |(name, _): (&[u8], usize)| self.0.get_key_value(name);
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
        assert_eq!(Functions::parse(b""), Some(Functions(BTreeMap::new())));
        for text in [
            &b"declare -f a\n"[..],
            b"a () \n{ \n}\n",
            b"declare -f a\nb () \n{ \n}\n",
        ] {
            assert_eq!(Functions::parse(text), None);
        }
    }
}
