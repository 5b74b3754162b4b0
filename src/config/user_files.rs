//! The files of /etc/portage that name packages: those that are for everything, those for one repository, and what
//! ebd.toml says instead of them.
//!
//! A folder of /etc/portage that is called like a repository, or like one of its aliases, has files of the same names
//! that apply to this repository alone, as the multiple-repository draft of 2005 wants it. What such a folder may not
//! have is an error, and what has no effect yet is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::files::{self, Directories, Line};
use super::repository_facts::RepositoryFacts;
use super::toml_file::TomlFile;
use super::updates::UpdateOptions;
use crate::repo::RepositoryNames;

/// The files of a repository's folder that name packages.
const PACKAGE_FILES: [&str; 9] = [
    "package.use",
    "package.mask",
    "package.unmask",
    "package.keywords",
    "package.accept_keywords",
    "package.license",
    "package.properties",
    "package.accept_restrict",
    "package.env",
];

/// Everything else that such a folder may have.
const OTHER_FILES: [&str; 3] = ["repository.conf", "repository.id", "bashrc"];

/// What /etc/portage has of its own; a repository of such a name has no folder there.
const RESERVED: [&str; 17] = [
    "binrepos.conf",
    "bashrc",
    "env",
    "gnupg",
    "hooks",
    "license_groups",
    "make.conf",
    "make.profile",
    "mirrors",
    "modules",
    "patches",
    "postsync.d",
    "profile",
    "repo.postsync.d",
    "repos.conf",
    "savedconfig",
    "sets",
];

/// The folder of one repository.
#[derive(Debug, Clone)]
struct Folder {
    path: PathBuf,
    repository: Arc<str>,
}

/// A line, and the repository that it is for if it is for one alone.
#[derive(Debug, Clone)]
pub(super) struct UserLine {
    pub(super) line: Line,
    pub(super) repository: Option<Arc<str>>,
}

/// Everything that names packages in the user's configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct UserFiles {
    directory: PathBuf,
    folders: Vec<Folder>,
    toml: TomlFile,
    names: Arc<RepositoryNames>,
}

impl UserFiles {
    /// Looks for the folders of repositories below `directory`, /etc/portage.
    ///
    /// # Errors
    /// Something there cannot be read, or has no meaning where it is.
    pub(super) fn read(
        directory: &Path,
        repositories: &[RepositoryFacts],
        toml: TomlFile,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let prefer = directory.join("repositories.prefer");
        for path in [&prefer, &directory.join("repositories.perfer")] {
            if path.exists() {
                warnings.push(format!(
                    "{}: has no effect: which repository is preferred is said by `priority` in repos.conf",
                    path.display()
                ));
            }
        }
        let mut folders = Vec::new();
        for name in names_in(directory)? {
            let path = directory.join(&name);
            let reserved =
                RESERVED.contains(&name.as_str()) || PACKAGE_FILES.contains(&name.as_str());
            if reserved || !path.is_dir() {
                continue;
            }
            let id = path.join("repository.id");
            let ids = files::lines(&id, Directories::Forbidden)?;
            let wanted = ids.first().map_or(name, Line::text);
            match RepositoryFacts::named(repositories, &wanted) {
                Ok(facts) => {
                    check(&path)?;
                    folders.push(Folder {
                        path,
                        repository: facts.name.as_str().into(),
                    });
                }
                Err(problem) if !ids.is_empty() => warnings.push(format!(
                    "{}: the folder has no effect: {problem}",
                    id.display()
                )),
                // Whatever else people keep there.
                Err(_) => {}
            }
        }
        folders.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(UserFiles {
            directory: directory.to_owned(),
            folders,
            toml,
            names: RepositoryFacts::names(repositories),
        })
    }

