//! `ebd env`: the environments of a build, compared and with where things come from.

use std::fs;

use ebd::binpkg::package::Package;

use crate::support::{Trial, ebuild, line_of, text};

const BODY: &str = "inherit helper
MY_LIST=( one 'two words' )
export MY_EXPORT=exported
src_configure() { CONFIGURED=yes; helper_says() { echo louder; }; }
src_compile() { local inside=1; [[ ! -e ${FAIL} ]] || die \"as it should\"; COMPILED=yes; }
src_install() { :; }";

const ECLASS: &str = "# a comment\nHELPER_VAR=1\nhelper_says() { echo hello; }\nhelper_src_test() { :; }\nEXPORT_FUNCTIONS src_test\n";

fn trial() -> Trial {
    let trial = Trial::new()
        .package("app-misc/foo-1", BODY)
        .eclass("helper", ECLASS);
    let fail = text(&trial.path("fail"));
    trial.variable("FAIL", &fail)
}

/// The line in `env`'s output that begins so.
#[track_caller]
fn line<'a>(output: &'a str, begin: &str) -> &'a str {
    let found = output.lines().find(|line| line.starts_with(begin));
    found.unwrap_or_else(|| panic!("{begin} is not in:\n{output}"))
}

#[test]
fn variables_and_functions_are_shown_with_their_places() {
    let trial = trial();
    let path = trial.ebuild_path("app-misc/foo-1");
    let place = |part: &str| format!("  # {}:{}", path.display(), line_of(&ebuild(BODY), part));
    let eclass = |line: usize| {
        format!(
            "  # {}:{line}",
            trial.path("repo/eclass/helper.eclass").display()
        )
    };
    // Without a build: what sourcing gives.
    let outcome = trial.run(&["env", "app-misc/foo"]);
    let shown = &outcome.succeeds().stdout;
    assert_eq!(
        line(shown, "MY_LIST="),
        format!(
            "MY_LIST=([0]=\"one\" [1]=\"two words\"){}",
            place("MY_LIST")
        )
    );
    assert_eq!(
        line(shown, "export MY_EXPORT="),
        format!("export MY_EXPORT=\"exported\"{}", place("MY_EXPORT"))
    );
    assert_eq!(
        line(shown, "HELPER_VAR="),
        format!("HELPER_VAR=\"1\"{}", eclass(2))
    );
    assert_eq!(
        line(shown, "src_compile()"),
        format!("src_compile(){}", place("src_compile"))
    );
    assert_eq!(
        line(shown, "helper_says()"),
        format!("helper_says(){}", eclass(3))
    );
    // What EXPORT_FUNCTIONS makes is where the eclass has it.
    assert_eq!(
        line(shown, "src_test()"),
        format!("src_test(){}", eclass(4))
    );
    assert!(!trial.path("tmp/portage/app-misc").exists());
    // Of a build: by phases, and as it began.
    trial
        .run(&["build", "--stop-after", "install", "app-misc/foo"])
        .succeeds();
    fs::write(
        &path,
        format!("# moved\n{}", fs::read_to_string(&path).unwrap()),
    )
    .unwrap();
    let outcome = trial.run(&["env", "app-misc/foo"]);
    let shown = &outcome.succeeds().stdout;
    assert_eq!(
        line(shown, "CONFIGURED="),
        "CONFIGURED=\"yes\"  # in the configure phase"
    );
    assert_eq!(
        line(shown, "COMPILED="),
        "COMPILED=\"yes\"  # in the compile phase"
    );
    assert_eq!(
        line(shown, "helper_says()"),
        "helper_says()  # in the configure phase"
    );
    assert_eq!(
        line(shown, "HELPER_VAR="),
        format!("HELPER_VAR=\"1\"{}", eclass(2))
    );
    assert_eq!(
        line(shown, "MY_LIST="),
        format!(
            "MY_LIST=([0]=\"one\" [1]=\"two words\"){}",
            place("MY_LIST")
        )
    );
    let outcome = trial.run(&["env", "app-misc/foo", "--phase", "src_configure"]);
    assert!(!outcome.succeeds().stdout.contains("COMPILED"), "{outcome}");
}

