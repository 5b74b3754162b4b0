//! The files of `build-info`: what Portage records beside the image, with the same names and the
//! same bytes.
//!
//! In order: [`write_install`] when `src_install` is through, [`write_metadata`] right after it,
//! then the steps of [`image`](super::image), then [`inject_libc_dependency`] if the image has ELF
//! files. What is known only of the finished package is added by
//! [`record_in_build_info`](crate::binpkg::build::record_in_build_info).

mod dependencies;
mod libc;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use dependencies::{DependencyContext, evaluate};
pub use libc::{InstalledPackage, InstalledPackages, inject_libc_dependency, libc_packages};

use super::image::Image;
use crate::pms::dependency::DependencyError;
use crate::pms::eapi::Eapi;

/// What stops the writing of `build-info`.
#[derive(Debug, thiserror::Error)]
pub enum BuildInfoError {
    /// A file could not be read or written.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A metadata value is not a dependency specification.
    #[error("{package}: invalid {key}")]
    Dependency {
        /// The package, `category/PF`.
        package: String,
        /// The variable.
        key: &'static str,
        /// What is wrong.
        #[source]
        source: Box<DependencyError>,
    },
}

impl BuildInfoError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// Variables recorded with their blanks squeezed, in no file when nothing is left.
const SQUEEZED: [&str; 31] = [
    "CATEGORY",
    "DEFINED_PHASES",
    "FEATURES",
    "INHERITED",
    "IUSE",
    "PF",
    "PKGUSE",
    "SLOT",
    "KEYWORDS",
    "HOMEPAGE",
    "DESCRIPTION",
    "ASFLAGS",
    "CBUILD",
    "CC",
    "CFLAGS",
    "CHOST",
    "CTARGET",
    "CXX",
    "CXXFLAGS",
    "EXTRA_ECONF",
    "EXTRA_EINSTALL",
    "EXTRA_MAKE",
    "LDFLAGS",
    "LIBCFLAGS",
    "LIBCXXFLAGS",
    "QA_CONFIGURE_OPTIONS",
    "QA_DESKTOP_FILE",
    "QA_PREBUILT",
    "PROVIDES_EXCLUDE",
    "REQUIRES_EXCLUDE",
    "PKG_INSTALL_MASK",
];

/// The variables whose values [`write_install`] wants from the ebuild's shell.
pub fn wanted_variables() -> impl Iterator<Item = &'static str> {
    SQUEEZED
        .into_iter()
        .chain(["QA_AM_MAINTAINER_MODE", "USE", "EAPI"])
}

/// What [`write_install`] records.
#[derive(Debug, Clone)]
pub struct InstallInfo<'a> {
    /// Values of the ebuild's shell after `src_install`, at least of [`wanted_variables`] as far
    /// as they are set; of an array its first element, which is what `${NAME}` gives.
    pub variables: &'a BTreeMap<String, Vec<u8>>,
    /// The filtered environment, not compressed.
    pub environment: &'a [u8],
    /// The ebuild.
    pub ebuild: &'a Path,
    /// The repository's name.
    pub repository: Option<&'a str>,
    /// JSON of the revisions of the repositories that had a part, `{}` when none is known.
    pub repo_revisions: Option<&'a str>,
    /// Whether the EAPI has `EPREFIX` (3 and later).
    pub prefix_variables: bool,
}

/// Writes what is recorded at the end of the install phase: variables, the environment, the
/// ebuild, and where they come from.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn write_install(image: &Image, info: &InstallInfo<'_>) -> Result<(), BuildInfoError> {
    let value = |name: &str| info.variables.get(name).map_or(&b""[..], Vec::as_slice);
    for name in SQUEEZED {
        let text = echo(&squeeze(value(name)));
        if text != b"\n" {
            write(image, name, &text)?;
        }
    }
    let mode = value("QA_AM_MAINTAINER_MODE");
    if !mode.is_empty() {
        write(image, "QA_AM_MAINTAINER_MODE", &echo(mode))?;
    }
    write(image, "USE", &echo(value("USE")))?;
    let eapi = match value("EAPI") {
        b"" => b"0",
        eapi => eapi,
    };
    write(image, "EAPI", &echo(eapi))?;
    if info.prefix_variables && !image.eprefix.is_empty() {
        write(image, "EPREFIX", &echo(image.eprefix.as_bytes()))?;
    }
    let path = image.build_info.join("environment.bz2");
    let mut environment = Vec::new();
    crate::util::bzip2::compress(info.environment, &mut environment, 9)
        .map_err(BuildInfoError::io("compress", &path))?;
    write(image, "environment.bz2", &environment)?;
    let ebuild = fs::read(info.ebuild).map_err(BuildInfoError::io("read", info.ebuild))?;
    write(image, &format!("{}.ebuild", image.pf), &ebuild)?;
    for (name, text) in [
        ("repository", info.repository),
        ("REPO_REVISIONS", info.repo_revisions),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            write(image, name, &echo(text.as_bytes()))?;
        }
    }
    if image.feature("nostrip") || image.restricted("nostrip") || image.restricted("strip") {
        write(image, "DEBUGBUILD", b"")?;
    }
    Ok(())
}

