//! Looking through a repository: which entries of its cache are right, which ebuilds must be
//! sourced, which entries have no ebuild.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::metadata::{Entry, MetadataError, StaleReason};
use crate::pms::cpv::Cpv;
use crate::pms::eapi;
use crate::repo::{Ebuild, EclassFile, InvalidEbuild, RepoError, RepoSet, Repository};
use crate::util::causes::causes;
use crate::util::digest::HashName;
use crate::util::regular;

/// Why a repository could not be looked through.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The cache cannot be read.
    #[error("{}: cannot be read", path.display())]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A thread of ours ended early.
    #[error("the survey of the repository was not finished")]
    Interrupted,
}

/// An ebuild that must be sourced.
#[derive(Debug, Clone)]
pub struct Stale {
    /// The ebuild.
    pub ebuild: Ebuild,
    /// The EAPI that its first lines name, known or not. The text itself is read again when its turn
    /// comes: thousands of them would fill the memory.
    pub eapi: String,
    /// The bytes of its present entry, if it has one.
    pub present: Option<Vec<u8>>,
    /// Why the present entry does not count.
    pub reason: Reason,
}

/// Why an ebuild is to be sourced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is no entry.
    Absent,
    /// The entry cannot be read.
    Unreadable(String),
    /// The entry was right at another time.
    Outdated(StaleReason),
    /// None but that everything is to be sourced: the entry is right.
    Everything,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("there is no entry"),
            Self::Unreadable(error) => formatter.write_str(error),
            Self::Outdated(reason) => reason.fmt(formatter),
            Self::Everything => formatter.write_str("everything is to be sourced"),
        }
    }
}

/// An ebuild that cannot even be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The ebuild.
    pub ebuild: Ebuild,
    /// Why.
    pub error: String,
}

/// What a repository and its cache look like.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many ebuilds there are.
    pub ebuilds: usize,
    /// How many of them have an entry that is right.
    pub valid: usize,
    /// Ebuilds to source, by name.
    pub stale: Vec<Stale>,
    /// Ebuilds that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Files that look like ebuilds but have no valid name, and folders that cannot be read.
    pub invalid: Vec<InvalidEbuild>,
    /// Entries without an ebuild.
    pub orphans: Vec<PathBuf>,
    /// All ebuilds (`category/pf`), unless only some packages were looked at.
    pub names: Option<HashSet<String>>,
}

/// What is to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The repositories.
    pub repositories: &'a RepoSet,
    /// The one to look through.
    pub repository: &'a Repository,
    /// The folder with its entries, `CATEGORY/PF` each.
    pub cache: &'a Path,
    /// Only these packages (`category/name`), if any are named.
    pub packages: &'a [String],
    /// Source everything, right or not.
    pub everything: bool,
    /// How many threads to use.
    pub threads: usize,
}

/// What one ebuild turned out to be.
enum Found {
    Valid(Cpv),
    Stale(Box<Stale>),
    Unreadable(Box<Unreadable>),
}

/// Looks through the repository.
///
/// # Errors
/// A [`SurveyError`] if the repository or the cache as such cannot be read. What is wrong with one
/// ebuild or entry concerns only that one.
pub fn survey(scope: &Scope<'_>) -> Result<Survey, SurveyError> {
    let mut survey = Survey::default();
    let packages = packages(scope, &mut survey)?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        let mut invalid = Vec::new();
        // Each is looked for once, not once for each entry that has it.
        let mut eclasses = HashMap::new();
        while let Some(cp) = packages.get(next.fetch_add(1, Ordering::Relaxed)) {
            let package = match scope.repository.ebuilds(cp) {
                Ok(package) => package,
                Err(error) => {
                    invalid.push(unreadable(scope, cp, &error));
                    continue;
                }
            };
            invalid.extend(package.invalid);
            found.extend(
                package
                    .ebuilds
                    .into_iter()
                    .map(|ebuild| judge(scope, ebuild, &mut eclasses)),
            );
        }
        (found, invalid)
    };
    let results = std::thread::scope(|threads| {
        let running: Vec<_> = (0..scope.threads.max(1))
            .map(|_| threads.spawn(work))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| SurveyError::Interrupted))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let mut names = HashSet::new();
    for (found, invalid) in results {
        survey.invalid.extend(invalid);
        for found in found {
            survey.ebuilds += 1;
            let cpv = match found {
                Found::Valid(cpv) => {
                    survey.valid += 1;
                    cpv
                }
                Found::Stale(stale) => {
                    let cpv = stale.ebuild.cpv.clone();
                    survey.stale.push(*stale);
                    cpv
                }
                Found::Unreadable(unreadable) => {
                    let cpv = unreadable.ebuild.cpv.clone();
                    survey.unreadable.push(*unreadable);
                    cpv
                }
            };
            names.insert(cpv.as_str().to_owned());
        }
    }
    survey
        .stale
        .sort_by(|a, b| a.ebuild.cpv.as_str().cmp(b.ebuild.cpv.as_str()));
    if scope.packages.is_empty() {
        survey.orphans = orphans(scope, &names)?;
        survey.names = Some(names);
    }
    Ok(survey)
}

