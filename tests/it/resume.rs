//! Taking up builds that failed.

use std::fs;

use ebd::binpkg::package::Package;

use crate::support::{Trial, ebuild};

const PHASES: &[&str] = &[
    "pkg_setup",
    "src_unpack",
    "src_prepare",
    "src_configure",
    "src_compile",
    "src_test",
    "src_install",
];

/// An ebuild whose phases count their runs in files of `folder`, and fail there as long as a file
/// `fail.PHASE` exists. Each phase leaves something in the environment that the last one checks.
fn counting(folder: &std::path::Path) -> String {
    let mut body = format!(
        "inherit counter\nIUSE=\"+flag\"\ndeclare -A MY_MAP=([a]=\"x y\")\nMY_ARRAY=( one \"two words\" )\n\
         count() {{\n\techo run >>{0}/count.$1 || die\n\t[[ ! -e {0}/fail.$1 ]] || die \"no $1 today\"\n}}\n",
        folder.display()
    );
    for phase in PHASES {
        let rest = match *phase {
            "src_unpack" => "mkdir -p \"${S}\"/sub; echo unpacked >\"${S}\"/sub/file || die",
            "src_prepare" => "eapply_user; echo prepared >>\"${S}\"/sub/file || die",
            "src_compile" => "cp sub/file built || die",
            "src_install" => {
                "[[ ${MY_SUM} == \" pkg_setup src_unpack src_prepare src_configure src_compile src_test\" ]] || die \"environment: ${MY_SUM}\"\n\
                 \t[[ ${MY_MAP[a]} == \"x y\" && ${MY_ARRAY[1]} == \"two words\" ]] || die \"arrays\"\n\
                 \t[[ ${FROM_ECLASS} == eclass ]] || die eclass\n\
                 \tuse flag || die flag\n\
                 \t[[ $(<built) == $'unpacked\\nprepared' ]] || die \"files: $(<built)\"\n\
                 \tdodoc built; seq 300 >README || die; dodoc README; newman - foo.1 < <(seq 300)\n\tdodir /usr/bin\n\tkeepdir /var/lib/foo"
            }
            _ => ":",
        };
        body.push_str(&format!(
            "{phase}() {{\n\tcount {phase}\n\t{rest}\n\texport MY_SUM+=\" {phase}\"\n}}\n"
        ));
    }
    ebuild(&body).replace("S=${WORKDIR}\n", "S=${WORKDIR}/${P}\n")
}

fn trial() -> Trial {
    let trial = Trial::new();
    let counts = trial.path("counts");
    fs::create_dir(&counts).unwrap();
    let text = counting(&counts);
    trial
        .ebuild("app-misc/foo-1", text)
        .eclass("counter", "FROM_ECLASS=eclass\n")
        .variable("FEATURES", "test")
}

/// How often the phase was run.
fn runs(trial: &Trial, phase: &str) -> usize {
    fs::read_to_string(trial.path(&format!("counts/count.{phase}")))
        .map_or(0, |text| text.lines().count())
}

/// What is in a package, without what differs from build to build; its environment without the
/// lines of such variables.
fn content(trial: &Trial, id: u64) -> Vec<(String, String)> {
    let path = trial
        .packages()
        .join(format!("app-misc/foo/foo-1-{id}.gpkg.tar"));
    let mut file = Package::open(&path).unwrap();
    let mut metadata = file.metadata().unwrap();
    for key in ["BUILD_ID", "BUILD_TIME", "environment.bz2", "COUNTER"] {
        metadata.remove(key);
    }
    let image = file.image().unwrap();
    let mut entries: Vec<(String, String)> = metadata
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    for entry in tar::Archive::new(image).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let kind = entry.header().entry_type();
        let mode = entry.header().mode().unwrap();
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
        let data = String::from_utf8_lossy(&data).into_owned();
        entries.push((format!("{name} {kind:?} {mode:o}"), data));
    }
    entries
}

/// Asserts that two packages have the same in them, one item after the other.
fn assert_same(left: &[(String, String)], right: &[(String, String)]) {
    for (one, other) in left.iter().zip(right) {
        assert_eq!(one, other);
    }
    assert_eq!(left.len(), right.len());
}

