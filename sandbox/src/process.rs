//! The tree of processes below one process, and ending it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The pids of all living processes below `root` (not `root` itself), zombies left out.
///
/// Processes whose parent died are found only if `root` is their subreaper. A host without a
/// readable `/proc` gives an empty list.
#[must_use]
pub fn descendants(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        if let Some((parent, alive)) = parent_of(pid)
            && alive
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut queue = vec![root.as_raw()];
    while let Some(pid) = queue.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            found.push(Pid::from_raw(child));
            queue.push(child);
        }
    }
    found
}

/// The parent of `pid`, and whether the process still runs (is no zombie).
fn parent_of(pid: i32) -> Option<(i32, bool)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command may hold any byte, blanks and parentheses too: fields start behind the last one.
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = String::from_utf8_lossy(stat.get(end + 1..)?).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some((parent, !matches!(state, "Z" | "X" | "x")))
}

/// When `pid` was started, in clock ticks since the machine was; none if there is no such process or
/// it is a zombie. With the pid it names a process for as long as the machine runs.
#[must_use]
pub fn start_time(pid: Pid) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = String::from_utf8_lossy(stat.get(end + 1..)?).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    // The state, which was taken, is the third field of proc_pid_stat(5), the start the 22nd.
    fields.nth(18)?.parse().ok()
}

/// The process below `root` that the one namespace of process numbers below this one knows by
/// `number`.
#[must_use]
pub fn known_as(root: Pid, number: i32) -> Option<Pid> {
    let numbers = |pid: Pid| -> Option<Vec<i32>> {
        let status = fs::read(format!("/proc/{pid}/status")).ok()?;
        let status = String::from_utf8_lossy(&status).into_owned();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))?;
        line.split_ascii_whitespace()
            .map(|word| word.parse().ok())
            .collect()
    };
    let depth = numbers(Pid::this())?.len() + 1;
    descendants(root).into_iter().find(|&pid| {
        numbers(pid).is_some_and(|all| all.len() == depth && all.last() == Some(&number))
    })
}

/// The parent of `pid`.
#[must_use]
pub fn parent(pid: Pid) -> Option<Pid> {
    parent_of(pid.as_raw()).map(|(parent, _)| Pid::from_raw(parent))
}

/// Whether `pid` exists and is no zombie.
#[must_use]
pub fn is_alive(pid: Pid) -> bool {
    parent_of(pid.as_raw()).is_some_and(|(_, alive)| alive)
}

/// Whether the processes below `root` are among `expected`, told from the kernel's lists of
/// children without a walk over all of `/proc`. A kernel without those lists gives `false`.
#[must_use]
pub fn has_only(root: Pid, expected: &[Pid]) -> bool {
    std::iter::once(&root).chain(expected).all(|pid| {
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        list.is_ok_and(|list| {
            list.split_ascii_whitespace()
                .filter_map(|child| child.parse().ok().map(Pid::from_raw))
                .all(|child| expected.contains(&child))
        })
    })
}

/// Kills every process below `root`, but for those in `spare`, until none is left or `patience` is over. Gives the number of processes that were sent a signal.
///
/// Every process is stopped before any is killed, so that none can start another in between.
#[must_use]
pub fn kill_descendants(root: Pid, spare: &[Pid], patience: Duration) -> usize {
    // Mostly there is nobody, which is told faster than by looking at all processes.
    if spare.is_empty() && has_only(root, &[]) {
        return 0;
    }
    let deadline = Instant::now() + patience;
    let mut signalled = HashSet::new();
    loop {
        let doomed: Vec<Pid> = descendants(root)
            .into_iter()
            .filter(|pid| !spare.contains(pid))
            .collect();
        if doomed.is_empty() || Instant::now() > deadline {
            return signalled.len();
        }
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for &pid in &doomed {
                if !matches!(kill(pid, signal), Err(Errno::ESRCH)) {
                    signalled.insert(pid);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_tree_is_found_and_killed_but_for_the_spared_branch() {
        let mut spared = Command::new("sleep").arg("60").spawn().unwrap();
        let mut parent = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & wait"])
            .spawn()
            .unwrap();
        let me = Pid::this();
        let spared_pid = Pid::from_raw(spared.id() as i32);
        let parent_pid = Pid::from_raw(parent.id() as i32);
        while descendants(parent_pid).len() < 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(descendants(me).contains(&parent_pid));
        let others: Vec<Pid> = descendants(me)
            .into_iter()
            .filter(|&p| p != parent_pid && !descendants(parent_pid).contains(&p))
            .collect();
        let killed = kill_descendants(me, &others, Duration::from_secs(5));
        assert!(killed >= 3, "{killed}");
        assert!(!is_alive(parent_pid));
        assert!(is_alive(spared_pid));
        assert_eq!(start_time(parent_pid), None);
        assert!(start_time(spared_pid) >= start_time(me));
        spared.kill().unwrap();
        spared.wait().unwrap();
        parent.wait().unwrap();
    }
}
