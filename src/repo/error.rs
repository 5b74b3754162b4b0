//! What can be wrong with repositories.

use std::io;
use std::path::PathBuf;

/// A repository, or a set of them, that cannot be used as it stands.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// The location is no directory.
    #[error("{}: no repository is there", path.display())]
    NoDirectory {
        /// The location given.
        path: PathBuf,
    },
    /// The location is a directory without anything that a repository has.
    #[error(
        "{}: is no repository: it has neither profiles nor metadata/layout.conf",
        path.display()
    )]
    NotARepository {
        /// The location given.
        path: PathBuf,
    },
    /// A file or directory could not be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of names is not UTF-8.
    #[error("{}, line {line}: not UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A line of `metadata/layout.conf` holds no key and value.
    #[error("{}, line {line}: expected `key = value`", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A key of `metadata/layout.conf` has a value that means nothing.
    #[error("{}: {key} is `{value}`, expected {expected}", path.display())]
    LayoutValue {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// repos.conf and the repository itself disagree about its name.
    #[error(
        "repository {configured}: {} names itself {own} (use that name in repos.conf, or list \
         {configured} under aliases)",
        path.display()
    )]
    OtherName {
        /// The name in repos.conf.
        configured: String,
        /// The name inside the repository.
        own: String,
        /// The location.
        path: PathBuf,
    },
    /// Two repositories have one name.
    #[error(
        "repository {name}: both {} and {} have this name (set repo-name in metadata/layout.conf \
         of one of them)",
        first.display(),
        second.display()
    )]
    SameName {
        /// The name.
        name: String,
        /// One location.
        first: PathBuf,
        /// The other location.
        second: PathBuf,
    },
    /// A repository's master is not configured.
    #[error(
        "repository {repository}: its master {master} is not configured (add {master} to \
         repos.conf, give its folder with --repo PATH too, or set masters for {repository} there)"
    )]
    MissingMaster {
        /// The repository that has the master.
        repository: String,
        /// The name of the master.
        master: String,
    },
    /// A repository named as the source of overriding eclasses is not configured.
    #[error(
        "repository {repository}: {other}, named in its eclass-overrides, is not configured (add \
         {other} to repos.conf, or remove it there)"
    )]
    MissingOverride {
        /// The repository with the setting.
        repository: String,
        /// The name that is not configured.
        other: String,
    },
    /// No repository has this name or alias.
    #[error("repository {name}: not configured{suggestion}")]
    UnknownRepository {
        /// The name looked for.
        name: String,
        /// What may be meant, see [`RepositoryNames::suggestion`](super::RepositoryNames::suggestion).
        suggestion: String,
    },
    /// An eclass's name could not be a file's name.
    #[error("repository {repository}: `{name}` is not the name of an eclass")]
    EclassName {
        /// The repository whose ebuild inherits it.
        repository: String,
        /// The name.
        name: String,
    },
    /// No repository in reach has the eclass.
    #[error(
        "repository {repository}: no eclass {name} in {}",
        searched.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    MissingEclass {
        /// The repository whose ebuild inherits it.
        repository: String,
        /// The eclass's name.
        name: String,
        /// The directories searched, in this order.
        searched: Vec<PathBuf>,
    },
}

impl RepoError {
    /// The name of the repository whose configuration is wrong, if it is that of one.
    pub fn repository(&self) -> Option<&str> {
        match self {
            Self::OtherName {
                configured: name, ..
            }
            | Self::SameName { name, .. }
            | Self::MissingMaster {
                repository: name, ..
            }
            | Self::MissingOverride {
                repository: name, ..
            } => Some(name),
            _ => None,
        }
    }

    pub(super) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }
}
