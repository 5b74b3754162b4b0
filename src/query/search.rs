//! Searching names and descriptions.

use std::ops::Range;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::{Index, QueryError};

/// What is searched for: a word, or a regular expression; small and capital letters do not differ.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// A word as it is.
    ///
    /// # Errors
    /// It is too long.
    pub fn word(text: &str) -> Result<Self, QueryError> {
        Self::build(text, &regex::escape(text))
    }

    /// A regular expression.
    ///
    /// # Errors
    /// It is none, or too large.
    pub fn regex(text: &str) -> Result<Self, QueryError> {
        Self::build(text, text)
    }

    fn build(text: &str, expression: &str) -> Result<Self, QueryError> {
        let built = RegexBuilder::new(expression)
            .case_insensitive(true)
            .size_limit(1 << 20)
            .build();
        built.map(Pattern).map_err(|error| QueryError::Value {
            text: text.to_owned(),
            offset: 0,
            value: text.to_owned(),
            what: "regular expression",
            reason: error
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// Where it is in a text.
    pub fn places<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> {
        self.0
            .find_iter(text)
            .map(|found| found.range())
            .filter(|range| !range.is_empty())
    }
}

/// A package that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// category/package.
    pub cp: String,
    /// The best version.
    pub version: String,
    /// The description of the best version.
    pub description: String,
    /// The repositories that have the package, that of the best version first.
    pub repositories: Vec<Arc<str>>,
    rank: Rank,
}

/// How well something fits, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Name,
    NameStart,
    NameWord,
    NamePart,
    Category,
    DescriptionWord,
    Description,
}

/// How well a pattern fits a package; none if it does not.
fn rank(pattern: &Pattern, category: &str, name: &str, description: &str) -> Option<Rank> {
    let whole = |text: &str, range: &Range<usize>| {
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let before = text
            .get(..range.start)
            .and_then(|text| text.chars().next_back());
        let behind = text.get(range.end..).and_then(|text| text.chars().next());
        !letter(before) && !letter(behind)
    };
    let of_name = pattern.places(name).map(|range| match range {
        range if range == (0..name.len()) => Rank::Name,
        range if range.start == 0 => Rank::NameStart,
        range if whole(name, &range) => Rank::NameWord,
        _ => Rank::NamePart,
    });
    if let Some(best) = of_name.min() {
        return Some(best);
    }
    // A whole category, or more than its end: nobody who wants perl wants all of dev-perl.
    let full = format!("{category}/{name}");
    let reaches = |range: Range<usize>| {
        range == (0..category.len())
            || (range.start <= category.len() && range.end > category.len())
    };
    if pattern.places(&full).any(reaches) {
        return Some(Rank::Category);
    }
    let of_description =
        pattern
            .places(description)
            .map(|range| match whole(description, &range) {
                true => Rank::DescriptionWord,
                false => Rank::Description,
            });
    of_description.min()
}

/// The packages in which every pattern is found, the best first. `indexes` are in the order of the repositories'
/// priority, the highest last.
pub fn search(indexes: &[Index], patterns: &[Pattern]) -> Vec<Found> {
    let mut all: indexmap::IndexMap<String, Found> = indexmap::IndexMap::new();
    for summary in indexes.iter().flat_map(Index::summaries) {
        let (category, name, description) = (summary.category, summary.name, summary.description);
        // A package is ranked by the pattern that fits it best.
        let ranks = patterns
            .iter()
            .map(|pattern| rank(pattern, category, name, description));
        let Some(Some(rank)) = ranks
            .collect::<Option<Vec<_>>>()
            .map(|ranks| ranks.into_iter().min())
        else {
            continue;
        };
        let version = summary.version().to_owned();
        let better = |known: &Found| {
            let parse = |text: &str| text.parse::<crate::pms::version::Version>().ok();
            parse(&version) >= parse(&known.version)
        };
        let cp = format!("{category}/{name}");
        match all.get_mut(&cp) {
            Some(known) if better(known) => {
                known.repositories.insert(0, Arc::clone(summary.repository));
                known.rank = known.rank.min(rank);
                known.version = version;
                description.clone_into(&mut known.description);
            }
            Some(known) => {
                known.repositories.push(Arc::clone(summary.repository));
                known.rank = known.rank.min(rank);
            }
            None => {
                let found = Found {
                    cp: cp.clone(),
                    version,
                    description: description.to_owned(),
                    repositories: vec![Arc::clone(summary.repository)],
                    rank,
                };
                all.insert(cp, found);
            }
        }
    }
    let mut found: Vec<Found> = all.into_values().collect();
    found.sort_by(|a, b| (a.rank, a.cp.len(), &a.cp).cmp(&(b.rank, b.cp.len(), &b.cp)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_before_descriptions() {
        let word = |text: &str| Pattern::word(text).unwrap();
        for (text, expected) in [
            ("vim", Some(Rank::Name)),
            ("VI", Some(Rank::NameStart)),
            ("editor", Some(Rank::DescriptionWord)),
            ("edit", Some(Rank::Description)),
            ("app-ed", None),
            ("app-editors", Some(Rank::Category)),
            ("editors/v", Some(Rank::Category)),
            ("emacs", None),
            ("", None),
        ] {
            assert_eq!(
                rank(&word(text), "app-editors", "vim", "The editor"),
                expected,
                "{text}"
            );
        }
        assert_eq!(
            rank(&word("core"), "app-editors", "vim-core", ""),
            Some(Rank::NameWord)
        );
        assert_eq!(
            rank(&word("ore"), "app-editors", "vim-core", ""),
            Some(Rank::NamePart)
        );
        assert_eq!(rank(&word("c++"), "a", "c++x", ""), Some(Rank::NameStart));
        assert_eq!(
            rank(&Pattern::regex("^v.m$").unwrap(), "a", "vim", ""),
            Some(Rank::Name)
        );
        assert!(Pattern::regex("(").is_err());
    }
}
