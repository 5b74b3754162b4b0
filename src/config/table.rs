//! Files whose lines begin with a package: package.use, package.mask and their kin.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::error::ConfigError;
use super::files::{self, Directories, Line};
use super::profile::ProfileNode;
use super::repository_facts::RepositoryFacts;
use super::shell_vars::Origin;
use super::user_files::{UserFiles, UserLine};
use super::word::Word;
use crate::pms::atom::{Atom, Operator, PackageFacts, SlotDep, VersionDep};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;
use crate::repo::RepositoryNames;

/// Which packages a file's lines may name, and what becomes of a line that does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax<'a> {
    /// The EAPI whose atoms are understood; `None`: whatever /etc/portage understands.
    pub(super) eapi: Option<Eapi>,
    /// `::repository` is understood.
    pub(super) repositories: bool,
    /// `*/foo` and its like are understood.
    pub(super) wildcards: bool,
    /// A bad line is an error, since the reader can mend it. In a repository's files it is left
    /// out with a warning.
    pub(super) strict: bool,
    /// What the repositories are called.
    pub(super) names: &'a RepositoryNames,
}

impl<'a> Syntax<'a> {
    /// The files of /etc/portage.
    pub(super) fn user(user: &'a UserFiles) -> Self {
        Syntax {
            eapi: None,
            repositories: true,
            wildcards: true,
            strict: true,
            names: user.names(),
        }
    }

    /// The files of a profile directory.
    pub(super) fn profile(node: &'a ProfileNode) -> Self {
        Syntax {
            eapi: node.eapi,
            repositories: node.eapi.is_none() || node.has_format("profile-repo-deps"),
            wildcards: false,
            strict: node.user,
            names: &node.names,
        }
    }

    /// The files directly in `profiles`.
    pub(super) fn repository(facts: &'a RepositoryFacts) -> Self {
        Syntax {
            eapi: Some(facts.top_eapi),
            repositories: facts.has_format("profile-repo-deps"),
            wildcards: false,
            strict: false,
            names: &facts.names,
        }
    }

    fn parse(self, text: &str) -> Result<Atom, Box<dyn Error + Send + Sync>> {
        let Some(eapi) = self.eapi else {
            let atom = Atom::parse_config(text)?;
            let extended =
                atom.is_wildcard() || matches!(atom.version_dep(), Some(VersionDep::Contains(_)));
            if extended && !self.wildcards {
                return Err("wildcards are not understood in this file".into());
            }
            return Ok(atom);
        };
        // What the configuration's syntax has beyond the EAPI's is checked by taking it away.
        let plain = match text.split_once("::") {
            Some((before, after)) if self.repositories && !before.contains('[') => {
                let rest = after
                    .find('[')
                    .and_then(|at| after.get(at..))
                    .unwrap_or_default();
                format!("{before}{rest}")
            }
            _ => text.to_owned(),
        };
        match Atom::parse(&plain, eapi) {
            Ok(atom) if plain == text => Ok(atom),
            Ok(_) => Ok(Atom::parse_config(text)?),
            Err(error) => match Atom::parse_config(text) {
                Ok(atom) if self.wildcards && atom.is_wildcard() => Ok(atom),
                _ => Err(error.into()),
            },
        }
    }
}

/// Reads the package at the head of a line. `Ok(None)` means: left out, with a warning. A repository that the user names
/// and that is not configured is told; what repositories say of one another may well be about one that is not there.
pub(super) fn atom(
    text: &str,
    origin: &Origin,
    syntax: Syntax<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<Atom>, ConfigError> {
    match syntax.parse(text) {
        Ok(atom) => {
            let Some(alias) = atom.repository() else {
                return Ok(Some(atom));
            };
            if let Some(name) = syntax.names.name_of(alias) {
                return Ok(Some(atom.in_repository(name)));
            }
            if syntax.strict {
                warnings.push(format!(
                    "{origin}: `{text}` matches nothing: no repository is called {alias}{}",
                    syntax.names.suggestion(alias)
                ));
            }
            Ok(Some(atom))
        }
        Err(source) if syntax.strict => Err(ConfigError::Atom {
            path: origin.file.to_path_buf(),
            line: origin.line,
            text: text.to_owned(),
            source,
        }),
        Err(error) => {
            warnings.push(format!(
                "{}:{}: `{text}` is left out: {error}",
                origin.file.display(),
                origin.line
            ));
            Ok(None)
        }
    }
}

/// The atom of a line that is for one repository.
///
/// # Errors
/// It names another one.
pub(super) fn bound(atom: Atom, repository: &str, origin: &Origin) -> Result<Atom, ConfigError> {
    match atom.repository() {
        Some(other) if other != repository => Err(ConfigError::syntax(
            origin.file.to_path_buf(),
            origin.line,
            format!("`{atom}` names {other}, but the file is for {repository} alone"),
            "move the line to a file that is for all repositories",
        )),
        _ => Ok(atom.in_repository(repository)),
    }
}

/// One package and what its lines say.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) atom: Atom,
    /// The words behind the package, of all its lines; "\n" ends a line where that matters.
    pub(super) words: Vec<Word>,
    /// The first of these lines.
    pub(super) origin: Origin,
}

