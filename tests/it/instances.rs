//! Several builds: of one package, at the same time, of packages that need one another; and what is
//! told of them.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use ebd::binpkg::package::Package;

use crate::support::{Outcome, Trial, text};

/// The file names of the packages of `app-misc/foo`, sorted.
fn names(trial: &Trial) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(trial.packages().join("app-misc/foo"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn builds_of_one_version_are_counted() {
    let trial = Trial::new().package("app-misc/foo-1", "src_install() { newdoc - x <<<x; }");
    for id in 1..=3 {
        let outcome = trial.run(&["build", "app-misc/foo"]);
        outcome.succeeds();
        let path = trial
            .packages()
            .join(format!("app-misc/foo/foo-1-{id}.gpkg.tar"));
        assert_eq!(outcome.stdout, format!("{}\n", path.display()));
        let metadata = Package::open(&path).unwrap().metadata().unwrap();
        assert_eq!(metadata["BUILD_ID"], id.to_string().as_bytes());
    }
    assert_eq!(
        names(&trial),
        ["foo-1-1.gpkg.tar", "foo-1-2.gpkg.tar", "foo-1-3.gpkg.tar"]
    );
    assert_eq!(trial.assert_pkgdir_valid(), [1, 2, 3]);
    // Nothing is left where it was built.
    assert_eq!(fs::read_dir(trial.path("tmp/portage")).unwrap().count(), 0);
    // Ids of packages that are gone are not given again while the index knows them.
    fs::remove_file(trial.packages().join("app-misc/foo/foo-1-3.gpkg.tar")).unwrap();
    trial.run(&["build", "app-misc/foo"]).succeeds();
    assert!(names(&trial).contains(&"foo-1-4.gpkg.tar".to_owned()));
}

/// Eight runs at once, each below the folder that `tmpdir` gives for its number.
fn eight(trial: &Trial, tmpdir: impl Fn(usize) -> std::path::PathBuf) -> Vec<Outcome> {
    let children: Vec<_> = (0..8)
        .map(|number| {
            let tmpdir = tmpdir(number);
            fs::create_dir_all(&tmpdir).unwrap();
            let mut command = trial.command_in(&["build", "app-misc/foo"], Some(tmpdir));
            std::thread::spawn(move || Outcome::of(&mut command))
        })
        .collect();
    children
        .into_iter()
        .map(|child| child.join().unwrap())
        .collect()
}

#[test]
fn builds_of_one_package_at_the_same_time_get_ids_of_their_own() {
    let trial = Trial::new().package("app-misc/foo-1", "src_install() { newdoc - x <<<x; }");
    let outcomes = eight(&trial, |number| trial.path(&format!("tmp{number}")));
    let mut paths: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.succeeds().stdout.clone())
        .collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 8);
    assert_eq!(trial.assert_pkgdir_valid(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn builds_in_one_directory_wait_for_one_another() {
    // The directory is made by the phase and must not be there yet, so two at once would fail.
    let trial = Trial::new();
    let witness = trial.path("witness");
    let trial = trial.package(
        "app-misc/foo-1",
        &format!(
            "src_compile() {{ mkdir {0} || die 'two at once'; sleep 0.1; rmdir {0} || die; }}",
            witness.display()
        ),
    );
    let outcomes = eight(&trial, |_| trial.path("tmp"));
    let waited = outcomes
        .iter()
        .filter(|outcome| outcome.succeeds().stderr.contains("waiting for the lock"))
        .count();
    assert!(waited >= 1, "nobody waited");
    assert_eq!(trial.assert_pkgdir_valid(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let left: Vec<_> = walkdir::WalkDir::new(trial.path("tmp/portage"))
        .min_depth(1)
        .into_iter()
        .flatten()
        .map(walkdir::DirEntry::into_path)
        .collect();
    assert!(
        left.iter()
            .all(|path| path.is_dir() || path.as_os_str().as_bytes().ends_with(b"lockfile")),
        "{left:?}"
    );
}

/// Six packages: `top` needs `left` and `right`, which need `base`; `poor` needs `bad`, which
/// fails if `fail`; `alone` needs nothing. Each writes its name to a file when it is compiled.
fn six(fail: bool) -> Trial {
    let trial = Trial::new();
    let order = trial.path("order");
    let body = |needs: &str, name: &str| {
        let end = if fail && name == "bad" {
            "die \"bad luck\""
        } else {
            ":"
        };
        format!(
            "DEPEND=\"{needs}\"\nsrc_compile() {{\n\techo {name} begin >>{0}\n\tsleep 0.05\n\techo {name} end >>{0}\n\t{end}\n}}",
            order.display()
        )
    };
    [
        ("top", "app-misc/left app-misc/right"),
        ("left", "app-misc/base"),
        ("right", ">=app-misc/base-1"),
        ("base", ""),
        ("poor", "app-misc/bad"),
        ("bad", ""),
    ]
    .into_iter()
    .fold(trial, |trial, (name, needs)| {
        let text = body(needs, name);
        trial.package(&format!("app-misc/{name}-1"), &text)
    })
}

const SIX: &[&str] = &["top", "left", "right", "base", "poor", "bad"];

/// Asserts that `first` was compiled before `second` began.
fn assert_before(order: &str, first: &str, second: &str) {
    let at = |line: String| order.lines().position(|other| other == line);
    let (end, begin) = (at(format!("{first} end")), at(format!("{second} begin")));
    assert!(end.is_some() && end < begin, "{first}, {second}: {order}");
}

#[test]
fn packages_that_are_needed_are_built_first() {
    let trial = six(false);
    let mut arguments = vec!["build", "--nodeps", "--jobs", "4"];
    arguments.extend(SIX);
    let outcome = trial.run(&arguments);
    outcome.succeeds();
    assert_eq!(outcome.stdout.lines().count(), 6);
    let order = fs::read_to_string(trial.path("order")).unwrap();
    for (first, second) in [
        ("base", "left"),
        ("base", "right"),
        ("left", "top"),
        ("right", "top"),
        ("bad", "poor"),
    ] {
        assert_before(&order, first, second);
    }
    assert_eq!(trial.assert_pkgdir_valid(), [1; 6]);
    trial.assert_no_processes("after all builds");
}

#[test]
fn a_failure_skips_what_needs_it_and_nothing_else() {
    let trial = six(true);
    let mut arguments = vec!["build", "--json", "--nodeps", "--jobs", "4"];
    arguments.extend(SIX);
    let outcome = trial.run(&arguments);
    assert_eq!(outcome.code(), 1, "{outcome}");
    let events = outcome.events();
    let of = |kind: &str| -> Vec<&str> {
        let mut all: Vec<&str> = events
            .iter()
            .filter(|event| event["event"] == kind)
            .map(|event| event["package"].as_str().unwrap())
            .collect();
        all.sort_unstable();
        all
    };
    assert_eq!(
        of("finished"),
        [
            "app-misc/base-1",
            "app-misc/left-1",
            "app-misc/right-1",
            "app-misc/top-1"
        ]
    );
    assert_eq!(of("failed"), ["app-misc/bad-1"]);
    assert_eq!(of("skipped"), ["app-misc/poor-1"]);
    let skipped = events.iter().find(|event| event["event"] == "skipped");
    assert_eq!(skipped.unwrap()["because_of"], "app-misc/bad-1");

    let trial = six(true);
    let outcome = trial.run(&["build", "--nodeps", "poor", "bad", "base"]);
    outcome.fails(&[
        "app-misc/bad-1: could not be built",
        "bad luck",
        "app-misc/poor-1: it needs app-misc/bad-1",
    ]);
    assert_eq!(outcome.stdout.lines().count(), 1);
}

#[test]
fn pretending_builds_nothing() {
    let trial = Trial::new().package("app-misc/foo-1", "IUSE=\"+b a\"");
    let outcome = trial.run(&["build", "--pretend", "app-misc/foo"]);
    outcome.succeeds();
    assert_eq!(outcome.stdout, "app-misc/foo-1::trial USE=\"b -a\"\n");
    assert!(!trial.packages().exists());
    assert!(!trial.path("tmp/portage").exists());
    let outcome = trial.run(&["build", "--pretend", "--json", "app-misc/foo"]);
    let events = outcome.succeeds().events();
    let planned: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "planned")
        .collect();
    assert_eq!(planned.len(), 1);
    assert_eq!(planned[0]["package"], "app-misc/foo-1");
    assert_eq!(planned[0]["use"]["USE"]["b"], true);
}

#[test]
fn events_come_in_the_order_of_the_work() {
    let trial = Trial::new()
        .package(
            "app-misc/foo-1",
            "src_compile() { elog \"a word\"; echo noise; echo \"a 1\" >&2; }",
        )
        .package("app-misc/bad-1", "src_install() { die \"no luck\"; }");
    let outcome = trial.run(&["build", "--json", "foo", "bad"]);
    assert_eq!(outcome.code(), 1);
    let events = outcome.events();
    let phases = |package: &str| -> Vec<&str> {
        events
            .iter()
            .filter(|event| event["package"] == package && event["event"] == "phase")
            .map(|event| event["phase"].as_str().unwrap())
            .collect()
    };
    let all = [
        "fetch",
        "pretend",
        "setup",
        "unpack",
        "prepare",
        "configure",
        "compile",
        "install",
        "package",
    ];
    assert_eq!(phases("app-misc/foo-1"), all);
    assert_eq!(phases("app-misc/bad-1"), all[..8]);
    for (package, last) in [("app-misc/foo-1", "finished"), ("app-misc/bad-1", "failed")] {
        let own: Vec<&str> = events
            .iter()
            .filter(|event| event["package"] == package)
            .map(|event| event["event"].as_str().unwrap())
            .collect();
        assert_eq!(own.first(), Some(&"started"));
        assert_eq!(own.last(), Some(&last));
    }
    let elog = events
        .iter()
        .find(|event| event["event"] == "elog")
        .unwrap();
    assert_eq!(elog["text"], "a word");
    assert_eq!(elog["phase"], "compile");
    let finished = events.iter().find(|event| event["event"] == "finished");
    assert_eq!(finished.unwrap()["build_id"], 1);
    let failed = events
        .iter()
        .find(|event| event["event"] == "failed")
        .unwrap();
    assert_eq!(failed["phase"], "install");
    assert_eq!(failed["resumable"], true);
    // What never got as far as a build is an event too.
    let outcome = trial.run(&["build", "--json", "none"]);
    assert_eq!(outcome.code(), 1);
    assert_eq!(outcome.stderr, "");
    assert_eq!(outcome.events().last().unwrap()["event"], "error");
}

#[test]
fn the_quiet_see_errors_and_paths_and_the_curious_see_all() {
    let trial = Trial::new()
        .package(
            "app-misc/foo-1",
            "src_compile() { echo noise; elog advice; }",
        )
        .package("app-misc/bad-1", "src_compile() { die \"no luck\"; }");
    let outcome = trial.run(&["build", "-q", "foo"]);
    assert_eq!(outcome.succeeds().stderr, "");
    assert_eq!(outcome.stdout.lines().count(), 1);
    trial
        .run(&["build", "-q", "bad"])
        .fails(&["app-misc/bad-1", "no luck"]);
    let outcome = trial.run(&["build", "foo"]);
    outcome.ends(0, &["built app-misc/foo-1", "advice"]);
    assert!(!outcome.stderr.contains("noise"), "{outcome}");
    let outcome = trial.run(&["build", "-v", "foo"]);
    outcome.ends(0, &["app-misc/foo-1: compile", "\nnoise\n"]);
    assert_eq!(outcome.stdout.lines().count(), 1);
    // With every line of the log as an event.
    let outcome = trial.run(&["build", "-v", "--json", "foo"]);
    let lines = outcome.succeeds().events();
    assert!(
        lines
            .iter()
            .any(|event| event["event"] == "output" && event["line"] == "noise"),
        "{outcome}"
    );
}

#[test]
fn colours_come_only_where_they_are_wanted() {
    let trial = Trial::new().package("app-misc/foo-1", "");
    let coloured = |trial: &Trial, arguments: &[&str]| {
        let outcome = trial.run(arguments);
        outcome.succeeds();
        assert!(!outcome.stdout.contains('\x1b'));
        outcome.stderr.contains('\x1b')
    };
    // Standard error is no terminal here.
    assert!(!coloured(&trial, &["build", "foo"]));
    assert!(coloured(&trial, &["build", "--color", "always", "foo"]));
    assert!(!coloured(&trial, &["build", "--color", "never", "foo"]));
    let trial = trial.variable("NO_COLOR", "1");
    assert!(!coloured(&trial, &["build", "foo"]));
    assert!(coloured(&trial, &["build", "--color", "always", "foo"]));
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let trial = Trial::new().package("app-misc/foo-1", "");
    let inner = trial.command(&["build", "-v", "app-misc/foo"]);
    let mut command = std::process::Command::new("bash");
    command
        .args([
            "-c",
            "\"$@\" 2>&1 | true; exit ${PIPESTATUS[0]}",
            "x",
            crate::support::EBD,
        ])
        .args(inner.get_args())
        .env("HOME", trial.path("home"))
        .env("XDG_CACHE_HOME", trial.path("home/cache"));
    Outcome::of(&mut command).succeeds();
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
    assert!(text(&trial.packages()).contains("packages"));
}
