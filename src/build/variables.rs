//! The variables that a build's shell starts with, and those that each phase finds anew
//! (PMS 11.1), besides what Portage sets and ebuilds of the real tree have come to read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::directories::Directories;
use crate::config::environment::is_allowed;
use crate::pms::cpv::Cpv;
use crate::pms::eapi::{Eapi, PROFILE_PREFIX, PROFILE_VARIABLES};
use crate::pms::phase::Phase;
use crate::processor::environment::BASH_VARIABLES;
use crate::processor::library::quote;

/// What the variables are made of.
#[derive(Debug, Clone)]
pub struct Sources<'a> {
    /// The package.
    pub cpv: &'a Cpv,
    /// Its EAPI.
    pub eapi: Eapi,
    /// SLOT of its metadata.
    pub slot: &'a str,
    /// Where it is built.
    pub directories: &'a Directories,
    /// The ebuild.
    pub ebuild: &'a Path,
    /// The name of its repository.
    pub repository: &'a str,
    /// The folder of the repository's first master, or its own (`PORTDIR`).
    pub master_path: &'a Path,
    /// What the configuration sets for this package.
    pub configured: &'a BTreeMap<String, String>,
    /// The enabled flags that the ebuild may see (`USE`).
    pub use_flags: &'a [String],
    /// The flags that the ebuild may ask for.
    pub iuse_effective: &'a [String],
    /// The distfiles that the enabled flags ask for (`A`), in order.
    pub distfiles: &'a [String],
    /// The distfiles that any flags could ask for (`AA`).
    pub all_distfiles: &'a [String],
    /// RESTRICT with the conditionals resolved.
    pub restrict: &'a str,
    /// PROPERTIES with the conditionals resolved.
    pub properties: &'a str,
    /// FEATURES.
    pub features: &'a str,
    /// ROOT, with a slash at its end.
    pub root: &'a Path,
    /// The folder that has `etc/portage`.
    pub config_root: &'a Path,
    /// DISTDIR as configured.
    pub distdir: &'a Path,
    /// PORTAGE_TMPDIR.
    pub tmpdir: &'a Path,
    /// The folder that has the helpers.
    pub helpers: &'a Path,
    /// User and group to build as.
    pub user: (&'a str, &'a str),
    /// Uid and gid that installed files get.
    pub installed_ids: (u32, u32),
    /// The release of the running kernel (`KV`), which an ebuild may change.
    pub kernel: &'a str,
    /// The versions of the same slot that this package would replace.
    pub replacing_versions: &'a [String],
}

/// Variables of bash that programs read too. The others would change what bash itself does.
const TERMINAL: &[&str] = &["TERM", "COLUMNS", "LINES"];

/// A list of variables; what is exported is told apart.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, (Vec<u8>, bool)>,
}

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: impl AsRef<[u8]>, exported: bool) {
        self.values
            .insert(name.to_owned(), (value.as_ref().to_vec(), exported));
    }

    pub(super) fn path(&mut self, name: &str, value: &Path, exported: bool) {
        self.set(name, value.as_os_str().as_encoded_bytes(), exported);
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name).map(|(value, _)| value.as_slice())
    }

    /// Shell text that sets the variables, wherever it is sourced.
    #[must_use]
    pub fn to_bash(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, (value, exported)) in &self.values {
            text.extend_from_slice(if *exported {
                b"declare -gx "
            } else {
                b"declare -g "
            });
            text.extend_from_slice(name.as_bytes());
            text.push(b'=');
            text.extend(quote(value));
            text.push(b'\n');
        }
        text
    }

    /// The variables as NUL-terminated NAME=VALUE, as the helpers read them.
    #[must_use]
    pub fn to_state(&self) -> Vec<u8> {
        let mut state = Vec::new();
        for (name, (value, _)) in &self.values {
            state.extend_from_slice(name.as_bytes());
            state.push(b'=');
            state.extend_from_slice(value);
            state.push(0);
        }
        state
    }

    /// All of `other`'s variables too; its values win.
    pub fn extend(&mut self, other: Self) {
        self.values.extend(other.values);
    }
}

/// Whether a name can be a shell variable.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A path with or without a slash at its end, as the EAPI wants it (PMS 11.1.3).
fn ended(path: &Path, eapi: Eapi) -> PathBuf {
    let text = path.as_os_str().as_encoded_bytes();
    let end = text
        .iter()
        .rposition(|&b| b != b'/')
        .map_or(0, |last| last + 1);
    let mut text = text.get(..end).unwrap_or_default().to_vec();
    if eapi.trailing_slash() {
        text.push(b'/');
    }
    PathBuf::from(OsString::from_vec(text))
}

