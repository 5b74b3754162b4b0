//! What profiles and configuration files need to know of repositories.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::ConfigError;
use super::files::Directories;
use super::profile;
use crate::pms::eapi::Eapi;
use crate::repo::{RepoSet, Repository, RepositoryNames};

/// One repository, as far as they need it.
#[derive(Debug, Clone)]
pub(super) struct RepositoryFacts {
    pub(super) name: String,
    /// The directory, without symbolic links.
    pub(super) location: PathBuf,
    pub(super) masters: Vec<String>,
    /// profile-formats of layout.conf.
    pub(super) formats: Vec<String>,
    /// The EAPI of the files in `profiles` itself.
    pub(super) top_eapi: Eapi,
    /// The EAPI of profile directories without an `eapi` file.
    pub(super) profile_eapi: Eapi,
    /// Whether package.mask in `profiles` may be a directory.
    pub(super) directories: Directories,
    /// What all repositories are called.
    pub(super) names: Arc<RepositoryNames>,
}

impl RepositoryFacts {
    pub(super) fn new(set: &RepoSet, repository: &Repository) -> Result<Self, ConfigError> {
        let layout = repository.layout();
        let own_eapi = profile::read_eapi(&repository.location().join("profiles"))?;
        let formats = layout.profile_formats.clone().unwrap_or_else(|| {
            let new = own_eapi.is_some_and(Eapi::profile_file_directories);
            vec![if new { "portage-1" } else { "portage-1-compat" }.to_owned()]
        });
        let profile_eapi = match own_eapi {
            Some(eapi) if eapi.profile_eapi_from_top_level() => eapi,
            _ => layout
                .profile_eapi_when_unspecified
                .as_ref()
                .filter(|_| {
                    formats
                        .iter()
                        .any(|format| format == "profile-default-eapi")
                })
                .and_then(|name| Eapi::parse(name).ok())
                .unwrap_or(Eapi::DEFAULT),
        };
        let name = repository.name();
        let masters = set
            .masters(name)
            .map(|list| list.iter().map(|r| r.name().to_owned()).collect());
        let mut facts = RepositoryFacts {
            name: name.to_owned(),
            location: repository.location().to_path_buf(),
            masters: masters.unwrap_or_default(),
            formats,
            top_eapi: own_eapi.unwrap_or(profile_eapi),
            profile_eapi,
            directories: Directories::Flat,
            names: Arc::clone(set.names()),
        };
        if !facts.top_eapi.package_mask_directory() && !facts.formats_allow_directories() {
            facts.directories = Directories::Forbidden;
        }
        Ok(facts)
    }

    /// That of the repository with this name or alias.
    ///
    /// # Errors
    /// There is none; what may be meant.
    pub(super) fn named<'a>(all: &'a [Self], alias: &str) -> Result<&'a Self, String> {
        let names = Self::names(all);
        let name = names.name_of(alias);
        let found = name.and_then(|name| all.iter().find(|facts| facts.name == name));
        found.ok_or_else(|| {
            let suggestion = names.suggestion(alias);
            format!("no repository is called {alias}{suggestion}")
        })
    }

    /// What all of them are called.
    pub(super) fn names(all: &[Self]) -> Arc<RepositoryNames> {
        let first = all.first();
        first.map_or_else(Arc::default, |facts| Arc::clone(&facts.names))
    }

    /// Whether layout.conf announces an extension of the profile format.
    pub(super) fn has_format(&self, format: &str) -> bool {
        self.formats.iter().any(|known| known == format)
    }

    /// Whether the profile format lets package.mask and its kin be directories in every EAPI.
    pub(super) fn formats_allow_directories(&self) -> bool {
        self.formats.iter().any(|format| {
            matches!(
                format.as_str(),
                "portage-1" | "portage-1-compat" | "portage-2"
            )
        })
    }
}
