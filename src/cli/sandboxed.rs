//! `ebd sandbox`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::wait::waitpid;
use sandbox::launch::{SandboxError, Settings, Starting};
use sandbox::{
    DEVICES, Feature, List, Namespaces, Network, Policy, Sandbox, Trace, Violations, Wall, Watch,
};
use serde_json::{Value, json};

use super::arguments;
use super::arguments::Net;
use crate::util::causes::causes;
use crate::util::output::Output;
use crate::util::printable::printable;

/// The status when there could be no sandbox, as `env` and `timeout` have it.
const NO_SANDBOX: u8 = 125;

/// Runs `ebd sandbox`.
pub(super) fn main(arguments: &arguments::Sandbox) -> ExitCode {
    match work(arguments) {
        Ok(status) => ExitCode::from(status),
        Err(told) => {
            for (at, cause) in told.iter().enumerate() {
                say(&format!(
                    "{}{cause}",
                    if at == 0 { "ebd: " } else { "  because: " }
                ));
            }
            ExitCode::from(NO_SANDBOX)
        }
    }
}

/// A line for people.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs the command and tells what was refused. Gives the exit status.
fn work(arguments: &arguments::Sandbox) -> Result<u8, Vec<String>> {
    let outputs = check_files(arguments)?;
    let policy = policy(arguments)?;
    let mut settings = settings(arguments, &policy)?;
    let (status, sandbox) = loop {
        match run(&settings, policy.clone(), &arguments.command) {
            Ok(result) => break result,
            Err(error) => match error.feature() {
                Some(feature) if arguments.degrade.contains(&feature) => {
                    say(&format!(
                        "ebd: without {feature}: {}",
                        feature.consequence()
                    ));
                    settings = settings.without(feature);
                }
                feature => return Err(hopeless(&error, feature)),
            },
        }
    };
    let (violations, trace) = sandbox.finish();
    if !violations.is_empty() {
        show(&violations);
    }
    if let Some(output) = &outputs.report {
        write(output, &report(status, &violations))?;
    }
    if let Some(output) = &outputs.trace {
        for reason in trace.escapes() {
            say(&format!("ebd: the trace is not complete: {reason}"));
        }
        write(output, &traced(&trace))?;
    }
    Ok(match status {
        0 if !violations.is_empty() => 1,
        status => status,
    })
}

/// What is written when the command has ended.
struct Outputs {
    report: Option<Output>,
    trace: Option<Output>,
}

/// Finds out before anything is run whether what is to be written afterwards can be, and tells of
/// paths that are nothing.
fn check_files(arguments: &arguments::Sandbox) -> Result<Outputs, Vec<String>> {
    let find = |path: &PathBuf| {
        let output = Output::find(path)?;
        output.check().map(|()| output)
    };
    let find = |path: &Option<PathBuf>| path.as_ref().map(find).transpose();
    let report = find(&arguments.report).map_err(|error| causes(&error))?;
    let trace = find(&arguments.trace).map_err(|error| causes(&error))?;
    if let (Some(report), Some(trace)) = (&report, &trace)
        && report.is(trace)
        && report.file().is_some()
    {
        return Err(vec!["--report and --trace name the same file".into()]);
    }
    for (option, paths) in [
        ("--deny", &arguments.deny),
        ("--read", &arguments.read),
        ("--write", &arguments.write),
    ] {
        for path in paths.iter().filter(|path| path.symlink_metadata().is_err()) {
            say(&format!(
                "ebd: {option} {}: there is nothing of that name yet",
                printable(path.as_os_str())
            ));
        }
    }
    Ok(Outputs { report, trace })
}

/// Why there is no sandbox, and what else to do about it.
fn hopeless(error: &SandboxError, feature: Option<Feature>) -> Vec<String> {
    let mut told = causes(error);
    let nested = matches!(error, SandboxError::Refused { feature: Feature::Calls, errno }
        if *errno == Errno::EBUSY);
    if nested {
        told.push("this runs in a sandbox already, and the kernel allows one of its kind".into());
    }
    if matches!(feature, Some(Feature::Network | Feature::User)) {
        told.push("--net host needs no network of its own".into());
    }
    told
}

/// The paths as the policy has them.
fn policy(arguments: &arguments::Sandbox) -> Result<Policy, Vec<String>> {
    let mut policy = Policy::confined();
    let everything = [PathBuf::from("/")];
    let read = match arguments.read.as_slice() {
        [] => &everything[..],
        some => some,
    };
    for (list, paths) in [
        (List::Read, read),
        (List::Write, &arguments.write),
        (List::Predict, &arguments.predict),
        (List::Deny, &arguments.deny),
    ] {
        for path in paths {
            policy.add(list, &absolute(path)?);
        }
    }
    for device in DEVICES {
        policy.add(List::Write, Path::new(device));
    }
    Ok(policy)
}

