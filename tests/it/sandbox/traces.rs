//! Traces that are taken while programs run.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ::sandbox::launch::{Settings, Starting};
use ::sandbox::warden::ARGUMENT;
use ::sandbox::{CONTROL, Guard, Kind, Policy, Sandbox, TRACE, Trace, Watch};

use crate::support::{EBD, Trial};

/// A command that runs a shell behind a filter, which begins to read what to do.
fn behind_a_filter(shell: &str, script: &str) -> (Child, Sandbox) {
    let settings = Settings {
        watch: Some(Watch::Everything),
        attached: true,
        ..Settings::default()
    };
    let starting = Starting::new(settings).unwrap();
    let mut command = Command::new(EBD);
    command
        .arg(ARGUMENT)
        .args(starting.arguments())
        .args([shell, "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    starting.prepare(&mut command);
    let child = command.spawn().unwrap();
    (child, starting.finish(Policy::free()).unwrap())
}

/// What is known to be there and was noted before is noted again in each trace, also when somebody has tried to
/// change the system meanwhile.
#[test]
fn what_is_asked_again_is_in_the_next_trace_too() {
    let script =
        "while read -r line; do $line </etc/passwd >/dev/null 2>&1; test -d /etc; echo done; done";
    let (mut child, sandbox) = behind_a_filter("sh", script);
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for line in ["cat", "cat", "cat", "mkdir /usr", "cat", "cat"] {
        writeln!(input, "{line}").unwrap();
        let mut told = String::new();
        output.read_line(&mut told).unwrap();
        assert_eq!(told, "done\n");
        let trace = sandbox.take_trace();
        assert_eq!(trace.escapes().count(), 0);
        for (path, kind) in [("/etc/passwd", Kind::Open), ("/etc", Kind::Stat)] {
            let noted = trace.accesses().any(|(other, how, outcome)| {
                other == Path::new(path) && how == kind && outcome.is_none()
            });
            assert!(noted, "{line}: {path} is not in {trace:?}");
        }
        assert_eq!(
            trace.programs().any(|program| program.ends_with("cat")),
            line == "cat"
        );
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    let _ = sandbox.finish();
}

/// A shell behind a filter, which takes the trace itself into the file that is named.
fn takes(script: &str) -> Trial {
    let trial = Trial::new();
    let script = format!(
        "cd {} || exit; read -r go\n\
         take() {{ exec 3<{CONTROL}word/{TRACE} || exit; cat <&3 >\"$1\"; exec 3<&-; }}\n{script}",
        trial.path("").display()
    );
    let (mut child, sandbox) = behind_a_filter("bash", &script);
    sandbox.set_policy(Policy::free(), Some("word".to_owned()));
    writeln!(child.stdin.take().unwrap(), "go").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(sandbox.take_trace(), Trace::default());
    let (_, trace) = sandbox.finish();
    assert_eq!(trace, Trace::default(), "it was theirs to take");
    trial
}

/// The names below the root that the trace in the file has.
fn names(trial: &Trial, file: &str) -> Vec<String> {
    let trace = Trace::from_bytes(&std::fs::read(trial.path(file)).unwrap()).unwrap();
    assert!(trace.is_complete());
    let own = trace.accesses().filter_map(|(path, ..)| {
        let name = path.to_str()?.strip_prefix("/nothing-")?;
        Some(name.to_owned())
    });
    own.collect()
}

/// Who answers looks at much that is not what the others depend on.
#[test]
fn what_a_taker_looks_at_itself_is_not_in_the_trace() {
    let trial = takes(
        "test -e /nothing-before; ls /nothing-early 2>/dev/null\n\
         take begin; test -e /nothing-own; (test -e /nothing-forked)\n\
         ls /nothing-child 2>/dev/null; take first\n\
         ls /nothing-child /nothing-later 2>/dev/null; test -e /nothing-own; take second; take third",
    );
    assert_eq!(names(&trial, "begin"), [""; 0]);
    assert_eq!(names(&trial, "first"), ["child", "forked"]);
    assert_eq!(names(&trial, "second"), ["child", "later"]);
    assert_eq!(names(&trial, "third"), [""; 0]);
}

/// Each has all that others look at, whoever takes it meanwhile and ends before.
#[test]
fn takers_take_nothing_from_each_other() {
    let trial = takes(
        "take begin; ls /nothing-one 2>/dev/null\n\
         bash -c \"$(declare -f take)\"'\n\
         take other.begin; test -e /nothing-taker; ls /nothing-two 2>/dev/null; take other'\n\
         ls /nothing-three 2>/dev/null; take all; ls /nothing-four 2>/dev/null; take rest",
    );
    assert_eq!(names(&trial, "other.begin"), [""; 0]);
    assert_eq!(names(&trial, "other"), ["two"]);
    assert_eq!(names(&trial, "all"), ["one", "three", "two"]);
    assert_eq!(names(&trial, "rest"), ["four"]);
}
