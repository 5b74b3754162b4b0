//! One repository.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;

use super::text::{is_absent, lines, read_optional};
use super::{Layout, RepoError};
use crate::pms::cpv::Cpv;
use crate::pms::names::NameKind;

/// An ebuild file.
#[derive(Debug, Clone)]
pub struct Ebuild {
    /// The package version that the file's place and name give.
    pub cpv: Cpv,
    /// The file.
    pub path: PathBuf,
    /// The name of its repository.
    pub repository: Arc<str>,
}

/// A file that ends in `.ebuild` but can be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEbuild {
    /// The file.
    pub path: PathBuf,
    /// Why it is none.
    pub reason: String,
}

/// The ebuilds of one package in one repository.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// The ebuilds, lowest version first.
    pub ebuilds: Vec<Ebuild>,
    /// Files with names that no ebuild can have.
    pub invalid: Vec<InvalidEbuild>,
}

/// An ebuild repository at one location (PMS 4).
#[derive(Debug)]
pub struct Repository {
    name: Arc<str>,
    named: bool,
    location: PathBuf,
    layout: Layout,
    categories: OnceLock<Vec<String>>,
}

impl Repository {
    /// Opens the repository at `path`. Its name is `repo-name` of `metadata/layout.conf`, or
    /// the first line of `profiles/repo_name`, or, where both are missing, `x-` and the
    /// directory's name.
    ///
    /// # Errors
    /// There is no directory, or one of these files cannot be read or understood.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RepoError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(RepoError::NoDirectory {
                path: path.to_owned(),
            });
        }
        let location = fs::canonicalize(path).map_err(RepoError::read(path))?;
        let layout = Layout::read(&location)?;
        let own = match &layout.repo_name {
            Some(name) => Some(name.clone()),
            None => read_optional(&location.join("profiles/repo_name"))?
                .and_then(|text| tidy_name(text.lines().next().unwrap_or_default())),
        };
        let named = own.is_some();
        let name = own.unwrap_or_else(|| {
            let base = location.file_name().unwrap_or_default().to_string_lossy();
            tidy_name(&format!("x-{base}")).unwrap_or_else(|| "x".to_owned())
        });
        Ok(Self {
            name: name.into(),
            named,
            location,
            layout,
            categories: OnceLock::new(),
        })
    }

    /// Replaces the name, for a repository that gives itself none.
    pub(super) fn rename(&mut self, name: &str) {
        self.name = name.into();
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True when the repository itself says how it is called.
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// The directory, without symbolic links.
    pub fn location(&self) -> &Path {
        &self.location
    }

    /// What `metadata/layout.conf` says.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The directory with the repository's own eclasses.
    pub fn eclass_dir(&self) -> PathBuf {
        self.location.join("eclass")
    }

    /// The directory with the repository's own licenses.
    pub fn license_dir(&self) -> PathBuf {
        self.location.join("licenses")
    }

    /// The directory of the metadata cache that is shipped with the repository.
    pub fn md5_cache_dir(&self) -> PathBuf {
        self.location.join("metadata/md5-cache")
    }

    /// The cache formats in use: those of `layout.conf`, else those whose directories exist.
    pub fn cache_formats(&self) -> Vec<String> {
        if !self.layout.cache_formats.is_empty() {
            return self.layout.cache_formats.clone();
        }
        [
            ("md5-dict", "metadata/md5-cache"),
            ("pms", "metadata/cache"),
        ]
        .into_iter()
        .filter(|(_, directory)| self.location.join(directory).is_dir())
        .map(|(format, _)| format.to_owned())
        .collect()
    }

    /// The lines of `profiles/categories`, as they are written. What they mean together with those of other
    /// repositories, [`RepoSet::categories`](super::RepoSet::categories) tells.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn listed_categories(&self) -> Result<&[String], RepoError> {
        if let Some(known) = self.categories.get() {
            return Ok(known);
        }
        let listed = lines(&self.location.join("profiles/categories"))?;
        Ok(self.categories.get_or_init(|| listed))
    }

    /// The names of the packages in a category, sorted: its directories that hold an ebuild, or cannot be read.
    /// A category without a directory has none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn packages(&self, category: &str) -> Result<Vec<String>, RepoError> {
        if !NameKind::Category.is_valid(category) {
            return Ok(Vec::new());
        }
        let directory = self.location.join(category);
        let mut found = Vec::new();
        for name in names_in(&directory)? {
            if !NameKind::Package.is_valid(&name) {
                continue;
            }
            let package = directory.join(&name);
            // One that cannot be read is told of when its ebuilds are asked for.
            let has = |names: Vec<String>| names.iter().any(|file| is_ebuild(file));
            let is_package = match fs::metadata(&package) {
                Ok(it) => it.is_dir() && names_in(&package).map_or(true, has),
                Err(error) => !is_absent(&error),
            };
            if is_package {
                found.push(name);
            }
        }
        found.sort();
        Ok(found)
    }

    /// The ebuilds of `category/package`, lowest version first, and the files that look like
    /// ebuilds but have names that no ebuild of this package can have (PMS 4.3, 3.2). A package
    /// that is not there has none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn ebuilds(&self, cp: &str) -> Result<Package, RepoError> {
        let mut package = Package::default();
        let Some((category, pn)) = cp.split_once('/') else {
            return Ok(package);
        };
        if !NameKind::Category.is_valid(category) || !NameKind::Package.is_valid(pn) {
            return Ok(package);
        }
        let directory = self.location.join(cp);
        for name in all_names_in(&directory)? {
            let path = directory.join(&name);
            let Ok(name) = name.into_string() else {
                if path.extension() == Some("ebuild".as_ref()) {
                    package.invalid.push(InvalidEbuild {
                        path,
                        reason: "its name is not UTF-8".to_owned(),
                    });
                }
                continue;
            };
            let Some(pf) = name.strip_suffix(".ebuild").filter(|_| is_ebuild(&name)) else {
                continue;
            };
            match Cpv::from_parts(category, pf) {
                Ok(cpv) if cpv.pn() == pn => package.ebuilds.push(Ebuild {
                    cpv,
                    path,
                    repository: Arc::clone(&self.name),
                }),
                Ok(cpv) => package.invalid.push(InvalidEbuild {
                    path,
                    reason: format!("its package name is {}, not {pn}", cpv.pn()),
                }),
                Err(error) => {
                    package.invalid.push(InvalidEbuild {
                        path,
                        reason: error.to_string(),
                    });
                }
            }
        }
        package
            .ebuilds
            .sort_by(|a, b| a.cpv.cmp(&b.cpv).then_with(|| a.path.cmp(&b.path)));
        let mut kept: Vec<Ebuild> = Vec::with_capacity(package.ebuilds.len());
        for ebuild in std::mem::take(&mut package.ebuilds) {
            match kept.last() {
                Some(last) if last.cpv == ebuild.cpv => package.invalid.push(InvalidEbuild {
                    reason: format!("the same version as {}", last.path.display()),
                    path: ebuild.path,
                }),
                _ => kept.push(ebuild),
            }
        }
        package.ebuilds = kept;
        package.invalid.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(package)
    }

    /// The architectures of `profiles/arch.list`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn arch_list(&self) -> Result<Vec<String>, RepoError> {
        lines(&self.location.join("profiles/arch.list"))
    }

    /// Mirror groups of `profiles/thirdpartymirrors`: name to base URIs.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn third_party_mirrors(&self) -> Result<IndexMap<String, Vec<String>>, RepoError> {
        let mut mirrors: IndexMap<String, Vec<String>> = IndexMap::new();
        for line in lines(&self.location.join("profiles/thirdpartymirrors"))? {
            let mut words = line.split_whitespace().map(str::to_owned);
            if let Some(name) = words.next() {
                mirrors.entry(name).or_default().extend(words);
            }
        }
        Ok(mirrors)
    }

    /// Descriptions of global USE flags, `profiles/use.desc`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn use_descriptions(&self) -> Result<IndexMap<String, String>, RepoError> {
        descriptions(&self.location.join("profiles/use.desc"))
    }

    /// Descriptions of the values of one USE_EXPAND variable, `profiles/desc/<name>.desc`,
    /// where the name is in lower case.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn use_expand_descriptions(
        &self,
        variable: &str,
    ) -> Result<IndexMap<String, String>, RepoError> {
        let name = variable.to_ascii_lowercase();
        if !NameKind::UseFlag.is_valid(&name) {
            return Ok(IndexMap::new());
        }
        descriptions(
            &self
                .location
                .join("profiles/desc")
                .join(format!("{name}.desc")),
        )
    }

    /// Descriptions of USE flags of single packages, `profiles/use.local.desc`, keyed by
    /// `category/package:flag`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn local_use_descriptions(&self) -> Result<IndexMap<String, String>, RepoError> {
        descriptions(&self.location.join("profiles/use.local.desc"))
    }
}

