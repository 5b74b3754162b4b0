//! What the specification says of packages, as they are unpacked by the command line.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::claim::rows;
use crate::support::{Outcome, Trial, ebuild};

/// Builds a package and unpacks its image and, below `info`, its metadata.
fn unpacked(trial: &Trial) {
    trial.run(&["build", "app-misc/foo"]).succeeds();
    for (option, folder) in [(&[][..], "image"), (&["--metadata"], "info")] {
        let words = [&["binpkg", "extract"], option, &["app-misc/foo", folder]].concat();
        trial.run(&words).succeeds();
    }
}

#[test]
fn files_keep_their_times_compressed_or_not() {
    let _rows = rows(&[179]);
    let page = "text ".repeat(200);
    for eapi in ["3", "8"] {
        let body = format!(
            "src_install() {{ echo '{page}' >foo.1; echo x >y; touch -d @1000000000 foo.1; \
             touch -d @1100000000.25 y; insinto /usr/share; insopts -p -m644; doins y; \
             mkdir -p \"${{D%/}}/usr/share/man/man1\" || die; cp -p foo.1 \"${{D%/}}/usr/share/man/man1\" || die; }}"
        );
        let text = ebuild(&body).replace("EAPI=8", &format!("EAPI={eapi}"));
        let trial = Trial::new()
            .ebuild("app-misc/foo-1", text)
            .make_conf("PORTAGE_COMPRESS=\"gzip\"\n");
        unpacked(&trial);
        let time = |name: &str| {
            let found = fs::metadata(trial.path("image").join(name));
            found.map(|found| found.mtime()).ok()
        };
        assert_eq!(time("usr/share/man/man1/foo.1.gz"), Some(1_000_000_000));
        assert_eq!(time("usr/share/y"), Some(1_100_000_000));
    }
}

// That Portage itself loads it is seen by `tests/fidelity/environments`, which needs one.
#[test]
fn the_environment_of_a_package_is_for_any_bash() {
    let _rows = rows(&[72, 89]);
    let trial = Trial::new()
        .eclass(
            "helps",
            "helps_pkg_prerm() { echo \"gone: ${MAP[a b]} ${KEPT}\"; [[ x == @(x|y) ]] && pick; }\n\
             pick() { cat <<-EOF | sed s/here/there/\n\there }\n\tEOF\n}\nEXPORT_FUNCTIONS pkg_prerm\n",
        )
        .package(
            "app-misc/foo-1",
            "inherit helps\ndeclare -A MAP=( ['a b']=$'c\\nd' )\nsrc_install() { KEPT='of install'; }",
        );
    unpacked(&trial);
    // Nothing of the tree is needed any more.
    fs::remove_dir_all(trial.path("repo/eclass")).unwrap();
    let packed = trial.path("info/environment.bz2");
    let file = trial.path("environment");
    let plain = Command::new("bzip2")
        .arg("-dc")
        .arg(packed)
        .output()
        .unwrap();
    fs::write(&file, &plain.stdout).unwrap();
    let file = file.to_str().unwrap();
    Outcome::of(Command::new("bash").args(["-O", "extglob", "-n", file])).succeeds();
    let script = "shopt -s extglob; source \"$1\" || exit; shopt -u extglob; pkg_prerm";
    let told = Outcome::of(
        Command::new("bash")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(["-c", script, "bash", file]),
    );
    assert_eq!(told.succeeds().stdout, "gone: c\nd of install\nthere }\n");
}

#[test]
fn what_equals_in_slots_meant_is_recorded() {
    let _rows = rows(&[196]);
    for (slot, recorded) in [("2/2.1", "2/2.1"), ("3", "3/3")] {
        let trial = Trial::new().package("app-misc/foo-1", "RDEPEND=\"dev-libs/bar:=\"");
        let installed = "root/var/db/pkg/dev-libs/bar-1";
        for (name, value) in [("SLOT", slot), ("EAPI", "8"), ("repository", "trial")] {
            trial.put(&format!("{installed}/{name}"), format!("{value}\n"));
        }
        unpacked(&trial);
        assert_eq!(
            fs::read_to_string(trial.path("info/RDEPEND")).unwrap(),
            format!("dev-libs/bar:{recorded}=\n")
        );
    }
}