fn absolute(path: &Path) -> Result<PathBuf, Vec<String>> {
    std::path::absolute(path).map_err(|error| {
        vec![
            format!("{:?}: is no path", path.display().to_string()),
            error.to_string(),
        ]
    })
}

/// How the command is confined.
fn settings(arguments: &arguments::Sandbox, policy: &Policy) -> Result<Settings, Vec<String>> {
    let reads = policy.restricts_reading();
    let watch = match (&arguments.trace, reads) {
        (Some(_), _) => Watch::Everything,
        (None, true) => Watch::Reads,
        (None, false) => Watch::Changes,
    };
    let mut wall = Wall::default();
    for path in &arguments.write {
        let path = absolute(path)?;
        // What does not exist yet is no part of a wall: it is made by ebd itself.
        if let Ok(path) = path.canonicalize() {
            wall.write.push(path);
        }
    }
    wall.write.extend(DEVICES.map(PathBuf::from));
    if !arguments.read.is_empty() {
        let mut read = Vec::new();
        for path in &arguments.read {
            read.push(absolute(path)?);
        }
        // What the kernel makes up for each process.
        read.push("/proc".into());
        wall.read = Some(read);
    }
    Ok(Settings {
        watch: Some(watch),
        wall: Some(wall),
        namespaces: Namespaces {
            network: match arguments.net {
                Net::None => Network::None,
                Net::Loopback => Network::Loopback,
                Net::Host => Network::Host,
            },
            ..Namespaces::default()
        },
        identity: None,
        attached: true,
    })
}

/// Runs the command to its end and gives its status, as a shell tells it.
fn run(
    settings: &Settings,
    policy: Policy,
    words: &[std::ffi::OsString],
) -> Result<(u8, Sandbox), SandboxError> {
    // If the warden is lost, what it watched over comes to this process.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let starting = Starting::new(settings.clone())?;
    let warden = starting.fork(words)?;
    let sandbox = match starting.finish(policy) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let _ = waitpid(warden, None);
            return Err(error);
        }
    };
    let status = sandbox::attached::wait(warden).map_err(|errno| SandboxError::System {
        what: "the warden is lost",
        errno,
    })?;
    Ok((status, sandbox))
}

/// Tells people what was refused.
fn show(violations: &Violations) {
    let count = violations.count();
    let times = if count == 1 { "access" } else { "accesses" };
    say(&format!("ebd: sandbox: {count} {times} refused"));
    for violation in violations.kept() {
        say(&format!(
            "  {} {} of {}",
            violation.call,
            violation.access.word(),
            printable(violation.path.as_os_str())
        ));
        let words: Vec<String> = violation
            .command
            .iter()
            .map(|word| printable(word))
            .collect();
        say(&format!(
            "    by {}: {}",
            printable(violation.program.as_os_str()),
            words.join(" ")
        ));
    }
    let left = count.saturating_sub(violations.kept().len() as u64);
    if left > 0 {
        say(&format!("  and {left} more of these"));
    }
}

/// What was refused, for programs.
fn report(status: u8, violations: &Violations) -> Value {
    let each = violations.kept().iter().map(|violation| {
        json!({
            "program": text(&violation.program),
            "call": violation.call,
            "access": violation.access.word(),
            "path": text(&violation.path),
            "command": violation.command.iter().map(text).collect::<Vec<_>>(),
        })
    });
    json!({
        "status": status,
        "count": violations.count(),
        "violations": each.collect::<Vec<_>>(),
    })
}

/// What was looked at, for programs.
fn traced(trace: &Trace) -> Value {
    let each = trace.accesses().map(|(path, kind, outcome)| {
        json!({
            "path": text(path),
            "access": kind.word(),
            "outcome": outcome.map_or_else(|| "ok".to_owned(), |errno| format!("{errno:?}")),
        })
    });
    json!({
        "complete": trace.is_complete(),
        "escapes": trace.escapes().collect::<Vec<_>>(),
        "programs": trace.programs().map(text).collect::<Vec<_>>(),
        "accesses": each.collect::<Vec<_>>(),
    })
}

/// A path or word as JSON: text, or its bytes where it is none.
fn text<T: AsRef<std::ffi::OsStr>>(bytes: T) -> Value {
    match bytes.as_ref().to_str() {
        Some(text) => json!(text),
        None => json!({ "bytes": bytes.as_ref().as_encoded_bytes() }),
    }
}

/// Writes a value as a line.
fn write(output: &Output, value: &Value) -> Result<(), Vec<String>> {
    let mut bytes = value.to_string().into_bytes();
    bytes.push(b'\n');
    output.write(&bytes).map_err(|error| causes(&error))
}