impl Sources<'_> {
    /// Everything that the shell starts with, before the ebuild is sourced or, if `restored`,
    /// before the environment that an earlier shell saved is loaded.
    #[must_use]
    pub fn initial(&self, restored: bool) -> Variables {
        let mut all = Variables::default();
        let unset: Vec<&str> = self
            .configured
            .get("ENV_UNSET")
            .filter(|_| self.eapi.env_unset())
            .map(|names| names.split_whitespace().collect())
            .unwrap_or_default();
        let exports = self.eapi.exports_variables();
        let reserved: Vec<&str> = Eapi::all()
            .flat_map(|eapi| eapi.variables().map(|v| v.name))
            .collect();
        for (name, value) in self.configured {
            // What the specification defines comes from here, never from a configuration.
            let ours = reserved.contains(&name.as_str())
                || (BASH_VARIABLES.contains(&name.as_str()) && !TERMINAL.contains(&name.as_str()))
                || name.starts_with("__EBD_")
                || name.starts_with("__ebd_")
                || changes_the_shell(name)
                || UNSET.contains(&name.as_str())
                || unset.contains(&name.as_str());
            // A variable that the ebuild has unset must not come back.
            let stale = restored && !is_allowed(name);
            if is_name(name) && !ours && !stale {
                all.set(name, value, exports || !self.is_special(name));
            }
        }
        let dirs = self.directories;
        let export_locale = |all: &mut Variables| {
            // A locale in which letters have other ranges or cases breaks ebuilds (PMS 11.1.2);
            // LC_ALL would override what is set here.
            if let Some(value) = self.configured.get("LC_ALL") {
                all.values.remove("LC_ALL");
                all.set("LANG", value, true);
            }
            all.set("LC_COLLATE", "C", true);
            let ctype = self
                .configured
                .get("LC_CTYPE")
                .or_else(|| self.configured.get("LC_ALL"))
                .or_else(|| self.configured.get("LANG"));
            if ctype.is_some_and(|name| !is_plain_locale(name)) {
                all.set("LC_CTYPE", "C.UTF-8", true);
            }
        };
        export_locale(&mut all);
        all.path("EBUILD", self.ebuild, exports);
        all.set("PORTAGE_REPO_NAME", self.repository, exports);
        all.path("PORTAGE_BUILDDIR", &dirs.root, true);
        all.path("PORTAGE_TMPDIR", self.tmpdir, true);
        all.path("BUILD_PREFIX", &self.tmpdir.join("portage"), exports);
        all.path("PORTAGE_ACTUAL_DISTDIR", self.distdir, exports);
        all.path("PORTAGE_CONFIGROOT", self.config_root, exports);
        all.path("PORTAGE_BIN_PATH", self.helpers, exports);
        all.set("__EBD_RESTRICT", self.restrict, false);
        all.set("PORTAGE_RESTRICT", self.restrict, exports);
        all.set("PORTAGE_PROPERTIES", self.properties, exports);
        all.set("PORTAGE_FEATURES", self.features, exports);
        all.set("FEATURES", self.features, exports);
        all.set("PORTAGE_BUILD_USER", self.user.0, exports);
        all.set("PORTAGE_BUILD_GROUP", self.user.1, exports);
        all.set("PORTAGE_USERNAME", self.user.0, exports);
        all.set("PORTAGE_GRPNAME", self.user.1, exports);
        all.set(
            "PORTAGE_INST_UID",
            self.installed_ids.0.to_string(),
            exports,
        );
        all.set(
            "PORTAGE_INST_GID",
            self.installed_ids.1.to_string(),
            exports,
        );
        all.set("EMERGE_FROM", "ebuild", exports);
        all.set("PORTAGE_BZIP2_COMMAND", "bzip2", exports);
        all.set("PORTAGE_BUNZIP2_COMMAND", "bzip2 -d", exports);
        all.set("__EBD_IUSE_EFFECTIVE", self.iuse_effective.join(" "), false);
        if self.eapi.trailing_slash() {
            all.path("PORTDIR", self.master_path, exports);
            all.path("ECLASSDIR", &self.master_path.join("eclass"), exports);
        }
        if self.eapi.variable("KV").is_some() && !restored {
            all.set("KV", self.kernel, exports);
        }
        let mut path = self.helpers.as_os_str().as_encoded_bytes().to_vec();
        path.push(b':');
        path.extend_from_slice(
            self.configured
                .get("PATH")
                .map_or(DEFAULT_PATH, String::as_str)
                .as_bytes(),
        );
        all.set("PATH", path, true);
        all.extend(self.lasting());
        all
    }

    /// Whether a variable of the configuration has a meaning of its own in profiles (PMS 5.3.2).
    fn is_special(&self, name: &str) -> bool {
        let expands = ["USE_EXPAND", "USE_EXPAND_UNPREFIXED"]
            .into_iter()
            .any(|list| {
                let names = self.configured.get(list).map_or("", String::as_str);
                names.split_whitespace().any(|listed| listed == name)
            });
        PROFILE_VARIABLES.contains(&name) || name.starts_with(PROFILE_PREFIX) || expands
    }

    /// The variables that every phase finds with these values, whatever the one before did.
    fn lasting(&self) -> Variables {
        let mut all = Variables::default();
        let exports = self.eapi.exports_variables();
        let dirs = self.directories;
        for (name, value) in self.cpv.variables() {
            all.set(name, value, exports);
        }
        all.set("A", self.distfiles.join(" "), exports);
        if self.eapi.variable("AA").is_some() {
            all.set("AA", self.all_distfiles.join(" "), exports);
        }
        all.path("FILESDIR", &dirs.files(), exports);
        all.path("DISTDIR", &dirs.distdir(), exports);
        all.path("WORKDIR", &dirs.work(), exports);
        all.path("T", &dirs.temp(), exports);
        for name in ["TMPDIR", "TMP", "TEMP"] {
            all.path(name, &dirs.temp(), true);
        }
        all.path("HOME", &dirs.home(), true);
        let root = ended(self.root, self.eapi);
        let image = ended(&dirs.image(), self.eapi);
        all.path("ROOT", &root, exports);
        all.path("D", &image, exports);
        if self.eapi.prefix() {
            all.set("EPREFIX", "", exports);
            all.path("EROOT", &root, exports);
            all.path("ED", &image, exports);
        }
        if self.eapi.variable("SYSROOT").is_some() {
            let sysroot = self
                .configured
                .get("SYSROOT")
                .map_or(Path::new("/"), Path::new);
            let sysroot = ended(sysroot, self.eapi);
            let exported = |name| {
                let variable = self.eapi.variable(name);
                variable.is_some_and(|variable| variable.is_exported(self.eapi))
            };
            all.path("SYSROOT", &sysroot, exported("SYSROOT"));
            // PMS 11.1.1: the prefix is empty here, so each of the three cases is SYSROOT itself.
            all.path("ESYSROOT", &sysroot, exported("ESYSROOT"));
            all.set("BROOT", "", exported("BROOT"));
        }
        all.set("USE", self.use_flags.join(" "), exports);
        // What Portage says without FEATURES=ccache, which is not supported: a compiler that is ccache by itself would
        // keep what it makes in a cache that nobody has given it.
        all.set("CCACHE_DISABLE", "1", true);
        all
    }

    /// What a phase finds, besides what earlier phases left.
    #[must_use]
    pub fn for_phase(&self, phase: Phase) -> Variables {
        let mut all = self.lasting();
        let exports = self.eapi.exports_variables();
        all.set("EBUILD_PHASE", phase.name(), exports);
        if self.eapi.variable("EBUILD_PHASE_FUNC").is_some() {
            all.set("EBUILD_PHASE_FUNC", phase.function(), exports);
        }
        if self.eapi.variable("MERGE_TYPE").is_some() {
            all.set("MERGE_TYPE", "buildonly", exports);
        }
        if matches!(phase, Phase::Pretend | Phase::Setup)
            && self.eapi.variable("REPLACING_VERSIONS").is_some()
        {
            all.set(
                "REPLACING_VERSIONS",
                self.replacing_versions.join(" "),
                exports,
            );
        }
        all
    }

    /// What the helpers are told in a phase: its variables, and what they need beyond.
    #[must_use]
    pub fn for_helpers(&self, phase: Phase) -> Variables {
        let mut all = self.for_phase(phase);
        all.set("EAPI", self.eapi.name(), false);
        // Helpers tell it in messages, in EAPIs too whose ebuilds are not told.
        all.set("EBUILD_PHASE_FUNC", phase.function(), false);
        all.set("SLOT", self.slot, false);
        all.set("FEATURES", self.features, false);
        all.path("PORTAGE_BUILDDIR", &self.directories.root, false);
        all
    }

    /// Names that a phase must not find, because it is none of those that have them.
    #[must_use]
    pub fn absent_in(&self, phase: Phase) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.eapi.absent_variables().collect();
        if !matches!(phase, Phase::Pretend | Phase::Setup) {
            names.push("REPLACING_VERSIONS");
        }
        names
    }
}

/// What must not be set when a build starts (PMS 11.1), beside those that change bash itself.
const UNSET: &[&str] = &["GZIP", "BZIP", "BZIP2", "GREP_OPTIONS", "GREP_COLOR"];

/// Whether a variable of that name has a meaning for bash itself. `TERM` and the size of the
/// terminal have one for others too.
fn changes_the_shell(name: &str) -> bool {
    BASH_VARIABLES.contains(&name) && !["TERM", "LINES", "COLUMNS"].contains(&name)
}

/// Where programs are looked for if the configuration does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether letters behave in this locale as they do in the POSIX one, as far as ASCII goes.
fn is_plain_locale(name: &str) -> bool {
    name.is_empty()
        || ["C", "POSIX"].contains(&name)
        || ["C.", "en_"].iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests;
