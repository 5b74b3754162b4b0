//! repos.conf: which repositories there are, where, and in which order.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::files::{self, Directories};
use super::ini::Ini;
use super::profile;
use super::shell_vars::{Origin, Setting};
use crate::pms::eapi::Eapi;

/// Where the main repository of Gentoo lies when nothing else is said.
const DEFAULT_LOCATION: &str = "/var/db/repos/gentoo";

/// Options for values that repos.conf says nothing about.
const BUILT_IN: &str = "[DEFAULT]\nmain-repo = gentoo\n[gentoo]\nlocation = /var/db/repos/gentoo\n";

/// What profiles and configuration files need to know of a repository.
#[derive(Debug, Clone)]
pub(super) struct RepositoryFacts {
    pub name: String,
    pub aliases: Vec<String>,
    pub location: PathBuf,
    pub real_location: PathBuf,
    pub masters: Vec<String>,
    /// profile-formats of layout.conf.
    pub formats: Vec<String>,
    /// The EAPI of the files in `profiles` itself.
    pub top_eapi: Eapi,
    /// The EAPI of profile directories without an `eapi` file.
    pub profile_eapi: Eapi,
    /// Whether package.mask in `profiles` may be a directory.
    pub directories: Directories,
    pub priority: i64,
    pub eclass_overrides: Vec<String>,
}

impl RepositoryFacts {
    /// Whether layout.conf announces an extension of the profile format.
    pub fn has_format(&self, format: &str) -> bool {
        self.formats.iter().any(|known| known == format)
    }

    /// Whether the profile format lets package.mask and its kin be directories in every EAPI.
    pub fn formats_allow_directories(&self) -> bool {
        self.formats.iter().any(|format| {
            matches!(
                format.as_str(),
                "portage-1" | "portage-1-compat" | "portage-2"
            )
        })
    }
}

/// What a section of repos.conf, or an option of the command line, says of a repository.
#[derive(Debug, Clone)]
struct Section {
    origin: Origin,
    location: PathBuf,
    priority: Option<i64>,
    masters: Option<Vec<String>>,
    aliases: Vec<String>,
    eclass_overrides: Vec<String>,
}

/// The repositories, lowest priority first.
#[derive(Debug, Clone, Default)]
pub(super) struct Repositories {
    pub list: Vec<RepositoryFacts>,
    pub main: Option<String>,
    /// Whether there is a repos.conf.
    pub configured: bool,
}

/// What repos.conf is read with.
pub(super) struct Sources<'a> {
    /// PORTAGE_CONFIGROOT.
    pub config_root: &'a Path,
    /// Values for `%(NAME)s`.
    pub names: Vec<(&'a str, String)>,
    /// PORTAGE_REPOSITORIES: the text of a repos.conf that takes the place of all files.
    pub text: Option<&'a str>,
    /// PORTDIR, the older way to name the main repository.
    pub portdir: Option<&'a str>,
    /// PORTDIR_OVERLAY, the older way to add repositories.
    pub overlays: &'a str,
    /// Repositories of the command line.
    pub extra: &'a [PathBuf],
}

/// Reads repos.conf and looks at the repositories.
///
/// # Errors
/// A file cannot be read or is malformed, or a repository of the command line is not there.
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
        ini.add(Path::new("<built in>"), BUILT_IN)?;
        for file in files::recursive(&sources.config_root.join("etc/portage/repos.conf"))? {
            let bytes = fs::read(&file).map_err(|error| ConfigError::read(&file, error))?;
            ini.add(&file, &String::from_utf8_lossy(&bytes))?;
            configured = true;
        }
    }
    let mut result = Repositories {
        configured,
        ..Repositories::default()
    };
    let names: Vec<String> = ini.sections().map(|(name, _)| name.to_owned()).collect();
    for name in &names {
        if let Some(facts) = configured_repository(&ini, name, warnings)? {
            result.list.push(facts);
        }
    }
    let main = ini.get(None, "main-repo")?;
    let mut priority = 0;
    let portdir = sources
        .portdir
        .filter(|_| sources.text.is_none())
        .map(|path| (PathBuf::from(path), "PORTDIR"));
    let overlays = split_quoted(if sources.text.is_none() {
        sources.overlays
    } else {
        ""
    })?;
    let overlays = overlays
        .into_iter()
        .map(|path| (PathBuf::from(path), "PORTDIR_OVERLAY"));
    for (path, setting) in portdir.into_iter().chain(overlays) {
        if !path.is_dir() {
            warnings.push(format!(
                "{setting}: {} is not a directory and is left out",
                path.display()
            ));
            continue;
        }
        let is_main = setting == "PORTDIR";
        let name = replace_location(
            &mut result,
            &path,
            setting,
            if is_main { None } else { Some(priority) },
        )?;
        if is_main {
            result.main = Some(name);
        } else {
            priority += 1;
        }
    }
    let mut highest = result
        .list
        .iter()
        .map(|facts| facts.priority)
        .max()
        .unwrap_or(0);
    for path in sources.extra {
        if !path.is_dir() {
            return Err(ConfigError::NotADirectory {
                setting: "--repo".to_owned(),
                path: path.clone(),
            });
        }
        highest += 1;
        replace_location(&mut result, path, "--repo", Some(highest))?;
    }
    finish(&mut result, main.as_ref(), warnings);
    Ok(result)
}

