//! The names of files in PKGDIR.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::pms::cpv::Cpv;

/// The format of a binary package, `BINPKG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A compressed tar archive with an XPAK segment behind it: `.xpak`, and `.tbz2` in the old layout.
    Xpak,
    /// The container of GLEP 78: `.gpkg.tar`.
    Gpkg,
}

impl Format {
    /// The name that `BINPKG_FORMAT` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xpak => "xpak",
            Self::Gpkg => "gpkg",
        }
    }

    /// What follows the build id and a dot in a file name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Xpak => "xpak",
            Self::Gpkg => "gpkg.tar",
        }
    }

    /// The format that the name of a file says.
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name.ends_with(".gpkg.tar") {
            Some(Self::Gpkg)
        } else if name.ends_with(".xpak") || name.ends_with(".tbz2") {
            Some(Self::Xpak)
        } else {
            None
        }
    }

    /// The format that a value of `BINPKG_FORMAT` names.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "xpak" => Some(Self::Xpak),
            "gpkg" => Some(Self::Gpkg),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A package in PKGDIR, as its path tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    cpv: Cpv,
    build_id: Option<u64>,
    format: Format,
    path: PathBuf,
}

impl PackageFile {
    /// Reads the name of a file in `CATEGORY/PN`, where all names have a build id.
    ///
    /// What stands before the id must be a package and a version: `foo-1.0` is no build 1.0 of anything.
    pub fn in_package(category: &str, pn: &str, file: &str) -> Option<Self> {
        let (stem, format) = match file.strip_suffix(".gpkg.tar") {
            Some(stem) => (stem, Format::Gpkg),
            None => (file.strip_suffix(".xpak")?, Format::Xpak),
        };
        let (pf, id) = stem.rsplit_once('-')?;
        let build_id = parse_build_id(id)?;
        let cpv = Cpv::from_parts(category, pf)
            .ok()
            .filter(|cpv| cpv.pn() == pn)?;
        let path = [category, pn, file].iter().collect();
        Some(Self {
            cpv,
            build_id: Some(build_id),
            format,
            path,
        })
    }

    /// Reads the name of a file in `CATEGORY`, the layout without build ids.
    pub fn in_category(category: &str, file: &str) -> Option<Self> {
        let (pf, format) = match file.strip_suffix(".gpkg.tar") {
            Some(stem) => (stem, Format::Gpkg),
            None => (file.strip_suffix(".tbz2")?, Format::Xpak),
        };
        let cpv = Cpv::from_parts(category, pf).ok()?;
        let path = [category, file].iter().collect();
        Some(Self {
            cpv,
            build_id: None,
            format,
            path,
        })
    }

    /// The package.
    pub fn cpv(&self) -> &Cpv {
        &self.cpv
    }

    /// The build id in the name.
    pub fn build_id(&self) -> Option<u64> {
        self.build_id
    }

    /// The format that the name claims.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The path below PKGDIR.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A build id as Portage writes it: decimal, from 1, without leading zeros.
pub(crate) fn parse_build_id(text: &str) -> Option<u64> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The name of a package file without its extension: `PF-BUILD_ID`, or `PF` in the layout without build ids.
pub(super) fn stem(file: &str) -> &str {
    [".gpkg.tar", ".xpak", ".tbz2"]
        .iter()
        .find_map(|extension| file.strip_suffix(extension))
        .unwrap_or(file)
}

/// The hidden name under which a package is written.
pub(super) fn partial(stem: &str) -> String {
    format!(".{stem}.partial")
}

/// The reverse of [`partial`].
pub(super) fn partial_stem(file: &str) -> Option<&str> {
    file.strip_prefix('.')?.strip_suffix(".partial")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn package(pn: &str, file: &str) -> Option<(String, u64)> {
        let package = PackageFile::in_package("cat", pn, file)?;
        Some((package.cpv().to_string(), package.build_id()?))
    }

    #[test]
    fn a_version_is_never_taken_for_a_build_id() {
        let found = |cpv: &str, id| Some((cpv.to_owned(), id));
        assert_eq!(package("foo", "foo-1.0-1.xpak"), found("cat/foo-1.0", 1));
        assert_eq!(package("foo", "foo-1-2.gpkg.tar"), found("cat/foo-1", 2));
        assert_eq!(
            package("foo", "foo-1.0-r3-12.xpak"),
            found("cat/foo-1.0-r3", 12)
        );
        assert_eq!(
            package("foo-bar", "foo-bar-1-1.xpak"),
            found("cat/foo-bar-1", 1)
        );
        for file in [
            "foo-1.xpak",
            "foo-1.0.xpak",
            "foo-1-r1.xpak",
            "foo-1-0.xpak",
            "foo-1-01.xpak",
            "foo-1-.xpak",
        ] {
            assert_eq!(package("foo", file), None, "{file}");
        }
        for file in [
            "foo-1-1.tbz2",
            "foo-1-1.xpak.partial",
            ".foo-1-1.partial",
            "foo-1-99999999999999999999.xpak",
        ] {
            assert_eq!(package("foo", file), None, "{file}");
        }
        assert_eq!(package("bar", "foo-1-1.xpak"), None);
    }

    #[test]
    fn the_old_layout_has_no_build_ids() {
        let old = PackageFile::in_category("cat", "foo-1.0-r1.tbz2").unwrap();
        assert_eq!(
            (old.cpv().as_str(), old.build_id(), old.format()),
            ("cat/foo-1.0-r1", None, Format::Xpak)
        );
        assert_eq!(
            PackageFile::in_category("cat", "foo-1.gpkg.tar")
                .unwrap()
                .format(),
            Format::Gpkg
        );
        assert!(PackageFile::in_category("cat", "foo-1-1.tbz2").is_none());
        assert!(PackageFile::in_category("cat", "foo-1-1.xpak").is_none());
        assert!(PackageFile::in_category("cat", "foo.tbz2").is_none());
    }

    proptest! {
        #[test]
        fn no_name_panics(name: String) {
            let _ = PackageFile::in_package("cat", "foo", &name);
            let _ = PackageFile::in_category("cat", &name);
            let _ = PackageFile::in_package(&name, &name, &format!("{name}-1-1.xpak"));
        }
    }
}
