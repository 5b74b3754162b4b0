//! What the shell functions `into`, `insinto`, `exeinto`, `docinto`, `insopts`, `exeopts`,
//! `diropts` and `libopts` have set (PMS 11.3.3.10).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::env::HelperEnv;
use super::error::HelperError;

impl HelperEnv {
    /// A directory below the one set by `into`.
    pub(super) fn below_desttree(
        &self,
        helper: &str,
        subdirectory: &str,
    ) -> Result<PathBuf, HelperError> {
        let tree = self.ebuild_variable(helper, "DESTTREE", "__EBD_DESTTREE", "into", "/usr")?;
        Ok(self.in_image(&tree)?.join(subdirectory))
    }

    /// The directory set by `insinto`; the root of the image before it was called.
    pub(super) fn insdesttree(&self, helper: &str) -> Result<OsString, HelperError> {
        self.ebuild_variable(helper, "INSDESTTREE", "__EBD_INSDESTTREE", "insinto", "")
    }

    /// The directory set by `exeinto`.
    pub(super) fn exedesttree(&self) -> OsString {
        self.var("__EBD_EXEDESTTREE").unwrap_or_default()
    }

    /// The directory of the package's documentation that `docinto` has set.
    pub(super) fn docdesttree(&self) -> Result<OsString, HelperError> {
        let mut tree = OsString::from("/usr/share/doc/");
        tree.push(self.require("PF")?);
        tree.push("/");
        tree.push(self.var("__EBD_DOCDESTTREE").unwrap_or_default());
        Ok(tree)
    }

    /// The options for installed files.
    pub(super) fn insoptions(&self) -> OsString {
        self.option_text("__EBD_INSOPTIONS", "-m0644")
    }

    /// The options for installed executables.
    pub(super) fn exeoptions(&self) -> OsString {
        self.option_text("__EBD_EXEOPTIONS", "-m0755")
    }

    /// The options for created directories.
    pub(super) fn diroptions(&self) -> OsString {
        self.option_text("__EBD_DIROPTIONS", "-m0755")
    }

    /// The options for libraries installed by `dolib`.
    pub(super) fn liboptions(&self) -> OsString {
        self.option_text("__EBD_LIBOPTIONS", "-m0644")
    }

    /// The name of the library directory: as `get_libdir` gives it (PMS 11.3.3.15).
    pub(super) fn libdir(&self) -> String {
        let abi = self.text("ABI");
        let libdir = self.text(&format!("LIBDIR_{abi}"));
        if abi.is_empty() || libdir.is_empty() {
            "lib".to_owned()
        } else {
            libdir
        }
    }

    fn option_text(&self, name: &str, default: &str) -> OsString {
        self.var(name).unwrap_or_else(|| OsString::from(default))
    }

    /// A variable ebuilds may set themselves up to EAPI 6, and must not touch afterwards.
    fn ebuild_variable(
        &self,
        helper: &str,
        public: &'static str,
        private: &str,
        instead: &'static str,
        default: &str,
    ) -> Result<OsString, HelperError> {
        let private = || {
            self.var(private)
                .unwrap_or_else(|| OsStr::new(default).to_owned())
        };
        if self.eapi().variable("DESTTREE").is_some() {
            return Ok(self.get(public).unwrap_or_else(private));
        }
        if self.get(public).is_some_and(|v| !v.is_empty()) {
            return Err(HelperError::BannedVariable {
                helper: helper.to_owned(),
                variable: public,
                instead,
                eapi: self.eapi().name().to_owned(),
            });
        }
        Ok(private())
    }
}