/// The environment in a package, line by line, sorted.
fn environment(trial: &Trial, id: u64) -> Vec<String> {
    let path = trial
        .packages()
        .join(format!("app-misc/foo/foo-1-{id}.gpkg.tar"));
    let metadata = Package::open(&path).unwrap().metadata().unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(
        &mut bzip2::read::BzDecoder::new(metadata["environment.bz2"].as_slice()),
        &mut text,
    )
    .unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_build_is_taken_up_behind_each_phase_and_gives_the_same_package() {
    let trial = trial();
    trial.run(&["build", "app-misc/foo"]).succeeds();
    let whole = content(&trial, 1);
    let whole_environment = environment(&trial, 1);
    let mut id = 1;
    for (at, phase) in PHASES.iter().enumerate().skip(1) {
        let _ = fs::remove_dir_all(trial.path("counts"));
        trial.put(&format!("counts/fail.{phase}"), "");
        let outcome = trial.run(&["build", "app-misc/foo"]);
        outcome.fails(&[&format!("no {phase} today"), "--resume"]);
        assert!(!outcome.stderr.contains("before again"), "{outcome}");
        // More than once: what a failed resumption leaves can be taken up too.
        trial
            .run(&["build", "--resume", "app-misc/foo"])
            .fails(&[&format!("no {phase} today")]);
        fs::remove_file(trial.path(&format!("counts/fail.{phase}"))).unwrap();
        trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
        id += 1;
        for (other, name) in PHASES.iter().enumerate() {
            let expected = match other.cmp(&at) {
                // Sources that src_prepare may have changed halfway are unpacked anew.
                std::cmp::Ordering::Less if *phase == "src_prepare" && *name == "src_unpack" => 3,
                std::cmp::Ordering::Less => 1,
                std::cmp::Ordering::Equal => 3,
                std::cmp::Ordering::Greater => 1,
            };
            assert_eq!(runs(&trial, name), expected, "{name}, failed in {phase}");
        }
        println!("failed in {phase}");
        assert_same(&content(&trial, id), &whole);
        assert_eq!(
            environment(&trial, id),
            whole_environment,
            "failed in {phase}"
        );
    }
    assert_eq!(trial.assert_pkgdir_valid().len(), PHASES.len());
}

#[test]
fn a_build_that_was_not_begun_cannot_be_resumed() {
    let trial = trial();
    trial.run(&["build", "--resume", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        "no build to resume",
        "without --resume",
    ]);
    // Nor one that was finished and cleaned away.
    trial.run(&["build", "app-misc/foo"]).succeeds();
    trial
        .run(&["build", "--resume", "app-misc/foo"])
        .fails(&["no build to resume"]);
}

#[test]
fn a_build_of_something_else_is_not_resumed() {
    let fail = |trial: &Trial| {
        trial.put("counts/fail.src_compile", "");
        trial
            .run(&["build", "app-misc/foo"])
            .fails(&["no src_compile today"]);
        fs::remove_file(trial.path("counts/fail.src_compile")).unwrap();
    };
    let refused = &[
        "app-misc/foo-1",
        "another ebuild, eclass, USE or configuration",
        "without --resume",
    ];
    // The ebuild.
    let changed = trial();
    fail(&changed);
    let path = changed.ebuild_path("app-misc/foo-1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}# changed\n")).unwrap();
    changed
        .run(&["build", "--resume", "app-misc/foo"])
        .fails(refused);
    // As it was before, it can be taken up: the refusal has done no harm.
    fs::write(&path, &text).unwrap();
    changed
        .run(&["build", "--resume", "app-misc/foo"])
        .succeeds();
    // An eclass.
    let changed = trial();
    fail(&changed);
    changed.put("repo/eclass/counter.eclass", "FROM_ECLASS=eclass # !\n");
    changed
        .run(&["build", "--resume", "app-misc/foo"])
        .fails(refused);
    // The flags.
    let changed = trial();
    fail(&changed);
    let changed = changed.variable("USE", "-flag");
    changed
        .run(&["build", "--resume", "app-misc/foo"])
        .fails(refused);
}

#[test]
fn a_resumed_package_phase_does_not_run_src_install_again() {
    let trial = trial().file("packages/app-misc", "");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["packages/app-misc"]);
    // There is room now.
    fs::remove_file(trial.path("packages/app-misc")).unwrap();
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
    assert_eq!(runs(&trial, "src_install"), 1);
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
    // What was done to the image before the failure is not done twice.
    trial.run(&["build", "app-misc/foo"]).succeeds();
    assert_same(&content(&trial, 1), &content(&trial, 2));
    assert_eq!(environment(&trial, 1), environment(&trial, 2));
}

#[test]
fn damaged_progress_is_named() {
    let trial = trial();
    trial.put("counts/fail.src_compile", "");
    trial.run(&["build", "app-misc/foo"]).fails(&["today"]);
    let private = trial.builddir("app-misc/foo-1").join(".ebd");
    fs::write(private.join("progress.json"), "{").unwrap();
    trial.run(&["build", "--resume", "app-misc/foo"]).fails(&[
        "progress.json",
        "damaged",
        "without --resume",
    ]);
}

#[test]
fn another_terminal_is_no_other_build() {
    let trial = trial()
        .variable("TERM", "xterm")
        .variable("SSH_CLIENT", "192.0.2.1 1 22");
    trial.put("counts/fail.src_compile", "");
    trial.run(&["build", "app-misc/foo"]).fails(&["today"]);
    fs::remove_file(trial.path("counts/fail.src_compile")).unwrap();
    let trial = trial
        .variable("TERM", "vt100")
        .variable("SSH_CLIENT", "192.0.2.1 2 22")
        .variable("WINDOWID", "7");
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
    assert_eq!(runs(&trial, "src_unpack"), 1);
}

#[test]
fn what_an_eclass_brings_under_the_name_of_a_later_eapi_s_command_is_kept() {
    let trial = Trial::new()
        .eclass("early", "pipestatus() { echo early; }\n")
        .package(
            "app-misc/foo-1",
            "inherit early\npkg_setup() { :; }\nsrc_configure() { [[ $(pipestatus) == early ]] || die before; }\n\
             src_compile() { [[ ! -e ${FAIL} ]] || die \"not yet\"; [[ $(pipestatus) == early ]] || die behind; }",
        );
    let fail = trial.path("fail");
    fs::write(&fail, "").unwrap();
    let trial = trial.variable("FAIL", fail.to_str().unwrap());
    trial.run(&["build", "app-misc/foo"]).fails(&["not yet"]);
    fs::remove_file(&fail).unwrap();
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
}
