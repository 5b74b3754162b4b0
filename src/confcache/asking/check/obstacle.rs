//! Why a check cannot be asked for: what it was given, or what was sourced, may bring something into it that its key does
//! not tell.

use std::collections::HashSet;
use std::ops::Range;

use super::super::super::checks::{Check, Named, names, runs_another};
use super::super::Server;
use super::super::functions::is_plain;
use super::super::shell::Inherited;
use super::given::{all_given, names_arguments, names_the_moment, unknown};

impl Server<'_> {
    /// Why a check with these arguments and values cannot be asked for, if that is so.
    pub(super) fn obstacle(
        &self,
        check: &Check,
        (arguments, values): (&[Vec<u8>], &[Vec<u8>]),
        inherited: &Inherited,
    ) -> Option<String> {
        if let Some(name) = unknown(check, values) {
            return Some(format!(
                "a value names {name}, which the check was not known to use"
            ));
        }
        if names_the_moment(arguments, values) {
            return Some("a value names what is another each time".to_owned());
        }
        if names_arguments(check, arguments, values) {
            return Some("a value names arguments, or a process".to_owned());
        }
        let functions = &self.at.script.functions;
        let another = all_given(arguments, values)
            .find_map(|value| runs_another(functions, &check.texts, value));
        if let Some(name) = another {
            let name = String::from_utf8_lossy(name);
            return Some(format!(
                "a value names {name}, which the check was not known to run"
            ));
        }
        let name = self.calls_more(check, arguments, values, inherited)?;
        Some(format!(
            "nobody knows what {name} does, in or behind what was sourced"
        ))
    }

    /// A function of a file that was sourced that the check may call, and that may do more than its text and what the
    /// check is given tell.
    fn calls_more(
        &self,
        check: &Check,
        arguments: &[Vec<u8>],
        values: &[Vec<u8>],
        inherited: &Inherited,
    ) -> Option<String> {
        let functions = self.at.functions.as_ref()?;
        let text = |part: &Range<usize>| self.at.text.get(part.clone()).unwrap_or_default();
        let texts = check.texts.iter().map(text);
        let is_known = |name: &[u8]| {
            let mut inputs = check.inputs.iter();
            let is_exported =
                std::str::from_utf8(name).is_ok_and(|name| inherited.variables.contains_key(name));
            is_exported || inputs.any(|input| input.as_bytes() == name)
        };
        // Its own are part of it if its texts name them. One that may have taken the place of such, which the key tells,
        // is as well if it has no word that its own had not.
        let is_part = |name: &[u8], text: &[u8], is_foreign: bool| {
            let named = self.at.script.functions.get(name);
            let is_part = |named: &&Named| {
                named.is_constant || named.texts.iter().all(|text| check.texts.contains(text))
            };
            named.filter(is_part).is_some_and(|named| {
                let parts = named
                    .texts
                    .iter()
                    .map(|part| self.at.text.get(part.clone()));
                let known: HashSet<&[u8]> = parts
                    .flatten()
                    .flat_map(names)
                    .map(|(word, _)| word)
                    .chain(std::iter::once(name))
                    .collect();
                let is_known = |word: &[u8]| known.contains(word) || word.starts_with(b"__ebd_");
                !is_foreign || names(text).all(|(word, _)| is_known(word))
            })
        };
        let mut called = functions.reached(texts.chain(all_given(arguments, values)));
        called
            .find(|(name, text)| {
                let is_foreign = functions.is_foreign(name);
                let is_told =
                    is_part(name, text, is_foreign) || (is_foreign && is_plain(text, is_known));
                !is_told
            })
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
    }
}
