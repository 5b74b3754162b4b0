//! Quality checks of the image, those of Portage's `install-qa-check.d` that change it or refuse
//! it, and the cheap ones that only tell.
//!
//! Not done here, for they need the build log, the ebuild's functions or further programs:
//! 10ignored-flags, 60bash-completion, 60pkgconfig, 60pngfix, 90cmake-warnings,
//! 90config-impl-decl, 90cython-dep, 90gcc-warnings, and scripts of repositories and the system.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::needed::NeededEntry;
use super::{Image, ImageError, Level, Notice};

mod executables;
mod libraries;
mod services;
mod tree;

/// QA variables of the ebuild by name. A scalar is an array of one element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, Vec<String>>);

impl FromIterator<(String, Vec<String>)> for Variables {
    fn from_iter<T: IntoIterator<Item = (String, Vec<String>)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Variables {
    /// The value of a scalar, the first element of an array, or nothing.
    pub fn scalar(&self, name: &str) -> String {
        self.0
            .get(name)
            .and_then(|values| values.first().cloned())
            .unwrap_or_default()
    }

    /// Whether a variable is set, were it to the empty string.
    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a `QA_STRICT_…` variable takes the package's excuses away.
    pub(crate) fn is_strict(&self, name: &str) -> bool {
        self.is_set(name)
    }

    /// The words of a variable: the elements of an array, or those of a scalar split at blanks.
    pub fn words(&self, name: &str) -> Vec<String> {
        match self.0.get(name).map(Vec::as_slice) {
            None => Vec::new(),
            Some([scalar]) => scalar.split_whitespace().map(str::to_owned).collect(),
            Some(array) => array.to_vec(),
        }
    }

    /// The same, but from `NAME_ARCH` when that has a value.
    pub fn words_for_arch(&self, name: &str, arch: &str) -> Vec<String> {
        let special = format!("{name}_{}", arch.replace('-', "_"));
        if self.scalar(&special).is_empty() {
            self.words(name)
        } else {
            self.words(&special)
        }
    }

    /// Adds the files of `QA_PREBUILT` to the excuses that follow from it, as Portage does before
    /// `src_install`. Not to be called when the ebuild's environment has been through that.
    pub fn apply_prebuilt(&mut self) {
        let prebuilt: Vec<String> = self
            .scalar("QA_PREBUILT")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        if prebuilt.is_empty() {
            return;
        }
        let mut extend = |name: &str, words: Vec<String>| {
            let entry = self.0.entry(name.to_owned()).or_default();
            match entry.as_mut_slice() {
                [] => entry.push(words.join(" ")),
                [scalar] => {
                    scalar.push(' ');
                    scalar.push_str(&words.join(" "));
                }
                _ => entry.extend(words),
            }
        };
        for name in ["QA_EXECSTACK", "QA_TEXTRELS", "QA_WX_LOAD"] {
            extend(name, prebuilt.clone());
        }
        // These hold regular expressions.
        let expressions: Vec<_> = prebuilt
            .iter()
            .map(|word| word.replace('*', ".*"))
            .collect();
        for name in [
            "QA_DT_NEEDED",
            "QA_FLAGS_IGNORED",
            "QA_PRESTRIPPED",
            "QA_SONAME",
            "QA_SONAME_NO_SYMLINK",
        ] {
            extend(name, expressions.clone());
        }
    }
}

/// What the checks need to know beside the image.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The ebuild's QA variables.
    pub variables: Variables,
    /// Whether empty directories are removed (EAPI 8 and later).
    pub strict_keepdir: bool,
    /// `MULTILIB_STRICT_DIRS`.
    pub multilib_strict_dirs: String,
    /// `MULTILIB_STRICT_DENY`: an extended regular expression of file(1)'s descriptions.
    pub multilib_strict_deny: String,
    /// `CTARGET` when set.
    pub ctarget: Option<String>,
    /// `PORTAGE_INST_UID`.
    pub inst_uid: u32,
    /// The directory of the ebuild, where `metadata.xml` is.
    pub ebuild_dir: Option<PathBuf>,
    /// The bash that checks the syntax of init scripts.
    pub bash: PathBuf,
}