/// The entries of one file or directory, found by package.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    plain: HashMap<String, Vec<Entry>>,
    wild: IndexMap<String, Vec<Entry>>,
}

/// How a [`Table`] is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) syntax: Syntax<'a>,
    pub(super) directories: Directories,
    /// Put "\n" behind the words of each line.
    pub(super) newlines: bool,
    /// Whether `cat/pkg[flag]` may stand there.
    pub(super) use_deps: bool,
}

impl<'a> Reading<'a> {
    /// A file of /etc/portage without newlines and USE dependencies.
    pub(super) fn user(user: &'a UserFiles, directories: Directories) -> Self {
        Reading {
            syntax: Syntax::user(user),
            directories,
            newlines: false,
            use_deps: false,
        }
    }

    /// A file of a profile.
    pub(super) fn profile(node: &'a ProfileNode) -> Self {
        Reading {
            syntax: Syntax::profile(node),
            directories: node.directories,
            newlines: false,
            use_deps: false,
        }
    }
}

impl Table {
    /// Reads a file. Lines that name the same package in the same words are one entry.
    ///
    /// # Errors
    /// A file cannot be read, or a line of the user's names no package.
    pub(super) fn read(
        path: &Path,
        reading: Reading<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        Self::read_all(&[path.to_path_buf()], reading, warnings)
    }

