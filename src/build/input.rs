//! What a package is made of, in a few checksums that the package keeps, so that one which was made of something else
//! is known from one that would be made now.
//!
//! The file `EBD_INPUT` of the metadata has a line for each part. Portage keeps it with the package and when it is
//! installed, and looks at none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::candidate::Candidate;
use super::directories::Directories;
use super::fetching::Distfiles;
use super::host::{Host, Place};
use super::session::Session;
use crate::pms::atom::{Atom, PackageFacts};
use crate::pms::dependency::DepSpec;
use crate::repo::manifest::Manifest;
use crate::util::digest::{HashName, MultiDigest};

/// The name of the file of the metadata.
pub const FILE: &str = "EBD_INPUT";

/// The version of what is hashed, in the first line; what another one says cannot be compared.
const VERSION: &str = "1";

/// Variables that decide what compilers make.
const FLAGS: [&str; 22] = [
    "ASFLAGS",
    "CBUILD",
    "CC",
    "CFLAGS",
    "CPPFLAGS",
    "CTARGET",
    "CXX",
    "CXXFLAGS",
    "EXTRA_ECONF",
    "EXTRA_EINSTALL",
    "EXTRA_MAKE",
    "FCFLAGS",
    "FFLAGS",
    "GOFLAGS",
    "INSTALL_MASK",
    "LDFLAGS",
    "LIBCFLAGS",
    "LIBCXXFLAGS",
    "PKG_INSTALL_MASK",
    "RUSTFLAGS",
    "STRIP_MASK",
    "PORTAGE_STRIP_FLAGS",
];

/// Parts of the input that differ between builders who want the same package.
const OF_THE_BUILDER: [&str; 2] = ["dependencies", "flags"];

/// What a package is made of: parts and their checksums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    parts: BTreeMap<String, String>,
}

impl Input {
    /// What a build of the candidate would be made of now. What cannot be read is nothing, as the build itself will
    /// say so.
    #[must_use]
    pub fn of(session: &Session, candidate: &Candidate) -> Self {
        let ebuild = &candidate.ebuild.path;
        let folder = ebuild.parent().unwrap_or(ebuild);
        let mut eclasses = candidate.entry.eclasses().unwrap_or_default();
        eclasses.sort_unstable();
        let variables = &candidate.config.variables;
        let variable = |name: &str| variables.get(name).map_or("", String::as_str);
        let flags = FLAGS.map(|name| format!("{name}={}", variable(name)));
        let use_flags: Vec<&String> = candidate.config.use_flags.iter().collect();
        let parts = [
            ("ebuild", digest(std::fs::read(ebuild).unwrap_or_default())),
            ("eclasses", digest(format!("{eclasses:?}"))),
            ("files", folder_digest(&[folder.join("files")], |_| true)),
            ("sources", digest(sources(folder, candidate))),
            ("patches", patches(session, candidate)),
            ("USE", digest(format!("{use_flags:?}"))),
            ("CHOST", digest(variable("CHOST"))),
            ("flags", digest(flags.join("\n"))),
            ("dependencies", digest(dependencies(session, candidate))),
        ];
        Self {
            parts: parts.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// The text of the file: the version with a checksum of everything, then the parts.
    #[must_use]
    pub fn to_text(&self) -> String {
        let parts: String = self
            .parts
            .iter()
            .map(|(name, value)| format!("{name} {value}\n"))
            .collect();
        format!("{VERSION} {}\n{parts}", digest(&parts))
    }

    /// Reads the text of the file; nothing if it is of another version, or none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (first, parts) = text.split_once('\n')?;
        let (version, whole) = first.split_once(' ')?;
        if version != VERSION || digest(parts) != whole {
            return None;
        }
        let mut found = BTreeMap::new();
        for line in parts.lines() {
            let (name, value) = line.split_once(' ')?;
            found.insert(name.to_owned(), value.to_owned());
        }
        Some(Self { parts: found })
    }

    /// The parts that differ. Without `whole` only those that decide what the package is: which flags compilers get and
    /// with what it was built is the builder's own.
    #[must_use]
    pub fn differences(&self, other: &Self, whole: bool) -> Vec<String> {
        let names: BTreeSet<&String> = self.parts.keys().chain(other.parts.keys()).collect();
        names
            .into_iter()
            .filter(|name| whole || !OF_THE_BUILDER.contains(&name.as_str()))
            // It is looked at by itself, where it is to be the same.
            .filter(|name| whole || *name != "USE")
            .filter(|name| self.parts.get(*name) != other.parts.get(*name))
            .cloned()
            .collect()
    }

    /// Keeps it with a build that begins, for its package. Whatever becomes of its files, this is what it was made of.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, directories: &Directories) -> std::io::Result<()> {
        let path = kept(directories);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, self.to_text())
    }
}

/// What is kept with a build.
#[must_use]
pub fn of_build(directories: &Directories) -> Option<String> {
    std::fs::read_to_string(kept(directories)).ok()
}

fn kept(directories: &Directories) -> PathBuf {
    directories.kept().join("input")
}