/// What no repository says itself: the main one, its priority, masters, the order.
fn finish(result: &mut Repositories, main: Option<&Setting>, warnings: &mut Vec<String>) {
    if let Some(setting) = main {
        let known = result
            .list
            .iter()
            .find(|facts| facts.answers_to(&setting.value))
            .map(|facts| facts.name.clone());
        if known.is_none()
            && setting.origin.line > 0
            && &*setting.origin.file != Path::new("<built in>")
        {
            warnings.push(format!(
                "{}:{}: main-repo names {}, which is not among the repositories",
                setting.origin.file.display(),
                setting.origin.line,
                setting.value
            ));
        }
        result.main = result.main.take().or(known);
    }
    let main = result.main.clone();
    for facts in &mut result.list {
        if Some(&facts.name) == main.as_ref() {
            if facts.priority == UNSET {
                facts.priority = -1000;
            }
        } else if facts.priority == UNSET {
            facts.priority = 0;
        }
    }
    result
        .list
        .sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    let names: BTreeMap<String, String> = result
        .list
        .iter()
        .flat_map(|facts| {
            let aliases = facts
                .aliases
                .iter()
                .map(|alias| (alias.clone(), facts.name.clone()));
            aliases.chain([(facts.name.clone(), facts.name.clone())])
        })
        .collect();
    for facts in &mut result.list {
        if facts.masters.first().map(String::as_str) == Some(NO_MASTERS_GIVEN) {
            facts.masters = match &main {
                Some(main) if *main != facts.name => vec![main.clone()],
                _ => Vec::new(),
            };
        }
        facts.masters = facts
            .masters
            .iter()
            .filter_map(|master| {
                let name = names.get(master).cloned();
                if name.is_none() {
                    warnings.push(format!(
                        "{}: its master {master} is not among the repositories; add it to repos.conf",
                        facts.location.display()
                    ));
                }
                name
            })
            .collect();
    }
}

/// Stands for a priority that nothing sets.
const UNSET: i64 = i64::MIN;

/// Stands for masters that neither layout.conf nor repos.conf names.
const NO_MASTERS_GIVEN: &str = "\0";