/// Whether the system says that a path leads nowhere.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What is told of a folder that cannot be read.
fn unreadable(scope: &Scope<'_>, name: &str, error: &RepoError) -> InvalidEbuild {
    let path = scope.repository.location().join(name);
    let why = causes(error).pop().unwrap_or_default();
    InvalidEbuild {
        path,
        reason: format!("cannot be read, and is left out: {why}"),
    }
}

/// The packages to look at.
fn packages(scope: &Scope<'_>, survey: &mut Survey) -> Result<Vec<String>, RepoError> {
    if !scope.packages.is_empty() {
        return Ok(scope.packages.to_vec());
    }
    let mut all = Vec::new();
    for category in scope.repositories.categories()? {
        match scope.repository.packages(&category) {
            Ok(names) => all.extend(names.iter().map(|name| format!("{category}/{name}"))),
            Err(error) => {
                let folder = unreadable(scope, &category, &error);
                survey.invalid.push(folder);
            }
        }
    }
    Ok(all)
}

/// Whether the ebuild's entry is right.
fn judge(scope: &Scope<'_>, ebuild: Ebuild, eclasses: &mut Eclasses) -> Found {
    let text = match regular::read(&ebuild.path) {
        Ok(text) => text,
        Err(error) => {
            return Found::Unreadable(Box::new(Unreadable {
                error: format!("{}: cannot be read: {error}", ebuild.path.display()),
                ebuild,
            }));
        }
    };
    let md5 = HashName::Md5.hex(&text);
    let path = scope.cache.join(ebuild.cpv.as_str());
    let (present, reason) = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, Reason::Absent),
        Err(error) => {
            let error = format!("{}: {error}", path.display());
            (None, Reason::Unreadable(error))
        }
        Ok(bytes) => match judge_entry(scope, &md5, &bytes, eclasses) {
            Ok(None) if !scope.everything => return Found::Valid(ebuild.cpv),
            Ok(None) => (Some(bytes), Reason::Everything),
            Ok(Some(reason)) => (Some(bytes), Reason::Outdated(reason)),
            Err(error) => (Some(bytes), Reason::Unreadable(error.to_string())),
        },
    };
    Found::Stale(Box::new(Stale {
        ebuild,
        eapi: eapi::scan(&text).to_owned(),
        present,
        reason,
    }))
}

/// The eclasses that were found already, by name.
type Eclasses = HashMap<String, EclassFile>;

/// Why the entry in `bytes` does not count, if it does not.
fn judge_entry(
    scope: &Scope<'_>,
    md5: &str,
    bytes: &[u8],
    eclasses: &mut Eclasses,
) -> Result<Option<StaleReason>, MetadataError> {
    let text = std::str::from_utf8(bytes).map_err(|_| MetadataError::Encoding);
    let entry = match text.and_then(Entry::parse_checks) {
        Ok(entry) => entry,
        Err(error) => return Ok(Some(StaleReason::Damaged(error.to_string()))),
    };
    entry.stale_by(md5, |name| {
        if let Some(file) = eclasses.get(name) {
            return Ok(file.clone());
        }
        let file = scope.repositories.eclass(scope.repository.name(), name)?;
        eclasses.insert(name.to_owned(), file.clone());
        Ok(file)
    })
}

/// The entries of the cache that are neither of `names` nor of any other ebuild of the repository: one whose category
/// nobody lists, or in a folder that cannot be read, is not looked at, but it may be there.
fn orphans(scope: &Scope<'_>, names: &HashSet<String>) -> Result<Vec<PathBuf>, SurveyError> {
    let read = |path: &Path| -> Result<Vec<fs::DirEntry>, SurveyError> {
        let failed = |source| SurveyError::Cache {
            path: path.to_owned(),
            source,
        };
        match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
            Ok(entries) => entries.collect::<Result<_, _>>().map_err(failed),
        }
    };
    let mut orphans = Vec::new();
    for category in read(scope.cache)? {
        if !category.path().is_dir() {
            continue;
        }
        for entry in read(&category.path())? {
            let (category, pf) = (category.file_name(), entry.file_name());
            let (Some(category), Some(pf)) = (category.to_str(), pf.to_str()) else {
                continue;
            };
            // What has no package's name is not ours: a Manifest, say.
            let Ok(cpv) = Cpv::from_parts(category, pf) else {
                continue;
            };
            if names.contains(cpv.as_str()) || !entry.path().is_file() {
                continue;
            }
            let folder = scope.repository.location().join(cpv.cp());
            let found = fs::metadata(folder.join(format!("{pf}.ebuild")));
            if found.is_err_and(|error| is_absent(&error)) {
                orphans.push(entry.path());
            }
        }
    }
    orphans.sort();
    Ok(orphans)
}
