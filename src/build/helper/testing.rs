//! A build in a temporary directory, for the tests of the helpers.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{HelperEnv, HelperError, Outcome, Stdin, run};

/// A source directory, an image and a `T`, and the variables a helper is called with.
pub(super) struct Build {
    directory: TempDir,
    state: RefCell<HashMap<OsString, OsString>>,
    vars: RefCell<HashMap<OsString, OsString>>,
    pub(super) stdin: Stdin,
}

/// What a call gave: its outcome and what it wrote.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) result: Result<Outcome, HelperError>,
    pub(super) fatal: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Called {
    #[track_caller]
    pub(super) fn ok(self) -> Self {
        assert!(matches!(self.result, Ok(Outcome::Exit(0))), "{self:?}");
        self
    }

    #[track_caller]
    pub(super) fn error(&self) -> String {
        self.result.as_ref().unwrap_err().to_string()
    }
}

impl Build {
    pub(super) fn new(eapi: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["src", "image", "temp"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let build = Self {
            directory,
            state: RefCell::default(),
            vars: RefCell::default(),
            stdin: Stdin::Bytes(Vec::new()),
        };
        let (image, temp) = (build.image(), build.path("temp"));
        for (key, value) in [
            ("EAPI", eapi),
            ("EBUILD_PHASE", "install"),
            ("EBUILD_PHASE_FUNC", "src_install"),
            ("CATEGORY", "app-misc"),
            ("PN", "foo"),
            ("PF", "foo-1.2-r3"),
            ("SLOT", "2/5"),
            ("D", image.to_str().unwrap()),
            ("ED", image.to_str().unwrap()),
            ("T", temp.to_str().unwrap()),
        ] {
            build.state(key, value);
        }
        build.var("PATH", "/usr/local/bin:/usr/bin:/bin");
        build.var("NO_COLOR", "1");
        build
    }

    pub(super) fn state(&self, key: &str, value: &str) -> &Self {
        self.state.borrow_mut().insert(key.into(), value.into());
        self
    }

    pub(super) fn var(&self, key: &str, value: &str) -> &Self {
        self.vars.borrow_mut().insert(key.into(), value.into());
        self
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn image(&self) -> PathBuf {
        self.path("image")
    }

    /// Writes a file of the source directory.
    pub(super) fn file(&self, name: &str, content: &str) -> &Self {
        let path = self.path("src").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        self
    }

    pub(super) fn link(&self, text: &str, name: &str) -> &Self {
        symlink(text, self.path("src").join(name)).unwrap();
        self
    }

    pub(super) fn env(&self) -> HelperEnv {
        let (state, vars) = (self.state.borrow().clone(), self.vars.borrow().clone());
        HelperEnv::from_maps(state, vars, self.path("src"), self.stdin.clone()).unwrap()
    }

    /// Calls a helper: the words are its name and arguments.
    pub(super) fn call(&self, words: &[&str]) -> Called {
        let env = self.env();
        let args: Vec<OsString> = words[1..].iter().map(OsString::from).collect();
        let result = run(OsStr::new(words[0]), &args, &env);
        let fatal = result.as_ref().is_err_and(|e| env.is_fatal(e));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Called {
            result,
            fatal,
            stdout: text(env.stdout()),
            stderr: text(env.stderr()),
        }
    }

    /// What the image holds: `path mode`, `path/ mode` or `path -> text`, sorted.
    pub(super) fn listing(&self) -> Vec<String> {
        let mut lines = BTreeSet::new();
        list(&self.image(), Path::new(""), &mut lines);
        lines.into_iter().collect()
    }

    /// The lines of the listing that are no directories.
    pub(super) fn files(&self) -> Vec<String> {
        self.listing()
            .into_iter()
            .filter(|line| !line.contains("/ "))
            .collect()
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.image().join(name)).unwrap()
    }

    pub(super) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.image().join(name)).unwrap().mode() & 0o7777
    }
}

fn list(directory: &Path, inside: &Path, lines: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), inside.join(entry.file_name()));
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.mode() & 0o7777;
        if metadata.is_symlink() {
            let text = fs::read_link(&path).unwrap();
            lines.insert(format!("{} -> {}", name.display(), text.display()));
        } else if metadata.is_dir() {
            lines.insert(format!("{}/ {mode:o}", name.display()));
            list(&path, &name, lines);
        } else {
            lines.insert(format!("{} {mode:o}", name.display()));
        }
    }
}
