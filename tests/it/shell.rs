//! `ebd shell`: a build as a person or a script finds it, and what can be done there.

mod commands;
mod failed;
mod prompt;
mod refused;
mod state;

use std::fs;
use std::process::Stdio;

use crate::support::terminal::Person;
use crate::support::{Outcome, Trial};

/// A package whose phases leave traces, and one eclass.
const BODY: &str = "inherit helper
IUSE=\"+one two\"
src_unpack() { mkdir -p \"${S}\"/sub || die; printf 'all:\\n\\ttouch done\\ninstall:\\n\\tinstall -D done $(DESTDIR)/usr/share/done\\n' >\"${S}\"/sub/Makefile || die; }
src_prepare() { default; PREPARED=yes; }
src_configure() { export CONFIGURED=\"${PREPARED}\"; }
src_compile() { cd sub || die; emake; }
src_install() { cd sub || die; emake DESTDIR=\"${D}\" install; dosym done /usr/share/link; helper_says; }";

fn trial() -> Trial {
    let trial = Trial::new()
        .package("app-misc/foo-1", BODY)
        .eclass("helper", "helper_says() { einfo \"helped\"; }\n")
        .eclass("another", "another_says() { echo other; }\n");
    let path = trial.ebuild_path("app-misc/foo-1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("S=${WORKDIR}\n", "S=${WORKDIR}/src\n")).unwrap();
    trial
}

/// Somebody in the shell of `app-misc/foo`, at its first prompt.
fn person(trial: &Trial, arguments: &[&str]) -> Person {
    let mut all = vec!["shell", "app-misc/foo"];
    all.extend(arguments);
    let mut person = Person::start(&trial.command(&all));
    person.prompt();
    person
}

/// The outcome of commands in the shell of `app-misc/foo`.
fn commands(trial: &Trial, arguments: &[&str], text: &str) -> Outcome {
    let mut all = vec!["shell", "app-misc/foo", "-c", text];
    all.extend(arguments);
    trial.run(&all)
}

/// The outcome of a script on standard input.
fn script(trial: &Trial, arguments: &[&str], text: &str) -> Outcome {
    trial.put("script", text);
    let mut command = trial.command(arguments);
    command.stdin(Stdio::from(fs::File::open(trial.path("script")).unwrap()));
    Outcome::of(&mut command)
}
