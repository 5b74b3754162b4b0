//! What the tests of the image steps share: throw-away images and what the compiler makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Image;

/// An image in a temporary directory.
pub(crate) struct TestImage {
    pub(crate) image: Image,
    _dir: tempfile::TempDir,
}

impl TestImage {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        for name in ["image", "build-info", "temp", "root"] {
            std::fs::create_dir(top.join(name)).unwrap();
        }
        let image = Image {
            d: top.join("image"),
            eprefix: String::new(),
            build_info: top.join("build-info"),
            temp: top.join("temp"),
            root: top.join("root"),
            build_dir: top,
            category: "app-misc".into(),
            pn: "foo".into(),
            p: "foo-1".into(),
            pf: "foo-1-r2".into(),
            slot: "0/1".into(),
            chost: "x86_64-pc-linux-gnu".into(),
            arch: "amd64".into(),
            features: Default::default(),
            restrict: Default::default(),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
        };
        Self { image, _dir: dir }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.image.d.join(inside)
    }

    /// Writes a file and the directories above it.
    pub(crate) fn file(&self, inside: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn link(&self, inside: &str, target: &str) -> PathBuf {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, &path).unwrap();
        path
    }

    pub(crate) fn copy(&self, from: &Path, inside: &str) -> PathBuf {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(from, &path).unwrap();
        path
    }
}

/// A directory of files made by the system's compiler.
pub(crate) struct Gcc {
    dir: tempfile::TempDir,
}

impl Gcc {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = "int puts(const char *);\nstatic int hidden(void) { return 1; }\nint part(void) { return puts(\"x\") + hidden(); }\n";
        std::fs::write(dir.path().join("part.c"), source).unwrap();
        std::fs::write(
            dir.path().join("main.c"),
            "int puts(const char *);\nint main(void) { return puts(\"main\"); }\n",
        )
        .unwrap();
        Self { dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, program: &str, args: &[&str]) {
        let output = Command::new(program)
            .current_dir(self.dir())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
    }

    pub(crate) fn shared(&self, name: &str, args: &[&str]) -> PathBuf {
        let mut all = vec!["-g", "-shared", "-fPIC", "part.c", "-o", name];
        all.extend(args);
        self.run("gcc", &all);
        self.dir().join(name)
    }

    pub(crate) fn program(&self, name: &str, args: &[&str]) -> PathBuf {
        let mut all = vec!["-g", "main.c", "-o", name];
        all.extend(args);
        self.run("gcc", &all);
        self.dir().join(name)
    }

    pub(crate) fn object(&self, name: &str) -> PathBuf {
        self.run("gcc", &["-g", "-c", "part.c", "-o", name]);
        self.dir().join(name)
    }

    pub(crate) fn archive(&self, name: &str) -> PathBuf {
        self.object("member.o");
        self.run("ar", &["rc", name, "member.o"]);
        self.dir().join(name)
    }
}
