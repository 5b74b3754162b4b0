//! A package made of an installed one, as `quickpkg` makes it.
//!
//! Files that the configuration protects are replaced by a note, unless they are wanted: they may have secrets. The
//! package keeps the build id that is recorded, as it is the same build; where another package has that id in PKGDIR,
//! only the name of its file has another.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::build::{BuildError, PackageOptions, read_build_info, write_package};
use super::image_tar::{Contents, Listed};
use super::index::{HeaderSettings, IndexError};
use super::pkgdir::{Format, Pkgdir, PkgdirError, Written};
use crate::pms::cpv::Cpv;
use crate::util::digest::{HashFileError, HashName, hash_file};

/// What stands in the place of a protected file.
const NOTE: &[u8] = b"# empty file because --include-config=n when `quickpkg` was used\n";

/// No package could be made of an installed one.
#[derive(Debug, thiserror::Error)]
pub enum QuickpkgError {
    /// The list of its files cannot be read.
    #[error("{}: the files of the package cannot be listed", path.display())]
    Contents {
        /// The list.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the list is not understood.
    #[error("{}:{line}: is no line of a list of files", path.display())]
    Line {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An installed file cannot be looked at.
    #[error("{}: cannot be looked at", path.display())]
    Look {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An installed file cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashFileError),
    /// It cannot be packed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// PKGDIR cannot be used.
    #[error(transparent)]
    Pkgdir(#[from] PkgdirError),
    /// The index cannot be changed, or no entry can be made.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Which protected files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configuration {
    /// None.
    Excluded,
    /// Those that are as they were installed.
    Unmodified,
    /// All.
    Included,
}

/// What the configuration protects.
#[derive(Debug, Clone, Default)]
pub struct Protection {
    protected: Vec<(Vec<u8>, bool)>,
    masked: Vec<(Vec<u8>, bool)>,
}

impl Protection {
    /// What `CONFIG_PROTECT` and `CONFIG_PROTECT_MASK` say, below `eroot`.
    #[must_use]
    pub fn new(eroot: &Path, protect: &str, mask: &str) -> Self {
        let place = |word: &str| -> PathBuf {
            // Doubled slashes and single dots go, as they do in what is asked about.
            let word = eroot.join(word.trim_start_matches('/'));
            word.components().collect()
        };
        let is_folder = |path: &Path| path.is_dir();
        let bytes = |path: PathBuf| path.into_os_string().as_bytes().to_vec();
        let protected = protect.split_whitespace().map(place);
        let masked = mask.split_whitespace().map(place);
        Self {
            protected: protected
                // What does not exist yet is protected too.
                .filter(|path| path.parent().is_some_and(Path::is_dir))
                .map(|path| (is_folder(&path), path))
                .map(|(folder, path)| (bytes(path), folder))
                .collect(),
            masked: masked
                .filter(|path| path.symlink_metadata().is_ok())
                .map(|path| (is_folder(&path), path))
                .map(|(folder, path)| (bytes(path), folder))
                .collect(),
        }
    }

    /// Whether a file is protected: the longest of what has it above it decides.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_bytes();
        let longest = |places: &[(Vec<u8>, bool)]| {
            let above = places.iter().filter(|(place, folder)| {
                let rest = path.strip_prefix(place.as_slice());
                rest.is_some_and(|rest| rest.is_empty() || (*folder && rest.starts_with(b"/")))
            });
            above.map(|(place, _)| place.len()).max().unwrap_or(0)
        };
        longest(&self.protected) > longest(&self.masked)
    }
}

/// An installed package.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its name and version.
    pub cpv: &'a Cpv,
    /// Its folder in the database of installed packages.
    pub folder: &'a Path,
    /// Where it is installed (ROOT).
    pub root: &'a Path,
}

/// How the package is made.
#[derive(Debug, Clone)]
pub struct Manner<'a> {
    /// The format.
    pub format: Format,
    /// How it is packed.
    pub options: PackageOptions,
    /// Which protected files are packed.
    pub configuration: Configuration,
    /// Which are protected.
    pub protection: &'a Protection,
    /// What the header of the index tells.
    pub header: &'a HeaderSettings,
}

