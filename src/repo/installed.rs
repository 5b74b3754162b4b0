//! The database of installed packages, `var/db/pkg` below a root.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::text::is_absent;
use crate::pms::atom::{Atom, FlagState, PackageFacts};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;
use crate::pms::names::NameKind;

/// A part of the database that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be read", path.display())]
pub struct InstalledError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The fields that the one-file form of a package's metadata holds; for these it is complete.
const CONSOLIDATED: &[&str] = &[
    "BDEPEND",
    "BUILD_ID",
    "BUILD_TIME",
    "CHOST",
    "COUNTER",
    "DEFINED_PHASES",
    "DEPEND",
    "DESCRIPTION",
    "EAPI",
    "HOMEPAGE",
    "IDEPEND",
    "IUSE",
    "KEYWORDS",
    "LICENSE",
    "PDEPEND",
    "PROPERTIES",
    "PROVIDES",
    "RDEPEND",
    "REQUIRES",
    "RESTRICT",
    "SLOT",
    "USE",
    "repository",
];

/// One installed package.
#[derive(Debug)]
pub struct InstalledPackage {
    cpv: Cpv,
    path: PathBuf,
    /// The one-file form, where there is one that still holds.
    consolidated: Option<HashMap<String, String>>,
    slot: String,
    subslot: String,
    repository: Option<String>,
    build_id: Option<u64>,
    enabled: BTreeSet<String>,
    known: BTreeSet<String>,
}

impl InstalledPackage {
    fn read(cpv: Cpv, path: PathBuf) -> Result<Self, InstalledError> {
        let consolidated = read_consolidated(&path)?;
        let mut package = Self {
            cpv,
            path,
            consolidated,
            slot: String::new(),
            subslot: String::new(),
            repository: None,
            build_id: None,
            enabled: BTreeSet::new(),
            known: BTreeSet::new(),
        };
        let slot = package.field("SLOT")?;
        let (slot, subslot) = slot.split_once('/').unwrap_or((&slot, &slot));
        // Nothing else could name a package without a slot.
        let valid = |slot: &str| NameKind::Slot.is_valid(slot);
        let (slot, subslot) = if valid(slot) && valid(subslot) {
            (slot, subslot)
        } else {
            ("0", "0")
        };
        (package.slot, package.subslot) = (slot.to_owned(), subslot.to_owned());
        package.repository = Some(package.field("repository")?).filter(|name| !name.is_empty());
        package.build_id = package.field("BUILD_ID")?.parse().ok();
        package.enabled = words(&package.field("USE")?);
        package.known = package
            .field("IUSE")?
            .split_whitespace()
            .map(|flag| flag.trim_start_matches(['+', '-']).to_owned())
            .collect();
        package
            .known
            .extend(words(&package.field("IUSE_EFFECTIVE")?));
        let eapi = package.field("EAPI")?;
        let eapi = Eapi::parse(if eapi.is_empty() { "0" } else { &eapi });
        if eapi.is_ok_and(|eapi| eapi.iuse_effective()) {
            // The profile may have changed since: what was enabled was part of IUSE.
            package.known.extend(package.enabled.iter().cloned());
        }
        Ok(package)
    }

    /// The directory with the package's files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A field of the package as one line, empty when it is not recorded.
    ///
    /// # Errors
    /// The file exists but cannot be read.
    pub fn field(&self, name: &str) -> Result<String, InstalledError> {
        let text = match &self.consolidated {
            Some(fields) if CONSOLIDATED.contains(&name) => {
                fields.get(name).cloned().unwrap_or_default()
            }
            _ => read_optional(&self.path.join(name))?.unwrap_or_default(),
        };
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The enabled flags, sorted; those that are not part of the package's IUSE included.
    pub fn enabled_flags(&self) -> impl Iterator<Item = &str> {
        self.enabled.iter().map(String::as_str)
    }

    /// The flags of the package's IUSE, without defaults, with all implicit ones, sorted.
    pub fn known_flags(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(String::as_str)
    }
}

impl PackageFacts for InstalledPackage {
    fn cpv(&self) -> &Cpv {
        &self.cpv
    }