    /// Reads several files as if they were one.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub(super) fn read_all(
        paths: &[PathBuf],
        reading: Reading<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut lines = Vec::new();
        for path in paths {
            let more = files::lines(path, reading.directories)?.into_iter();
            lines.extend(more.map(|line| UserLine {
                line,
                repository: None,
            }));
        }
        Self::of_lines(lines, reading, warnings)
    }

    /// Reads files of the user's configuration as if they were one.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub(super) fn read_user(
        user: &UserFiles,
        names: &[&str],
        reading: Reading<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        Self::of_lines(user.lines(names)?, reading, warnings)
    }

    /// Makes a table of lines.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub(super) fn of_lines(
        lines: Vec<UserLine>,
        reading: Reading<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut entries: IndexMap<String, Entry> = IndexMap::new();
        for UserLine { line, repository } in lines {
            let Line { words, origin, .. } = line;
            let mut words = words.into_iter();
            let Some(written) = words.next() else {
                continue;
            };
            let head = reading.syntax.names.written_out(&written);
            let head = match &repository {
                Some(repository) if !head.contains("::") => format!("{head}::{repository}"),
                _ => head.into_owned(),
            };
            let mut words: Vec<Word> = words.map(|word| Word::new(word, &origin)).collect();
            if reading.newlines {
                words.push(Word::new("\n", &origin));
            }
            if let Some(entry) = entries.get_mut(&head) {
                entry.words.append(&mut words);
                continue;
            }
            let Some(mut atom) = atom(&written, &origin, reading.syntax, warnings)? else {
                continue;
            };
            if let Some(repository) = &repository {
                atom = bound(atom, repository, &origin)?;
            }
            if !reading.use_deps && !atom.use_deps().is_empty() {
                let text =
                    format!("`{written}`: no USE flags in brackets are possible in this file");
                if reading.syntax.strict {
                    return Err(ConfigError::syntax(
                        origin.file.to_path_buf(),
                        origin.line,
                        text,
                        "remove the brackets",
                    ));
                }
                warnings.push(format!(
                    "{}:{}: {text}; left out",
                    origin.file.display(),
                    origin.line
                ));
                continue;
            }
            // What decides about flags cannot depend on them.
            let atom = atom.without_use();
            entries.insert(
                head,
                Entry {
                    atom,
                    words,
                    origin,
                },
            );
        }
        let mut table = Table::default();
        for entry in entries.into_values() {
            let cp = entry.atom.cp().to_owned();
            if cp.contains('*') {
                table.wild.entry(cp).or_default().push(entry);
            } else {
                table.plain.entry(cp).or_default().push(entry);
            }
        }
        Ok(table)
    }

    /// Adds the entries of a later table. What it says of an atom takes the place of what is known of the same one.
    pub(super) fn replace_with(&mut self, later: Table) {
        let replace = |known: &mut Vec<Entry>, later: Vec<Entry>| {
            for entry in later {
                let text = entry.atom.to_string();
                match known.iter_mut().find(|it| it.atom.to_string() == text) {
                    Some(before) => *before = entry,
                    None => known.push(entry),
                }
            }
        };
        for (cp, entries) in later.plain {
            replace(self.plain.entry(cp).or_default(), entries);
        }
        for (cp, entries) in later.wild {
            replace(self.wild.entry(cp).or_default(), entries);
        }
    }

    /// Takes out the entry for all packages, `*/*` and nothing more.
    pub(super) fn take_global(&mut self) -> Option<Vec<Word>> {
        let entries = self.wild.get_mut("*/*")?;
        let index = entries
            .iter()
            .position(|entry| entry.atom.to_string() == "*/*")?;
        let entry = entries.remove(index);
        if entries.is_empty() {
            self.wild.shift_remove("*/*");
        }
        Some(entry.words)
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.wild.is_empty()
    }

    /// All entries, to change their words.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.plain
            .values_mut()
            .chain(self.wild.values_mut())
            .flatten()
    }

    /// The entries that match, the least specific first.
    pub(super) fn matching(&self, package: &impl PackageFacts) -> Vec<&Entry> {
        let cp = package.cpv().cp();
        let mut matches: Vec<&Entry> = self
            .plain
            .get(cp)
            .into_iter()
            .flatten()
            .chain(self.wild.values().flatten())
            .filter(|entry| entry.atom.matches(package))
            .collect();
        let mut ordered = Vec::with_capacity(matches.len());
        while let Some(best) = most_specific(&matches, package.cpv()) {
            ordered.push(matches.remove(best));
        }
        ordered.reverse();
        ordered
    }
}

/// The index of the entry that speaks most precisely about the package. All entries match it.
fn most_specific(entries: &[&Entry], cpv: &Cpv) -> Option<usize> {
    let mut best: Option<(usize, i32)> = None;
    for (index, entry) in entries.iter().enumerate() {
        let atom = &entry.atom;
        let value = best.map_or(-99, |(_, value)| value);
        let has_slot = matches!(atom.slot(), Some(SlotDep::Named { .. }));
        let contains = matches!(atom.version_dep(), Some(VersionDep::Contains(_)));
        if atom.is_wildcard() || contains {
            let rank = match (contains, has_slot) {
                (true, _) => 0,
                (false, true) => -1,
                (false, false) => -2,
            };
            if rank > value {
                best = Some((index, rank));
            }
            continue;
        }
        let mut value = value;
        if has_slot && value < 3 {
            value = 3;
            best = Some((index, value));
        }
        let rank = match atom.operator() {
            Some(Operator::Equal) => 6,
            Some(Operator::Approximate) => 5,
            Some(Operator::EqualPrefix) => 4,
            Some(_) => 2,
            None => 1,
        };
        if rank > value {
            best = Some((index, rank));
        } else if rank == value
            && rank == 2
            && let Some((known, _)) = best
            && let Some(known) = entries.get(known)
            && is_closer(atom, &known.atom, cpv)
        {
            best = Some((index, rank));
        }
    }
    best.map(|(index, _)| index)
}