/// `key - description` lines; a `#` within one begins no comment.
fn descriptions(path: &Path) -> Result<IndexMap<String, String>, RepoError> {
    let text = read_optional(path)?.unwrap_or_default();
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once(" - "))
        .map(|(flag, text)| (flag.trim().to_owned(), text.trim().to_owned()))
        .collect())
}

/// The UTF-8 names in a directory that are not hidden; none when there is no directory.
fn names_in(directory: &Path) -> Result<Vec<String>, RepoError> {
    let names = all_names_in(directory)?.into_iter();
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}

/// The names in a directory that are not hidden; none when there is no directory.
fn all_names_in(directory: &Path) -> Result<Vec<OsString>, RepoError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(RepoError::read(directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RepoError::read(directory))?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    Ok(names)
}

fn is_ebuild(name: &str) -> bool {
    name.ends_with(".ebuild")
}

/// A repository name as Portage tidies it: what no name may hold becomes a hyphen.
pub(super) fn tidy_name(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let words: Vec<&str> = text
        .split(|c| !allowed(c))
        .filter(|word| !word.is_empty())
        .collect();
    let joined = words.join("-");
    let name = joined.trim_start_matches('-');
    if name.is_empty() {
        None
    } else {
        Some(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn names_come_from_the_repository() {
        let directory = repository(&[("profiles/repo_name", "my repo!\nx\n")]);
        let opened = Repository::open(directory.path()).unwrap();
        assert_eq!(opened.name(), "my-repo");
        let directory = repository(&[
            ("profiles/repo_name", "a\n"),
            ("metadata/layout.conf", "repo-name = b\n"),
        ]);
        assert_eq!(Repository::open(directory.path()).unwrap().name(), "b");
        let directory = repository(&[("x", "")]);
        let opened = Repository::open(directory.path()).unwrap();
        assert!(opened.name().starts_with("x-") && !opened.is_named());
        let error = Repository::open(directory.path().join("none")).unwrap_err();
        assert!(matches!(error, RepoError::NoDirectory { .. }));
    }

    #[test]
    fn ebuilds_are_sorted_and_bad_names_reported() {
        let directory = repository(&[
            ("profiles/categories", "app-misc # here\n\nsys-apps\n"),
            ("app-misc/foo/foo-10.ebuild", ""),
            ("app-misc/foo/foo-9.ebuild", ""),
            ("app-misc/foo/foo-9-r0.ebuild", ""),
            ("app-misc/foo/foo-9_rc1.ebuild", ""),
            ("app-misc/foo/bar-1.ebuild", ""),
            ("app-misc/foo/foo-1.x.ebuild", ""),
            ("app-misc/foo/.foo-1.ebuild", ""),
            ("app-misc/foo/Manifest", ""),
            ("app-misc/metadata.xml", ""),
            ("app-misc/empty/metadata.xml", ""),
        ]);
        let opened = Repository::open(directory.path()).unwrap();
        assert_eq!(
            opened.listed_categories().unwrap(),
            ["app-misc", "sys-apps"]
        );
        assert_eq!(opened.packages("app-misc").unwrap(), ["foo"]);
        assert!(opened.packages("sys-apps").unwrap().is_empty());
        let package = opened.ebuilds("app-misc/foo").unwrap();
        let versions: Vec<_> = package.ebuilds.iter().map(|e| e.cpv.p()).collect();
        assert_eq!(versions, ["foo-9_rc1", "foo-9", "foo-10"]);
        assert_eq!(package.invalid.len(), 3);
        assert!(opened.ebuilds("app-misc/../x").unwrap().ebuilds.is_empty());
        assert!(opened.ebuilds("none/none").unwrap().ebuilds.is_empty());
    }

    #[test]
    fn profile_files_are_read() {
        let directory = repository(&[
            ("profiles/arch.list", "# Prefixes\namd64\n\narm64\n"),
            ("profiles/thirdpartymirrors", "gnu\thttps://a/ https://b/\n"),
            ("profiles/use.desc", "# x\nacl - Add support for ACLs #1\n"),
            ("profiles/desc/abi_x86.desc", "64 - 64-bit libraries\n"),
        ]);
        let opened = Repository::open(directory.path()).unwrap();
        assert_eq!(opened.arch_list().unwrap(), ["amd64", "arm64"]);
        assert_eq!(
            opened.third_party_mirrors().unwrap()["gnu"],
            ["https://a/", "https://b/"]
        );
        assert_eq!(
            opened.use_descriptions().unwrap()["acl"],
            "Add support for ACLs #1"
        );
        assert!(
            opened
                .use_expand_descriptions("ABI_X86")
                .unwrap()
                .contains_key("64")
        );
        assert!(opened.local_use_descriptions().unwrap().is_empty());
    }
}
