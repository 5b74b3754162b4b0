//! Files whose lines begin with a package: package.use, package.mask and their kin.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::error::ConfigError;
use super::files::{self, Directories, Line};
use super::profile::ProfileNode;
use super::repositories::RepositoryFacts;
use super::shell_vars::Origin;
use crate::pms::atom::{Atom, Operator, PackageFacts, SlotDep, VersionDep};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;

/// Which packages a file's lines may name, and what becomes of a line that does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax {
    /// The EAPI whose atoms are understood; `None`: whatever /etc/portage understands.
    pub(super) eapi: Option<Eapi>,
    /// `::repository` is understood.
    pub(super) repositories: bool,
    /// `*/foo` and its like are understood.
    pub(super) wildcards: bool,
    /// A bad line is an error, since the reader can mend it. In a repository's files it is left
    /// out with a warning.
    pub(super) strict: bool,
}

impl Syntax {
    /// The files of /etc/portage.
    pub(super) const USER: Syntax = Syntax {
        eapi: None,
        repositories: true,
        wildcards: true,
        strict: true,
    };

    /// The files of a profile directory.
    pub(super) fn profile(node: &ProfileNode) -> Self {
        Syntax {
            eapi: node.eapi,
            repositories: node.eapi.is_none() || node.has_format("profile-repo-deps"),
            wildcards: false,
            strict: node.user,
        }
    }

    /// The files directly in `profiles`.
    pub(super) fn repository(facts: &RepositoryFacts) -> Self {
        Syntax {
            eapi: Some(facts.top_eapi),
            repositories: facts.has_format("profile-repo-deps"),
            wildcards: false,
            strict: false,
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

/// Reads the package at the head of a line. `Ok(None)` means: left out, with a warning.
pub(super) fn atom(
    text: &str,
    origin: &Origin,
    syntax: Syntax,
    warnings: &mut Vec<String>,
) -> Result<Option<Atom>, ConfigError> {
    match syntax.parse(text) {
        Ok(atom) => Ok(Some(atom)),
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

/// One package and what its lines say.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) atom: Atom,
    /// The words behind the package, of all its lines; "\n" ends a line where that matters.
    pub(super) words: Vec<String>,
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
pub(super) struct Reading {
    pub(super) syntax: Syntax,
    pub(super) directories: Directories,
    /// Put "\n" behind the words of each line.
    pub(super) newlines: bool,
    /// Whether `cat/pkg[flag]` may stand there.
    pub(super) use_deps: bool,
}

impl Reading {
    /// A file of /etc/portage without newlines and USE dependencies.
    pub(super) fn user(directories: Directories) -> Self {
        Reading {
            syntax: Syntax::USER,
            directories,
            newlines: false,
            use_deps: false,
        }
    }

    /// A file of a profile.
    pub(super) fn profile(node: &ProfileNode) -> Self {
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
        reading: Reading,
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
        reading: Reading,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut entries: IndexMap<String, Entry> = IndexMap::new();
        let mut lines = Vec::new();
        for path in paths {
            lines.append(&mut files::lines(path, reading.directories)?);
        }
        for Line {
            mut words, origin, ..
        } in lines
        {
            if words.is_empty() {
                continue;
            }
            let head = words.remove(0);
            if reading.newlines {
                words.push("\n".to_owned());
            }
            if let Some(entry) = entries.get_mut(&head) {
                entry.words.append(&mut words);
                continue;
            }
            let Some(atom) = atom(&head, &origin, reading.syntax, warnings)? else {
                continue;
            };
            if !reading.use_deps && !atom.use_deps().is_empty() {
                let text = format!("`{head}`: no USE flags in brackets are possible in this file");
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

    /// Takes out the entry for all packages, `*/*` and nothing more.
    pub(super) fn take_global(&mut self) -> Option<Vec<String>> {
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