impl RepositoryFacts {
    fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

fn configured_repository(
    ini: &Ini,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<RepositoryFacts>, ConfigError> {
    let text = |option: &str| {
        ini.get(Some(name), option)
            .map(|found| found.map(|setting| setting.value))
    };
    let words = |option: &str| {
        text(option).map(|found| {
            found.map(|value| {
                value
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
        })
    };
    let Some(location) = ini
        .get(Some(name), "location")?
        .filter(|setting| !setting.value.trim().is_empty())
    else {
        warnings.push(format!(
            "repos.conf: section [{name}] has no location and is left out"
        ));
        return Ok(None);
    };
    let path = PathBuf::from(&location.value);
    if !path.is_dir() {
        if path != Path::new(DEFAULT_LOCATION) || &*location.origin.file != Path::new("<built in>")
        {
            warnings.push(format!(
                "{}:{}: location of [{name}] is not a directory: {}; the repository is left out",
                location.origin.file.display(),
                location.origin.line,
                path.display()
            ));
        }
        return Ok(None);
    }
    if text("format")?.is_some_and(|format| format.trim() == "unavailable") {
        return Ok(None);
    }
    let section = Section {
        origin: location.origin.clone(),
        location: path,
        priority: text("priority")?.and_then(|value| value.trim().parse().ok()),
        masters: words("masters")?,
        aliases: words("aliases")?.unwrap_or_default(),
        eclass_overrides: words("eclass-overrides")?.unwrap_or_default(),
    };
    let facts = look_at(&section, Some(name))?;
    if !facts.answers_to(name) {
        warnings.push(format!(
            "{}:{}: section [{name}] is for a repository that calls itself {}; rename the section; it is left out",
            section.origin.file.display(),
            section.origin.line,
            facts.name
        ));
        return Ok(None);
    }
    Ok(Some(facts))
}

/// Adds a repository by its path. One with the same name is moved there and keeps its options.
fn replace_location(
    result: &mut Repositories,
    path: &Path,
    setting: &str,
    priority: Option<i64>,
) -> Result<String, ConfigError> {
    let section = Section {
        origin: Origin {
            file: Path::new(setting).into(),
            line: 0,
        },
        location: path.to_path_buf(),
        priority,
        masters: None,
        aliases: Vec::new(),
        eclass_overrides: Vec::new(),
    };
    let mut facts = look_at(&section, None)?;
    let name = facts.name.clone();
    match result.list.iter_mut().find(|known| known.name == name) {
        Some(known) => {
            if known.priority != UNSET {
                facts.priority = known.priority;
            }
            facts.eclass_overrides = known.eclass_overrides.clone();
            *known = facts;
        }
        None => result.list.push(facts),
    }
    Ok(name)
}

/// Reads what a repository says of itself.
fn look_at(section: &Section, fallback: Option<&str>) -> Result<RepositoryFacts, ConfigError> {
    let location = &section.location;
    let real_location =
        fs::canonicalize(location).map_err(|error| ConfigError::read(location, error))?;
    let layout = layout(&real_location)?;
    let words = |key: &str| {
        layout.get(key).map(|value| {
            value
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
    };
    let named = first_line(&real_location.join("profiles/repo_name"))?;
    let name = layout
        .get("repo-name")
        .and_then(|name| valid_name(name))
        .or_else(|| named.as_deref().and_then(valid_name))
        .or_else(|| fallback.map(str::to_owned))
        .or_else(|| {
            let base = real_location
                .file_name()
                .unwrap_or_default()
                .to_string_lossy();
            valid_name(&format!("x-{base}"))
        })
        .unwrap_or_else(|| "x-".to_owned());
    let own_eapi = profile::read_eapi(&real_location.join("profiles"))?;
    let formats = words("profile-formats").unwrap_or_else(|| {
        let new = own_eapi.is_some_and(|eapi| eapi.profile_file_directories());
        vec![if new { "portage-1" } else { "portage-1-compat" }.to_owned()]
    });
    let profile_eapi = match own_eapi {
        Some(eapi) if eapi.profile_eapi_from_top_level() => eapi,
        _ => layout
            .get("profile_eapi_when_unspecified")
            .filter(|_| {
                formats
                    .iter()
                    .any(|format| format == "profile-default-eapi")
            })
            .and_then(|name| Eapi::parse(name).ok())
            .unwrap_or(Eapi::DEFAULT),
    };
    let top_eapi = own_eapi.unwrap_or(profile_eapi);
    let mut aliases = words("aliases").unwrap_or_default();
    for alias in &section.aliases {
        match alias.strip_prefix('-') {
            Some(gone) => aliases.retain(|known| known != gone),
            None => aliases.push(alias.clone()),
        }
    }
    let mut facts = RepositoryFacts {
        name,
        aliases,
        location: real_location.clone(),
        real_location,
        masters: section
            .masters
            .clone()
            .or_else(|| words("masters"))
            .unwrap_or_else(|| vec![NO_MASTERS_GIVEN.to_owned()]),
        formats,
        top_eapi,
        profile_eapi,
        directories: Directories::Flat,
        priority: section.priority.unwrap_or(UNSET),
        eclass_overrides: section.eclass_overrides.clone(),
    };
    if !top_eapi.package_mask_directory() && !facts.formats_allow_directories() {
        facts.directories = Directories::Forbidden;
    }
    Ok(facts)
}

fn layout(location: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let path = location.join("metadata/layout.conf");
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(ConfigError::read(path, error)),
    };
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect())
}

fn first_line(path: &Path) -> Result<Option<String>, ConfigError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .next()
            .map(|line| line.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConfigError::read(path, error)),
    }
}

/// A repository name made of a text as Portage does it: what cannot stand in a name becomes a
/// hyphen.
fn valid_name(text: &str) -> Option<String> {
    let cleaned: String = text
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '_' || c == '-' {
                c
            } else {
                ' '
            }
        })
        .collect();
    let name = cleaned.split_whitespace().collect::<Vec<_>>().join("-");
    let name = name.trim_start_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
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
