//! Several repositories and how they refer to one another.

mod opening;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;

use super::names::{RepositoryNames, TakenAlias};
use super::text::is_absent;
use super::{Ebuild, RepoError, Repository};
use crate::pms::atom::Atom;
use crate::pms::names::NameKind;
use crate::util::digest::{HashName, hash_file};

/// One section of repos.conf, as far as repositories themselves are concerned.
#[derive(Debug, Clone, Default)]
pub struct RepoSettings {
    /// The section's name.
    pub name: String,
    /// Where the repository is.
    pub location: PathBuf,
    /// `priority`; without one 0, or -1000 for the main repository.
    pub priority: Option<i32>,
    /// `masters`, which override those of `layout.conf`.
    pub masters: Option<Vec<String>>,
    /// `aliases`, in addition to those of `layout.conf`; `-name` takes one away again.
    pub aliases: Vec<String>,
    /// `eclass-overrides`: repositories whose eclasses go before all others, the last one first.
    pub eclass_overrides: Vec<String>,
}

/// An eclass file and the checksum of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EclassFile {
    /// The file.
    pub path: PathBuf,
    /// The MD5 sum of its contents, in lower-case hexadecimal digits.
    pub md5: String,
}

/// What a package name without category stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageName {
    /// One package, `category/package`.
    One(String),
    /// Packages of that name in several categories, sorted.
    Several(Vec<String>),
    /// None.
    Unknown,
}

#[derive(Debug)]
struct Member {
    repository: Repository,
    priority: i32,
    aliases: Vec<String>,
    masters: Vec<usize>,
    /// Repositories to search for eclasses, first to last.
    eclass_order: Vec<usize>,
}

/// What tells one state of a file from another: device, inode, size, and times in nanoseconds.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// All configured repositories, in ascending order of priority, then name.
#[derive(Debug)]
pub struct RepoSet {
    members: Vec<Member>,
    positions: HashMap<String, usize>,
    names: Arc<RepositoryNames>,
    taken: Vec<TakenAlias>,
    main: Option<usize>,
    /// Lines as those of `profiles/categories`.
    user_categories: Vec<String>,
    checksums: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

impl RepoSet {
    /// The repositories, in ascending order of priority.
    pub fn repositories(&self) -> impl DoubleEndedIterator<Item = &Repository> {
        self.members.iter().map(|member| &member.repository)
    }

    /// The main repository, if one is set.
    pub fn main(&self) -> Option<&Repository> {
        self.members
            .get(self.main?)
            .map(|member| &member.repository)
    }

    /// The repository with this name or alias.
    pub fn repository(&self, name: &str) -> Option<&Repository> {
        self.named(name).ok()
    }

    /// The repository with this name or alias.
    ///
    /// # Errors
    /// There is none.
    pub fn named(&self, name: &str) -> Result<&Repository, RepoError> {
        self.member(name).map(|member| &member.repository)
    }

    /// Every name and alias, with the name of the repository that it stands for.
    pub fn names(&self) -> &Arc<RepositoryNames> {
        &self.names
    }

    /// The aliases that stand for another repository than one that has them in its list, too.
    pub fn taken_aliases(&self) -> &[TakenAlias] {
        &self.taken
    }

    /// The same atom with the name of the repository that it names by an alias.
    ///
    /// # Errors
    /// It names one that is not configured.
    pub fn resolve(&self, atom: Atom) -> Result<Atom, RepoError> {
        let Some(name) = atom.repository() else {
            return Ok(atom);
        };
        let name = self.named(name)?.name();
        Ok(atom.in_repository(name))
    }

    /// The priority of the repository with this name or alias.
    pub fn priority(&self, name: &str) -> Option<i32> {
        self.member(name).ok().map(|member| member.priority)
    }

    /// The further names of the repository with this name or alias.
    pub fn aliases(&self, name: &str) -> &[String] {
        self.member(name)
            .map(|member| member.aliases.as_slice())
            .unwrap_or_default()
    }

    /// The masters of a repository, in the order in which it lists them.
    ///
    /// # Errors
    /// No repository has this name or alias.
    pub fn masters(&self, name: &str) -> Result<Vec<&Repository>, RepoError> {
        let member = self.member(name)?;
        Ok(self.pick(&member.masters))
    }

    /// The repositories searched for the eclasses of a repository's ebuilds, first to last: the
    /// overriding ones, the repository itself, its masters from last to first.
    ///
    /// # Errors
    /// No repository has this name or alias.
    pub fn eclass_order(&self, name: &str) -> Result<Vec<&Repository>, RepoError> {
        let member = self.member(name)?;
        Ok(self.pick(&member.eclass_order))
    }