    /// The lines of files of these names, in their order: of everything, of each repository, of ebd.toml.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn lines(&self, names: &[&str]) -> Result<Vec<UserLine>, ConfigError> {
        let mut result = Vec::new();
        let mut add = |lines: Vec<Line>, repository: Option<&Arc<str>>| {
            let repository = repository.cloned();
            result.extend(lines.into_iter().map(|line| UserLine {
                line,
                repository: repository.clone(),
            }));
        };
        for name in names {
            add(
                files::lines(&self.directory.join(name), Directories::Recursive)?,
                None,
            );
        }
        for folder in &self.folders {
            for name in names {
                let lines = files::lines(&folder.path.join(name), Directories::Recursive)?;
                add(lines, Some(&folder.repository));
            }
        }
        for name in names {
            add(self.toml.lines(name).to_vec(), None);
        }
        Ok(result)
    }

    /// The files with settings for one repository, and its name.
    pub(super) fn repository_confs(&self) -> impl Iterator<Item = (PathBuf, &Arc<str>)> {
        let conf = |folder: &Folder| folder.path.join("repository.conf");
        self.folders
            .iter()
            .map(move |folder| (conf(folder), &folder.repository))
    }

    /// The bashrc files of one repository.
    pub(super) fn bashrcs<'a>(&'a self, repository: &'a str) -> impl Iterator<Item = PathBuf> {
        let of_it = self
            .folders
            .iter()
            .filter(move |folder| &*folder.repository == repository);
        of_it.map(|folder| folder.path.join("bashrc"))
    }

    /// /etc/portage.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the repositories are called.
    pub(super) fn names(&self) -> &RepositoryNames {
        &self.names
    }

    /// What ebd.toml says of updates, by the names of repositories: its tables may have aliases.
    pub(super) fn updates(&self) -> BTreeMap<String, UpdateOptions> {
        let own = self.toml.updates().iter();
        own.map(|(name, options)| (self.name_of(name).to_owned(), *options))
            .collect()
    }

    /// The name of the repository with this name or alias; what nobody is called stays.
    pub(super) fn name_of<'a>(&'a self, alias: &'a str) -> &'a str {
        self.names.name_of(alias).unwrap_or(alias)
    }

    /// What ebd.toml says.
    pub(super) fn toml(&self) -> &TomlFile {
        &self.toml
    }
}

/// Whether everything in a repository's folder has a meaning.
fn check(folder: &Path) -> Result<(), ConfigError> {
    for name in names_in(folder)? {
        let hidden = name.starts_with('.') || name.ends_with('~');
        if !hidden
            && !PACKAGE_FILES.contains(&name.as_str())
            && !OTHER_FILES.contains(&name.as_str())
        {
            return Err(ConfigError::Profile {
                path: folder.join(name),
                problem: "has no meaning in the folder of a repository".to_owned(),
                cure: format!(
                    "there may be {}, {}",
                    PACKAGE_FILES.join(", "),
                    OTHER_FILES.join(", ")
                ),
            });
        }
    }
    Ok(())
}

