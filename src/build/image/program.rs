//! Programs run on files of the image.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::ImageError;

/// The first executable of that name on `search_path`; a name with a `/` is taken as it is.
pub(crate) fn find(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    let executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| executable(path));
    }
    std::env::split_paths(search_path)
        .map(|dir| dir.join(name))
        .find(|path| executable(path))
}

/// Runs a program to its end, its input closed, its messages in no language but the default.
pub(crate) fn output(
    program: &Path,
    args: impl IntoIterator<Item = impl Into<OsString>>,
    directory: &Path,
    search_path: &OsStr,
) -> Result<Output, ImageError> {
    Command::new(program)
        .args(args.into_iter().map(Into::into))
        .current_dir(directory)
        .env("PATH", search_path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ImageError::Start {
            program: program.display().to_string(),
            source,
        })
}

/// What a failed program wrote, on one line and not too long.
pub(crate) fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    match line.char_indices().nth(600) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None if line.is_empty() => "no message".to_owned(),
        None => line,
    }
}

/// Spreads `items` over `threads` threads in chunks and gives the results in order.
pub(crate) fn parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let next = AtomicUsize::new(0);
    let threads = threads.clamp(1, items.len().max(1));
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(at) else {
                            return done;
                        };
                        done.push((at, work(item)));
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_and_their_failure_told() {
        let path = OsString::from("/usr/bin:/bin");
        let sh = find("sh", &path).unwrap();
        assert_eq!(find("no-such-program", &path), None);
        let output = output(&sh, ["-c", "echo oops >&2; exit 3"], Path::new("/"), &path).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(complaint(&output), "oops");
    }

    #[test]
    fn results_keep_their_order() {
        let items: Vec<_> = (0..100).collect();
        let doubled = parallel(&items, 3, |n| n * 2);
        assert_eq!(doubled, items.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert!(parallel(&[0; 0], 3, |n| *n).is_empty());
    }
}
