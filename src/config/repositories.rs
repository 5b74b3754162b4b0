//! repos.conf: which repositories there are, where, and in which order.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::files;
use super::ini::Ini;
use super::repository_facts::RepositoryFacts;
use super::toml_file::RepositoryOption;
use crate::repo::{RepoError, RepoSet, RepoSettings, Repository, TakenAlias};

/// What holds before any repos.conf is read.
const BUILT_IN: &str =
    "[DEFAULT]\nmain-repo = gentoo\n[gentoo]\nlocation = /var/db/repos/gentoo\nsync-type = rsync\n";

/// The place of what [`BUILT_IN`] says.
const BUILT_IN_PLACE: &str = "<built in>";

/// The repositories, lowest priority first.
#[derive(Debug)]
pub(super) struct Repositories {
    pub(super) set: RepoSet,
    pub(super) facts: Vec<RepositoryFacts>,
    /// Whether there is a repos.conf.
    pub(super) configured: bool,
}

impl Repositories {
    /// The main repository's path.
    pub(super) fn main_location(&self) -> String {
        self.set
            .main()
            .map(|main| main.location().to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// The paths of all repositories but the first if that is the main one, quoted for a shell.
    pub(super) fn overlay_list(&self) -> String {
        let main = self.main_location();
        let skip = self
            .facts
            .first()
            .is_some_and(|first| first.location.to_string_lossy() == main);
        let quote = |facts: &RepositoryFacts| {
            let path = facts.location.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
            if path.chars().all(plain) {
                path.into_owned()
            } else {
                format!("'{}'", path.replace('\'', "'\"'\"'"))
            }
        };
        self.facts
            .iter()
            .skip(usize::from(skip))
            .map(quote)
            .collect::<Vec<_>>()
            .join(" ")
    }
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
    /// What ebd.toml says.
    pub(super) options: &'a [RepositoryOption],
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
        configured = ini.sections().next().is_some();
    } else {
        ini.add(Path::new(BUILT_IN_PLACE), BUILT_IN)?;
        for file in files::recursive(&sources.config_root.join("etc/portage/repos.conf"))? {
            let bytes = fs::read(&file).map_err(|error| ConfigError::read(&file, error))?;
            ini.add(&file, &String::from_utf8_lossy(&bytes))?;
            configured = true;
        }
    }
    for option in sources.options {
        ini.set(
            option.section.as_deref(),
            option.name,
            option.setting.clone(),
        );
        configured = true;
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
            main = main.map(|setting| super::shell_vars::Setting::new(name, setting.origin));
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
    add_named(&mut list, sources.extra, highest.saturating_add(1))?;
    let known = |wanted: &str| {
        list.iter()
            .any(|s| s.name == wanted || s.aliases.iter().any(|alias| alias == wanted))
    };
    let main = main.filter(|setting| {
        known(&setting.value) || &*setting.origin.file != Path::new(BUILT_IN_PLACE)
    });
    let main_name = main.as_ref().map(|setting| setting.value.as_str());
    let set = RepoSet::new(&list, main_name).map_err(|source| {
        // The file with the section that is wrong; what paths have added has none.
        let section = source.repository().filter(|name| {
            let options = list.iter().find(|it| it.name == **name);
            options.is_some_and(|it| !sources.extra.contains(&it.location))
        });
        let origin = match section {
            Some(name) => ini.get(Some(name), "location").ok().flatten(),
            None if source.repository().is_some() => None,
            None => main.clone(),
        };
        ConfigError::Repository {
            origin: match origin {
                Some(setting) if setting.origin.line > 0 => {
                    setting.origin.file.display().to_string()
                }
                _ if configured && source.repository().is_none() => "repos.conf".to_owned(),
                _ => "repositories".to_owned(),
            },
            source: Box::new(source),
        }
    })?;
    for taken in set.taken_aliases() {
        warnings.push(taken_alias(taken, &set, &list, &ini)?);
    }
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

/// Tells that an alias of a repository stands for another one.
fn taken_alias(
    taken: &TakenAlias,
    set: &RepoSet,
    list: &[RepoSettings],
    ini: &Ini,
) -> Result<String, ConfigError> {
    let TakenAlias {
        alias,
        repository,
        holder,
    } = taken;
    let place = |name: &str| -> Result<String, ConfigError> {
        let section = list.iter().find(|section| {
            section.aliases.contains(alias) && set.names().name_of(&section.name) == Some(name)
        });
        if let Some(section) = section
            && let Some(setting) = ini.get(Some(&section.name), "aliases")?
        {
            return Ok(setting.origin.to_string());
        }
        let found = set.repository(name);
        Ok(found.map_or_else(String::new, |found| {
            let layout = found.location().join("metadata/layout.conf");
            format!("{}:{}", layout.display(), found.layout().aliases_line)
        }))
    };
    let what = match alias == holder {
        true => format!("is also the name of repository {holder}"),
        false => format!(
            "is also an alias of repository {holder} ({})",
            place(holder)?
        ),
    };
    Ok(format!(
        "{}: `{alias}`, an alias of repository {repository}, {what}; it stands for {holder}; take it away from one of them",
        place(repository)?
    ))
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
    let sync_type = text("sync-type")?
        .filter(|setting| {
            // What nobody has said holds where it can be.
            &*setting.origin.file != Path::new(BUILT_IN_PLACE)
                || path.join("metadata/timestamp.commit").exists()
        })
        .map(|setting| setting.value.trim().to_owned())
        .filter(|name| !name.is_empty());
    Ok(Some(RepoSettings {
        name: name.to_owned(),
        location: path,
        sync_type,
        priority,
        masters: words("masters")?,
        aliases: words("aliases")?.unwrap_or_default(),
        eclass_overrides: words("eclass-overrides")?.unwrap_or_default(),
    }))
}

/// Adds the repositories of the command line, the first with this priority.
fn add_named(
    list: &mut Vec<RepoSettings>,
    paths: &[PathBuf],
    lowest: i32,
) -> Result<(), ConfigError> {
    let unusable = |source| ConfigError::Repository {
        origin: "--repo".to_owned(),
        source: Box::new(source),
    };
    let mut added: Vec<(String, &PathBuf)> = Vec::new();
    for (path, priority) in paths.iter().zip(lowest..) {
        let has = |name: &str| path.join(name).exists();
        if path.is_dir() && !has("profiles") && !has("metadata/layout.conf") {
            return Err(unusable(RepoError::NotARepository { path: path.clone() }));
        }
        let name = add_path(list, path, "--repo", Some(priority))?;
        let same = |first: &Path| first.canonicalize().ok() == path.canonicalize().ok();
        if let Some((_, first)) = added.iter().find(|(known, _)| *known == name)
            && !same(first)
        {
            return Err(unusable(RepoError::SameName {
                name,
                first: first.to_path_buf(),
                second: path.clone(),
            }));
        }
        added.push((name, path));
    }
    Ok(())
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

#[cfg(test)]
mod tests;
