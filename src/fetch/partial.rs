//! A distfile on its way: what has arrived is written and hashed in the same pass.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::libc;
use tokio::task::JoinHandle;

use crate::fetch::distdir::{PARTIAL_SUFFIX, local, remove_link, set_aside, share};
use crate::fetch::error::FetchError;
use crate::fetch::held_lock::HeldLock;
use crate::fetch::identity::{FetchUser, acting};
use crate::fetch::origin::Origin;
use crate::util::digest::{Blocks, Digests, HashName, MultiDigest};

/// How much is gathered before a thread writes and hashes it.
const BATCH: usize = 1 << 20;

/// After so long less is written, too: what is not yet written is lost when this process is killed.
const SOON: Duration = Duration::from_millis(50);

/// The unfinished file `<name>.partial` in DISTDIR.
///
/// When the future that uses it is dropped, a thread may still write the last batch. That thread then holds the
/// lock of the distfile until it is done.
#[derive(Debug)]
pub(super) struct Partial {
    name: String,
    path: PathBuf,
    work: Work,
    /// How many bytes were handed to threads to be written.
    written: u64,
    restarts: u32,
    pending: Vec<u8>,
    last_write: Instant,
    blocks: Blocks,
    names: Vec<HashName>,
    limit: u64,
    origin: Option<Origin>,
    user: Option<FetchUser>,
    lock: Option<Arc<HeldLock>>,
}

/// The file, or who has it.
#[derive(Debug)]
enum Work {
    /// Nobody works with it.
    Idle(Inner),
    /// A thread writes a batch, and threads of the digest hash it, while the next one arrives.
    Writing(JoinHandle<(Inner, Result<(), FetchError>)>),
    /// A thread that worked with it panicked.
    Lost,
}

#[derive(Debug)]
struct Inner {
    file: File,
    digest: MultiDigest,
    _lock: Option<Arc<HeldLock>>,
}

impl Inner {
    /// Opens the file at `path`, forgets it if it has less than `least` bytes, and hashes it if not.
    fn open(
        path: &Path,
        names: &[HashName],
        least: u64,
        lock: Option<Arc<HeldLock>>,
    ) -> Result<Self, FetchError> {
        let mut file = open_own(path)?;
        let mut digest = MultiDigest::new(names);
        let length = file.metadata().map_err(local(path, "examined"))?.len();
        if length < least {
            file.set_len(0).map_err(local(path, "truncated"))?;
        } else {
            digest
                .update_reader(&mut file)
                .map_err(local(path, "read"))?;
        }
        Ok(Self {
            file,
            digest,
            _lock: lock,
        })
    }
}

impl Partial {
    /// Opens what an earlier fetch left, if it has at least `least` bytes, and hashes that; else starts an empty one.
    ///
    /// `limit` is the most that will be written.
    pub(super) async fn open(
        distdir: &Path,
        name: &str,
        names: Vec<HashName>,
        least: u64,
        limit: u64,
        user: Option<FetchUser>,
        lock: Option<Arc<HeldLock>>,
    ) -> Result<Self, FetchError> {
        let path = distdir.join(format!("{name}{PARTIAL_SUFFIX}"));
        let mut partial = Self {
            name: name.to_owned(),
            path,
            work: Work::Lost,
            written: 0,
            restarts: 0,
            pending: Vec::new(),
            last_write: Instant::now(),
            blocks: Blocks::default(),
            names,
            limit,
            origin: None,
            user,
            lock,
        };
        let (path, names, lock) = partial.parts();
        let inner = blocking(&partial.path, user, move || {
            Inner::open(&path, &names, least, lock)
        })
        .await?;
        partial.written = inner.digest.size();
        if partial.written > 0 {
            partial.origin = Origin::load(&inner.file);
        }
        partial.work = Work::Idle(inner);
        Ok(partial)
    }

    fn parts(&self) -> (PathBuf, Vec<HashName>, Option<Arc<HeldLock>>) {
        (self.path.clone(), self.names.clone(), self.lock.clone())
    }

    /// Takes the file as somebody else has left it.
    pub(super) async fn reread(&mut self) -> Result<(), FetchError> {
        self.flush().await?;
        let (path, names, lock) = self.parts();
        let inner = blocking(&self.path, self.user, move || {
            Inner::open(&path, &names, 0, lock)
        })
        .await?;
        if inner.digest.size() < self.written {
            self.restarts += 1;
        }
        self.written = inner.digest.size();
        self.origin = None;
        self.work = Work::Idle(inner);
        Ok(())
    }

    /// The name of the file while it is unfinished.
    pub(super) fn file_name(&self) -> String {
        format!("{}{PARTIAL_SUFFIX}", self.name)
    }