/// A package that was made, and what is not as it was installed.
#[derive(Debug, Clone)]
pub struct Quick {
    /// The package.
    pub file: Written,
    /// Protected files that were left out.
    pub excluded: Vec<PathBuf>,
    /// Files that are not there any more.
    pub missing: Vec<PathBuf>,
    /// Files whose content is not what was installed, and links that lead elsewhere.
    pub changed: Vec<PathBuf>,
}

/// A line of the list of a package's files.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder,
    File { md5: String },
    Link { target: Vec<u8> },
    Other,
}

/// Makes a package of an installed one and puts it into PKGDIR and its index.
///
/// # Errors
/// The installed package cannot be read, or the package cannot be written; PKGDIR is then as it was.
pub fn quickpkg(
    pkgdir: &Pkgdir,
    source: Source<'_>,
    manner: &Manner<'_>,
) -> Result<Quick, QuickpkgError> {
    let mut metadata = read_build_info(source.folder)?;
    for (key, value) in [("CATEGORY", source.cpv.category()), ("PF", source.cpv.pf())] {
        metadata.insert(key.to_owned(), format!("{value}\n").into_bytes());
    }
    let list = source.folder.join("CONTENTS");
    let contents = contents(&list)?;
    // As in Portage, whose xpaks do without.
    if let (Format::Gpkg, Ok(text)) = (manner.format, fs::read(&list)) {
        metadata.insert("CONTENTS".to_owned(), text);
    }
    let mut quick = Found::default();
    for (path, kind) in &contents {
        quick.look(source.root, path, kind, manner)?;
    }
    let build_id = metadata.get("BUILD_ID").and_then(|value| {
        let text = String::from_utf8_lossy(value);
        text.trim().parse::<u64>().ok().filter(|id| *id > 0)
    });
    let own = match build_id {
        Some(id) if pkgdir.options().multi_instance => {
            pkgdir.reserve_id(source.cpv, manner.format, id)?
        }
        _ => None,
    };
    let place = match own {
        Some(place) => place,
        None => pkgdir.reserve(source.cpv, manner.format)?,
    };
    let options = PackageOptions {
        keep_build_id: build_id.is_some(),
        ..manner.options.clone()
    };
    let image = Contents::Listed {
        root: source.root,
        entries: &quick.entries,
    };
    let package = write_package(image, metadata, place, &options)?;
    let mut metadata = package.metadata;
    // It tells of where the package was built.
    metadata.remove("REPO_REVISIONS");
    let file = pkgdir.publish(package.file, source.cpv, &metadata, manner.header)?;
    Ok(Quick {
        file,
        excluded: quick.excluded,
        missing: quick.missing,
        changed: quick.changed,
    })
}

#[derive(Default)]
struct Found {
    entries: Vec<Listed>,
    excluded: Vec<PathBuf>,
    missing: Vec<PathBuf>,
    changed: Vec<PathBuf>,
}

impl Found {
    /// Looks at an installed file and notes how it is packed.
    fn look(
        &mut self,
        root: &Path,
        path: &[u8],
        kind: &Kind,
        manner: &Manner<'_>,
    ) -> Result<(), QuickpkgError> {
        let relative = PathBuf::from(OsStr::from_bytes(path.trim_ascii_start()))
            .components()
            .filter(|part| matches!(part, std::path::Component::Normal(_)))
            .collect::<PathBuf>();
        let mut live = root.join(&relative);
        let shown = live.clone();
        let fail = |source| QuickpkgError::Look {
            path: shown.clone(),
            source,
        };
        let metadata = match fs::symlink_metadata(&live) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                self.missing.push(live);
                return Ok(());
            }
            metadata => metadata.map_err(&fail)?,
        };
        let file_type = metadata.file_type();
        if *kind == Kind::Folder && file_type.is_symlink() && live.is_dir() {
            // It was installed as a folder, and what is in it must have one above it.
            live = live.canonicalize().map_err(&fail)?;
        } else if !(file_type.is_file() || file_type.is_dir() || file_type.is_symlink()) {
            return Ok(());
        }
        let mut content = None;
        match kind {
            Kind::File { md5 } if file_type.is_file() => {
                let found = hash_file(&live, &[HashName::Md5])?;
                let same = found
                    .get(HashName::Md5)
                    .is_some_and(|found| found.eq_ignore_ascii_case(md5));
                if !same {
                    self.changed.push(live.clone());
                }
                let packed = match manner.configuration {
                    Configuration::Included => true,
                    Configuration::Unmodified => same,
                    Configuration::Excluded => false,
                };
                if !packed && manner.protection.covers(&live) {
                    self.excluded.push(live.clone());
                    content = Some(NOTE.to_vec());
                }
            }
            Kind::Link { target } if file_type.is_symlink() => {
                let now = fs::read_link(&live).map_err(&fail)?;
                if now.as_os_str().as_bytes() != target {
                    self.changed.push(live.clone());
                }
            }
            Kind::Folder if live.is_dir() => {}
            Kind::Other => {}
            _ => self.changed.push(live.clone()),
        }
        self.entries.push(Listed {
            relative,
            path: live,
            content,
        });
        Ok(())
    }
}

