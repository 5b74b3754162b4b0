//! What repositories are called: their names, and aliases of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::pms::suggest::closest;

/// The names and aliases of all repositories, with the name that each stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositoryNames {
    names: BTreeMap<String, String>,
}

/// An alias that stands for another repository than the one that has it in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenAlias {
    /// The alias.
    pub alias: String,
    /// The repository that has it in its list.
    pub repository: String,
    /// The repository that it stands for.
    pub holder: String,
}

impl RepositoryNames {
    /// Each name or alias with the name that it stands for.
    pub(super) fn new<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = names.map(|(alias, name)| (alias.to_owned(), name.to_owned()));
        RepositoryNames {
            names: owned.collect(),
        }
    }

    /// The text of an atom, in which an alias behind `::` became the repository's name, so that the same package is
    /// written in the same way everywhere. All else stays, also what is no atom.
    pub fn written_out<'a>(&self, text: &'a str) -> Cow<'a, str> {
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
    pub fn name_of(&self, alias: &str) -> Option<&str> {
        self.names.get(alias).map(String::as_str)
    }

    /// Names near one that nobody has, as the end of a message, or all of them.
    pub fn suggestion(&self, name: &str) -> String {
        self.suggestion_with(name, [])
    }

    /// The same with more names that would be understood.
    pub fn suggestion_with<'a>(
        &'a self,
        name: &str,
        more: impl IntoIterator<Item = &'a str>,
    ) -> String {
        let more: Vec<&str> = more.into_iter().collect();
        let known = self.names.keys().map(String::as_str);
        let near = closest(name, known.chain(more.iter().copied()));
        if !near.is_empty() {
            return format!("; did you mean {}?", near.join(" or "));
        }
        let mut all: Vec<&str> = self.names.values().map(String::as_str).collect();
        all.extend(more);
        all.sort_unstable();
        all.dedup();
        match all.as_slice() {
            [] => "; none is configured".to_owned(),
            [one] => format!("; there is {one}"),
            all => format!("; there are {}", all.join(", ")),
        }
    }
}

/// The aliases of a repository: its own, then those of repos.conf; `-name` takes one away again, `-*` all.
pub(super) fn stack_aliases(own: &[String], configured: &[String]) -> Vec<String> {
    let mut aliases: Vec<String> = Vec::new();
    for alias in own.iter().chain(configured) {
        match alias.strip_prefix('-') {
            Some("*") => aliases.clear(),
            Some(gone) => aliases.retain(|known| known != gone),
            None if aliases.contains(alias) => {}
            None => aliases.push(alias.clone()),
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> RepositoryNames {
        RepositoryNames::new(pairs.iter().copied())
    }

    #[test]
    fn aliases_become_names_wherever_they_stand() {
        let names = names(&[("mine", "mine"), ("my", "mine")]);
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

    #[test]
    fn what_may_be_meant() {
        let both = names(&[("mine", "mine"), ("own", "mine"), ("gentoo", "gentoo")]);
        assert_eq!(both.suggestion("gentop"), "; did you mean gentoo?");
        assert_eq!(both.suggestion("owm"), "; did you mean own?");
        assert_eq!(both.suggestion("other"), "; there are gentoo, mine");
        assert_eq!(
            both.suggestion_with("others", ["other"]),
            "; did you mean other?"
        );
        assert_eq!(names(&[("a", "a")]).suggestion("other"), "; there is a");
        assert_eq!(names(&[]).suggestion("other"), "; none is configured");
    }

    #[test]
    fn aliases_can_be_taken_away() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(stack_aliases(&list("a b"), &list("c -a b")), ["b", "c"]);
        assert_eq!(stack_aliases(&list("a b"), &list("-* c")), ["c"]);
    }
}