    /// Where the bytes that are there came from, if that is known.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Notes where what comes next comes from.
    pub(super) async fn set_origin(&mut self, origin: Option<Origin>) -> Result<(), FetchError> {
        if origin == self.origin {
            return Ok(());
        }
        self.origin.clone_from(&origin);
        self.with(move |inner| {
            Origin::store(origin.as_ref(), &inner.file);
            Ok(())
        })
        .await
    }

    /// Whether what has arrived looks like a page for people.
    pub(super) async fn is_page(&mut self) -> Result<bool, FetchError> {
        self.flush().await?;
        let path = self.path.clone();
        self.with(move |inner| {
            let mut start = [0; 512];
            let count = inner
                .file
                .read_at(&mut start, 0)
                .map_err(local(&path, "read"))?;
            let text = start.get(..count).unwrap_or_default().trim_ascii_start();
            let begins = |word: &[u8]| {
                text.get(..word.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(word))
            };
            Ok(begins(b"<!doctype html") || begins(b"<html"))
        })
        .await
    }

    /// How often everything was forgotten: as long as this stays the same, the file only grows.
    pub(super) fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How many bytes there are, those that are not yet written included.
    pub(super) fn size(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// The most that may be written.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Adds what has arrived. The caller sees to it that the limit is kept. That something could not be
    /// written may be told only next time.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= BATCH || self.last_write.elapsed() >= SOON {
            self.write().await?;
        }
        Ok(())
    }

    /// Writes and hashes what has arrived.
    pub(super) async fn flush(&mut self) -> Result<(), FetchError> {
        self.write().await?;
        let inner = self.settle().await?;
        self.work = Work::Idle(inner);
        Ok(())
    }

    /// Has a thread write and hash what has arrived, once the one before is done.
    async fn write(&mut self) -> Result<(), FetchError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.last_write = Instant::now();
        let next = self.blocks.take();
        let data = Arc::new(std::mem::replace(&mut self.pending, next));
        self.pending.clear();
        self.blocks.give_back(Arc::clone(&data));
        let mut inner = self.settle().await?;
        let path = self.path.clone();
        let missing = self.limit.saturating_sub(self.written);
        self.written += data.len() as u64;
        self.work = Work::Writing(tokio::task::spawn_blocking(move || {
            inner.digest.update_shared(&data);
            let written = inner.file.write_all(&data);
            let result = written.map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    FetchError::NoSpace { path, missing }
                }
                _ => local(&path, "written")(error),
            });
            (inner, result)
        }));
        Ok(())
    }

    /// Waits until nobody works with the file, and takes it.
    async fn settle(&mut self) -> Result<Inner, FetchError> {
        match std::mem::replace(&mut self.work, Work::Lost) {
            Work::Idle(inner) => Ok(inner),
            Work::Writing(task) => match task.await {
                Ok((inner, Ok(()))) => Ok(inner),
                Ok((inner, Err(error))) => {
                    self.work = Work::Idle(inner);
                    Err(error)
                }
                Err(error) => Err(local(&self.path, "worked with")(io::Error::other(error))),
            },
            Work::Lost => Err(local(&self.path, "used after a failure")(
                io::ErrorKind::Other.into(),
            )),
        }
    }

    /// Forgets everything that has arrived.
    pub(super) async fn restart(&mut self) -> Result<(), FetchError> {
        self.pending.clear();
        let path = self.path.clone();
        let names = self.names.clone();
        self.origin = None;
        self.with(move |inner| {
            Origin::store(None, &inner.file);
            inner.file.set_len(0).map_err(local(&path, "truncated"))?;
            inner
                .file
                .seek(SeekFrom::Start(0))
                .map_err(local(&path, "truncated"))?;
            inner.digest = MultiDigest::new(&names);
            Ok(())
        })
        .await?;
        self.written = 0;
        self.restarts += 1;
        Ok(())
    }

    /// Size and hashes of everything that has arrived. What is added afterwards would not be hashed with it.
    pub(super) async fn digests(&mut self) -> Result<Digests, FetchError> {
        self.flush().await?;
        self.with(|inner| Ok(std::mem::replace(&mut inner.digest, MultiDigest::new(&[])).finish()))
            .await
    }

    /// Renames the file, whose content is wrong, and starts an empty one. Gives the new path.
    pub(super) async fn set_aside(&mut self) -> Result<PathBuf, FetchError> {
        self.flush().await?;
        let path = self.path.clone();
        let name = self.name.clone();
        let names = self.names.clone();
        self.origin = None;
        let kept = self
            .with(move |inner| {
                Origin::store(None, &inner.file);
                let kept = set_aside(&path, &name)?;
                inner.file = open_own(&path)?;
                inner.digest = MultiDigest::new(&names);
                Ok(kept)
            })
            .await?;
        self.written = 0;
        self.restarts += 1;
        Ok(kept)
    }

    /// Puts the file, whose content is right, in its place.
    ///
    /// The disk is not waited for: it would take longer than everything else, and who uses a distfile verifies it.
    /// After a power failure a file may be found wrong, and is then fetched again.
    pub(super) async fn place(
        mut self,
        target: &Path,
        group: Option<u32>,
    ) -> Result<(), FetchError> {
        let path = self.path.clone();
        let target = target.to_owned();
        self.with(move |inner| {
            Origin::store(None, &inner.file);
            share(&inner.file, group);
            std::fs::rename(&path, &target).map_err(local(&path, "renamed into place"))
        })
        .await
    }

    /// Removes the file if nothing has arrived.
    pub(super) fn remove_if_empty(self) {
        if self.size() == 0 {
            acting(self.user, || {
                let _ = std::fs::remove_file(&self.path);
            });
        }
    }

    /// Lets a thread work with the file.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Inner) -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        let mut inner = self.settle().await?;
        let (inner, result) = blocking(&self.path, self.user, move || {
            let result = work(&mut inner);
            Ok((inner, result))
        })
        .await?;
        self.work = Work::Idle(inner);
        result
    }
}

