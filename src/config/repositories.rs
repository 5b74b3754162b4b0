//! repos.conf: which repositories there are, where, and in which order.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::files::{self, Directories};
use super::ini::Ini;
use super::profile;
use crate::pms::eapi::Eapi;
use crate::repo::{RepoSet, RepoSettings, Repository};

/// What holds before any repos.conf is read.
const BUILT_IN: &str = "[DEFAULT]\nmain-repo = gentoo\n[gentoo]\nlocation = /var/db/repos/gentoo\n";

/// The place of what [`BUILT_IN`] says.
const BUILT_IN_PLACE: &str = "<built in>";

/// What profiles and configuration files need to know of a repository.
#[derive(Debug, Clone)]
pub(super) struct RepositoryFacts {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
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
}

impl RepositoryFacts {
    fn new(set: &RepoSet, repository: &Repository) -> Result<Self, ConfigError> {
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
            aliases: set.aliases(name).to_vec(),
            location: repository.location().to_path_buf(),
            masters: masters.unwrap_or_default(),
            formats,
            top_eapi: own_eapi.unwrap_or(profile_eapi),
            profile_eapi,
            directories: Directories::Flat,
        };
        if !facts.top_eapi.package_mask_directory() && !facts.formats_allow_directories() {
            facts.directories = Directories::Forbidden;
        }
        Ok(facts)
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

/// The repositories, lowest priority first.
#[derive(Debug)]
pub(super) struct Repositories {
    pub(super) set: RepoSet,
    pub(super) facts: Vec<RepositoryFacts>,
    /// Whether there is a repos.conf.
    pub(super) configured: bool,
}

/// What repos.conf is read with.
pub(super) struct Sources<'a> {
    /// PORTAGE_CONFIGROOT.
    pub(super) config_root: &'a Path,
    /// Values for `%(NAME)s`.
    pub(super) names: Vec<(&'a str, String)>,
    /// PORTAGE_REPOSITORIES: the text of a repos.conf that takes the place of all files.
    pub(super) text: Option<&'a str>,
    /// PORTDIR, the older way to name the main repository.
    pub(super) portdir: Option<&'a str>,
    /// PORTDIR_OVERLAY, the older way to add repositories.
    pub(super) overlays: &'a str,
    /// Repositories of the command line.
    pub(super) extra: &'a [PathBuf],
}

/// Reads repos.conf and opens the repositories.
///
/// # Errors
/// A file cannot be read or is malformed, or a repository cannot be used.
pub(super) fn load(
    sources: &Sources<'_>,
    warnings: &mut Vec<String>,
) -> Result<Repositories, ConfigError> {
    let mut ini = Ini::with_defaults(
        sources
            .names
            .iter()
            .map(|(name, value)| (*name, value.clone())),
    );
    let mut configured = false;
    if let Some(text) = sources.text {
        ini.add(Path::new("<environment PORTAGE_REPOSITORIES>"), text)?;
        configured = true;
    } else {
        ini.add(Path::new(BUILT_IN_PLACE), BUILT_IN)?;
        for file in files::recursive(&sources.config_root.join("etc/portage/repos.conf"))? {
            let bytes = fs::read(&file).map_err(|error| ConfigError::read(&file, error))?;
            ini.add(&file, &String::from_utf8_lossy(&bytes))?;
            configured = true;
        }
    }
    let mut list = Vec::new();
    let names: Vec<String> = ini.sections().map(|(name, _)| name.to_owned()).collect();
    for name in &names {
        list.extend(section(&ini, name, warnings)?);
    }
    let mut main = ini.get(None, "main-repo")?;
    if sources.text.is_none() {
        if let Some(path) = sources.portdir {
            let name = add_path(&mut list, Path::new(path), "PORTDIR", None)?;
            main = main.map(|setting| super::shell_vars::Setting {
                value: name,
                ..setting
            });
        }
        for (index, path) in split_quoted(sources.overlays)?.iter().enumerate() {
            let priority = i32::try_from(index).unwrap_or(i32::MAX);
            add_path(
                &mut list,
                Path::new(path),
                "PORTDIR_OVERLAY",
                Some(priority),
            )?;
        }
    }
    let highest = list
        .iter()
        .filter_map(|settings| settings.priority)
        .max()
        .unwrap_or(0)
        .max(0);
    for (path, priority) in sources.extra.iter().zip(highest.saturating_add(1)..) {
        add_path(&mut list, path, "--repo", Some(priority))?;
    }
    let known = |wanted: &str| {
        list.iter()
            .any(|s| s.name == wanted || s.aliases.iter().any(|alias| alias == wanted))
    };
    let main = main.filter(|setting| {
        known(&setting.value) || &*setting.origin.file != Path::new(BUILT_IN_PLACE)
    });
    let main_name = main.as_ref().map(|setting| setting.value.as_str());
    let origin = if configured {
        "repos.conf"
    } else {
        "repositories"
    };
    let set = RepoSet::new(&list, main_name).map_err(|source| ConfigError::Repository {
        origin: main.as_ref().map_or_else(
            || origin.to_owned(),
            |setting| match setting.origin.line {
                0 => origin.to_owned(),
                _ => setting.origin.file.display().to_string(),
            },
        ),
        source: Box::new(source),
    })?;
    let facts = set
        .repositories()
        .map(|repository| RepositoryFacts::new(&set, repository))
        .collect::<Result<_, _>>()?;
    Ok(Repositories {
        set,
        facts,
        configured,
    })
}

/// What a section of repos.conf says; `None` if its repository is left out.
fn section(
    ini: &Ini,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<RepoSettings>, ConfigError> {
    let text = |option: &str| ini.get(Some(name), option);
    let words = |option: &str| {
        let found = text(option)?;
        Ok::<_, ConfigError>(found.map(|setting| {
            setting
                .value
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        }))
    };
    let Some(location) = text("location")?.filter(|setting| !setting.value.trim().is_empty())
    else {
        warnings.push(format!(
            "repos.conf: section [{name}] has no location and is left out"
        ));
        return Ok(None);
    };
    let path = PathBuf::from(&location.value);
    if !path.is_dir() {
        if &*location.origin.file != Path::new(BUILT_IN_PLACE) {
            warnings.push(format!(
                "{}:{}: location of [{name}] is not a directory: {}; the repository is left out",
                location.origin.file.display(),
                location.origin.line,
                path.display()
            ));
        }
        return Ok(None);
    }
    if text("format")?.is_some_and(|format| format.value.trim() == "unavailable") {
        return Ok(None);
    }
    let priority = match text("priority")? {
        None => None,
        Some(setting) => Some(setting.value.trim().parse().map_err(|_| {
            ConfigError::syntax(
                setting.origin.file.to_path_buf(),
                setting.origin.line,
                format!("priority of [{name}] is `{}`", setting.value),
                "write a number",
            )
        })?),
    };
    Ok(Some(RepoSettings {
        name: name.to_owned(),
        location: path,
        priority,
        masters: words("masters")?,
        aliases: words("aliases")?.unwrap_or_default(),
        eclass_overrides: words("eclass-overrides")?.unwrap_or_default(),
    }))
}

/// Adds a repository by its path and gives its name. One that repos.conf has under that name is
/// moved there and keeps its options.
fn add_path(
    list: &mut Vec<RepoSettings>,
    path: &Path,
    setting: &str,
    priority: Option<i32>,
) -> Result<String, ConfigError> {
    if !path.is_dir() {
        return Err(ConfigError::NotADirectory {
            setting: setting.to_owned(),
            path: path.to_path_buf(),
        });
    }
    let repository = Repository::open(path).map_err(|source| ConfigError::Repository {
        origin: setting.to_owned(),
        source: Box::new(source),
    })?;
    let name = repository.name().to_owned();
    match list.iter_mut().find(|known| known.name == name) {
        Some(known) => {
            known.location = path.to_path_buf();
            known.priority = known.priority.or(priority);
        }
        None => list.push(RepoSettings {
            name: name.clone(),
            location: path.to_path_buf(),
            priority,
            ..RepoSettings::default()
        }),
    }
    Ok(name)
}

/// Splits PORTDIR_OVERLAY, in which paths with blanks are quoted.
fn split_quoted(text: &str) -> Result<Vec<String>, ConfigError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(ConfigError::Setting {
            setting: "PORTDIR_OVERLAY".to_owned(),
            problem: format!("a quote is never closed in `{text}`"),
            cure: "add the missing quote".to_owned(),
        });
    }
    words.extend(word);
    Ok(words)
}