    /// The file of an eclass that an ebuild of the repository gets when it inherits `name`. The
    /// checksum is remembered as long as the file stays the same.
    ///
    /// # Errors
    /// The name is none that an eclass can have, no such file exists, or it cannot be read.
    pub fn eclass(&self, repository: &str, name: &str) -> Result<EclassFile, RepoError> {
        let order = self.eclass_order(repository)?;
        if !NameKind::Eclass.is_valid(name) {
            return Err(RepoError::EclassName {
                repository: repository.to_owned(),
                name: name.to_owned(),
            });
        }
        let mut searched = Vec::new();
        for candidate in order {
            let path = candidate.eclass_dir().join(format!("{name}.eclass"));
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    let md5 = self.checksum(&path, &metadata)?;
                    return Ok(EclassFile { path, md5 });
                }
                Ok(_) => searched.push(candidate.eclass_dir()),
                Err(error) if is_absent(&error) => searched.push(candidate.eclass_dir()),
                Err(error) => return Err(RepoError::read(path)(error)),
            }
        }
        Err(RepoError::MissingEclass {
            repository: repository.to_owned(),
            name: name.to_owned(),
            searched,
        })
    }

    /// The categories, which are the same for all repositories, as in Portage: those that the repositories list, the
    /// lowest priority first, and behind them the user. `-name` takes one away again, `-*` all. Sorted.
    ///
    /// # Errors
    /// A list cannot be read.
    pub fn categories(&self) -> Result<Vec<String>, RepoError> {
        let mut all = BTreeSet::new();
        for repository in self.repositories() {
            stack_categories(&mut all, repository.listed_categories()?);
        }
        stack_categories(&mut all, &self.user_categories);
        Ok(all.into_iter().collect())
    }

    /// Puts categories of the user's behind those that the repositories list.
    pub fn add_categories(&mut self, lines: impl IntoIterator<Item = String>) {
        self.user_categories.extend(lines);
    }

    /// All packages, as `category/package`, sorted, each once.
    ///
    /// # Errors
    /// A list or directory cannot be read.
    pub fn all_packages(&self) -> Result<Vec<String>, RepoError> {
        let mut all = BTreeSet::new();
        for category in self.categories()? {
            for repository in self.repositories() {
                for package in repository.packages(&category)? {
                    all.insert(format!("{category}/{package}"));
                }
            }
        }
        Ok(all.into_iter().collect())
    }

    /// The ebuilds of `category/package` in all repositories, the best one last: the highest
    /// version, and of equal versions that of the repository with the highest priority.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn ebuilds(&self, cp: &str) -> Result<Vec<Ebuild>, RepoError> {
        let mut found = Vec::new();
        for repository in self.repositories() {
            found.extend(repository.ebuilds(cp)?.ebuilds);
        }
        // Stable: equal versions stay in the order of the repositories.
        found.sort_by(|a, b| a.cpv.cmp(&b.cpv));
        Ok(found)
    }

    /// The packages called `name` in any category.
    ///
    /// # Errors
    /// A list or directory cannot be read.
    pub fn package_named(&self, name: &str) -> Result<PackageName, RepoError> {
        let mut found = Vec::new();
        if NameKind::Package.is_valid(name) {
            for category in self.categories()? {
                let cp = format!("{category}/{name}");
                if !self.ebuilds(&cp)?.is_empty() {
                    found.push(cp);
                }
            }
        }
        Ok(match found.len() {
            0 => PackageName::Unknown,
            1 => PackageName::One(found.remove(0)),
            _ => PackageName::Several(found),
        })
    }

    /// Mirror groups of all repositories; a group that several define has the URIs of all.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn third_party_mirrors(&self) -> Result<IndexMap<String, Vec<String>>, RepoError> {
        let mut all: IndexMap<String, Vec<String>> = IndexMap::new();
        for repository in self.repositories() {
            for (group, uris) in repository.third_party_mirrors()? {
                let known = all.entry(group).or_default();
                for uri in uris {
                    if !known.contains(&uri) {
                        known.push(uri);
                    }
                }
            }
        }
        Ok(all)
    }

    fn member(&self, name: &str) -> Result<&Member, RepoError> {
        self.positions
            .get(name)
            .and_then(|at| self.members.get(*at))
            .ok_or_else(|| unknown(&self.names, name))
    }

    fn pick(&self, which: &[usize]) -> Vec<&Repository> {
        which
            .iter()
            .filter_map(|at| self.members.get(*at))
            .map(|m| &m.repository)
            .collect()
    }

    fn checksum(&self, path: &Path, metadata: &fs::Metadata) -> Result<String, RepoError> {
        let stamp = stamp(metadata);
        let lock = || {
            self.checksums
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((known, md5)) = lock().get(path)
            && *known == stamp
        {
            return Ok(md5.clone());
        }
        let digests = hash_file(path, &[HashName::Md5]).map_err(|error| RepoError::Read {
            path: error.path,
            source: error.source,
        })?;
        let md5 = digests.get(HashName::Md5).unwrap_or_default().to_owned();
        lock().insert(path.to_owned(), (stamp, md5.clone()));
        Ok(md5)
    }
}

/// Adds what lines of a list of categories say to what those before have said.
fn stack_categories(all: &mut BTreeSet<String>, lines: &[String]) {
    for line in lines {
        match line.strip_prefix('-') {
            Some("*") => all.clear(),
            Some(gone) => {
                all.remove(gone);
            }
            None if NameKind::Category.is_valid(line) => {
                all.insert(line.clone());
            }
            None => {}
        }
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

fn unknown(names: &RepositoryNames, name: &str) -> RepoError {
    RepoError::UnknownRepository {
        name: name.to_owned(),
        suggestion: names.suggestion(name),
    }
}

impl Ebuild {
    /// The repository among `repositories` that holds this ebuild.
    ///
    /// # Errors
    /// The repository is not one of them.
    pub fn repository_in<'a>(
        &self,
        repositories: &'a RepoSet,
    ) -> Result<&'a Repository, RepoError> {
        repositories.named(&self.repository)
    }

    /// The name of the ebuild's repository, cheap to keep.
    pub fn repository_name(&self) -> Arc<str> {
        Arc::clone(&self.repository)
    }
}

#[cfg(test)]
mod tests;
