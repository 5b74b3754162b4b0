//! Packages of hosts whose index says something else of them than they do.

use std::fs;

use super::hosts::{BODY, ask, events, trial};
use super::serve::Serving;
use crate::support::Trial;

#[test]
fn a_package_is_judged_by_what_it_says_and_not_by_its_index() {
    let host = trial("fast")
        .package(
            "app-misc/foo-1",
            &format!("LICENSE=\"Odd\"\n{}", BODY.replace("misc/bar", "misc/baz")),
        )
        .file("repo/licenses/Odd", "As they like it\n");
    host.run(&["build", "--nodeps", "app-misc/foo"]).succeeds();
    let index = host.packages().join("Packages");
    let honest = fs::read_to_string(&index).unwrap();
    let tell = |text: String| {
        assert_ne!(text, honest);
        fs::write(&index, text).unwrap();
        let _ = fs::remove_file(index.with_extension("gz"));
    };
    let serving = Serving::of(&host);

    tell(honest.replace("LICENSE: Odd", "LICENSE: MIT"));
    let client = Trial::new().gentoo().make_conf(&format!(
        "ACCEPT_LICENSE=\"-* MIT\"\nPORTAGE_BINHOST=\"http://{}\"\n",
        serving.host
    ));
    let outcome = client.run(&["build", "-G", "app-misc/foo"]);
    outcome.fails(&["it is masked", "none of its binary packages can be used"]);
    assert!(client.index().is_empty());

    let without_repository = honest.lines().filter(|line| !line.starts_with("REPO:"));
    for (text, expected) in [
        (
            honest.replace("misc/baz", "misc/bar"),
            "RDEPEND has changed since",
        ),
        (
            without_repository.map(|line| format!("{line}\n")).collect(),
            "it does not say of which repository it is",
        ),
        (
            honest.replace("REPO: trial", "REPO: other"),
            "it is from the repository other",
        ),
    ] {
        tell(text);
        let trial = trial("fast");
        ask(&trial, "fast", &[&serving]);
        let outcome = trial.run(&[
            "build",
            "--json",
            "--nodeps",
            "-g",
            "--binpkg-input=ignore",
            "app-misc/foo",
        ]);
        let unfit = &events(&outcome, "binary-unfit")[0]["unfit"];
        assert_eq!(unfit[0]["reason"], expected, "{unfit}");
        assert_eq!(events(&outcome, "finished").len(), 1, "{}", outcome.stdout);
    }
}