/// Reads the list of a package's files, by their paths; without one the package has none.
fn contents(path: &Path) -> Result<BTreeMap<Vec<u8>, Kind>, QuickpkgError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        text => text.map_err(|source| QuickpkgError::Contents {
            path: path.to_owned(),
            source,
        })?,
    };
    let mut all = BTreeMap::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let (name, kind) = parse_line(line).ok_or_else(|| QuickpkgError::Line {
            path: path.to_owned(),
            line: number + 1,
        })?;
        all.insert(name, kind);
    }
    Ok(all)
}

/// `dir PATH`, `obj PATH MD5 TIME`, `sym PATH -> TARGET TIME`, `dev PATH`, `fif PATH`.
fn parse_line(line: &[u8]) -> Option<(Vec<u8>, Kind)> {
    let (word, rest) = line.split_at_checked(4)?;
    let before_last = |text: &'_ [u8]| -> Option<(Vec<u8>, Vec<u8>)> {
        let at = text.iter().rposition(|byte| *byte == b' ')?;
        let (before, last) = text.split_at_checked(at)?;
        Some((before.to_vec(), last.get(1..)?.to_vec()))
    };
    let found = match word {
        b"dir " => (rest.to_vec(), Kind::Folder),
        b"dev " | b"fif " => (rest.to_vec(), Kind::Other),
        b"obj " => {
            let (before, _time) = before_last(rest)?;
            let (path, md5) = before_last(&before)?;
            let md5 = String::from_utf8(md5).ok()?;
            (path, Kind::File { md5 })
        }
        b"sym " => {
            let at = rest.windows(4).position(|part| part == b" -> ")?;
            let (path, target) = rest.split_at_checked(at)?;
            let (target, _time) = before_last(target.get(4..)?)?;
            (path.to_vec(), Kind::Link { target })
        }
        _ => return None,
    };
    found.0.starts_with(b"/").then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let file = |md5: &str| Kind::File {
            md5: md5.to_owned(),
        };
        let link = |target: &[u8]| Kind::Link {
            target: target.to_vec(),
        };
        for (line, expected) in [
            ("dir /usr/a b", Some(("/usr/a b", Kind::Folder))),
            ("obj /a b c abc 12", Some(("/a b c", file("abc")))),
            ("sym /x -> y z 3", Some(("/x", link(b"y z")))),
            ("fif /p", Some(("/p", Kind::Other))),
            ("obj /a 12", None),
            ("sym /x 3", None),
            ("dir usr", None),
            ("xyz /a", None),
            ("dir", None),
        ] {
            let expected = expected.map(|(path, kind)| (path.as_bytes().to_vec(), kind));
            assert_eq!(parse_line(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn the_longest_place_decides() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for folder in ["etc/env.d/own", "usr/share"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("etc/one"), "").unwrap();
        let protection = Protection::new(
            root,
            "/etc //etc/env.d/own/ /usr/share/new /none/such",
            "/etc/env.d /etc/one /etc/nothing",
        );
        for (path, expected) in [
            ("etc/foo", true),
            ("etc", true),
            ("etcetera/foo", false),
            ("etc/env.d/x", false),
            ("etc/env.d/own/x", true),
            ("etc/one", false),
            ("etc/ones", true),
            ("etc/nothing", true),
            ("usr/share/new", true),
            ("usr/share/new/x", false),
            ("none/such", false),
        ] {
            assert_eq!(protection.covers(&root.join(path)), expected, "{path}");
        }
    }
}
