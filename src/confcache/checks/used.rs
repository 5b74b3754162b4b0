//! Which variables a text uses and sets.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::super::outline::{Assignment, Document};
use super::names::{is_replaced, line_at, names};
use super::{OF_THE_MOMENT, SAYING, Whole};

/// What a text uses and sets.
#[derive(Default)]
pub(super) struct Used {
    /// The words outside of here-documents.
    pub(super) words: BTreeSet<String>,
    pub(super) inputs: BTreeSet<String>,
    pub(super) outputs: BTreeSet<String>,
}

impl Whole<'_> {
    /// What a text uses and sets.
    pub(super) fn used(&self, part: &Range<usize>) -> Used {
        let text = self.bytes(part.clone());
        let base = self.base(part);
        let mut used = Used::default();
        let mut settled: HashSet<&[u8]> = HashSet::new();
        let documents: Vec<&Document> = self
            .outline
            .documents
            .iter()
            .filter(|each| part.start <= each.text.start && each.text.end <= part.end)
            .collect();
        let calculated = self.outline.arithmetic.iter();
        let arithmetic: Vec<&Range<usize>> = calculated
            .filter(|range| part.start <= range.start && range.end <= part.end)
            .collect();
        for (name, offset) in names(text) {
            let at = part.start + offset;
            let document = documents
                .iter()
                .find(|each| each.text.start <= at && at < each.text.end);
            let replaced =
                is_replaced(text, offset) || arithmetic.iter().any(|range| range.contains(&at));
            if let Some(document) = document
                && (!document.expands || !replaced)
            {
                continue;
            }
            let string = || String::from_utf8_lossy(name).into_owned();
            if document.is_none() {
                used.words.insert(string());
            }
            let assignment = self.set_at.get(&at);
            if assignment.is_some() {
                used.outputs.insert(string());
            }
            if settled.contains(name) {
                continue;
            }
            let is_set_anew = assignment.is_some() && !self.mentions(assignment, name);
            let is_certain = |each: &&&Assignment| each.within == base && self.is_set_by(each);
            if is_set_anew && assignment.as_ref().is_some_and(is_certain) {
                // Whoever comes here has set it, so what it was before does not matter.
                settled.insert(name);
                continue;
            }
            let may_be_set = self.assignments.contains_key(name)
                || name.windows(4).any(|part| part == b"_cv_")
                || self.environment.iter().any(|each| each.as_bytes() == name);
            let may_be_set = may_be_set && self.names_matter(line_at(text, offset));
            // Who does not come to an assignment leaves what it was before.
            if replaced || may_be_set || assignment.is_some() {
                settled.insert(name);
                used.inputs.insert(string());
            }
        }
        used
    }

    /// Whether a variable may be looked at in a line in which only its name stands: where text is evaluated, in
    /// arithmetic, and where a function is called, which may do so.
    fn names_matter(&self, line: &[u8]) -> bool {
        let has = |part: &[u8]| line.windows(part.len()).any(|window| window == part);
        has(b"$((")
            || has(b"test -v")
            || has(b"[[")
            || names(line).any(|(word, _)| {
                matches!(
                    word,
                    b"eval" | b"let" | b"read" | b"unset" | b"local" | b"declare" | b"typeset"
                ) || (self.functions.contains_key(word) && !SAYING.contains(&word))
            })
    }

    /// Whether an assignment that is come to sets its name: a `for` with an empty list does not.
    fn is_set_by(&self, assignment: &Assignment) -> bool {
        let behind = self.text.get(assignment.name.end..).unwrap_or_default();
        if behind.first() == Some(&b'=') {
            return true;
        }
        let list = behind.trim_ascii_start().strip_prefix(b"in");
        let first = list.and_then(|list| list.trim_ascii_start().first());
        // A word that is there whatever variables hold.
        first.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"/.-+_'".contains(byte))
    }

    /// Whether what is assigned to a name has the name in it.
    fn mentions(&self, assignment: Option<&&Assignment>, name: &[u8]) -> bool {
        let value = assignment.map(|each| self.bytes(each.value.clone()));
        value.is_some_and(|value| names(value).any(|(each, _)| each == name))
    }

    /// The place that is always come to where a text runs.
    fn base(&self, part: &Range<usize>) -> usize {
        let text = self.bytes(part.clone());
        let lead = text.len() - text.trim_ascii_start().len();
        let rest = text.trim_ascii_start();
        // Autoconf 2.72 puts the text into a `case` that has one pattern.
        for wrapped in [&b"case e in #(\n  e) "[..], b"case e in #(\n  e)"] {
            if rest.starts_with(wrapped) {
                return part.start + lead + b"case e in #(\n  e)".len();
            }
        }
        part.start
    }

    /// Adds the variables that the values of others name, where they are evaluated once more. What is another each time is
    /// not asked for: whoever does name it is not known to use it.
    pub(super) fn close(&self, inputs: &mut BTreeSet<String>) {
        let mut left: Vec<String> = inputs.iter().cloned().collect();
        while let Some(name) = left.pop() {
            for each in self.assignments.get(name.as_bytes()).into_iter().flatten() {
                let value = self.bytes(each.value.clone());
                if !value.contains(&b'\'') && !value.contains(&b'\\') {
                    continue;
                }
                for (named, offset) in names(value) {
                    if is_replaced(value, offset) && !OF_THE_MOMENT.contains(&named) {
                        let named = String::from_utf8_lossy(named).into_owned();
                        if inputs.insert(named.clone()) {
                            left.push(named);
                        }
                    }
                }
            }
        }
    }
}
