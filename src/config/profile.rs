//! The profile: make.profile, its parents, and the user's profile on top (PMS 5.1, 5.2).

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::files::{self, Directories};
use super::repository_facts::RepositoryFacts;
use super::shell_vars::Setting;
use crate::pms::eapi::Eapi;
use crate::repo::RepositoryNames;

/// One directory of the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileNode {
    /// The directory.
    pub path: PathBuf,
    /// The EAPI of the files in it; `None` for the user's own profile without an `eapi` file,
    /// where everything is allowed that any EAPI or /etc/portage allows.
    pub eapi: Option<Eapi>,
    /// Whether package.mask and its kin may be directories.
    pub(super) directories: Directories,
    /// Whether this is /etc/portage/profile.
    pub user: bool,
    /// The profile-formats of the repository it belongs to.
    pub formats: Vec<String>,
    /// What the repositories are called.
    pub(super) names: Arc<RepositoryNames>,
}

impl ProfileNode {
    /// Stands for the built-in defaults; no file is below its path.
    pub(super) fn built_in() -> Self {
        ProfileNode {
            path: PathBuf::from("/dev/null"),
            eapi: Some(Eapi::LATEST),
            directories: Directories::Flat,
            user: false,
            formats: Vec::new(),
            names: Arc::default(),
        }
    }

    /// Whether the repository has announced an extension of the profile format.
    pub fn has_format(&self, format: &str) -> bool {
        self.formats.iter().any(|known| known == format)
    }
}

/// Finds `make.profile` below the configuration root: `etc/portage/make.profile` or the older
/// `etc/make.profile`. `None` if there is neither.
///
/// # Errors
/// It is a symlink to nothing, or no directory.
pub(super) fn find(config_root: &Path) -> Result<Option<PathBuf>, ConfigError> {
    for name in ["etc/portage/make.profile", "etc/make.profile"] {
        let path = config_root.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Ok(Some(path)),
            Ok(_) => {
                return Err(ConfigError::Profile {
                    path,
                    problem: "is not a directory".to_owned(),
                    cure: "make it a symlink to a profile with `ln -sfn`".to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Ok(target) = fs::read_link(&path) {
                    return Err(ConfigError::BrokenProfile { link: path, target });
                }
            }
            Err(error) => return Err(ConfigError::read(path, error)),
        }
    }
    Ok(None)
}

/// The profile that ebd.toml names: a path, or `REPOSITORY:PATH` below the repository's `profiles`.
///
/// # Errors
/// There is no such directory or repository.
pub(super) fn named(
    setting: &Setting,
    repositories: &[RepositoryFacts],
) -> Result<PathBuf, ConfigError> {
    let origin = &setting.origin;
    let error = |problem: String, cure: &str| {
        ConfigError::syntax(origin.file.to_path_buf(), origin.line, problem, cure)
    };
    let path = match setting.value.split_once(':') {
        Some((name, rest)) => {
            let facts = RepositoryFacts::named(repositories, name)
                .map_err(|problem| error(problem, "name one that is configured"))?;
            facts.location.join("profiles").join(rest)
        }
        None => {
            let folder = origin.file.parent().unwrap_or(Path::new("/"));
            folder.join(&setting.value)
        }
    };
    match path.is_dir() {
        true => Ok(path),
        false => Err(error(
            format!("there is no profile {}", path.display()),
            "write a path, or REPOSITORY:PATH as in \"gentoo:default/linux/amd64/23.0\"",
        )),
    }
}

/// The directories of a profile, the most basic parent first; a parent that is named twice
/// stands there twice.
///
/// # Errors
/// A parent is missing, the parents form a circle, or an EAPI is not supported.
pub(super) fn nodes(
    profile: &Path,
    repositories: &[RepositoryFacts],
) -> Result<Vec<ProfileNode>, ConfigError> {
    let start = fs::canonicalize(profile).map_err(|error| ConfigError::read(profile, error))?;
    let mut found = Vec::new();
    let mut trail = Vec::new();
    add(&start, repositories, &mut trail, &mut found)?;
    Ok(found)
}

/// The user's profile, `etc/portage/profile`, if there is one.
///
/// # Errors
/// Its `eapi` file names an EAPI that is not supported.
pub(super) fn user_node(
    config_root: &Path,
    repositories: &[RepositoryFacts],
) -> Result<Option<ProfileNode>, ConfigError> {
    let path = config_root.join("etc/portage/profile");
    if !path.exists() {
        return Ok(None);
    }
    let eapi = read_eapi(&path)?;
    Ok(Some(ProfileNode {
        path,
        eapi,
        directories: Directories::Recursive,
        user: true,
        formats: vec![
            "profile-bashrcs".to_owned(),
            "profile-set".to_owned(),
            "build-id".to_owned(),
        ],
        names: RepositoryFacts::names(repositories),
    }))
}

/// The content of the `eapi` file of a directory; `None` without one.
pub(super) fn read_eapi(directory: &Path) -> Result<Option<Eapi>, ConfigError> {
    let path = directory.join("eapi");
    let text = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ConfigError::read(path, error)),
    };
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().next().unwrap_or_default().trim();
    Eapi::parse(name)
        .map(Some)
        .map_err(|_| ConfigError::Profile {
            problem: format!("EAPI `{name}` is not supported"),
            cure: "select another profile, or update this program".to_owned(),
            path,
        })
}

