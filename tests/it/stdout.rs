//! Standard output that cannot be written, of every command that has something to say there.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::support::{Outcome, Trial};

/// A repository with a package that was built and has an entry in its cache.
fn trial() -> Trial {
    let trial = Trial::new().gentoo().package("app-misc/foo-1", "");
    trial.run(&["build", "app-misc/foo"]).succeeds();
    trial.run_configured("regen", &["trial"]).succeeds();
    trial
}

/// The commands, each of which prints something and ends well.
fn commands(trial: &Trial) -> Vec<Command> {
    let mut commands: Vec<Command> = [
        &["--help"][..],
        &["--version"],
        &["completions", "bash"],
        &["build", "-p", "app-misc/foo"],
        &["build", "--json", "-p", "app-misc/foo"],
        &["build", "app-misc/foo", "--stop-after", "unpack"],
        &["env", "app-misc/foo"],
        &["fetch", "--json", "app-misc/foo"],
        &["manifest", "--json", "app-misc/foo"],
        &["transfer", "repo", "new", "--config-root", "conf"],
        &["transfer", "repo", "new", "--config-root", "conf", "--json"],
        &["confcache", "stats"],
        &["binpkg", "list"],
        &["binpkg", "show", "app-misc/foo"],
        &["binpkg", "show", "app-misc/foo", "--file", "SLOT"],
        &["binpkg", "check"],
    ]
    .iter()
    .map(|words| trial.command(words))
    .collect();
    for (command, words) in [
        ("config", &["CHOST"][..]),
        ("config", &["--json", "app-misc/foo"]),
        ("query", &["foo"]),
        ("search", &["trial"]),
        ("regen", &["--json", "trial"]),
    ] {
        commands.push(trial.command_configured(command, words));
    }
    commands
}

#[test]
fn what_cannot_be_written_is_told() {
    let trial = trial();
    for mut command in commands(&trial) {
        let outcome = Outcome::of(&mut command);
        assert!(!outcome.succeeds().stdout.is_empty(), "{command:?}");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let outcome = Outcome::of(command.stdout(full));
        assert_eq!(outcome.code(), 1, "{command:?}: {outcome}");
        let told = outcome
            .stderr
            .matches("standard output: cannot be written\n  because: No space left");
        assert_eq!(told.count(), 1, "{command:?}: {outcome}");
    }
}

#[test]
fn whoever_has_read_enough_may_go() {
    let trial = trial();
    for mut command in commands(&trial) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let outcome = Outcome::of(command.stdout(Stdio::from(writer)));
        outcome.succeeds().ends(0, &[]);
        assert!(
            !outcome.stderr.contains("standard output"),
            "{command:?}: {outcome}"
        );
    }
}