    fn slot(&self) -> &str {
        &self.slot
    }

    fn subslot(&self) -> &str {
        &self.subslot
    }

    fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    fn use_flag(&self, flag: &str) -> FlagState {
        if !self.known.contains(flag) {
            FlagState::Missing
        } else if self.enabled.contains(flag) {
            FlagState::On
        } else {
            FlagState::Off
        }
    }

    fn build_id(&self) -> Option<u64> {
        self.build_id
    }
}

/// The packages installed below one root. A question about one package reads that package only;
/// what was read is kept, so this is a picture of one moment.
#[derive(Debug)]
pub struct Installed {
    directory: PathBuf,
    read: Mutex<HashMap<PathBuf, Arc<InstalledPackage>>>,
}

impl Installed {
    /// Opens the database below `root`; none when there is no such directory, or nothing in it.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn open(root: &Path) -> Result<Option<Self>, InstalledError> {
        let directory = root.join("var/db/pkg");
        if names_in(&directory)?.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            directory,
            read: Mutex::default(),
        }))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All installed packages, sorted by name, then version.
    ///
    /// # Errors
    /// A file or directory cannot be read.
    pub fn all(&self) -> Result<Vec<Arc<InstalledPackage>>, InstalledError> {
        self.select(|_| true)
    }

    /// The installed versions of `category/package`, lowest first.
    ///
    /// # Errors
    /// A file or directory cannot be read.
    pub fn versions(&self, cp: &str) -> Result<Vec<Arc<InstalledPackage>>, InstalledError> {
        let Some((category, _)) = cp.split_once('/') else {
            return Ok(Vec::new());
        };
        self.select_in(category, &|cpv| cpv.cp() == cp)
    }

    /// The repositories that the installed versions of `category/package` came from.
    ///
    /// # Errors
    /// A file or directory cannot be read.
    pub fn repositories_of(&self, cp: &str) -> Result<BTreeSet<String>, InstalledError> {
        let versions = self.versions(cp)?;
        let repositories = versions.iter().filter_map(|package| package.repository());
        Ok(repositories.map(str::to_owned).collect())
    }

    /// The installed packages that the atom matches, sorted by name, then version.
    ///
    /// # Errors
    /// A file or directory cannot be read.
    pub fn matching(&self, atom: &Atom) -> Result<Vec<Arc<InstalledPackage>>, InstalledError> {
        let mut found = if atom.is_wildcard() {
            self.select(|cpv| atom.names(cpv))?
        } else {
            self.select_in(atom.category(), &|cpv| atom.names(cpv))?
        };
        found.retain(|package| atom.matches(package.as_ref()));
        Ok(found)
    }

    /// The highest installed version that the atom matches.
    ///
    /// # Errors
    /// A file or directory cannot be read.
    pub fn best(&self, atom: &Atom) -> Result<Option<Arc<InstalledPackage>>, InstalledError> {
        let found = self.matching(atom)?;
        Ok(found
            .into_iter()
            .max_by(|a, b| a.cpv.version().cmp(b.cpv.version())))
    }

    /// Directories that no package can have: leftovers of interrupted merges, and others.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn strays(&self) -> Result<Vec<PathBuf>, InstalledError> {
        let mut strays = Vec::new();
        for category in self.categories()? {
            for name in names_in(&self.directory.join(&category))? {
                let path = self.directory.join(&category).join(&name);
                if Cpv::from_parts(&category, &name).is_err() && path.is_dir() {
                    strays.push(path);
                }
            }
        }
        Ok(strays)
    }

    fn categories(&self) -> Result<Vec<String>, InstalledError> {
        let mut names = names_in(&self.directory)?;
        names.retain(|name| NameKind::Category.is_valid(name));
        Ok(names)
    }

    fn select(
        &self,
        wanted: impl Fn(&Cpv) -> bool,
    ) -> Result<Vec<Arc<InstalledPackage>>, InstalledError> {
        let mut found = Vec::new();
        for category in self.categories()? {
            found.extend(self.select_in(&category, &wanted)?);
        }
        Ok(found)
    }

    fn select_in(
        &self,
        category: &str,
        wanted: &dyn Fn(&Cpv) -> bool,
    ) -> Result<Vec<Arc<InstalledPackage>>, InstalledError> {
        let mut found = Vec::new();
        if !NameKind::Category.is_valid(category) {
            return Ok(found);
        }
        let directory = self.directory.join(category);
        for name in names_in(&directory)? {
            let Ok(cpv) = Cpv::from_parts(category, &name) else {
                continue;
            };
            if wanted(&cpv) {
                found.extend(self.package(cpv, directory.join(&name))?);
            }
        }
        found.sort_by(|a, b| a.cpv.cmp(&b.cpv));
        Ok(found)
    }

    fn package(
        &self,
        cpv: Cpv,
        path: PathBuf,
    ) -> Result<Option<Arc<InstalledPackage>>, InstalledError> {
        let lock = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&path) {
            return Ok(Some(Arc::clone(known)));
        }
        // A stray file, or a package unmerged just now.
        if !path.is_dir() {
            return Ok(None);
        }
        let package = Arc::new(InstalledPackage::read(cpv, path.clone())?);
        lock().insert(path, Arc::clone(&package));
        Ok(Some(package))
    }
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The names in a directory, sorted, without hidden ones and those that belong to no package.
fn names_in(directory: &Path) -> Result<Vec<String>, InstalledError> {
    let error = |source| InstalledError {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(source) if is_absent(&source) => return Ok(Vec::new()),
        Err(source) => return Err(error(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.map_err(error)?.file_name().into_string()
            && !name.starts_with('.')
            && name != "CVS"
            && name != "lost+found"
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read_optional(path: &Path) -> Result<Option<String>, InstalledError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(source) if is_absent(&source) => Ok(None),
        Err(source) => Err(InstalledError {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads the `metadata` file that Portage 3.0.82 and later write beside the single fields. It
/// counts only in the format known here, and while the directory is as it was then.
fn read_consolidated(directory: &Path) -> Result<Option<HashMap<String, String>>, InstalledError> {
    let error = |source| InstalledError {
        path: directory.to_owned(),
        source,
    };
    let before = fs::metadata(directory).map_err(error)?;
    let modified = i128::from(before.mtime()) * 1_000_000_000 + i128::from(before.mtime_nsec());
    let path = directory.join("metadata");
    if !path.is_file() {
        return Ok(None);
    }
    let text = read_optional(&path)?.unwrap_or_default();
    let (mut version, mut stamp) = (None, None);
    let mut fields = HashMap::new();
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("#format=") {
            version = Some(value.trim());
        } else if let Some(value) = line.strip_prefix("#dir_mtime=") {
            stamp = value.trim().parse::<i128>().ok();
        } else if let Some((key, value)) = line.split_once('=')
            && !key.starts_with('#')
        {
            fields.insert(key.to_owned(), value.to_owned());
        }
    }
    let usable = version == Some("1") && stamp == Some(modified);
    Ok(usable.then_some(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Root(tempfile::TempDir);

    impl Root {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn package(&self, cpf: &str, fields: &[(&str, &str)]) -> PathBuf {
            let path = self.0.path().join("var/db/pkg").join(cpf);
            fs::create_dir_all(&path).unwrap();
            for (name, value) in fields {
                fs::write(path.join(name), format!("{value}\n")).unwrap();
            }
            path
        }

        fn open(&self) -> Installed {
            Installed::open(self.0.path()).unwrap().unwrap()
        }
    }

    fn found(installed: &Installed, atom: &str) -> Vec<String> {
        let atom = Atom::parse_config(atom).unwrap();
        let found = installed.matching(&atom).unwrap();
        found
            .iter()
            .map(|package| package.cpv().to_string())
            .collect()
    }

    #[test]
    fn nothing_installed_is_none() {
        let root = Root::new();
        assert!(Installed::open(root.0.path()).unwrap().is_none());
        fs::create_dir_all(root.0.path().join("var/db/pkg")).unwrap();
        assert!(Installed::open(root.0.path()).unwrap().is_none());
    }

    #[test]
    fn atoms_are_matched() {
        let root = Root::new();
        root.package(
            "dev-libs/foo-9",
            &[
                ("EAPI", "8"),
                ("SLOT", "0/9"),
                ("IUSE", "+a b"),
                ("USE", "a amd64"),
                ("repository", "gentoo"),
                ("BUILD_ID", "3"),
            ],
        );
        root.package(
            "dev-libs/foo-10-r1",
            &[("SLOT", "2"), ("IUSE", "a"), ("USE", "x")],
        );
        root.package("dev-libs/foo-bar-1", &[("SLOT", "")]);
        root.package("dev-libs/-MERGING-foo-11", &[("SLOT", "0")]);
        root.package("dev-libs/.hidden-1", &[]);
        fs::write(root.0.path().join("var/db/pkg/dev-libs/foo-12"), "").unwrap();
        fs::write(root.0.path().join("var/db/pkg/world"), "").unwrap();
        let installed = root.open();
        for (atom, expected) in [
            (
                "dev-libs/foo",
                &["dev-libs/foo-9", "dev-libs/foo-10-r1"][..],
            ),
            (">=dev-libs/foo-10", &["dev-libs/foo-10-r1"]),
            ("dev-libs/foo:0", &["dev-libs/foo-9"]),
            ("dev-libs/foo:0/9", &["dev-libs/foo-9"]),
            ("dev-libs/foo:0/2", &[]),
            ("dev-libs/foo::other", &["dev-libs/foo-10-r1"]),
            ("dev-libs/foo[a]", &["dev-libs/foo-9"]),
            ("dev-libs/foo[-a]", &["dev-libs/foo-10-r1"]),
            ("dev-libs/foo[-b]", &["dev-libs/foo-9"]),
            ("dev-libs/foo[amd64]", &["dev-libs/foo-9"]),
            ("dev-libs/foo[x]", &[]),
            ("dev-libs/none", &[]),
            ("none/foo", &[]),
            ("dev-libs/foo-bar:0", &["dev-libs/foo-bar-1"]),
        ] {
            assert_eq!(found(&installed, atom), expected, "{atom}");
        }
        assert_eq!(found(&installed, "*/*").len(), 3);
        assert_eq!(installed.all().unwrap().len(), 3);
        let best = installed
            .best(&Atom::parse_config("dev-libs/foo").unwrap())
            .unwrap()
            .unwrap();
        assert_eq!(best.cpv().pvr(), "10-r1");
        assert!(installed.strays().unwrap()[0].ends_with("-MERGING-foo-11"));
    }

    #[test]
    fn a_question_reads_one_package() {
        let root = Root::new();
        root.package("dev-libs/foo-1", &[("SLOT", "0")]);
        let other = root.package("dev-libs/bar-1", &[]);
        // Reading this one would fail: the field is a directory.
        fs::create_dir(other.join("SLOT")).unwrap();
        let installed = root.open();
        assert_eq!(found(&installed, "dev-libs/foo"), ["dev-libs/foo-1"]);
        assert!(
            installed
                .all()
                .unwrap_err()
                .path
                .ends_with("dev-libs/bar-1/SLOT")
        );
    }

    #[test]
    fn the_one_file_form_counts_while_fresh() {
        let root = Root::new();
        let path = root.package(
            "dev-libs/foo-1",
            &[("SLOT", "file"), ("RDEPEND", "a/b\n\tc/d")],
        );
        let write = |format: &str, stamp: i128| {
            let text = format!("#format={format}\nSLOT=one\n#dir_mtime={stamp}\n");
            fs::write(path.join("metadata"), text).unwrap();
        };
        write("1", 0);
        let metadata = fs::metadata(&path).unwrap();
        let now = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let slot = || {
            let installed = root.open();
            let package = installed.versions("dev-libs/foo").unwrap().remove(0);
            (package.slot().to_owned(), package.field("RDEPEND").unwrap())
        };
        assert_eq!(slot(), ("file".to_owned(), "a/b c/d".to_owned()));
        write("1", now);
        assert_eq!(slot(), ("one".to_owned(), String::new()));
        write("2", now);
        assert_eq!(slot().0, "file");
    }
}