// Portage strips nothing with RESTRICT=strip, whatever dostrip says.
#[test]
fn what_is_stripped_is_what_dostrip_left() {
    let _rows = rows(&[138]);
    let with = |restrict: &str, lists: &str| {
        let body = format!(
            "RESTRICT=\"{restrict}\"\nsrc_compile() {{ echo 'int main(void) {{ return 0; }}' >a.c; gcc -g a.c -o a || die; }}\n\
             src_install() {{ exeinto /usr/x; doexe a; newexe a ab; newexe a b; exeinto /usr/x/c; doexe a; {lists}; }}"
        );
        let trial = Trial::new().package("app-misc/foo-1", &body);
        unpacked(&trial);
        let names = ["a", "ab", "b", "c/a"];
        let stripped = names.into_iter().filter(|name| {
            let file = fs::read(trial.path("image/usr/x").join(name)).unwrap();
            !file.windows(8).any(|part| part == b".symtab\0")
        });
        stripped.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(with("", ":"), "a ab b c/a");
    assert_eq!(with("", "dostrip -x /usr/x/a /usr/x/c"), "ab b");
    assert_eq!(with("strip", ":"), "");
    assert_eq!(with("strip", "dostrip /usr/x/a /usr/x/c"), "a c/a");
    assert_eq!(
        with("strip", "dostrip /usr/x; dostrip -x /usr/x/b"),
        "a ab c/a"
    );
}

#[test]
fn esysroot_follows_sysroot() {
    let _rows = rows(&[47]);
    let body = "src_compile() { [[ -z ${BROOT} && ${ESYSROOT} == ${WANTED} && ${SYSROOT} == ${WANTED} ]] || die \"${ESYSROOT}, ${SYSROOT}\"; }";
    for same in [false, true] {
        let trial = Trial::new().package("app-misc/foo-1", body);
        let root = trial.path("root").display().to_string();
        let (sysroot, wanted) = match same {
            true => (root.clone(), root),
            false => ("/".to_owned(), String::new()),
        };
        let trial = trial
            .variable("SYSROOT", &sysroot)
            .variable("WANTED", &wanted);
        trial.run(&["build", "--nodeps", "app-misc/foo"]).succeeds();
    }
}

#[test]
fn all_versions_in_the_slot_are_replaced() {
    let _rows = rows(&[55]);
    let body = "pkg_setup() { [[ ${REPLACING_VERSIONS} == '0.9-r2 1' ]] || die \"'${REPLACING_VERSIONS}'\"; }\n\
                src_compile() { [[ ! -v REPLACING_VERSIONS ]] || die \"'${REPLACING_VERSIONS}'\"; }";
    let trial = Trial::new().package("app-misc/foo-2", body);
    for (version, slot) in [("1", "0"), ("0.9-r2", "0/1"), ("0.8", "1")] {
        let installed = format!("root/var/db/pkg/app-misc/foo-{version}");
        for (name, value) in [("SLOT", slot), ("EAPI", "8"), ("repository", "trial")] {
            trial.put(&format!("{installed}/{name}"), format!("{value}\n"));
        }
    }
    trial.run(&["build", "app-misc/foo"]).succeeds();
}

#[test]
fn a_package_may_block_itself() {
    let _rows = rows(&[193]);
    let trial = Trial::new().package(
        "app-misc/foo-1",
        "DEPEND=\"!app-misc/foo\"\nRDEPEND=\"!<app-misc/foo-2\"",
    );
    for (name, value) in [("SLOT", "0"), ("EAPI", "8"), ("repository", "trial")] {
        trial.put(
            &format!("root/var/db/pkg/app-misc/foo-1/{name}"),
            format!("{value}\n"),
        );
    }
    trial.run(&["build", "app-misc/foo"]).succeeds();
}

#[test]
fn portdir_is_that_of_the_master() {
    let _rows = rows(&[46]);
    let trial = Trial::new();
    let repo = trial.path("repo").display().to_string();
    let body = format!(
        "src_compile() {{ [[ ${{PORTDIR}} == {repo} && ${{ECLASSDIR}} == {repo}/eclass ]] || die \"${{PORTDIR}}\"; }}"
    );
    let text = ebuild(&body).replace("EAPI=8", "EAPI=6");
    for (name, content) in [
        ("over/profiles/repo_name", "over\n"),
        ("over/profiles/categories", "app-misc\n"),
        (
            "over/metadata/layout.conf",
            "masters = trial\nthin-manifests = true\n",
        ),
        ("over/app-misc/foo/foo-1.ebuild", text.as_str()),
    ] {
        trial.put(name, content);
    }
    let over = trial.path("over").display().to_string();
    trial
        .run(&["build", "--repo", &over, "app-misc/foo"])
        .succeeds();
}

#[test]
fn an_eclass_is_that_of_the_packages_own_repository() {
    let _rows = rows(&[99]);
    let trial = Trial::new().eclass("same", "SAID=first\n").package(
        "app-misc/one-1",
        "inherit same\nsrc_install() { newdoc - said <<<\"${SAID}\"; }",
    );
    let text = ebuild("inherit same\nsrc_install() { newdoc - said <<<\"${SAID}\"; }");
    for (name, content) in [
        ("other/profiles/repo_name", "other\n"),
        ("other/profiles/categories", "app-misc\n"),
        (
            "other/metadata/layout.conf",
            "masters =\nthin-manifests = true\n",
        ),
        ("other/eclass/same.eclass", "SAID=second\n"),
        ("other/app-misc/two-1.ebuild", ""),
        ("other/app-misc/two/two-1.ebuild", text.as_str()),
    ] {
        trial.put(name, content);
    }
    fs::remove_file(trial.path("other/app-misc/two-1.ebuild")).unwrap();
    // One after the other, in one processor, and sourced for their metadata before.
    let other = trial.path("other").display().to_string();
    trial
        .run(&[
            "build",
            "--jobs",
            "1",
            "--repo",
            &other,
            "app-misc/one",
            "app-misc/two",
            "--keep",
        ])
        .succeeds();
    for (pf, said) in [("one-1", "first\n"), ("two-1", "second\n")] {
        let file = format!("image/usr/share/doc/{pf}/said");
        let file = trial.builddir(&format!("app-misc/{pf}")).join(file);
        assert_eq!(fs::read_to_string(file).unwrap(), said);
    }
}

// That they are bound to those of the running system is seen by the tests of `build::host`: its database cannot be had
// here.
#[test]
fn what_runs_while_building_is_not_bound_to_what_is_below_root() {
    let body = ["BDEPEND", "DEPEND", "RDEPEND"].map(|key| format!("{key}=\"app-misc/lib:=\"\n"));
    let trial = Trial::new()
        .package("app-misc/foo-1", &body.concat())
        .file("root/var/db/pkg/app-misc/lib-1/SLOT", "3/4\n")
        .file("root/var/db/pkg/app-misc/lib-1/EAPI", "8\n");
    trial.run(&["build", "--nodeps", "app-misc/foo"]).succeeds();
    for (key, expected) in [
        ("BDEPEND", "app-misc/lib:=\n"),
        ("DEPEND", "app-misc/lib:3/4=\n"),
        ("RDEPEND", "app-misc/lib:3/4=\n"),
    ] {
        let shown = trial.run(&["binpkg", "show", "--file", key, "app-misc/foo"]);
        assert_eq!(shown.succeeds().stdout, expected, "{key}");
    }
}