#[test]
fn environments_are_compared() {
    let trial = trial();
    fs::write(trial.path("fail"), "").unwrap();
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["as it should"]);
    let outcome = trial.run(&["env", "app-misc/foo", "--diff", "sourced"]);
    assert_eq!(
        outcome.succeeds().stdout,
        "+ CONFIGURED=\"yes\"  # in the configure phase\n~ helper_says()  # in the configure phase\n    \
         @@ -1,4 +1,4 @@\n      \n     { \n    -    echo hello\n    +    echo louder\n     }\n"
    );
    let outcome = trial.run(&[
        "env",
        "app-misc/foo",
        "--phase",
        "failed",
        "--diff",
        "configure",
    ]);
    assert_eq!(
        outcome.succeeds().stdout,
        "+ inside=\"1\"  # in the compile phase\n"
    );
    let outcome = trial.run(&["env", "app-misc/foo", "--diff", "configure", "--json"]);
    assert_eq!(
        outcome.succeeds().stdout,
        "{\"functions\":[],\"variables\":[]}\n"
    );
    // With the one in a package.
    fs::remove_file(trial.path("fail")).unwrap();
    trial.run(&["build", "--keep", "app-misc/foo"]).succeeds();
    let package = trial.packages().join("app-misc/foo/foo-1-1.gpkg.tar");
    let metadata = Package::open(&package).unwrap().metadata().unwrap();
    fs::write(trial.path("environment.bz2"), &metadata["environment.bz2"]).unwrap();
    let outcome = trial.run(&[
        "env",
        "app-misc/foo",
        "--phase",
        "configure",
        "--diff",
        "environment.bz2",
    ]);
    let shown = &outcome.succeeds().stdout;
    assert!(shown.contains("- COMPILED=\"yes\"\n"), "{outcome}");
    assert!(!shown.contains("CONFIGURED"), "{outcome}");
}

#[test]
fn scripts_get_json() {
    let trial = trial();
    let outcome = trial.run(&["env", "app-misc/foo", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&outcome.succeeds().stdout).unwrap();
    let find = |kind: &str, name: &str| {
        let found = all[kind]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {outcome}")).clone()
    };
    let list = find("variables", "MY_LIST");
    assert_eq!(
        list["value"],
        serde_json::json!([["0", "one"], ["1", "two words"]])
    );
    assert_eq!(list["exported"], false);
    let line = line_of(&ebuild(BODY), "MY_LIST");
    assert_eq!(list["origin"]["place"]["line"], line);
    assert_eq!(find("variables", "MY_EXPORT")["exported"], true);
    assert!(
        find("functions", "helper_says")["body"]
            .as_str()
            .unwrap()
            .contains("echo hello")
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn what_there_is_not_is_named() {
    let trial = trial().package("app-misc/bad-1", "inherit nosuch");
    trial
        .run(&["build", "--stop-after", "configure", "app-misc/foo"])
        .succeeds();
    for (arguments, parts) in [
        (
            &["app-misc/foo", "--phase", "install"][..],
            &[
                "has kept no environment after src_install",
                "it has those after",
            ][..],
        ),
        (
            &["app-misc/foo", "--phase", "nosuch"],
            &["nosuch: is no phase"],
        ),
        (
            &["app-misc/foo", "--phase", "failed"],
            &["no build failed there"],
        ),
        (
            &["app-misc/foo", "--diff", "nosuch.bz2"],
            &["nosuch.bz2: cannot be read as an environment"],
        ),
        (&["app-misc/bad"], &["nosuch.eclass was not found"]),
        (&["app-misc/nosuch"], &["app-misc/nosuch: no such package"]),
    ] {
        let mut all = vec!["env"];
        all.extend(arguments);
        trial.run(&all).fails(parts);
    }
    fs::write(trial.path("evil"), "declare -- A=\"$(touch pwned)\"\n").unwrap();
    trial
        .run(&["env", "app-misc/foo", "--diff", "evil"])
        .fails(&["evil: cannot be read as an environment", "line 1"]);
    assert!(!trial.path("pwned").exists());
}
