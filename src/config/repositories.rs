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
const BUILT_IN: &str = "[DEFAULT]\nmain-repo = gentoo\n[gentoo]\nlocation = /var/db/repos/gentoo\n";

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
    Ok(Some(RepoSettings {
        name: name.to_owned(),
        location: path,
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
mod tests {
    use super::super::fixture::Root;
    use super::*;

    fn names(root: &Root) -> Vec<String> {
        root.load()
            .repositories()
            .repositories()
            .map(|r| r.name().to_owned())
            .collect()
    }

    fn overlay(root: Root, name: &str, conf: &str) -> Root {
        let location = root.path(name);
        root.file(&format!("{name}/profiles/repo_name"), &format!("{name}\n"))
            .file(
                &format!("{name}/metadata/layout.conf"),
                "masters = gentoo\n",
            )
            .file(
                &format!("{name}.conf"),
                &format!("[{name}]\nlocation = {}\n{conf}", location.display()),
            )
    }

    #[test]
    fn repositories_are_ordered_by_priority() {
        let root = overlay(overlay(Root::new(), "zeta", "priority = -5\n"), "alpha", "");
        let text: String = ["etc/portage/repos.conf", "zeta.conf", "alpha.conf"]
            .map(|file| fs::read_to_string(root.path(file)).unwrap())
            .concat();
        let root = root.file("etc/portage/repos.conf", &text);
        assert_eq!(names(&root), ["gentoo", "zeta", "alpha"]);
        assert_eq!(
            root.load().get("PORTDIR").unwrap(),
            root.path("repo").to_str().unwrap()
        );
        let overlays = root.load().get("PORTDIR_OVERLAY").unwrap().to_owned();
        assert_eq!(
            overlays,
            format!(
                "{} {}",
                root.path("zeta").display(),
                root.path("alpha").display()
            )
        );
    }

    #[test]
    fn the_command_line_adds_or_moves_repositories() {
        let mut root = overlay(Root::new(), "mine", "");
        root.options.extra_repos = vec![root.path("mine")];
        assert_eq!(names(&root), ["gentoo", "mine"]);
        let mut root = root
            .file("copy/profiles/repo_name", "gentoo\n")
            .file("copy/metadata/layout.conf", "masters =\n");
        root.options.extra_repos = vec![root.path("copy")];
        assert_eq!(
            root.load().repositories().main().unwrap().location(),
            root.path("copy")
        );
        root.options.extra_repos = vec![root.path("nowhere")];
        assert_eq!(
            root.error(),
            "--repo: /nowhere is not a directory; create it or correct the setting"
        );
    }

    #[test]
    fn a_missing_directory_is_told_and_left_out() {
        let root = Root::new();
        let text = fs::read_to_string(root.path("etc/portage/repos.conf")).unwrap();
        let root = root.file(
            "etc/portage/repos.conf",
            &format!("{text}[gone]\nlocation = /nowhere/at/all\n"),
        );
        assert_eq!(names(&root), ["gentoo"]);
        let warning = root.load().warnings().join("\n");
        assert!(
            warning.contains("repos.conf:4: location of [gone]"),
            "{warning}"
        );
    }

    #[test]
    fn the_environment_replaces_all_files() {
        let root = overlay(Root::new(), "mine", "");
        let text = format!(
            "[mine]\nlocation = {}\nmasters =\n",
            root.path("mine").display()
        );
        let root = root.env("PORTAGE_REPOSITORIES", &text);
        std::fs::remove_file(root.path("etc/portage/make.profile")).unwrap();
        assert_eq!(names(&root), ["mine"]);
    }

    #[test]
    fn quoted_overlays() {
        assert_eq!(
            split_quoted("/a '/b c' \"/d\\\"e\" /f\\ g").unwrap(),
            ["/a", "/b c", "/d\"e", "/f g"]
        );
        assert!(split_quoted("'/a").is_err());
    }

    #[test]
    fn mistakes_are_named() {
        let root = Root::new().file("etc/portage/repos.conf", "[DEFAULT]\nmain-repo = other\n");
        assert!(root.error().contains("other"), "{}", root.error());
        let root = Root::new();
        let text = fs::read_to_string(root.path("etc/portage/repos.conf")).unwrap();
        let root = root.file(
            "etc/portage/repos.conf",
            &format!("{text}priority = high\n"),
        );
        assert_eq!(
            root.error(),
            "/etc/portage/repos.conf:3: priority of [gentoo] is `high`; write a number"
        );
    }
}