/// The metadata of the ebuild that [`write_metadata`] evaluates and records.
#[derive(Debug, Clone)]
pub struct Metadata<'a> {
    /// The ebuild's EAPI.
    pub eapi: Eapi,
    /// `IUSE` of the ebuild's metadata, not of its shell.
    pub iuse: &'a str,
    /// Members of `IUSE_EFFECTIVE`.
    pub iuse_effective: &'a BTreeSet<String>,
    /// The configured `CHOST`, not what the ebuild made of it.
    pub chost: &'a str,
    /// The enabled USE flags.
    pub enabled: &'a BTreeSet<String>,
    /// Values of [`CONDITIONAL_KEYS`] in the ebuild's metadata.
    pub conditional: &'a BTreeMap<&'static str, String>,
    /// Seconds since 1970.
    pub build_time: u64,
}

/// The keys whose USE conditionals are resolved before they are recorded.
pub const CONDITIONAL_KEYS: [&str; 8] = [
    "BDEPEND",
    "DEPEND",
    "IDEPEND",
    "PDEPEND",
    "RDEPEND",
    "LICENSE",
    "PROPERTIES",
    "RESTRICT",
];

/// Writes the ebuild's metadata as built: conditionals resolved, `:=` bound to what is installed.
/// A key of which nothing is left has no file.
///
/// # Errors
///
/// When a value cannot be parsed or a file not written.
pub fn write_metadata(
    image: &Image,
    metadata: &Metadata<'_>,
    context: &DependencyContext<'_>,
) -> Result<(), BuildInfoError> {
    let line = |text: &str| format!("{text}\n").into_bytes();
    write(image, "BUILD_TIME", &line(&metadata.build_time.to_string()))?;
    for key in CONDITIONAL_KEYS {
        let text = match metadata.conditional.get(key) {
            Some(value) => evaluate(image, key, value, metadata.eapi, metadata.enabled, context)?,
            None => String::new(),
        };
        if text.is_empty() {
            remove(image, key)?;
        } else {
            write(image, key, &line(&text))?;
        }
    }
    write(image, "IUSE", &line(metadata.iuse))?;
    if metadata.eapi.iuse_effective() {
        let flags: Vec<_> = metadata.iuse_effective.iter().map(String::as_str).collect();
        write(image, "IUSE_EFFECTIVE", &line(&flags.join(" ")))?;
    }
    write(image, "CHOST", &line(metadata.chost))
}

fn write(image: &Image, name: &str, content: &[u8]) -> Result<(), BuildInfoError> {
    let path = image.build_info.join(name);
    fs::write(&path, content).map_err(BuildInfoError::io("write", &path))
}

