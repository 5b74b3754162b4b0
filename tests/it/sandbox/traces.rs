//! Traces that are taken while programs run.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ::sandbox::launch::{Settings, Starting};
use ::sandbox::warden::ARGUMENT;
use ::sandbox::{Guard, Kind, Policy, Watch};

use crate::support::EBD;

/// What is known to be there and was noted before is noted again in each trace, also when somebody has tried to
/// change the system meanwhile.
#[test]
fn what_is_asked_again_is_in_the_next_trace_too() {
    let settings = Settings {
        watch: Some(Watch::Everything),
        attached: true,
        ..Settings::default()
    };
    let starting = Starting::new(settings).unwrap();
    let mut command = Command::new(EBD);
    let script =
        "while read -r line; do $line </etc/passwd >/dev/null 2>&1; test -d /etc; echo done; done";
    command
        .arg(ARGUMENT)
        .args(starting.arguments())
        .args(["sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    starting.prepare(&mut command);
    let mut child = command.spawn().unwrap();
    let sandbox = starting.finish(Policy::free()).unwrap();
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