/// Of two ranges on the same side of the package's version, whether the first ends nearer to it.
fn is_closer(atom: &Atom, known: &Atom, cpv: &Cpv) -> bool {
    let (Some(candidate), Some(best)) = (atom.version(), known.version()) else {
        return false;
    };
    let own = cpv.version();
    if best == own || best == candidate {
        return false;
    }
    if candidate == own {
        return true;
    }
    match (best.cmp(own), candidate.cmp(own)) {
        (Ordering::Less, Ordering::Less) => candidate > best,
        (Ordering::Greater, Ordering::Greater) => candidate < best,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Ebuild;
    use super::*;
    use std::fs;

    fn words(text: &str, package: &Ebuild) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("package.use");
        fs::write(&file, text).unwrap();
        let table = Table::read(
            &file,
            Reading::user(&UserFiles::default(), Directories::Recursive),
            &mut Vec::new(),
        )
        .unwrap();
        let query = package.query();
        table
            .matching(&query)
            .iter()
            .flat_map(|entry| entry.words.iter().map(|word| word.text.clone()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_most_specific_entry_comes_last() {
        let text = "=a/b-2.0 exact\n~a/b-2.0 revision\n=a/b-2* prefix\na/b:0 slot\n>=a/b-1 range\n\
                    a/b name\n=a/b-*2* contains\n*/b:0 wild-slot\na/* wild\n";
        assert_eq!(
            words(text, &Ebuild::new("a/b-2.0")),
            "wild wild-slot contains name range slot prefix revision exact"
        );
        assert_eq!(
            words(text, &Ebuild::new("a/b-2.0-r1")),
            "wild wild-slot contains name range slot prefix revision"
        );
        assert_eq!(words(text, &Ebuild::new("a/b-0.1").slot("1")), "wild name");
        assert_eq!(words(text, &Ebuild::new("c/b-1").slot("1")), "");
    }

    #[test]
    fn the_nearer_range_comes_later() {
        assert_eq!(
            words(">=a/b-3 three\n>=a/b-1 one\n", &Ebuild::new("a/b-4")),
            "one three"
        );
        assert_eq!(
            words("<a/b-5 five\n<a/b-9 nine\n", &Ebuild::new("a/b-4")),
            "nine five"
        );
    }

    #[test]
    fn lines_for_one_package_are_one_entry() {
        assert_eq!(
            words("a/b one\n~a/b-1 two\na/b three\n", &Ebuild::new("a/b-1")),
            "one three two"
        );
        assert_eq!(
            words("a/b::gentoo one\na/b::other two\n", &Ebuild::new("a/b-1")),
            "one"
        );
    }

    #[test]
    fn bad_lines_of_the_user_are_errors_and_of_others_warnings() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("package.use");
        fs::write(&file, "# note\na/b x\n>=a/b y\na/b[z] z\n").unwrap();
        let user = Table::read(
            &file,
            Reading::user(&UserFiles::default(), Directories::Recursive),
            &mut Vec::new(),
        );
        let message = user.unwrap_err().to_string();
        assert!(
            message.contains("package.use:3: `>=a/b` does not name a package"),
            "{message}"
        );

        let files = UserFiles::default();
        let mut reading = Reading::user(&files, Directories::Flat);
        reading.syntax = Syntax {
            eapi: Some(Eapi::LATEST),
            repositories: false,
            wildcards: false,
            strict: false,
            names: files.names(),
        };
        let mut warnings = Vec::new();
        Table::read(&file, reading, &mut warnings).unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[1].contains(":4: `a/b[z]`: no USE flags in brackets"),
            "{warnings:?}"
        );
    }

    #[test]
    fn profiles_understand_what_their_eapi_and_format_say() {
        let files = UserFiles::default();
        let parse = |syntax: Syntax<'_>, text: &str| syntax.parse(text).is_ok();
        let plain = Syntax {
            eapi: Eapi::parse("5").ok(),
            repositories: false,
            wildcards: false,
            strict: false,
            names: files.names(),
        };
        assert!(parse(plain, "a/b:0/1") && !parse(plain, "a/b::gentoo") && !parse(plain, "*/b"));
        let more = Syntax {
            repositories: true,
            wildcards: true,
            ..plain
        };
        assert!(parse(more, "a/b:0::gentoo") && parse(more, "*/b"));
        let old = Syntax {
            eapi: Eapi::parse("0").ok(),
            repositories: true,
            ..plain
        };
        assert!(parse(old, "a/b::gentoo") && !parse(old, "a/b:0::gentoo"));
        let user = Syntax {
            wildcards: false,
            ..Syntax::user(&files)
        };
        assert!(parse(user, "a/b:0/1::gentoo") && !parse(user, "a/*") && !parse(user, "=a/b-*1*"));
    }
}
