//! unpack, eapply and eapply_user.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ebd::util::digest::HashName;

use crate::stage::Stage;

fn unpacking(eapi: &'static str) -> Stage {
    Stage::new(eapi).phase("src_unpack")
}

/// Makes an archive from `inside/file` in DISTDIR.
fn pack(stage: &Stage, command: &str) {
    stage.file("distdir/inside/file", "content");
    let code = format!("cd \"${{DISTDIR}}\" && {command} && rm -r inside");
    stage.prints(&code);
}

fn unpacked(stage: &Stage) -> Vec<String> {
    let out = stage.prints("find . -mindepth 1 | sort");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn tar_archives() {
    for (name, flag, first) in [
        ("x.tar", "", 0),
        ("x.tar.gz", "z", 0),
        ("x.tgz", "z", 0),
        ("x.tar.bz2", "j", 0),
        ("x.tbz2", "j", 0),
        ("x.tbz", "j", 0),
        ("x.tar.lzma", "-lzma", 0),
        ("x.tar.xz", "J", 3),
        ("x.txz", "J", 6),
    ] {
        for eapi in ["0", "3", "5", "6", "8"] {
            let stage = unpacking(eapi);
            let flag = flag
                .strip_prefix('-')
                .map_or(format!("-{flag}cf"), |long| format!("--{long} -cf"));
            pack(&stage, &format!("tar {flag} {name} inside"));
            let outcome = stage.run(&format!("unpack {name}"));
            assert_eq!(outcome.status, 0, "{name}: {}", outcome.err);
            let known = eapi.parse::<i32>().unwrap() >= first;
            let expected: &[&str] = if known {
                &["./inside", "./inside/file"]
            } else {
                &[]
            };
            assert_eq!(unpacked(&stage), expected, "{name} in EAPI {eapi}");
            assert_eq!(
                outcome.err.contains("=== Skipping unpack"),
                !known,
                "{name}"
            );
            assert_eq!(outcome.out, "");
        }
    }
}

#[test]
fn single_files() {
    for (name, command, expected) in [
        ("a.b.gz", "gzip -c", "./a.b"),
        ("a.z", "gzip -c", "./a"),
        ("a.Z", "gzip -c", "./a"),
        ("a.bz2", "bzip2 -c", "./a"),
        ("a.bz", "bzip2 -c", "./a"),
        ("a.xz", "xz -c", "./a"),
        ("a.lzma", "xz -F lzma -c", "./a"),
        ("-a.gz", "gzip -c", "./-a"),
        ("a b.tar.x.gz", "gzip -c", "./a b.tar.x"),
    ] {
        let stage = unpacking("5");
        pack(&stage, &format!("{command} inside/file > '{name}'"));
        stage.prints(&format!("unpack '{name}'"));
        assert_eq!(unpacked(&stage), [expected], "{name}");
        assert_eq!(stage.read(&format!("work/{expected}")), "content");
    }
}

#[test]
fn case_of_suffixes() {
    for (name, eapi, expected) in [
        ("a.GZ", "6", "./a"),
        ("a.GZ", "5", ""),
        ("a.Z", "5", "./a"),
        ("x.TAR.GZ", "6", "./inside"),
        ("x.TAR.gz", "5", "./x.TAR"),
    ] {
        let stage = unpacking(eapi);
        if name.starts_with('a') {
            pack(&stage, &format!("gzip -c inside/file > {name}"));
        } else {
            pack(&stage, &format!("tar -zcf {name} inside"));
        }
        for prefix in ["", "shopt -s nocasematch;"] {
            stage.prints(&format!("{prefix} unpack {name}"));
            let first = unpacked(&stage).into_iter().next().unwrap_or_default();
            assert_eq!(first, expected, "{prefix} {name} in EAPI {eapi}");
        }
    }
}

#[test]
fn formats_given_up_in_eapi_8() {
    for name in ["x.7z", "x.rar", "x.lha", "x.lzh", "x.RAR"] {
        for (eapi, known) in [("7", true), ("8", false)] {
            let stage = unpacking(eapi);
            stage.file(&format!("distdir/{name}"), "archive");
            for program in ["7z", "unrar", "lha"] {
                stage.program(program, "echo \"${0##*/} $*\" > called");
            }
            stage.prints(&format!("unpack {name}"));
            assert_eq!(
                stage.path("work/called").exists(),
                known,
                "{name} in {eapi}"
            );
        }
    }
    let stage = unpacking("8");
    stage.file("distdir/x.zst", "");
    stage.file("distdir/plain", "");
    stage.prints("unpack x.zst plain");
}

#[test]
fn zip_and_ar_programs() {
    let stage = unpacking("8");
    for name in ["a.zip", "b.jar", "c.a", "d.deb"] {
        stage.file(&format!("distdir/{name}"), "archive");
    }
    for program in ["unzip", "ar"] {
        stage.program(program, "cat; echo \"${0##*/} $1 ${@: -1}\" >> called");
    }
    stage.prints("echo input | unpack a.zip b.jar c.a d.deb");
    let distdir = stage.path("distdir");
    let distdir = distdir.display();
    assert_eq!(
        stage.read("work/called"),
        format!(
            "unzip -qo {distdir}/a.zip\nunzip -qo {distdir}/b.jar\nar x {distdir}/c.a\nar x {distdir}/d.deb\n"
        )
    );
}

#[test]
fn paths() {
    let stage = |eapi| {
        let stage = unpacking(eapi);
        pack(
            &stage,
            "gzip -c inside/file > x.gz && mkdir sub && cp x.gz sub/y.gz",
        );
        stage.prints("cp \"${DISTDIR}/x.gz\" here.gz; mkdir deep; cp here.gz deep/z.gz");
        stage
    };
    for (eapi, path, stem) in [
        ("0", "x.gz", "x"),
        ("0", "./here.gz", "here"),
        ("0", "./deep/z.gz", "z"),
        ("6", "deep/z.gz", "z"),
        ("6", "\"${WORKDIR}\"/deep/z.gz", "z"),
        ("6", "\"${DISTDIR}\"/sub/y.gz", "y"),
    ] {
        let stage = stage(eapi);
        stage.prints(&format!("unpack {path}"));
        assert_eq!(stage.read(&format!("work/{stem}")), "content", "{path}");
    }
    for path in [
        "deep/z.gz",
        "\"${WORKDIR}\"/deep/z.gz",
        "\"${DISTDIR}\"/x.gz",
    ] {
        stage("5").dies(&format!("unpack {path}"));
    }
}

#[test]
fn permissions() {
    let stage = unpacking("8");
    stage.file("distdir/inside/file", "content");
    stage.file("distdir/inside/shut/file", "content");
    stage.file("distdir/inside/run", "content");
    stage.prints(
        "cd \"${DISTDIR}\"/inside; ln -s file link; chmod 0600 file; chmod 4770 run
         chmod 666 shut/file; cd ..; chmod 0700 inside; tar --mode=+ -cf x.tar inside
         chmod 0311 inside/shut; tar -rf x.tar --no-recursion inside/shut; rm -rf inside
         chmod 0775 \"${WORKDIR}\"",
    );
    stage.prints("umask 000; unpack x.tar");
    let mode = |name: &str| {
        let path = stage.path("work").join(name);
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!(mode("."), 0o775);
    assert_eq!(mode("inside"), 0o755);
    assert_eq!(mode("inside/file"), 0o644);
    assert_eq!(mode("inside/run") & 0o777, 0o754);
    assert_eq!(mode("inside/shut"), 0o755);
    assert_eq!(mode("inside/shut/file"), 0o644);
}

#[test]
fn failures_name_archive_and_cause() {
    let stage = unpacking("8");
    stage.file("distdir/bad.tar.gz", "no archive");
    stage.file("distdir/bad.gz", "no archive");
    stage.file("distdir/empty.gz", "");
    stage.file("distdir/x.zip", "zip");
    assert!(
        stage
            .dies("unpack bad.tar.gz")
            .starts_with("unpack: bad.tar.gz: ")
    );
    assert!(
        stage
            .dies("unpack bad.gz")
            .starts_with("unpack: bad.gz: gzip failed")
    );
    assert!(stage.dies("unpack empty.gz").contains("empty file"));
    assert!(stage.dies("unpack missing.gz").contains("not a file"));
    assert!(stage.dies("unpack").contains("nothing to unpack"));
    // Even nonfatal changes nothing about it.
    stage.dies("nonfatal unpack bad.gz");
    let message = stage.dies("PATH=/nowhere; unpack x.zip");
    assert!(message.contains("'unzip' is needed"), "{message}");
}

fn preparing() -> Stage {
    let stage = Stage::new("8").phase("src_prepare");
    stage.file("work/file", "one\n");
    for (name, from, to) in [
        ("1.patch", "one", "two"),
        ("p/a.diff", "two", "three"),
        ("p/B.patch", "one", "two"),
        ("-w.patch", "one", "two"),
    ] {
        stage.file(
            &format!("work/{name}"),
            &format!("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-{from}\n+{to}\n"),
        );
    }
    stage.file("work/p/README", "no patch");
    stage.file(
        "work/0.patch",
        "--- file\n+++ file\n@@ -1 +1 @@\n-one\n+two\n",
    );
    fs::create_dir(stage.path("work/none")).unwrap();
    stage
}

#[test]
fn eapply() {
    for (code, expected) in [
        ("eapply 1.patch", "two\n"),
        ("eapply -p0 0.patch", "two\n"),
        ("eapply -p0 -- 0.patch", "two\n"),
        ("eapply -- -w.patch", "two\n"),
        ("eapply p", "three\n"),
        ("eapply 1.patch p/a.diff", "three\n"),
    ] {
        for prefix in [
            "",
            "shopt -s failglob nocaseglob; set -f; IFS=p; LC_ALL=en_US.UTF-8;",
        ] {
            let stage = preparing();
            let outcome = stage.run(&format!("{prefix} {code}"));
            assert_eq!(outcome.status, 0, "{prefix} {code}: {}", outcome.err);
            assert_eq!(outcome.out, "");
            assert_eq!(stage.read("work/file"), expected, "{code}");
        }
    }
    assert_eq!(
        preparing().run("eapply p").err,
        " * Applying patches from p ...\n *   B.patch ...\n [ ok ]\n *   a.diff ...\n [ ok ]\n"
    );
    assert_eq!(
        preparing().run("eapply 1.patch").err,
        " * Applying 1.patch ...\n [ ok ]\n"
    );
    for wrong in [
        "eapply 0.patch -p0",
        "eapply 1.patch -p1 1.patch",
        "eapply",
        "eapply -p1",
        "eapply --",
        "eapply none",
        "eapply p/a.diff",
        "eapply missing.patch",
        "nonfatal eapply none",
    ] {
        preparing().dies(wrong);
    }
    assert_eq!(
        preparing().prints("nonfatal eapply p/a.diff; echo $?"),
        "1\n"
    );
}

#[test]
fn a_patch_that_fails_is_explained() {
    let outcome = preparing().run("eapply p/a.diff");
    assert!(outcome.err.contains("FAILED at 1"), "{}", outcome.err);
    assert!(
        outcome
            .err
            .contains("eapply: p/a.diff: patch failed with status 1\n"),
        "{}",
        outcome.err
    );
}

#[test]
fn eapply_in_other_phases_of_the_build() {
    let stage = preparing().phase("src_configure");
    let outcome = stage.run("eapply 1.patch");
    assert_eq!(outcome.status, 0);
    assert!(outcome.err.contains("eapply called in src_configure"));
}

#[test]
fn user_patches() {
    let stage = preparing();
    let patch = |name: &str, from: &str, to: &str| {
        let text = if from.is_empty() {
            String::new()
        } else {
            format!("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-{from}\n+{to}\n")
        };
        stage.file(
            &format!("config/etc/portage/patches/app-misc/{name}"),
            &text,
        );
    };
    // In order of the names: B, a, z; the more special one wins.
    patch("foo/z.patch", "three", "four");
    patch("foo/a.diff", "never", "used");
    patch("foo-1.2.3:0/a.diff", "two", "three");
    patch("foo-1.2.3-r1/B.patch", "one", "two");
    patch("foo/gone.patch", "never", "used");
    patch("foo-1.2.3/gone.patch", "", "");
    patch("foo-1.2.3-r2/y.patch", "never", "used");
    patch("foo:1/y.patch", "never", "used");
    stage.file("config/etc/portage/patches/app-misc/foo/README", "no patch");
    let outcome = stage.run("( eapply_user ) && eapply_user && eapply_user");
    assert_eq!(outcome.status, 0, "{}", outcome.err);
    assert_eq!(stage.read("work/file"), "four\n");
    let rule = "=".repeat(77);
    assert!(
        outcome
            .err
            .starts_with(&format!(" * {rule}\n * Applying user patches from "))
    );
    assert!(
        outcome
            .err
            .ends_with(&format!(" * User patches applied.\n * {rule}\n"))
    );
    assert_eq!(outcome.err.matches("Applying ").count(), 4);
    assert!(stage.path("temp/.portage_user_patches_applied").exists());
    // As Portage tells it.
    let mut digests = String::new();
    let mut total = String::new();
    for name in ["foo-1.2.3-r1/B.patch", "foo-1.2.3:0/a.diff", "foo/z.patch"] {
        let path = stage.path(&format!("config/etc/portage/patches/app-misc/{name}"));
        let digest = HashName::Sha256.hex(&fs::read(path).unwrap());
        let base = name.split('/').next_back().unwrap();
        digests.push_str(&format!("{digest}\0{base}\0"));
        total.push_str(&digest);
    }
    assert_eq!(stage.read("build-info/user_patch.digests"), digests);
    let whole = HashName::Sha256.hex(total.as_bytes());
    assert_eq!(stage.read("build-info/USER_PATCHES"), whole + "\n");
}

#[test]
fn without_user_patches_only_the_mark_is_left() {
    let stage = preparing();
    assert_eq!(stage.run("eapply_user").err, "");
    assert!(stage.path("temp/.portage_user_patches_applied").exists());
    assert_eq!(fs::read_dir(stage.path("build-info")).unwrap().count(), 0);
    let stage = preparing();
    stage.file("config/etc/portage/patches/app-misc/foo", "no directory");
    stage.dies("eapply_user");
    let stage = preparing();
    stage.file("config/etc/portage/patches/app-misc/foo/x.patch", "garbage");
    assert_eq!(stage.prints("nonfatal eapply_user || echo on"), "on\n");
}

#[test]
fn jobs_asked_for() {
    let stage = unpacking("8");
    for (options, jobs) in [
        ("", ""),
        ("-j8", "8"),
        ("-j 08 -l4", "8"),
        ("--jobs=4 -s", "4"),
        ("--jobs 3", "3"),
        ("-kj5", "5"),
        ("-j2 -j7", "7"),
        ("-j", ""),
        ("-l 9 --output-sync=job *", ""),
    ] {
        let code =
            format!("IFS=j; MAKEOPTS='{options}'; __ebd_makeopts_jobs; echo \"$__EBD_JOBS\"");
        assert_eq!(stage.prints(&code), format!("{jobs}\n"), "{options}");
    }
}
