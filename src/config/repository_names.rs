//! What the repositories are called, for atoms that name one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::repositories::RepositoryFacts;
use crate::pms::suggest::closest;
use crate::repo::RepoSet;

/// The names and aliases of all repositories, with the name that each stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RepositoryNames {
    names: BTreeMap<String, String>,
}

impl RepositoryNames {
    /// Those of a set.
    pub(super) fn new(set: &RepoSet) -> Self {
        let names = set
            .names()
            .map(|(alias, name)| (alias.to_owned(), name.to_owned()));
        RepositoryNames {
            names: names.collect(),
        }
    }

    /// Those that the repositories know of.
    pub(super) fn of(repositories: &[RepositoryFacts]) -> Arc<Self> {
        let first = repositories.first();
        first.map_or_else(Arc::default, |facts| Arc::clone(&facts.names))
    }

    /// The text of an atom, in which an alias behind `::` became the repository's name, so that the same package is
    /// written in the same way everywhere. All else stays, also what is no atom.
    pub(super) fn written_out<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some((before, behind)) = text.split_once("::") else {
            return Cow::Borrowed(text);
        };
        let end = behind.find('[').unwrap_or(behind.len());
        let (alias, rest) = behind.split_at_checked(end).unwrap_or((behind, ""));
        match self.names.get(alias) {
            Some(name) if name != alias => Cow::Owned(format!("{before}::{name}{rest}")),
            _ => Cow::Borrowed(text),
        }
    }

    /// The name of the repository with this name or alias.
    pub(super) fn name_of(&self, alias: &str) -> Option<&str> {
        self.names.get(alias).map(String::as_str)
    }

    /// Names near one that nobody has, as the end of a message, or all of them.
    pub(super) fn suggestion(&self, name: &str) -> String {
        let near = closest(name, self.names.keys().map(String::as_str));
        if !near.is_empty() {
            return format!("; did you mean {}?", near.join(" or "));
        }
        let mut all: Vec<&str> = self.names.values().map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        match all.as_slice() {
            [] => "; none is configured".to_owned(),
            all => format!("; there are {}", all.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_become_names_wherever_they_stand() {
        let one = |alias: &str, name: &str| (alias.to_owned(), name.to_owned());
        let names = RepositoryNames {
            names: [one("mine", "mine"), one("my", "mine")].into(),
        };
        for (text, expected) in [
            ("a/b::my", "a/b::mine"),
            ("=a/b-1:0::my[x(+)]", "=a/b-1:0::mine[x(+)]"),
            ("a/b::mine", "a/b::mine"),
            ("a/b::my2", "a/b::my2"),
            ("a/b", "a/b"),
            ("::my", "::mine"),
            ("a/b::", "a/b::"),
        ] {
            assert_eq!(names.written_out(text), expected, "{text}");
        }
        assert_eq!(
            (names.name_of("my"), names.name_of("m")),
            (Some("mine"), None)
        );
    }
}
