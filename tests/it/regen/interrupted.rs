//! Runs that are ended in the middle, or are not alone.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{CACHE, REGEN};
use crate::claim::rows;
use crate::support::Trial;

/// A repository that takes a second or more to do.
fn long() -> Trial {
    let mut trial = Trial::new().eclass("plain", "IUSE=\"plain\"\nplain_foo() { :; }\n");
    let body = "inherit plain\nfor ((i = 0; i < 20000; i++)); do :; done";
    for category in ["app-a", "app-b", "app-c", "app-d"] {
        for version in 0..6 {
            trial = trial.package(&format!("{category}/foo-{version}"), body);
        }
    }
    trial
}

/// The names and texts of the entries of [`long`], from an undisturbed run.
fn undisturbed(trial: &Trial) -> Vec<(PathBuf, String)> {
    trial
        .regen(&["--cache", "undisturbed"])
        .ends(0, &["24 generated"]);
    trial.texts("undisturbed/trial")
}

/// The folders in which the sourcers of a run exchange files with it.
fn exchange_folders(run: u32) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| fs::read(process.path().join(name)).unwrap_or_default();
        let words = read("cmdline");
        let words: Vec<_> = words.split(|&byte| byte == 0).collect();
        let status = read("status");
        let parent = format!("\nPPid:\t{run}\n");
        if String::from_utf8_lossy(&status).contains(&parent)
            && words.get(1..3) == Some(&[&b"__warden"[..], b"--temporary"])
        {
            let folder = PathBuf::from(String::from_utf8_lossy(words[3]).into_owned());
            assert!(folder.is_dir(), "{}", folder.display());
            folders.push(folder);
        }
    }
    folders
}

#[test]
fn a_run_that_is_ended_in_the_middle_is_made_up_for() {
    let _rows = rows(&[40]);
    let trial = long();
    let expected = undisturbed(&trial);
    for (signal, code) in [
        (Signal::SIGKILL, None),
        (Signal::SIGINT, Some(130)),
        (Signal::SIGTERM, Some(143)),
    ] {
        let _ = fs::remove_dir_all(trial.path(CACHE));
        let mut child = trial.start(&[&REGEN[..], &["--jobs=2"]].concat());
        let begin = Instant::now();
        while trial.texts(CACHE).len() < 3 {
            assert!(begin.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let folders = exchange_folders(child.id());
        assert_eq!(folders.len(), 2, "{folders:?}");
        nix::sys::signal::kill(pid, signal).unwrap();
        let status = child.wait().unwrap();
        if let Some(code) = code {
            assert_eq!(
                status.code().or(status.signal().map(|s| 128 + s)),
                Some(code)
            );
        }
        trial.assert_no_processes(signal.as_str());
        for folder in folders {
            assert!(!folder.exists(), "{}", folder.display());
        }
        // What is there is whole.
        let left = trial.texts(CACHE);
        assert!(left.len() < 24, "the signal came too late");
        for (path, text) in &left {
            let hidden = path.file_name().unwrap().to_str().unwrap().starts_with('.');
            assert!(
                hidden || expected.contains(&(path.clone(), text.clone())),
                "{path:?}"
            );
        }
        trial.regen(&[]).succeeds();
        assert_eq!(
            trial
                .texts(CACHE)
                .into_iter()
                .filter(|(path, _)| !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
                .collect::<Vec<_>>(),
            expected
        );
    }
}

#[test]
fn two_runs_at_once_do_no_harm() {
    let _rows = rows(&[40]);
    let trial = long();
    let expected = undisturbed(&trial);
    trial.put(&format!("{CACHE}/app-gone/foo-1"), "EAPI=8\n");
    let mut children: Vec<_> = (0..3).map(|_| trial.start(&REGEN)).collect();
    for child in &mut children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(trial.texts(CACHE), expected);
}