fn remove(image: &Image, name: &str) -> Result<(), BuildInfoError> {
    let path = image.build_info.join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BuildInfoError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Whether `echo` takes a word for an option.
fn is_echo_option(word: &[u8]) -> bool {
    word.len() > 1
        && word.first() == Some(&b'-')
        && word.iter().skip(1).all(|byte| b"neE".contains(byte))
}

/// The words of a value with one space between them, as an unquoted expansion given to `echo -n`
/// leaves them: leading words that `echo` takes for options are gone.
fn squeeze(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = value
        .split(|byte| b" \t\n\r".contains(byte))
        .filter(|word| !word.is_empty())
        .skip_while(|word| is_echo_option(word))
        .collect();
    words.join(&b' ')
}

/// What `echo "$value"` prints.
fn echo(value: &[u8]) -> Vec<u8> {
    if is_echo_option(value) {
        return match value.contains(&b'n') {
            true => Vec::new(),
            false => b"\n".to_vec(),
        };
    }
    [value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::super::image::testing::TestImage;
    use super::*;
    use crate::claim::rows;

    fn read(test: &TestImage, name: &str) -> Option<String> {
        fs::read(test.image.build_info.join(name))
            .ok()
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn install(test: &TestImage, variables: &[(&str, &str)]) {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        let ebuild = test.image.temp.join("foo.ebuild");
        fs::write(&ebuild, "EAPI=8\n").unwrap();
        let info = InstallInfo {
            variables: &variables,
            environment: b"declare -x A=\"\"\n",
            ebuild: &ebuild,
            repository: Some("gentoo"),
            repo_revisions: Some("{}"),
            prefix_variables: true,
        };
        write_install(&test.image, &info).unwrap();
    }

    #[test]
    fn variables_are_squeezed_and_empty_ones_have_no_file() {
        let test = TestImage::new();
        install(
            &test,
            &[
                ("CATEGORY", "app-misc"),
                ("KEYWORDS", "\tamd64\n\t ~x86 \n"),
                ("CFLAGS", ""),
                ("IUSE", "  "),
                ("LDFLAGS", "-n -Wl,-O1"),
                ("QA_AM_MAINTAINER_MODE", ".*--run a  b"),
                ("USE", "a b"),
                ("EAPI", "8"),
                ("HOMEPAGE", "https://example.org/?a=*"),
            ],
        );
        assert_eq!(read(&test, "CATEGORY").unwrap(), "app-misc\n");
        assert_eq!(read(&test, "KEYWORDS").unwrap(), "amd64 ~x86\n");
        assert_eq!(read(&test, "CFLAGS"), None);
        assert_eq!(read(&test, "IUSE"), None);
        assert_eq!(read(&test, "LDFLAGS").unwrap(), "-Wl,-O1\n");
        assert_eq!(
            read(&test, "QA_AM_MAINTAINER_MODE").unwrap(),
            ".*--run a  b\n"
        );
        assert_eq!(
            read(&test, "HOMEPAGE").unwrap(),
            "https://example.org/?a=*\n"
        );
        assert_eq!(read(&test, "USE").unwrap(), "a b\n");
        assert_eq!(read(&test, "EAPI").unwrap(), "8\n");
        assert_eq!(read(&test, "repository").unwrap(), "gentoo\n");
        assert_eq!(read(&test, "REPO_REVISIONS").unwrap(), "{}\n");
        assert_eq!(read(&test, "foo-1-r2.ebuild").unwrap(), "EAPI=8\n");
        assert_eq!(read(&test, "DEBUGBUILD"), None);
        assert_eq!(read(&test, "EPREFIX"), None);
        let packed = fs::File::open(test.image.build_info.join("environment.bz2")).unwrap();
        let mut text = String::new();
        io::Read::read_to_string(&mut bzip2::read::BzDecoder::new(packed), &mut text).unwrap();
        assert_eq!(text, "declare -x A=\"\"\n");
    }

    #[test]
    fn unstripped_builds_are_marked_and_eapi_has_a_default() {
        let mut test = TestImage::new();
        test.image.restrict.insert("strip".into());
        test.image.eprefix = "/opt/gentoo".into();
        install(&test, &[]);
        assert_eq!(read(&test, "DEBUGBUILD").unwrap(), "");
        assert_eq!(read(&test, "EAPI").unwrap(), "0\n");
        assert_eq!(read(&test, "USE").unwrap(), "\n");
        assert_eq!(read(&test, "EPREFIX").unwrap(), "/opt/gentoo\n");
    }

    #[test]
    fn metadata_is_evaluated() {
        let _rows = rows(&[64]);
        let test = TestImage::new();
        let none = libc::tests::Installed::default();
        let conditional = [
            ("LICENSE", "GPL-2 doc? ( FDL-1.3 ) x? ( MIT )"),
            ("RESTRICT", "!test? ( test )"),
            ("PROPERTIES", "x? ( live )"),
            ("RDEPEND", "a/b x? ( c/d ) e/f[doc=]"),
            ("DEPEND", ""),
        ]
        .map(|(key, value)| (key, value.to_owned()))
        .into();
        fs::write(test.image.build_info.join("PROPERTIES"), "stale").unwrap();
        let mut metadata = Metadata {
            eapi: Eapi::parse("8").unwrap(),
            iuse: "",
            iuse_effective: &["b", "a"].map(String::from).into(),
            chost: "x86_64-pc-linux-gnu",
            enabled: &["doc".to_owned()].into(),
            conditional: &conditional,
            build_time: 42,
        };
        let context = DependencyContext {
            target: &none,
            build_host: None,
        };
        write_metadata(&test.image, &metadata, &context).unwrap();
        let expected = [
            ("LICENSE", Some("GPL-2 FDL-1.3\n")),
            ("RESTRICT", Some("test\n")),
            ("PROPERTIES", None),
            ("RDEPEND", Some("a/b e/f[doc]\n")),
            ("DEPEND", None),
            ("BDEPEND", None),
            ("IUSE", Some("\n")),
            ("IUSE_EFFECTIVE", Some("a b\n")),
            ("CHOST", Some("x86_64-pc-linux-gnu\n")),
            ("BUILD_TIME", Some("42\n")),
        ];
        for (name, text) in expected {
            assert_eq!(read(&test, name).as_deref(), text, "{name}");
        }
        metadata.eapi = Eapi::parse("4").unwrap();
        let test = TestImage::new();
        write_metadata(&test.image, &metadata, &context).unwrap();
        assert_eq!(read(&test, "IUSE_EFFECTIVE"), None);
    }

    #[test]
    fn echo_has_options() {
        assert_eq!(echo(b"-n"), b"");
        assert_eq!(echo(b"-eE"), b"\n");
        assert_eq!(echo(b"-x"), b"-x\n");
        assert_eq!(squeeze(b"-e  -nE a -n"), b"a -n");
    }
}
