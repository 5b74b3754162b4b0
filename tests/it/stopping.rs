//! `ebd build --stop-after` and `--resume`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A repository with one package, and places for its builds.
struct World {
    tmp: tempfile::TempDir,
}

impl World {
    fn new(ebuild: &str) -> Self {
        let world = Self {
            tmp: tempfile::tempdir().unwrap(),
        };
        for (path, text) in [
            ("repo/profiles/repo_name", "stopping\n"),
            ("repo/profiles/categories", "app-misc\n"),
            (
                "repo/metadata/layout.conf",
                "masters =\nthin-manifests = true\n",
            ),
            ("config/etc/portage/make.conf", "ACCEPT_KEYWORDS=\"**\"\n"),
            ("repo/app-misc/foo/foo-1.ebuild", ebuild),
        ] {
            let path = world.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir(world.path("root")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    fn build(&self, options: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ebd"));
        command
            .args(["build", "--nodeps", "app-misc/foo"])
            .args(options);
        for (option, place) in [
            ("--repo", "repo"),
            ("--config-root", "config"),
            ("--root", "root"),
            ("--pkgdir", "pkgdir"),
            ("--tmpdir", "tmp"),
        ] {
            command.arg(option).arg(self.path(place));
        }
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.tmp.path())
            .output()
            .unwrap()
    }
}

const EBUILD: &str = "EAPI=8\nSLOT=0\nS=${WORKDIR}\n\
    src_unpack() { echo original >source; }\n\
    src_prepare() { default; echo prepared >>source; [[ ! -e ${T}/fail ]] || die 'as wanted'; }\n\
    src_install() { insinto /; doins source; }\n";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_stopped_build_tells_its_directory_and_keeps_what_is_changed_there() {
    let world = World::new(EBUILD);
    let stopped = world.build(&["--stop-after", "unpack"]);
    assert!(stopped.status.success(), "{stopped:?}");
    let told = stdout(&stopped);
    let directory = Path::new(told.trim());
    assert_eq!(directory, world.path("tmp/portage/app-misc/foo-1"));
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("--resume =app-misc/foo-1"));
    assert!(!world.path("pkgdir").exists());
    assert_eq!(
        fs::read_to_string(directory.join("work/source")).unwrap(),
        "original\n"
    );
    // Somebody tries a change of the sources.
    fs::write(directory.join("work/source"), "changed\n").unwrap();
    let finished = world.build(&["--resume", "--keep"]);
    assert!(finished.status.success(), "{finished:?}");
    assert!(Path::new(stdout(&finished).trim()).is_file());
    assert_eq!(
        fs::read_to_string(directory.join("image/source")).unwrap(),
        "changed\nprepared\n"
    );
}

#[test]
fn sources_that_were_half_prepared_are_unpacked_anew() {
    let world = World::new(EBUILD);
    let directory = world.path("tmp/portage/app-misc/foo-1");
    assert!(world.build(&["--stop-after", "unpack"]).status.success());
    fs::write(directory.join("temp/fail"), "").unwrap();
    let failed = world.build(&["--resume"]);
    assert_eq!(failed.status.code(), Some(1));
    fs::remove_file(directory.join("temp/fail")).unwrap();
    assert!(world.build(&["--resume", "--keep"]).status.success());
    assert_eq!(
        fs::read_to_string(directory.join("image/source")).unwrap(),
        "original\nprepared\n"
    );
}

#[test]
fn a_build_that_was_stopped_further_on_is_not_run_again() {
    let world = World::new(EBUILD);
    assert!(world.build(&["--stop-after", "install"]).status.success());
    let again = world.build(&["--resume", "--stop-after", "compile", "--verbose"]);
    assert!(again.status.success(), "{again:?}");
    assert!(!String::from_utf8_lossy(&again.stderr).contains("foo-1: compile"));
    assert!(world.build(&["--resume"]).status.success());
    let unknown = world.build(&["--stop-after", "postinst"]);
    assert_eq!(unknown.status.code(), Some(2));
}
