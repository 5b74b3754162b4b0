//! From the end of `src_install` to a package in PKGDIR: the image is finished, build-info
//! written, the package packed and indexed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::build_info::{self, BuildInfoError, CONDITIONAL_KEYS, DependencyContext, InstallInfo};
use super::host::Host;
use super::image::{self, Image, ImageError, Notice, install_mask};
use super::input;
use super::make_options;
use crate::binpkg::build::{self as binary, PackageOptions, read_build_info};
use crate::binpkg::compression::{Compression, CompressionError};
use crate::binpkg::image_tar::{self, Owners};
use crate::binpkg::index::{HeaderSettings, IndexError};
use crate::binpkg::pkgdir::{Format, Pkgdir, PkgdirError, PkgdirOptions, Written};
use crate::binpkg::signature::{CommandError, Signer};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;
use crate::processor::environment::{Environment, EnvironmentError, Filter};

/// Why a package could not be made of an image.
#[derive(Debug, thiserror::Error)]
pub enum PackagingError {
    /// A step on the image failed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// build-info could not be written.
    #[error(transparent)]
    BuildInfo(#[from] BuildInfoError),
    /// The environment could not be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The environment is none.
    #[error("{}: is no environment", path.display())]
    Environment {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: EnvironmentError,
    },
    /// BINPKG_FORMAT is no format.
    #[error("BINPKG_FORMAT: {0:?} is no format (gpkg or xpak)")]
    Format(String),
    /// Signing is not set up.
    #[error("FEATURES=binpkg-signing")]
    Signing(#[from] CommandError),
    /// A package that is to be signed is of a format without signatures.
    #[error("FEATURES=binpkg-signing: an xpak cannot be signed; use --format gpkg, or unset it")]
    Unsignable,
    /// BINPKG_COMPRESS or its flags are not understood.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The package could not be packed.
    #[error(transparent)]
    Package(#[from] binary::BuildError),
    /// PKGDIR could not be used.
    #[error(transparent)]
    Pkgdir(#[from] PkgdirError),
    /// The index could not be changed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Documentation of at most so many bytes is not compressed, as in Portage.
const COMPRESS_ABOVE: u64 = 128;

/// Values of the shell's variables; a scalar has one element.
pub type ShellVariables = BTreeMap<String, Vec<Vec<u8>>>;

/// Reads what the shell wrote of its variables: NUL-terminated NAME=VALUE, and NAME[]=VALUE for
/// each element of an array.
#[must_use]
pub fn shell_variables(text: &[u8]) -> ShellVariables {
    let mut all = ShellVariables::new();
    for (name, value) in crate::processor::sourcer::pairs(text) {
        match name.strip_suffix("[]") {
            Some(array) => all.entry(array.to_owned()).or_default().push(value),
            None => {
                all.insert(name, vec![value]);
            }
        }
    }
    all
}

/// Everything that packaging needs to know; it owns it, to work in a thread of its own.
#[derive(Debug, Clone)]
pub struct Packaging {
    /// The package.
    pub cpv: Cpv,
    /// Its EAPI.
    pub eapi: Eapi,
    /// The image and the settings that all steps need.
    pub image: Image,
    /// The ebuild.
    pub ebuild: PathBuf,
    /// The name of its repository.
    pub repository: String,
    /// JSON of the revisions of the repositories that it is made of.
    pub repo_revisions: String,
    /// The variables of the shell after `src_install`.
    pub variables: ShellVariables,
    /// The file with the environment after `src_install`.
    pub environment: PathBuf,
    /// What the configuration sets for this package, and what holds where it does not.
    pub configured: BTreeMap<String, String>,
    /// IUSE of the ebuild's metadata.
    pub iuse: String,
    /// IUSE_EFFECTIVE.
    pub iuse_effective: BTreeSet<String>,
    /// The enabled flags.
    pub use_flags: BTreeSet<String>,
    /// The values of the metadata that have USE conditionals.
    pub conditional: BTreeMap<&'static str, String>,
    /// Uid and gid that the build runs as.
    pub build_ids: (u32, u32),
    /// Uid and gid that installed files get.
    pub installed_ids: (u32, u32),
    /// Whether the build runs without root, so that its files are packed as root's.
    pub unprivileged: bool,
    /// The bash that checks scripts.
    pub bash: PathBuf,
    /// Where the dynamic loader of ROOT looks for libraries.
    pub library_paths: Vec<String>,
    /// PKGDIR.
    pub pkgdir: PathBuf,
    /// The format of the package; without one that of BINPKG_FORMAT.
    pub format: Option<Format>,
    /// What the header of the index tells.
    pub header: HeaderSettings,
    /// What the package is made of, see [`input`].
    pub input: Option<String>,
}

impl Packaging {
    /// The first value of a variable of the shell, as text.
    fn variable(&self, name: &str) -> Option<String> {
        self.variables
            .get(name)?
            .first()
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// All elements of a variable of the shell, as text.
    fn elements(&self, name: &str) -> Vec<String> {
        self.variables.get(name).map_or_else(Vec::new, |values| {
            values
                .iter()
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .collect()
        })
    }

    fn configured(&self, name: &str) -> String {
        self.configured.get(name).cloned().unwrap_or_default()
    }

    /// Finishes the image and writes build-info. What is to be told is added to `notices`.
    ///
    /// # Errors
    /// A [`PackagingError`] that names the file or the check.
    pub fn finish_image(
        &self,
        installed: &Host,
        notices: &mut Vec<Notice>,
    ) -> Result<(), PackagingError> {
        let environment = self.package_environment()?;
        let first: BTreeMap<String, Vec<u8>> = self
            .variables
            .iter()
            .filter_map(|(name, values)| Some((name.clone(), values.first()?.clone())))
            .collect();
        build_info::write_install(
            &self.image,
            &InstallInfo {
                variables: &first,
                environment: &environment,
                ebuild: &self.ebuild,
                repository: Some(&self.repository),
                repo_revisions: Some(&self.repo_revisions),
                prefix_variables: self.eapi.prefix(),
            },
        )?;
        let running = installed.running();
        let context = DependencyContext {
            target: installed,
            build_host: Some(&running),
        };
        let build_time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        build_info::write_metadata(
            &self.image,
            &build_info::Metadata {
                eapi: self.eapi,
                iuse: &self.iuse,
                iuse_effective: &self.iuse_effective,
                chost: &self.image.chost,
                enabled: &self.use_flags,
                conditional: &self.conditional,
                build_time,
            },
            &context,
        )?;
        let finished = image::finish_install(&self.image, &self.image_settings())?;
        notices.extend(finished.notices);
        if self.image.feature("qa-unresolved-soname-deps")
            && let Some(requires) = &finished.requires
            && let Some(sonames) = installed.sonames()
        {
            let provided = |category: &str, soname: &str| {
                sonames.contains(&(category.to_owned(), soname.to_owned()))
            };
            let unresolved = image::soname::unresolved(&finished.needed, requires, provided);
            notices.extend(unresolved);
        }
        if !finished.needed.is_empty() {
            build_info::inject_libc_dependency(&self.image, installed)?;
        }
        Ok(())
    }

    /// How the steps on the image are to be done.
    fn image_settings(&self) -> image::Settings {
        let jobs = make_options::jobs(&self.configured("MAKEOPTS")) as usize;
        let qa: image::qa::Variables = self
            .variables
            .keys()
            .filter(|name| name.starts_with("QA_"))
            .map(|name| (name.clone(), self.elements(name)))
            .collect();
        let mut qa = qa;
        qa.apply_prebuilt();
        let program = self.configured("PORTAGE_COMPRESS");
        let set = |name: &str| self.configured.get(name).cloned();
        image::Settings {
            compress: (!program.is_empty()).then(|| image::compress::Settings {
                program,
                flags: set("PORTAGE_COMPRESS_FLAGS"),
                exclude_suffixes: self.configured("PORTAGE_COMPRESS_EXCLUDE_SUFFIXES"),
                size_limit: Some(COMPRESS_ABOVE),
                include: self.elements("__EBD_DOCOMPRESS"),
                exclude: self.elements("__EBD_DOCOMPRESS_SKIP"),
                jobs,
            }),
            strip: image::strip::Settings {
                controllable: self.eapi.dostrip(),
                include: self.elements("__EBD_DOSTRIP"),
                exclude: self.elements("__EBD_DOSTRIP_SKIP"),
                mask: self.variable("STRIP_MASK").unwrap_or_default(),
                flags: set("PORTAGE_STRIP_FLAGS"),
                jobs,
            },
            qa: image::qa::Settings {
                variables: qa,
                strict_keepdir: self.eapi.strict_keepdir(),
                multilib_strict_dirs: self.configured("MULTILIB_STRICT_DIRS"),
                multilib_strict_deny: self.configured("MULTILIB_STRICT_DENY"),
                ctarget: self.variable("CTARGET"),
                inst_uid: self.installed_ids.0,
                ebuild_dir: self.ebuild.parent().map(Path::to_owned),
                bash: self.bash.clone(),
            },
            fixup: image::fixup::Settings {
                portage_uid: self.build_ids.0,
                portage_gid: self.build_ids.1,
                inst_uid: self.installed_ids.0,
                inst_gid: self.installed_ids.1,
                symlinks_rewritten: self.eapi.symlinks_rewritten(),
            },
            html: image::fixup::HtmlDocs {
                symlinks_dir: self.configured("DOC_SYMLINKS_DIR"),
                htmldoc_dir: self.variable("HTMLDOC_DIR").unwrap_or_default(),
            },
            soname: image::soname::Settings {
                provides_exclude: self.elements("PROVIDES_EXCLUDE").join(" "),
                requires_exclude: self.elements("REQUIRES_EXCLUDE").join(" "),
                library_paths: self.library_paths.clone(),
            },
        }
    }

    /// The environment as it enters the package.
    fn package_environment(&self) -> Result<Vec<u8>, PackagingError> {
        let path = &self.environment;
        let text = std::fs::read(path).map_err(|source| PackagingError::Read {
            path: path.clone(),
            source,
        })?;
        let mut environment =
            Environment::parse(&text).map_err(|source| PackagingError::Environment {
                path: path.clone(),
                source,
            })?;
        environment.filter(&Filter::for_package());
        Ok(environment.to_bash())
    }

    /// Packs the image and adds the package to the index. The package appears whole or not at
    /// all, under a build id that nobody else has.
    ///
    /// # Errors
    /// A [`PackagingError`]; then nothing is left in PKGDIR.
    pub fn pack(&self) -> Result<Written, PackagingError> {
        let feature = |name: &str| self.image.feature(name);
        let format = package_format(self.format, &|name| self.configured.get(name).cloned())?;
        let pkgdir = Pkgdir::open(&self.pkgdir, pkgdir_options(feature))?;
        let options = PackageOptions {
            compression: package_compression(&|name| self.configured.get(name).cloned())?,
            image: image_tar::Options {
                // That of the format, when it is packed.
                layout: image_tar::Layout::default(),
                owners: if self.unprivileged {
                    Owners::RootFor {
                        uid: self.build_ids.0,
                        gid: self.build_ids.1,
                    }
                } else {
                    Owners::AsFound
                },
                xattrs: feature("xattr"),
            },
            signer: package_signer(format, feature("binpkg-signing"), &|name| {
                self.configured.get(name).cloned()
            })?,
            keep_build_id: false,
        };
        let reservation = pkgdir.reserve(&self.cpv, format)?;
        let mask = install_mask::InstallMask::new(&self.configured("PKG_INSTALL_MASK"));
        let tree = install_mask::packaging_tree(&self.image, &mask)?;
        let mut metadata = read_build_info(&self.image.build_info)?;
        if let Some(input) = &self.input {
            metadata.insert(input::FILE.to_owned(), input.clone().into_bytes());
        }
        let package = binary::write_package(&tree, metadata, reservation, &options)?;
        // Before it has its place: whoever finds the package must find its id.
        binary::record_in_build_info(&self.image.build_info, package.file.written())?;
        let written = pkgdir.publish(package.file, &self.cpv, &package.metadata, &self.header)?;
        if tree != self.image.d {
            let _ = std::fs::remove_dir_all(&tree);
        }
        Ok(written)
    }
}

/// How PKGDIR is kept, as FEATURES say.
#[must_use]
pub fn pkgdir_options(feature: impl Fn(&str) -> bool) -> PkgdirOptions {
    PkgdirOptions {
        multi_instance: feature("binpkg-multi-instance"),
        index_trusted: feature("pkgdir-index-trusted"),
        compress_index: feature("compress-index"),
    }
}

/// The format of packages: the one that was asked for, or that of BINPKG_FORMAT, or gpkg.
///
/// # Errors
/// BINPKG_FORMAT names no format.
pub fn package_format(
    asked: Option<Format>,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<Format, PackagingError> {
    let name = value("BINPKG_FORMAT").unwrap_or_default();
    match (asked, name.as_str()) {
        (Some(format), _) => Ok(format),
        (None, "") => Ok(Format::Gpkg),
        (None, name) => Format::from_name(name).ok_or(PackagingError::Format(name.to_owned())),
    }
}

/// How packages are compressed, as `BINPKG_COMPRESS` and its flags say.
///
/// # Errors
/// The compression or its flags are not understood.
pub fn package_compression(
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<Compression, CompressionError> {
    let name = value("BINPKG_COMPRESS").unwrap_or_else(|| "zstd".to_owned());
    let flags = value(&format!(
        "BINPKG_COMPRESS_FLAGS_{}",
        name.to_ascii_uppercase()
    ))
    .or_else(|| value("BINPKG_COMPRESS_FLAGS"))
    .unwrap_or_default();
    let jobs = make_options::jobs(&value("MAKEOPTS").unwrap_or_default());
    Compression::from_settings(&name, &flags, jobs)
}

/// Who signs packages, if FEATURES=binpkg-signing asks for it.
///
/// # Errors
/// The settings name no command to sign with, or packages of this format cannot be signed.
pub fn package_signer(
    format: Format,
    wanted: bool,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Signer>, PackagingError> {
    match (wanted, format) {
        (false, _) => Ok(None),
        (true, Format::Gpkg) => Ok(Some(Signer::from_settings(value)?)),
        (true, Format::Xpak) => Err(PackagingError::Unsignable),
    }
}

/// The variables whose values packaging wants from the shell after `src_install`; besides these,
/// all whose names begin with `QA_`.
#[must_use]
pub fn wanted_variables() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = build_info::wanted_variables().collect();
    names.extend([
        "EBUILD_SUCCESS_HOOKS",
        "__EBD_DOCOMPRESS",
        "__EBD_DOCOMPRESS_SKIP",
        "__EBD_DOSTRIP",
        "__EBD_DOSTRIP_SKIP",
        "HTMLDOC_DIR",
        "STRIP_MASK",
    ]);
    names
}

/// The values of the metadata that have USE conditionals, for build-info.
#[must_use]
pub fn conditional_values(value: impl Fn(&str) -> String) -> BTreeMap<&'static str, String> {
    CONDITIONAL_KEYS
        .iter()
        .map(|key| (*key, value(key)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_scalars_of_the_shell_are_told_apart() {
        let all = shell_variables(b"A=x=y\0B[]=1\0B[]=2 3\0C=\0");
        assert_eq!(all["A"], [b"x=y".to_vec()]);
        assert_eq!(all["B"], [b"1".to_vec(), b"2 3".to_vec()]);
        assert_eq!(all["C"], [Vec::<u8>::new()]);
    }
}
