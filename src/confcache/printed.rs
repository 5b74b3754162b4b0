//! What a run prints: carried on, and kept.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::entry::{Chunk, Stream};
use super::run::Print;

/// How much a run may print and still be kept, in bytes.
const KEPT: usize = 64 << 20;

/// What was printed.
#[derive(Debug, Default)]
pub(super) struct Printed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    chunks: Vec<Chunk>,
    bytes: usize,
    pipes: Vec<OwnedFd>,
}

impl Printed {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows of a pipe whose content will be carried.
    pub(super) fn expect(&self, pipe: Option<&impl AsFd>) {
        let copy = pipe.and_then(|pipe| pipe.as_fd().try_clone_to_owned().ok());
        self.lock().pipes.extend(copy);
    }

    /// Carries what comes out of a pipe on, and keeps it.
    pub(super) fn carry(&self, pipe: Option<impl Read + AsFd>, stream: Stream, print: &Print) {
        let Some(mut pipe) = pipe else {
            return;
        };
        let mut buffer = vec![0; 64 << 10];
        loop {
            // Whoever has the lock and finds the pipe empty knows that all was counted.
            wait(&pipe);
            let mut state = self.lock();
            let read = match pipe.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let bytes = buffer.get(..read).unwrap_or_default();
            print(stream, bytes);
            state.bytes += read;
            if state.bytes > KEPT {
                continue;
            }
            match state.chunks.last_mut() {
                Some(last) if last.stream == stream => last.bytes.extend_from_slice(bytes),
                _ => state.chunks.push(Chunk {
                    stream,
                    bytes: bytes.to_vec(),
                }),
            }
        }
    }

    /// How many bytes were printed up to now.
    pub(super) fn count(&self) -> usize {
        loop {
            let state = self.lock();
            if !state.pipes.iter().any(has_more) {
                return state.bytes;
            }
            drop(state);
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Forgets everything, as if it had been too much.
    pub(super) fn lose(&self) {
        self.lock().bytes = usize::MAX / 2;
    }

    /// None if it was too much.
    pub(super) fn all(self) -> Option<Vec<Chunk>> {
        let state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.bytes <= KEPT).then_some(state.chunks)
    }
}

/// Waits until there is something in a pipe, or it has ended.
fn wait(pipe: &impl AsFd) {
    let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    // Reading tells of any error.
    let _ = poll(&mut polled, PollTimeout::NONE);
}

fn has_more(pipe: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    let any = poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0);
    any && polled.iter().any(|one| {
        one.revents()
            .is_some_and(|seen| seen.contains(PollFlags::POLLIN))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_written_is_counted_at_once() {
        let (reader, mut writer) = io::pipe().unwrap();
        let printed = Printed::default();
        printed.expect(Some(&reader));
        std::thread::scope(|threads| {
            threads.spawn(|| printed.carry(Some(reader), Stream::Output, &|_, _| {}));
            for at in 1..=100 {
                writer.write_all(b"some text\n").unwrap();
                assert_eq!(printed.count(), at * 10);
            }
            drop(writer);
        });
        let all = printed.all().unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].bytes.len(), 1000);
    }
}
