//! Programs that act through other processes, or that do not end with the command.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Beside, Place, dynamic, left_out};

/// A process outside of any sandbox, with a file of the folder outside open for writing and a text in
/// its memory.
struct Victim {
    process: Beside,
    output: BufReader<std::process::ChildStdout>,
    pid: String,
    address: String,
}

impl Victim {
    fn start(place: &Place) -> Self {
        let mut child = Command::new(dynamic())
            .arg("victim")
            .arg(place.outside().join("file"))
            .current_dir(place.outside())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let process = Beside(child);
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let (pid, address) = line.trim_end().split_once(' ').unwrap();
        Self {
            pid: pid.to_owned(),
            address: address.to_owned(),
            process,
            output,
        }
    }

    /// `PID` and `ADDRESS` in words, filled in.
    fn words(&self, words: &str) -> String {
        words
            .replace("VICTIM", &self.pid)
            .replace("ADDRESS", &self.address)
    }

    /// Ends it and gives the text that it has then, none if it was ended before.
    fn end(mut self) -> Option<String> {
        drop(self.process.0.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text.lines().next().map(str::to_owned)
    }
}

/// What one process can do to another of the same user, it may not do to those outside.
#[test]
fn processes_outside_cannot_be_made_use_of() {
    for words in [
        "pidfd_getfd VICTIM",
        "process_vm_writev VICTIM ADDRESS",
        "proc-mem VICTIM ADDRESS",
        "ptrace-poke VICTIM ADDRESS",
        "open wronly /proc/VICTIM/fd/40",
        "open wronly /proc/VICTIM/cwd/file",
        "open wronly /proc/VICTIM/root@/file",
        "chmod /proc/VICTIM/cwd/file",
        "int80 open wronly /proc/VICTIM/cwd/file",
    ] {
        let place = Place::new();
        let (victim, before) = (Victim::start(&place), place.seen());
        let free = place.run_free(dynamic(), &victim.words(words), &place.outside());
        let changed = victim.end().unwrap() == "touched" || place.seen() != before;
        if free.code() != 0 {
            left_out(&format!("{words}, unconfined"), free.stdout.trim_end());
        } else {
            assert!(changed, "{words} has no effect: {free}");
        }

        let place = Place::new();
        let (victim, before) = (Victim::start(&place), place.seen());
        let run = place.run(&victim.words(words));
        assert_eq!(run.outcome.code(), 1, "{words}: {}", run.outcome);
        assert_eq!(victim.end().unwrap(), "untouched", "{words}");
        before.assert_unchanged(&place.outside(), words);
    }
}

/// Signals are no changes of files. What happens is only told.
#[test]
fn signals_to_processes_outside_are_told() {
    let place = Place::new();
    let victim = Victim::start(&place);
    let run = place.run(&victim.words("kill VICTIM"));
    let told = run.outcome.stdout.trim_end().to_owned();
    match victim.end() {
        Some(_) => eprintln!("signals to processes outside are refused: {told}"),
        None => eprintln!("signals to processes outside are not refused: {told}"),
    }
}

/// Whoever supervises could do what the program may not, if it could be made to.
#[test]
fn supervisors_cannot_be_made_use_of() {
    let place = Place::new();
    let run = place.run(&format!("ptrace-parents {}", std::process::id()));
    assert_eq!(run.outcome.code(), 1, "{}", run.outcome);
    assert!(!run.outcome.stdout.contains(": ok"), "{}", run.outcome);
}

/// A program that kills them gains nothing.
#[test]
fn supervisors_that_are_killed_by_the_program_take_it_with_them_or_stay() {
    let place = Place::new();
    let before = place.seen();
    let words = format!(
        "turn linger leave @ + ; kill-parents {} ; fork creat @/new ; chmod @/file ; creat @/new",
        std::process::id()
    );
    let mut command = place.sandbox(&["--write".as_ref(), place.inside().as_os_str()]);
    command
        .arg(dynamic())
        .args(place.words(&words, &place.outside()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _ = command.status().unwrap();
    place
        .trial
        .assert_no_processes("after its supervisors were killed");
    before.assert_unchanged(&place.outside(), &words);
}

/// A traced sibling's calls are its own, however they came about.
#[test]
fn siblings_can_be_traced_but_do_no_more_for_it() {
    let place = Place::new();
    let free = place.run_free(dynamic(), "ptrace-unlink @/file", &place.outside());
    if free.stdout.contains("ENOSYS") {
        left_out(
            "changing the calls of a traced process",
            "this is not x86-64",
        );
        return;
    }
    free.succeeds();
    assert!(!place.outside().join("file").exists());
    let place = Place::new();
    let before = place.seen();
    let run = place.run("ptrace-unlink @/file");
    assert_ne!(run.outcome.code(), 0, "{}", run.outcome);
    before.assert_unchanged(&place.outside(), "a traced sibling");
    // Debuggers work, unless that is refused altogether.
    let run = place.run_linked(dynamic(), "ptrace-unlink @/file", &place.inside());
    eprintln!("tracing a sibling: {}", run.outcome.stdout.trim_end());
    if run.outcome.code() == 0 {
        assert!(!place.inside().join("file").exists());
    }
}

/// A program without a name of its own is a program as any other.
#[test]
fn programs_in_memory_are_confined_too() {
    for words in [
        "memfd creat @/new",
        "memfd thread chmod @/file",
        "memfd memfd vfork unlink @/file",
    ] {
        let place = Place::new();
        place
            .run_free(dynamic(), words, &place.outside())
            .succeeds();
        let place = Place::new();
        let before = place.seen();
        let run = place.run(words);
        assert_eq!(run.outcome.code(), 1, "{words}: {}", run.outcome);
        assert!(
            run.outcome.stdout.ends_with(": EACCES\n"),
            "{}",
            run.outcome
        );
        assert_eq!(run.report().violations.len(), 1, "{:?}", run.report);
        before.assert_unchanged(&place.outside(), words);
        let place = Place::new();
        place
            .run_linked(dynamic(), words, &place.inside())
            .succeeds();
    }
}

/// The lengths of the files that lingering processes write to, which grow while these live.
fn beats(place: &Place) -> Vec<(PathBuf, u64)> {
    let mut found: Vec<_> = fs::read_dir(place.inside())
        .unwrap()
        .flatten()
        .filter(|file| file.file_name().to_str().unwrap().starts_with("beat-"))
        .map(|file| (file.path(), file.metadata().unwrap().len()))
        .collect();
    found.sort();
    found
}

#[track_caller]
fn assert_still(place: &Place, when: &str) {
    let before = beats(place);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(beats(place), before, "{when}");
}

/// That they do what they are feared to do.
#[test]
fn processes_linger_where_nothing_ends_them() {
    let place = Place::new();
    let free = place.run_free_quietly("linger leave @ +");
    free.succeeds();
    let before = beats(&place);
    assert_eq!(before.len(), 3);
    std::thread::sleep(Duration::from_millis(100));
    assert_ne!(beats(&place), before);
    assert!(place.outside().join("written-daemon").exists());
    for (pid, _) in place.trial.processes() {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    place.trial.assert_no_processes("after being killed");
}

impl Place {
    /// The command of an unconfined run that the trial can find again, its output going nowhere.
    fn run_free_quietly(&self, call: &str) -> super::Outcome {
        let mut command = Command::new(dynamic());
        command
            .args(self.words(call, &self.outside()))
            .current_dir(&self.root);
        let begin = Instant::now();
        let status = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        super::Outcome {
            stdout: String::new(),
            stderr: String::new(),
            status,
            elapsed: begin.elapsed(),
        }
    }
}

#[test]
fn nothing_outlives_the_command() {
    let place = Place::new();
    let before = place.seen();
    // Its output is a pipe that the lingering processes have, too.
    let run = place.run("linger leave @ +");
    assert_eq!(run.outcome.code(), 1, "{}", run.outcome);
    assert_eq!(place.trial.processes(), [], "when the command has ended");
    assert_eq!(beats(&place).len(), 3);
    assert_still(&place, "after the command");
    before.assert_unchanged(&place.outside(), "processes in the background");
    assert!(run.outcome.elapsed.as_secs() < 10);
}

/// Starts a command that stays, and waits until all of its processes work.
fn lingering(place: &Place) -> Beside {
    let mut command = place.sandbox(&["--write".as_ref(), place.inside().as_os_str()]);
    let child = command
        .arg(dynamic())
        .args(place.words("linger stay @ +", &place.outside()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = Beside(child);
    let begin = Instant::now();
    while beats(place).len() < 4 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

/// Waits for the end of what was killed, which has to come as soon as that of all else.
#[track_caller]
fn ends(child: &mut Beside, when: &str) {
    let begin = Instant::now();
    while child.0.try_wait().unwrap().is_none() {
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{when}: it goes on"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ctrl-C is the command's, which may have its own way to end.
#[test]
fn an_interrupt_at_the_terminal_ends_the_command() {
    let place = Place::new();
    let mut command = place.sandbox(&["--write".as_ref(), place.inside().as_os_str()]);
    let text = "touch there; trap 'echo caught >caught; exit 5' INT; sleep 300 & wait";
    let child = command
        .current_dir(place.inside())
        // Whoever runs the tests behind his shell has the signal ignored, which no `sh` can undo.
        .args(["env", "--default-signal=INT", "sh", "-c", text])
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut child = Beside(child);
    let begin = Instant::now();
    while !place.inside().join("there").exists() {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    let group = Pid::from_raw(i32::try_from(child.0.id()).unwrap());
    nix::sys::signal::killpg(group, Signal::SIGINT).unwrap();
    ends(&mut child, "after an interrupt");
    assert_eq!(child.0.wait().unwrap().code(), Some(5));
    assert!(place.inside().join("caught").exists());
    place.trial.assert_no_processes("after an interrupt");
}

#[test]
fn nothing_outlives_its_supervisor() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP] {
        if sandbox::signals::is_ignored(signal) {
            super::left_out(signal.as_str(), "it is ignored here");
            continue;
        }
        let place = Place::new();
        let before = place.seen();
        let mut child = lingering(&place);
        let pid = Pid::from_raw(i32::try_from(child.0.id()).unwrap());
        kill(pid, signal).unwrap();
        ends(&mut child, signal.as_str());
        place.trial.assert_no_processes(signal.as_str());
        assert_still(&place, signal.as_str());
        before.assert_unchanged(&place.outside(), signal.as_str());
    }
}

/// Each of the processes that a run consists of besides the confined ones may be the one that is
/// lost.
#[test]
fn nothing_outlives_any_of_its_supervisors() {
    for round in 0..8 {
        let place = Place::new();
        let before = place.seen();
        let child = lingering(&place);
        let supervisors: Vec<Pid> = place
            .trial
            .processes()
            .into_iter()
            .map(|(pid, _)| pid)
            .filter(|pid| {
                fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| {
                    program == fs::canonicalize(super::super::support::EBD).unwrap()
                })
            })
            .collect();
        assert!(!supervisors.is_empty());
        let Some(pid) = supervisors.get(round) else {
            return;
        };
        kill(*pid, Signal::SIGKILL).unwrap();
        let when = format!("supervisor {round} of {}", supervisors.len());
        let mut child = child;
        ends(&mut child, &when);
        place.trial.assert_no_processes(&when);
        assert_still(&place, &when);
        before.assert_unchanged(&place.outside(), &when);
    }
}

/// The end of a terminal is nobody's business below `nohup`.
#[test]
fn a_command_below_nohup_goes_on() {
    let place = Place::new();
    let mut command = place.sandbox(&["--write".as_ref(), place.inside().as_os_str()]);
    let text = "touch there; until test -e go; do sleep 0.01; done; kill -HUP $$; touch done";
    command.args(["sh", "-c", text]);
    let mut command = crate::support::without_hangups(&command);
    let child = command
        .current_dir(place.inside())
        .stdin(Stdio::null())
        .spawn();
    let mut child = Beside(child.unwrap());
    let begin = Instant::now();
    while !place.inside().join("there").exists() {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    // As the terminal does: to all that it was started with.
    for (pid, _) in place.trial.processes() {
        let _ = kill(pid, Signal::SIGHUP);
    }
    // Longer than programs have to end that are told to.
    std::thread::sleep(Duration::from_millis(1500));
    std::fs::write(place.inside().join("go"), "").unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    assert!(place.inside().join("done").exists());
}