fn add(
    path: &Path,
    repositories: &[RepositoryFacts],
    trail: &mut Vec<PathBuf>,
    found: &mut Vec<ProfileNode>,
) -> Result<(), ConfigError> {
    let identity = fs::canonicalize(path).map_err(|error| ConfigError::read(path, error))?;
    if trail.contains(&identity) {
        let circle: Vec<String> = trail
            .iter()
            .skip_while(|seen| **seen != identity)
            .chain(std::iter::once(&identity))
            .map(|seen| seen.display().to_string())
            .collect();
        return Err(ConfigError::Profile {
            path: trail.last().unwrap_or(&identity).join("parent"),
            problem: format!("the parents form a circle: {}", circle.join(" -> ")),
            cure: "remove one of these parent lines".to_owned(),
        });
    }
    trail.push(identity);
    // The longest path wins where one repository lies inside another.
    let repository = repositories
        .iter()
        .filter(|repository| path.starts_with(&repository.location))
        .max_by_key(|repository| repository.location.as_os_str().len());
    let eapi = match read_eapi(path)? {
        Some(eapi) => eapi,
        None => repository.map_or(Eapi::DEFAULT, |r| r.profile_eapi),
    };
    let directories = match repository {
        Some(repository)
            if !eapi.profile_file_directories() && !repository.formats_allow_directories() =>
        {
            Directories::Forbidden
        }
        _ => Directories::Flat,
    };
    let parent_file = path.join("parent");
    if parent_file.exists() {
        let parents = files::lines(&parent_file, Directories::Forbidden)?;
        if parents.is_empty() {
            return Err(ConfigError::Profile {
                path: parent_file,
                problem: "names no parent".to_owned(),
                cure: "name one or remove the file".to_owned(),
            });
        }
        for line in parents {
            let text = line.text();
            let missing = |problem: String| {
                ConfigError::syntax(
                    parent_file.clone(),
                    line.origin.line,
                    problem,
                    "correct or remove the line",
                )
            };
            let parent = resolve(path, &text, repository, repositories).map_err(missing)?;
            if !parent.is_dir() {
                return Err(missing(format!(
                    "parent `{text}` is not there: no directory {}",
                    parent.display()
                )));
            }
            add(&parent, repositories, trail, found)?;
        }
    }
    trail.pop();
    found.push(ProfileNode {
        path: path.to_path_buf(),
        eapi: Some(eapi),
        directories,
        user: false,
        formats: repository.map(|r| r.formats.clone()).unwrap_or_default(),
        names: RepositoryFacts::names(repositories),
    });
    Ok(())
}

/// The directory that a line of a parent file means.
fn resolve(
    path: &Path,
    text: &str,
    repository: Option<&RepositoryFacts>,
    repositories: &[RepositoryFacts],
) -> Result<PathBuf, String> {
    let colon_allowed =
        repository.is_none_or(|r| r.formats.iter().any(|format| format == "portage-2"));
    let joined = match text.split_once(':') {
        Some((name, rest)) if colon_allowed && !text.starts_with('/') => {
            let other = if name.is_empty() {
                repository.ok_or_else(|| {
                    format!("parent `{text}` speaks of this repository, but it is in none")
                })?
            } else {
                RepositoryFacts::named(repositories, name)
                    .map_err(|problem| format!("parent `{text}`: {problem}"))?
            };
            other.location.join("profiles").join(rest)
        }
        _ => path.join(text),
    };
    let normal = normalize(&joined);
    let inside = repository.is_some_and(|r| normal.starts_with(&r.location));
    if text.starts_with('/') || !inside {
        return Ok(fs::canonicalize(&normal).unwrap_or(normal));
    }
    Ok(normal)
}