/// Runs `work` where it may block, as `user`. `path` is named should it panic.
pub(super) async fn blocking<T: Send + 'static>(
    path: &Path,
    user: Option<FetchUser>,
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    match tokio::task::spawn_blocking(move || acting(user, work)).await {
        Ok(result) => result,
        Err(error) => Err(local(path, "worked with")(io::Error::other(error))),
    }
}

/// Opens a file that is nobody else's: a link, or a file with further names, could lead out of DISTDIR.
fn open_own(path: &Path) -> Result<File, FetchError> {
    for _ in 0..3 {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o664)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path);
        match opened {
            Ok(file) => {
                let metadata = file.metadata().map_err(local(path, "examined"))?;
                if metadata.is_file() && metadata.nlink() == 1 {
                    return Ok(file);
                }
                remove_link(path)?;
            }
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => remove_link(path)?,
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                return Err(FetchError::InTheWay {
                    path: path.to_owned(),
                });
            }
            Err(error) => {
                return Err(match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        FetchError::NoSpace {
                            path: path.to_owned(),
                            missing: 0,
                        }
                    }
                    _ => local(path, "opened")(error),
                });
            }
        }
    }
    Err(FetchError::InTheWay {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn open(directory: &Path, least: u64) -> Partial {
        let names = vec![HashName::Sha1];
        Partial::open(directory, "a", names, least, 100, None, None)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_was_there_is_hashed_with_what_comes() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.partial"), "abc").unwrap();
        let mut partial = open(directory.path(), 3).await;
        assert_eq!(partial.size(), 3);
        partial.push(b"def").await.unwrap();
        assert_eq!(partial.size(), 6);
        let digests = partial.digests().await.unwrap();
        assert_eq!(digests.size(), 6);
        assert_eq!(
            digests.get(HashName::Sha1),
            Some(HashName::Sha1.hex(b"abcdef").as_str())
        );
        let target = directory.path().join("a");
        partial.place(&target, None).await.unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"abcdef");
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o664);
        assert!(!directory.path().join("a.partial").exists());
    }

    #[tokio::test]
    async fn too_little_is_not_resumed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.partial"), "abc").unwrap();
        let partial = open(directory.path(), 4).await;
        assert_eq!(partial.size(), 0);
        assert_eq!(fs::read(&partial.path).unwrap(), b"");
        partial.remove_if_empty();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn starting_over_forgets() {
        let directory = tempfile::tempdir().unwrap();
        let mut partial = open(directory.path(), 0).await;
        partial.push(b"wrong").await.unwrap();
        let kept = partial.set_aside().await.unwrap();
        assert_eq!(fs::read(kept).unwrap(), b"wrong");
        partial.push(b"more").await.unwrap();
        partial.flush().await.unwrap();
        partial.restart().await.unwrap();
        partial.push(b"x").await.unwrap();
        let digests = partial.digests().await.unwrap();
        assert_eq!(
            digests.get(HashName::Sha1),
            Some(HashName::Sha1.hex(b"x").as_str())
        );
        assert_eq!(fs::read(&partial.path).unwrap(), b"x");
    }

    #[tokio::test]
    async fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let path = directory.path().join("a.partial");
        for hard in [false, true] {
            if hard {
                fs::hard_link(&victim, &path).unwrap();
            } else {
                std::os::unix::fs::symlink(&victim, &path).unwrap();
            }
            let mut partial = open(directory.path(), 0).await;
            assert_eq!(partial.size(), 0);
            partial.push(b"evil").await.unwrap();
            partial.flush().await.unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            fs::remove_file(&path).unwrap();
        }
    }
}
