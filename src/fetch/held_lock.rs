//! The lock of a distfile, taken and let go of as the user who fetches.

use std::path::Path;
use std::time::Duration;

use crate::fetch::identity::{FetchUser, acting};
use crate::util::lock::{Lock, LockError};

/// How long to sleep between two attempts, at first and at most.
const POLL_FIRST: Duration = Duration::from_millis(20);
const POLL_LONGEST: Duration = Duration::from_millis(500);

/// A lock that is held for as long as the value lives. Its file is removed with it.
#[derive(Debug)]
pub(super) struct HeldLock {
    lock: Option<Lock>,
    user: Option<FetchUser>,
}

impl HeldLock {
    /// Takes the lock, or gives `None` when somebody else holds it.
    pub(super) fn attempt(path: &Path, user: Option<FetchUser>) -> Result<Option<Self>, LockError> {
        let lock = acting(user, || Lock::try_acquire(path))?;
        Ok(lock.map(|lock| Self {
            lock: Some(lock.remove_on_release()),
            user,
        }))
    }

    /// Takes the lock as soon as it is free; dropping the future gives up.
    pub(super) async fn wait(path: &Path, user: Option<FetchUser>) -> Result<Self, LockError> {
        let mut pause = POLL_FIRST;
        loop {
            if let Some(lock) = Self::attempt(path, user)? {
                return Ok(lock);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_LONGEST);
        }
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        acting(self.user, || drop(self.lock.take()));
    }
}