/// Runs the checks in the order of their names.
///
/// # Errors
///
/// [`ImageError::Qa`] when one refuses the image, any other when one cannot be done.
pub fn check(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    tree::double_d(image, notices)?;
    tree::prefix(image)?;
    executables::check(image, settings, notices)?;
    tree::deprecated_directories(image, notices);
    tree::runtime_directories(image, notices)?;
    services::openrc(image, settings, notices)?;
    services::systemd(image, notices)?;
    services::udev(image, notices)?;
    libraries::check(image, settings, notices)?;
    libraries::multilib_strict(image, settings, notices)?;
    tree::group_writable_programs(image, settings, notices)?;
    tree::program_owners(image, settings, notices)?;
    tree::world_writable(image, notices)?;
    tree::empty_directories(image, settings, notices)
}

/// What is done when `NEEDED` stands: notices about ELF files where none are expected, and
/// `QA_SONAME_NO_SYMLINK` in build-info.
///
/// # Errors
///
/// When the file cannot be written.
pub fn after_needed(
    image: &Image,
    settings: &Settings,
    needed: &[NeededEntry],
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let value = settings.variables.scalar("QA_SONAME_NO_SYMLINK");
    if !value.is_empty() {
        let path = image.build_info.join("QA_SONAME_NO_SYMLINK");
        fs::write(&path, format!("{value}\n")).map_err(ImageError::io("write", &path))?;
    }
    if needed.is_empty() {
        return Ok(());
    }
    let all_arches = settings
        .ebuild_dir
        .as_ref()
        .and_then(|dir| fs::read_to_string(dir.join("metadata.xml")).ok())
        .is_some_and(|xml| xml.contains("<stabilize-allarches/>"));
    if all_arches {
        notices.push(Notice::new(
            Level::Qa,
            "QA Notice: <stabilize-allarches/> found on package installing ELF files",
        ));
    }
    if image.restricted("binchecks") {
        let lines: Vec<_> = needed
            .iter()
            .map(|entry| {
                let name = String::from_utf8_lossy(&entry.name);
                name.strip_prefix(&image.eprefix)
                    .unwrap_or(&name)
                    .to_owned()
            })
            .collect();
        notices.push(Notice::qa_list(
            "RESTRICT=binchecks prevented checks on these ELF files:",
            &lines,
        ));
    }
    Ok(())
}

/// Tells lines under a heading, when there are any.
fn tell(notices: &mut Vec<Notice>, heading: &str, lines: &[String]) {
    if !lines.is_empty() {
        notices.push(Notice::qa_list(heading, lines));
    }
}

/// The error of a check that refuses the image.
fn refuse(check: &'static str, reason: impl Into<String>) -> ImageError {
    ImageError::Qa {
        check,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &[&str])]) -> Variables {
        pairs
            .iter()
            .map(|(name, values)| {
                (
                    name.to_string(),
                    values.iter().map(|v| v.to_string()).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn arch_variants_win_when_they_have_a_value() {
        let v = variables(&[
            ("QA_SONAME", &["a b"]),
            ("QA_SONAME_x86_linux", &["c"]),
            ("QA_SONAME_arm", &[""]),
            ("QA_ARRAY", &["x y", "z"]),
        ]);
        assert_eq!(v.words_for_arch("QA_SONAME", "amd64"), ["a", "b"]);
        assert_eq!(v.words_for_arch("QA_SONAME", "x86-linux"), ["c"]);
        assert_eq!(v.words_for_arch("QA_SONAME", "arm"), ["a", "b"]);
        assert_eq!(v.words("QA_ARRAY"), ["x y", "z"]);
    }

    #[test]
    fn prebuilt_files_are_excused() {
        let mut v = variables(&[
            ("QA_PREBUILT", &["opt/foo/* opt/bar"]),
            ("QA_SONAME", &["x", "y"]),
            ("QA_EXECSTACK", &["z"]),
        ]);
        v.apply_prebuilt();
        assert_eq!(v.words("QA_SONAME"), ["x", "y", "opt/foo/.*", "opt/bar"]);
        assert_eq!(v.words("QA_EXECSTACK"), ["z", "opt/foo/*", "opt/bar"]);
        assert_eq!(v.words("QA_PRESTRIPPED"), ["opt/foo/.*", "opt/bar"]);
    }
}
