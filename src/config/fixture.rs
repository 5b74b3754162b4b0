//! Small configuration roots for tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Config, ConfigError, Options, PackageConfig, PackageQuery};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;

/// A configuration root with one repository, `gentoo`, in `repo`, and a profile.
pub(super) struct Root {
    dir: TempDir,
    pub(super) options: Options,
}

const MAKE_DEFAULTS: &str = r#"
ARCH="amd64"
ACCEPT_KEYWORDS="amd64"
CHOST="x86_64-pc-linux-gnu"
USE_EXPAND="PYTHON_TARGETS L10N ELIBC"
USE_EXPAND_HIDDEN="ELIBC"
USE_EXPAND_IMPLICIT="ARCH ELIBC"
USE_EXPAND_UNPREFIXED="ARCH"
USE_EXPAND_VALUES_ARCH="amd64 x86"
USE_EXPAND_VALUES_ELIBC="glibc musl"
IUSE_IMPLICIT="prefix"
ELIBC="glibc"
PYTHON_TARGETS="py12"
USE="acl"
"#;

impl Root {
    /// A root without any file.
    pub(super) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Neither the repositories nor the installed system of this machine may matter.
        let env = [("PORTAGE_REPOSITORIES".to_owned(), "[DEFAULT]\n".to_owned())].into();
        let options = Options {
            config_root: Some(dir.path().to_path_buf()),
            root: Some(dir.path().join("root")),
            env,
            machine: "x86_64".to_owned(),
            ..Options::default()
        };
        Root { dir, options }
    }

    /// A root with a repository and a profile in it.
    pub(super) fn new() -> Self {
        let mut root = Root::empty();
        root.options.env.clear();
        let repo = root.path("repo");
        let root = root
            .file(
                "etc/portage/repos.conf",
                &format!("[gentoo]\nlocation = {}\n", repo.display()),
            )
            .file("etc/portage/make.conf", "")
            .file(
                "repo/metadata/layout.conf",
                "masters =\nprofile-formats = portage-2\n",
            )
            .file("repo/profiles/repo_name", "gentoo\n")
            .file("repo/profiles/eapi", "8\n")
            .file("repo/profiles/arch.list", "amd64\nx86\n")
            .file("repo/profiles/categories", "a\n")
            .file("repo/profiles/base/eapi", "8\n")
            .file("repo/profiles/base/make.defaults", MAKE_DEFAULTS)
            .file("repo/profiles/default/eapi", "8\n")
            .file("repo/profiles/default/parent", "../base\n");
        symlink(
            root.path("repo/profiles/default"),
            root.path("etc/portage/make.profile"),
        )
        .unwrap();
        root
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    /// Writes a file, with its directories.
    pub(super) fn file(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Sets a variable of the caller's environment.
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.options.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(super) fn load(&self) -> Config {
        self.try_load().unwrap()
    }

    pub(super) fn try_load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.options)
    }

    /// The message of the error that loading gives, with those of its causes.
    pub(super) fn error(&self) -> String {
        let error = self.try_load().unwrap_err();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text.replace(&self.path("").to_string_lossy().into_owned(), "/")
    }
}

/// An ebuild's metadata.
#[derive(Clone)]
pub(super) struct Ebuild {
    cpv: Cpv,
    slot: &'static str,
    pub(super) repository: &'static str,
    eapi: Eapi,
    iuse: &'static str,
    keywords: &'static str,
    license: &'static str,
    restrict: &'static str,
    properties: &'static str,
}

impl Ebuild {
    pub(super) fn new(cpv: &str) -> Self {
        Ebuild {
            cpv: Cpv::parse(cpv).unwrap(),
            slot: "0",
            repository: "gentoo",
            eapi: Eapi::parse("8").unwrap(),
            iuse: "",
            keywords: "amd64",
            license: "GPL-2",
            restrict: "",
            properties: "",
        }
    }

    pub(super) fn eapi(self, eapi: &str) -> Self {
        Ebuild {
            eapi: Eapi::parse(eapi).unwrap(),
            ..self
        }
    }

    pub(super) fn slot(self, slot: &'static str) -> Self {
        Ebuild { slot, ..self }
    }

    pub(super) fn iuse(self, iuse: &'static str) -> Self {
        Ebuild { iuse, ..self }
    }

    pub(super) fn keywords(self, keywords: &'static str) -> Self {
        Ebuild { keywords, ..self }
    }

    pub(super) fn license(self, license: &'static str) -> Self {
        Ebuild { license, ..self }
    }

    pub(super) fn restrict(self, restrict: &'static str) -> Self {
        Ebuild { restrict, ..self }
    }

    pub(super) fn properties(self, properties: &'static str) -> Self {
        Ebuild { properties, ..self }
    }

    pub(super) fn query(&self) -> PackageQuery<'_> {
        PackageQuery {
            cpv: &self.cpv,
            slot: self.slot,
            subslot: self.slot,
            repository: Some(self.repository),
            eapi: self.eapi,
            iuse: self.iuse,
            keywords: self.keywords,
            license: self.license,
            restrict: self.restrict,
            properties: self.properties,
        }
    }

    pub(super) fn ask(&self, config: &Config) -> PackageConfig {
        config.package(&self.query())
    }

    /// The enabled flags of its IUSE, separated by blanks.
    pub(super) fn flags(&self, config: &Config) -> String {
        let own: Vec<&str> = self
            .iuse
            .split(' ')
            .map(|flag| flag.trim_start_matches(['+', '-']))
            .collect();
        let mut flags = self.ask(config).use_flags;
        flags.retain(|flag| own.contains(&flag.as_str()));
        flags.into_iter().collect::<Vec<_>>().join(" ")
    }

    /// The reasons for a mask, as printed.
    pub(super) fn masks(&self, config: &Config) -> Vec<String> {
        self.ask(config)
            .masks
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}