fn digest(bytes: impl AsRef<[u8]>) -> String {
    let hex = HashName::Sha512.hex(bytes.as_ref());
    hex.get(..32).unwrap_or_default().to_owned()
}

/// A checksum of the files below folders that are wanted: their names and what is in them.
fn folder_digest(folders: &[PathBuf], wanted: impl Fn(&Path) -> bool) -> String {
    let mut whole = MultiDigest::new(&[HashName::Sha512]);
    for folder in folders {
        let found = walkdir::WalkDir::new(folder)
            .sort_by_file_name()
            .into_iter()
            .flatten();
        for entry in found.filter(|entry| entry.path().is_file() && wanted(entry.path())) {
            let path = entry.path();
            let content = std::fs::read(path).unwrap_or_default();
            let name = path.strip_prefix(folder).unwrap_or(path);
            whole.update(name.as_os_str().as_encoded_bytes());
            whole.update(format!("\0{}\0", content.len()).as_bytes());
            whole.update(&content);
        }
    }
    let digests = whole.finish();
    let hex = digests.get(HashName::Sha512).unwrap_or_default();
    hex.get(..32).unwrap_or_default().to_owned()
}

/// What the Manifest says of the distfiles.
fn sources(folder: &Path, candidate: &Candidate) -> String {
    let manifest = Manifest::read(folder).ok().flatten();
    let wanted = Distfiles::of(candidate).map_or_else(|_| Vec::new(), |files| files.wanted);
    let mut lines: Vec<String> = wanted
        .iter()
        .map(|name| {
            let entry = manifest.as_ref().and_then(|it| it.distfile(name));
            let mut hashes = entry.map_or_else(Vec::new, |entry| entry.hashes.to_vec());
            hashes.sort();
            format!("{name} {hashes:?}")
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// The user's patches, looked for where `eapply_user` looks.
fn patches(session: &Session, candidate: &Candidate) -> String {
    let cpv = candidate.cpv();
    let base = session.config.config_root().join("etc/portage/patches");
    let mut folders = Vec::new();
    // With the revision even if it is r0, which the name of the package does not have.
    let revision = format!("{}-{}", cpv.p(), cpv.pr());
    for name in [cpv.pn(), cpv.p(), &revision] {
        for name in [name.to_owned(), format!("{name}:{}", candidate.slot())] {
            folders.push(base.join(cpv.category()).join(name));
        }
    }
    let is_patch = |path: &Path| {
        let extension = path.extension().unwrap_or_default();
        extension == "patch" || extension == "diff"
    };
    folder_digest(&folders, is_patch)
}

/// Which builds of its dependencies are installed.
fn dependencies(session: &Session, candidate: &Candidate) -> String {
    let host: &Host = &session.installed;
    let for_sysroot = match candidate.eapi.bdepend() {
        true => Place::Sysroot,
        false => Place::Running,
    };
    let mut found = BTreeSet::new();
    for (key, place) in [
        ("DEPEND", for_sysroot),
        ("BDEPEND", Place::Running),
        ("RDEPEND", Place::Sysroot),
    ] {
        let Ok(spec) = candidate.evaluated(key, DepSpec::parse_dependencies) else {
            continue;
        };
        for atom in spec
            .leaves()
            .filter(|atom: &&Atom| atom.blocker().is_none())
        {
            if let Some(instance) = host.instance(place, atom) {
                found.insert(format!("{key} {instance}"));
            }
        }
    }
    found.into_iter().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(parts: &[(&str, &str)]) -> Input {
        Input {
            parts: parts
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let one = input(&[("ebuild", "ab"), ("USE", "cd")]);
        let text = one.to_text();
        assert_eq!(Input::parse(text.as_bytes()), Some(one));
        for bad in [
            String::new(),
            text.replacen('1', "2", 1),
            text.replace("ab", "ba"),
            format!("{text}x"),
        ] {
            assert_eq!(Input::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn parts_of_the_builder_count_only_if_the_whole_does() {
        let one = input(&[("ebuild", "a"), ("flags", "b"), ("USE", "c")]);
        let other = input(&[("ebuild", "a"), ("flags", "x"), ("USE", "y"), ("new", "z")]);
        assert_eq!(one.differences(&other, false), ["new"]);
        assert_eq!(one.differences(&other, true), ["USE", "flags", "new"]);
        assert!(one.differences(&one, true).is_empty());
    }

    #[test]
    fn folders_are_told_apart_by_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let all = || folder_digest(&[folder.path().to_owned()], |_| true);
        let empty = all();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert_eq!(all(), empty);
        std::fs::write(folder.path().join("a/b"), "x").unwrap();
        let one = all();
        std::fs::rename(folder.path().join("a/b"), folder.path().join("a/c")).unwrap();
        let renamed = all();
        std::fs::write(folder.path().join("a/c"), "y").unwrap();
        let changed = all();
        assert_eq!(BTreeSet::from([empty, one, renamed, changed]).len(), 4);
    }
}
