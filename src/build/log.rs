//! A build's log, as it grows.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::{Event, Events};

/// The most bytes of a growing log that are told as one line.
const LONGEST: usize = 64 * 1024;

/// How often a growing log is looked at.
const PAUSE: Duration = Duration::from_millis(60);

/// The most bytes of a growing log that are told at once.
const PIECE: u64 = 256 * 1024;

/// Tells the lines of a growing log as they come. Ended with [`Follower::end`].
#[derive(Debug)]
pub struct Follower {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Follower {
    /// Follows the log of `package` from its present end.
    #[must_use]
    pub fn start(path: PathBuf, package: String, events: Events) -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let mut at = std::fs::metadata(&path).map_or(0, |m| m.len());
        let task = tokio::spawn(async move {
            let mut rest = Vec::new();
            loop {
                let last = tokio::time::timeout(PAUSE, &mut stopped).await.is_ok();
                while let Some(piece) = piece(&path, &mut at) {
                    for part in piece.split_inclusive(|&byte| byte == b'\n') {
                        rest.extend_from_slice(part);
                        // A line without end is told in parts: it must not fill the memory.
                        if part.ends_with(b"\n") || rest.len() > LONGEST {
                            events.tell(Event::Output {
                                package: package.clone(),
                                line: String::from_utf8_lossy(rest.trim_ascii_end()).into_owned(),
                            });
                            rest.clear();
                        }
                    }
                    tokio::task::yield_now().await;
                }
                if last {
                    if !rest.is_empty() {
                        events.tell(Event::Output {
                            package,
                            line: String::from_utf8_lossy(&rest).into_owned(),
                        });
                    }
                    return;
                }
            }
        });
        Self { stop, task }
    }

    /// Tells what is left of the log and stops.
    pub async fn end(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// What was added to the file behind `at`, if anything.
fn piece(path: &Path, at: &mut u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(*at)).ok()?;
    let mut text = Vec::new();
    file.take(PIECE).read_to_end(&mut text).ok()?;
    *at += text.len() as u64;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_tells_every_line() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("log");
        std::fs::write(&path, "before\n").unwrap();
        let (events, mut told) = Events::new();
        let follower = Follower::start(path.clone(), "p".into(), events);
        std::fs::write(&path, "before\none\ntwo\nthree").unwrap();
        follower.end().await;
        let mut lines = Vec::new();
        while let Ok(Event::Output { line, .. }) = told.try_recv() {
            lines.push(line);
        }
        assert_eq!(lines, ["one", "two", "three"]);
    }
}