fn names_in(directory: &Path) -> Result<Vec<String>, ConfigError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(ConfigError::read(directory, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| ConfigError::read(directory, error))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Ebuild, Root};

    fn two() -> Root {
        let mut root = Root::new().file("mine/profiles/repo_name", "mine\n").file(
            "mine/metadata/layout.conf",
            "masters = gentoo\naliases = my-own\n",
        );
        root.options.extra_repos = vec![root.path("mine")];
        root
    }

    fn of(repository: &'static str, ebuild: Ebuild) -> Ebuild {
        let mut ebuild = ebuild;
        ebuild.repository = repository;
        ebuild
    }

    #[test]
    fn files_of_one_repository_apply_to_it_alone() {
        let root = two()
            .file("etc/portage/package.use", "a/b::gentoo g\n")
            .file("etc/portage/mine/package.use/x", "a/b one\n*/* all\n")
            .file("etc/portage/my-own/package.mask", ">=a/b-2\n")
            .file("etc/portage/mine/package.accept_keywords", "a/b\n")
            .file(
                "etc/portage/mine/repository.conf",
                "CFLAGS=\"-O1 -mine\"\nUSE=\"conf\"\n",
            )
            .file("etc/portage/mine/bashrc", "");
        let config = root.load();
        let one = Ebuild::new("a/b-1")
            .iuse("g one all conf")
            .keywords("~amd64");
        let (own, other) = (of("mine", one.clone()), of("gentoo", one));
        assert_eq!(own.flags(&config), "all conf one");
        assert_eq!(other.flags(&config), "g");
        assert!(own.masks(&config).is_empty());
        assert_eq!(other.masks(&config).len(), 1);
        assert_eq!(of("mine", Ebuild::new("a/b-2")).masks(&config).len(), 1);
        assert!(Ebuild::new("a/b-2").masks(&config).is_empty());
        assert_eq!(own.ask(&config).variables["CFLAGS"], "-O1 -mine");
        assert_ne!(other.ask(&config).variables["CFLAGS"], "-O1 -mine");
        assert!(own.ask(&config).bashrcs[0].ends_with("mine/bashrc"));
        assert!(other.ask(&config).bashrcs.is_empty());
    }

    #[test]
    fn an_alias_means_its_repository_in_every_file() {
        let root = two()
            .file("mine/profiles/package.mask", "a/c::my-own\n")
            .file(
                "mine/metadata/layout.conf",
                "masters = gentoo\naliases = my-own\nprofile-formats = portage-2 profile-repo-deps\n",
            )
            .file(
                "etc/portage/package.use",
                "a/b::my-own one\na/b::mine two\n=a/b-1:0::my-own three\n",
            )
            .file("etc/portage/mine/package.use", "a/b::my-own g\n")
            .file("etc/portage/package.mask", "a/b::mine\na/d::my-own\n")
            .file("etc/portage/package.unmask", "a/d::my-own\n")
            .file("etc/portage/package.accept_keywords", "a/b::my-own ~amd64\n")
            .file("etc/portage/package.license", "a/b::my-own Closed\n")
            .file("etc/portage/package.env", "a/b::my-own fast\n")
            .file("etc/portage/env/fast", "X=fast\n")
            .file("etc/portage/profile/package.use.force", "a/b::my-own forced\n")
            .file(
                "etc/portage/ebd.toml",
                "[[package]]\nmatch = \"a/b::my-own\"\nuse = [\"toml\"]\n",
            );
        let config = root.load();
        assert_eq!(config.warnings(), [""; 0]);
        let one = Ebuild::new("a/b-1")
            .iuse("one two three forced toml g")
            .keywords("~amd64")
            .license("Closed");
        let (own, other) = (of("mine", one.clone()), of("gentoo", one));
        assert_eq!(own.flags(&config), "forced g one three toml two");
        assert_eq!(other.flags(&config), "");
        assert_eq!(own.masks(&config).len(), 1);
        assert_eq!(own.ask(&config).variables["X"], "fast");
        assert!(of("mine", Ebuild::new("a/d-1")).masks(&config).is_empty());
        assert_eq!(of("mine", Ebuild::new("a/c-1")).masks(&config).len(), 1);
        // Taken away under another name than it was added.
        let root = root.file("etc/portage/package.mask", "a/b::mine\n-a/b::my-own\n");
        assert!(own.masks(&root.load()).is_empty());
    }

    #[test]
    fn tables_of_ebd_toml_may_have_aliases() {
        let root = two();
        let location = root.path("mine").display().to_string();
        let mut root = root.file(
            "etc/portage/ebd.toml",
            &format!(
                "[repositories.my-own]\nlocation = \"{location}\"\nexclude-update = true\nvariables = {{ X = \"own\" }}\n"
            ),
        );
        root.options.extra_repos.clear();
        let config = root.load();
        assert!(config.updates["mine"].exclude_update);
        let mine = of("mine", Ebuild::new("a/b-1"));
        assert_eq!(mine.ask(&config).variables["X"], "own");
    }

    #[test]
    fn a_repository_that_nobody_knows_is_told() {
        let root = two()
            .file(
                "etc/portage/package.use",
                "# note\na/b::mine x\na/b::mien x\n",
            )
            .file("etc/portage/package.mask", "a/b::elsewhere\n")
            .file("etc/portage/profile/package.use.mask", "a/b::elsewhere x\n")
            .file(
                "etc/portage/ebd.toml",
                "\n[[package]]\nmatch = \"a/b::elsewhere\"\nuse = [\"toml\"]\n",
            );
        let config = root.load();
        let base = root.path("etc/portage/").display().to_string();
        let warnings: Vec<String> = config
            .warnings()
            .iter()
            .map(|text| text.replace(&base, ""))
            .collect();
        assert_eq!(
            warnings,
            [
                "profile/package.use.mask:1: `a/b::elsewhere` matches nothing: no repository is called elsewhere; there are gentoo, mine",
                "package.use:3: `a/b::mien` matches nothing: no repository is called mien; did you mean mine?",
                "ebd.toml:4: `a/b::elsewhere` matches nothing: no repository is called elsewhere; there are gentoo, mine",
                "package.mask:1: `a/b::elsewhere` matches nothing: no repository is called elsewhere; there are gentoo, mine",
            ]
        );
    }

    #[test]
    fn options_are_read_and_what_has_no_effect_is_told() {
        let root = two()
            .file("etc/portage/some/repository.id", "mine\n")
            .file(
                "etc/portage/some/repository.conf",
                "OPTIONS=\"EXCLUDEUPDATE exclude-sync\"\n",
            )
            .file("etc/portage/repositories.prefer", "mine\n")
            .file("etc/portage/other/repository.id", "nowhere\n");
        let config = root.load();
        assert!(config.updates["mine"].exclude_update);
        assert!(!config.updates.contains_key("gentoo"));
        let warnings = config.warnings().join("\n");
        for wanted in [
            "exclude-sync has no effect yet",
            "repositories.prefer: has no effect",
            "other/repository.id: the folder has no effect: no repository is called nowhere; there are gentoo, mine",
        ] {
            assert!(warnings.contains(wanted), "{warnings}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_an_error() {
        let error = two().file("etc/portage/mine/package.usee", "").error();
        assert!(
            error.contains("mine/package.usee: has no meaning in the folder of a repository"),
            "{error}"
        );
        let error = two()
            .file("etc/portage/mine/repository.conf", "OPTIONS=\"nosuch\"\n")
            .error();
        assert!(
            error.contains("repository.conf:1: OPTIONS: `nosuch`"),
            "{error}"
        );
        let error = two()
            .file("etc/portage/mine/package.use", "a/b::gentoo x\n")
            .error();
        assert!(error.contains("is for mine alone"), "{error}");
    }
}
