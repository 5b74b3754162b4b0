//! From the end of `src_install` to the packaging: what is done to the image, and what is written
//! about it, so that both equal what Portage leaves.
//!
//! The order matters, because later steps see what earlier ones did: `SIZE` is counted before
//! anything is compressed or stripped, `NEEDED` is read from unstripped files, and a file that
//! only becomes wrong by stripping is not looked at again. [`finish_install`] runs the whole
//! sequence; each step can also be called by itself.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub mod compress;
pub mod elf;
mod error;
pub mod fixup;
mod glob;
pub mod install_mask;
pub mod lafile;
pub mod machine;
pub mod needed;
mod pattern;
mod program;
pub mod qa;
pub mod soname;
pub mod strip;
#[cfg(test)]
pub(in crate::build) mod testing;
pub(crate) mod walk;

pub use error::ImageError;

/// How loud a notice is, in Portage's elog classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Progress worth a line in the log (`einfo` and what Portage prints plainly).
    Info,
    /// `ewarn`.
    Warn,
    /// `eqawarn`: a defect of the package.
    Qa,
    /// `eerror`, though the build goes on.
    Error,
}

/// Something to tell the user; `text` may have several lines, without a newline at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub level: Level,
    /// What to say.
    pub text: String,
}

impl Notice {
    /// A notice of `level`.
    pub fn new(level: Level, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
        }
    }

    /// A QA notice: a heading and indented lines under it.
    pub(crate) fn qa_list<S: AsRef<str>>(heading: &str, lines: &[S]) -> Self {
        let mut text = format!("QA Notice: {heading}");
        for line in lines {
            text.push_str("\n  ");
            text.push_str(line.as_ref());
        }
        Self::new(Level::Qa, text)
    }
}

/// The image of one package and the settings every step needs.
#[derive(Debug, Clone)]
pub struct Image {
    /// `D` without a slash at its end.
    pub d: PathBuf,
    /// `EPREFIX`: empty, or absolute without a slash at its end.
    pub eprefix: String,
    /// `PORTAGE_BUILDDIR/build-info`.
    pub build_info: PathBuf,
    /// `PORTAGE_BUILDDIR`.
    pub build_dir: PathBuf,
    /// `T`.
    pub temp: PathBuf,
    /// `ROOT`, `/` for the running system.
    pub root: PathBuf,
    /// `CATEGORY`.
    pub category: String,
    /// `PN`.
    pub pn: String,
    /// `P`.
    pub p: String,
    /// `PF`.
    pub pf: String,
    /// `SLOT` with its sub-slot.
    pub slot: String,
    /// `CHOST`.
    pub chost: String,
    /// `ARCH`.
    pub arch: String,
    /// FEATURES that are on.
    pub features: BTreeSet<String>,
    /// RESTRICT, evaluated for the enabled USE flags.
    pub restrict: BTreeSet<String>,
    /// `PATH` for programs that are run on the image.
    pub search_path: OsString,
}

impl Image {
    /// `ED` without a slash at its end.
    pub fn ed(&self) -> PathBuf {
        match self.eprefix.trim_start_matches('/') {
            "" => self.d.clone(),
            prefix => self.d.join(prefix),
        }
    }

    /// Whether a FEATURE is on.
    pub fn feature(&self, name: &str) -> bool {
        self.features.contains(name)
    }

    /// Whether RESTRICT has a token.
    pub fn restricted(&self, token: &str) -> bool {
        self.restrict.contains(token)
    }

    /// `/`-rooted name of a path inside `D`, for notices and `NEEDED`.
    pub(crate) fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.d) {
            Ok(inside) => format!("/{}", inside.to_string_lossy()),
            Err(_) => path.to_string_lossy().into_owned(),
        }
    }

    /// The path below `ED` without a slash before it.
    pub(crate) fn below_ed(&self, path: &Path) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        path.strip_prefix(self.ed())
            .unwrap_or(path)
            .as_os_str()
            .as_bytes()
            .to_vec()
    }
}

/// Everything that steers the steps of [`finish_install`] beside the image itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How documentation is compressed; `None` when `PORTAGE_COMPRESS` is empty.
    pub compress: Option<compress::Settings>,
    /// How files are stripped.
    pub strip: strip::Settings,
    /// Which quality checks apply and what the package is excused from.
    pub qa: qa::Settings,
    /// Owner mapping and names.
    pub fixup: fixup::Settings,
    /// `DOC_SYMLINKS_DIR` and `HTMLDOC_DIR`, when set.
    pub html: fixup::HtmlDocs,
    /// What is left out of PROVIDES and REQUIRES.
    pub soname: soname::Settings,
}

/// What [`finish_install`] found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// What to tell the user, in the order it came up.
    pub notices: Vec<Notice>,
    /// The ELF files of the image, in the order of `NEEDED`.
    pub needed: Vec<needed::NeededEntry>,
    /// Bytes in regular files before compression and stripping, hard links counted once.
    pub size: u64,
    /// Text of `REQUIRES`, when it was written.
    pub requires: Option<String>,
}

/// Runs every step between `src_install` and the packaging on the image, in Portage's order:
/// names, libtool archives, owners and `SIZE`; quality checks; `dir` files; compression; `NEEDED`;
/// stripping; the link to HTML documentation; `PROVIDES` and `REQUIRES`.
///
/// When [`Finished::needed`] is not empty,
/// [`inject_libc_dependency`](super::build_info::inject_libc_dependency) is due next.
///
/// # Errors
///
/// The first step that fails, or a quality check that refuses the image.
pub fn finish_install(image: &Image, settings: &Settings) -> Result<Finished, ImageError> {
    let mut notices = Vec::new();
    let size = fixup::fix(image, &settings.fixup, &mut notices)?;
    qa::check(image, &settings.qa, &mut notices)?;
    fixup::remove_info_dir(image)?;
    if image.feature("binpkg-docompress")
        && let Some(compress) = &settings.compress
    {
        compress::run(image, compress, &mut notices)?;
    }
    let needed = needed::scan(image, &mut notices)?;
    needed::write(image, &needed)?;
    qa::after_needed(image, &settings.qa, &needed, &mut notices)?;
    if image.feature("binpkg-dostrip") {
        strip::run(
            image,
            &settings.strip,
            &needed,
            &settings.qa.variables,
            &mut notices,
        )?;
    }
    fixup::link_html_docs(image, &settings.html, &mut notices)?;
    let requires = soname::write(
        image,
        &settings.soname,
        &settings.qa.variables,
        &needed,
        &mut notices,
    )?;
    Ok(Finished {
        notices,
        needed,
        size,
        requires,
    })
}