/// Removes `.`, `..` and doubled slashes without looking at the file system.
pub(super) fn normalize(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !result.pop() && !result.has_root() {
                    result.push("..");
                }
            }
            other => result.push(other),
        }
    }
    if result.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        result
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Root;
    use super::*;
    use crate::claim::rows;

    fn profile(root: &Root) -> Vec<String> {
        let config = root.load();
        let base = root.path("");
        let nodes = config.profile_nodes().iter();
        nodes
            .map(|node| node.path.strip_prefix(&base).unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn parents_come_first_and_twice_if_named_twice() {
        let _rows = rows(&[206]);
        let root = Root::new()
            .file(
                "repo/profiles/default/parent",
                "# note\n../x\n\ngentoo:y\n../base # end\n",
            )
            .file("repo/profiles/x/parent", "../base\n")
            .file("repo/profiles/y/parent", ":base\n")
            .file("etc/portage/profile/use.mask", "");
        let expected = ["base", "x", "base", "y", "base", "default"]
            .map(|name| format!("repo/profiles/{name}"));
        assert_eq!(profile(&root)[..6], expected);
        assert_eq!(profile(&root)[6], "etc/portage/profile");
    }

    #[test]
    fn a_directory_can_be_the_profile() {
        let root = Root::new();
        std::fs::remove_file(root.path("etc/portage/make.profile")).unwrap();
        let root = root.file(
            "etc/portage/make.profile/parent",
            "gentoo:base\n../../../repo/profiles/default\n",
        );
        let expected = [
            "repo/profiles/base",
            "repo/profiles/base",
            "repo/profiles/default",
            "etc/portage/make.profile",
        ];
        assert_eq!(profile(&root), expected);
    }

    #[test]
    fn mistakes_are_named() {
        let _rows = rows(&[206]);
        let root = Root::new().file("repo/profiles/base/parent", "../default\n");
        assert_eq!(
            root.error(),
            "/repo/profiles/base/parent: the parents form a circle: /repo/profiles/default -> \
             /repo/profiles/base -> /repo/profiles/default; remove one of these parent lines"
        );
        let root = Root::new().file("repo/profiles/default/parent", "\n../gone\n");
        assert_eq!(
            root.error(),
            "/repo/profiles/default/parent:2: parent `../gone` is not there: no directory \
             /repo/profiles/gone; correct or remove the line"
        );
        let root = Root::new().file("repo/profiles/default/parent", "other:base\n");
        assert!(
            root.error()
                .contains("parent:1: parent `other:base`: no repository is called other"),
            "{}",
            root.error()
        );
        let root = Root::new().file("repo/profiles/default/parent", "# none\n");
        assert!(
            root.error().contains("parent: names no parent"),
            "{}",
            root.error()
        );
        let root = Root::new().file("repo/profiles/base/eapi", "99-new\n");
        assert!(
            root.error()
                .starts_with("/repo/profiles/base/eapi: EAPI `99-new` is not supported"),
            "{}",
            root.error()
        );
    }

    #[test]
    fn a_broken_symlink_is_an_error_and_none_is_not() {
        let root = Root::new();
        std::fs::remove_dir_all(root.path("repo/profiles/default")).unwrap();
        let error = root.error();
        assert!(
            error.starts_with(
                "/etc/portage/make.profile: is a symlink to /repo/profiles/default, which"
            ),
            "{error}"
        );
        std::fs::remove_file(root.path("etc/portage/make.profile")).unwrap();
        assert_eq!(root.load().profile(), None);
    }

    #[test]
    fn the_eapi_of_a_directory_decides_about_its_syntax() {
        let _rows = rows(&[207, 208]);
        let layout = "masters =\nprofile-formats = pms\n";
        let root = |eapi: &str| {
            Root::new()
                .file("repo/metadata/layout.conf", layout)
                .file("repo/profiles/default/eapi", eapi)
                .file("repo/profiles/default/use.mask/10", "acl\n")
        };
        assert!(
            root("7\n")
                .load()
                .get("USE")
                .unwrap()
                .split(' ')
                .all(|flag| flag != "acl")
        );
        assert!(
            root("6\n").error().contains("use.mask"),
            "{}",
            root("6\n").error()
        );
        // Without its own eapi file EAPI 0 holds, unless `profiles` itself is of EAPI 9.
        let bare = root("7\n");
        std::fs::remove_file(bare.path("repo/profiles/default/eapi")).unwrap();
        assert!(bare.try_load().is_err());
        assert!(bare.file("repo/profiles/eapi", "9\n").try_load().is_ok());
    }

    #[test]
    fn paths_are_normalized_without_looking() {
        for (from, to) in [
            ("/a/./b//c/../d", "/a/b/d"),
            ("/..", "/"),
            ("a/..", "."),
            ("../a", "../a"),
        ] {
            assert_eq!(normalize(Path::new(from)), Path::new(to), "{from}");
        }
    }
}
