//! Open-file-description locks, which exclude the `lockf` of Portage.
//!
//! Portage guards its files with POSIX record locks. Those belong to a process: a thread that opens and closes
//! the file loses the lock of another, and two threads never exclude each other. Open-file-description locks
//! conflict with record locks, yet belong to one open file, so they exclude threads, tasks and processes alike.
//! `flock`, which is what `std::fs::File::lock` uses, does not see record locks at all.
//!
//! Portage removes many of its lock files when it lets go of them. A lock on a file that has no name any more
//! guards nothing, so after every grant the name is looked up again, and the attempt repeated if it moved on.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The permissions of a lock file that had to be created, as Portage gives them.
const LOCK_FILE_MODE: u32 = 0o660;

/// How long [`Lock::acquire_async`] sleeps between two attempts, at first and at most.
const POLL_FIRST: Duration = Duration::from_millis(20);
const POLL_LONGEST: Duration = Duration::from_millis(500);

/// What went wrong with a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file can neither be opened nor created.
    #[error("{}: the lock file cannot be opened", path.display())]
    Open {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused the lock for another reason than somebody else holding it.
    #[error("{}: the file cannot be locked", path.display())]
    Refused {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The processes that have `path` open, as those do that hold a lock on it or wait for one; as far as
/// this user may see them. The kernel does not tell whose an open-file-description lock is.
#[must_use]
pub fn openers(path: &Path) -> Vec<nix::unistd::Pid> {
    let Ok(file) = std::fs::metadata(path) else {
        return Vec::new();
    };
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_it = |entry: std::fs::DirEntry| {
        std::fs::metadata(entry.path())
            .is_ok_and(|other| (other.dev(), other.ino()) == (file.dev(), file.ino()))
    };
    entries("/proc".into())
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .map(nix::unistd::Pid::from_raw)
        .filter(|pid| entries(format!("/proc/{pid}/fd").into()).any(is_it))
        .collect()
}

/// Whether a lock tolerates others of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No other lock, exclusive or shared, may be held.
    Exclusive,
    /// Other shared locks may be held.
    Shared,
}

/// A lock that is held for as long as the value lives.
///
/// ```no_run
/// # use std::path::Path;
/// # use ebd::util::lock::{Lock, LockError, portage_lockfile};
/// # fn main() -> Result<(), LockError> {
/// let path = portage_lockfile(Path::new("/var/cache/binpkgs/Packages"));
/// let lock = match Lock::try_acquire(&path)? {
///     Some(lock) => lock,
///     None => {
///         // say what is waited on, then wait
///         Lock::acquire(&path)?
///     }
/// };
/// # drop(lock); Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a lock is let go of when its value is dropped"]
pub struct Lock {
    file: File,
    path: PathBuf,
    removed_on_release: bool,
}

impl Lock {
    /// Takes an exclusive lock on `path` and waits for as long as it takes. The file is created when missing.
    ///
    /// # Errors
    /// The lock file cannot be opened, or the file system knows no locks.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        Self::acquire_kind(path, Kind::Exclusive)
    }

    /// Takes a shared lock on `path` and waits for as long as it takes. The file is created when missing.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub fn acquire_shared(path: &Path) -> Result<Self, LockError> {
        Self::acquire_kind(path, Kind::Shared)
    }

    /// Takes an exclusive lock on `path`, or gives `None` when somebody else holds one.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub fn try_acquire(path: &Path) -> Result<Option<Self>, LockError> {
        Self::attempt(path, Kind::Exclusive, false)
    }

    /// Takes a shared lock on `path`, or gives `None` when somebody else holds an exclusive one.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub fn try_acquire_shared(path: &Path) -> Result<Option<Self>, LockError> {
        Self::attempt(path, Kind::Shared, false)
    }

    /// Takes an exclusive lock on `path` without ever blocking the thread; dropping the future gives up.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub async fn acquire_async(path: &Path) -> Result<Self, LockError> {
        let mut pause = POLL_FIRST;
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_LONGEST);
        }
    }

    /// Whether somebody else holds a lock on the file at `path`, which is neither made nor locked for that.
    ///
    /// # Errors
    /// The file cannot be opened, or the file system knows no locks.
    pub fn is_held(path: &Path) -> Result<bool, LockError> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(source) => {
                return Err(LockError::Open {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let mut found = whole_file(libc::F_WRLCK);
        loop {
            return match fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found)) {
                Ok(_) => Ok(found.l_type != libc::F_UNLCK as libc::c_short),
                Err(Errno::EINTR) => continue,
                Err(errno) => Err(LockError::Refused {
                    path: path.to_owned(),
                    source: errno.into(),
                }),
            };
        }
    }

    /// Makes the lock file disappear when the lock is let go of, as Portage does with `.*.portage_lockfile`.
    pub fn remove_on_release(mut self) -> Self {
        self.removed_on_release = true;
        self
    }

    /// The open lock file, for those who keep content in it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path of the lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn acquire_kind(path: &Path, kind: Kind) -> Result<Self, LockError> {
        loop {
            if let Some(lock) = Self::attempt(path, kind, true)? {
                return Ok(lock);
            }
        }
    }

    /// One lock on whatever file stands at `path` when the lock is granted.
    fn attempt(path: &Path, kind: Kind, wait: bool) -> Result<Option<Self>, LockError> {
        let open_error = |source| LockError::Open {
            path: path.to_owned(),
            source,
        };
        loop {
            let file = open(path, kind).map_err(open_error)?;
            if !set(&file, path, kind, wait)? {
                return Ok(None);
            }
            if still_named(&file, path).map_err(open_error)? {
                return Ok(Some(Self {
                    file,
                    path: path.to_owned(),
                    removed_on_release: false,
                }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held: whoever waits gets a nameless file and starts over.
        // A shared lock must not take the file away from the others that share it.
        if self.removed_on_release
            && set(&self.file, &self.path, Kind::Exclusive, false).unwrap_or(false)
            && still_named(&self.file, &self.path).unwrap_or(false)
        {
            let _ = std::fs::remove_file(&self.path);
        }
        // A descriptor inherited by a child would keep the lock alive, closing ours would not end it.
        let _ = fcntl(
            &self.file,
            FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)),
        );
    }
}

/// The lock file that Portage uses for `path`: `.<name>.portage_lockfile` in the same directory.
pub fn portage_lockfile(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".portage_lockfile");
    path.with_file_name(name)
}

fn open(path: &Path, kind: Kind) -> io::Result<File> {
    loop {
        let existing = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path);
        match existing {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error)
                if kind == Kind::Shared
                    && matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) =>
            {
                return OpenOptions::new()
                    .read(true)
                    .custom_flags(libc::O_NOFOLLOW)
                    .open(path);
            }
            result => return result,
        }
        let created = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(LOCK_FILE_MODE)
            .open(path);
        match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                share_with_group(&file, path);
                return Ok(file);
            }
        }
    }
}

/// Lets those who may write to the directory lock the file too. It is no failure when that is not allowed.
fn share_with_group(file: &File, path: &Path) {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if let Ok(metadata) = directory.metadata() {
        let _ = fchown(file, None, Some(metadata.gid()));
    }
    let _ = file.set_permissions(std::fs::Permissions::from_mode(LOCK_FILE_MODE));
}

/// Sets the lock; `false` when it is held by another and `wait` is not wished.
fn set(file: &File, path: &Path, kind: Kind, wait: bool) -> Result<bool, LockError> {
    let request = whole_file(match kind {
        Kind::Exclusive => libc::F_WRLCK,
        Kind::Shared => libc::F_RDLCK,
    });
    loop {
        let result = if wait {
            fcntl(file, FcntlArg::F_OFD_SETLKW(&request))
        } else {
            fcntl(file, FcntlArg::F_OFD_SETLK(&request))
        };
        return match result {
            Ok(_) => Ok(true),
            Err(Errno::EINTR) => continue,
            Err(Errno::EACCES | Errno::EAGAIN) if !wait => Ok(false),
            Err(errno) => Err(LockError::Refused {
                path: path.to_owned(),
                source: errno.into(),
            }),
        };
    }
}

/// Whether `path` still leads to the open file.
///
/// The path is opened instead of asked for its attributes: network file systems answer an open from the server,
/// but attributes from a cache.
fn still_named(file: &File, path: &Path) -> io::Result<bool> {
    let ours = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) if is_gone(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    match File::open(path).and_then(|named| named.metadata()) {
        Ok(named) => Ok(named.dev() == ours.dev() && named.ino() == ours.ino()),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESTALE)
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A process that holds `lockf` on a file until it is told to let go.
    struct Python {
        child: Child,
        output: BufReader<std::process::ChildStdout>,
    }

    impl Python {
        fn run(script: &str, path: &Path) -> Self {
            let mut child = Command::new("python3")
                .args(["-c", script])
                .arg(path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = BufReader::new(child.stdout.take().unwrap());
            Self { child, output }
        }

        fn holding(path: &Path) -> Self {
            let mut python = Self::run(
                "import fcntl,os,sys\n\
                 fd=os.open(sys.argv[1],os.O_CREAT|os.O_RDWR,0o660)\n\
                 fcntl.lockf(fd,fcntl.LOCK_EX)\n\
                 print('held',flush=True)\n\
                 line=sys.stdin.readline()\n\
                 if line.strip()=='unlink': os.unlink(sys.argv[1])\n",
                path,
            );
            assert_eq!(python.line(), "held");
            python
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }

        fn release(mut self, word: &str) {
            writeln!(self.child.stdin.take().unwrap(), "{word}").unwrap();
            assert!(self.child.wait().unwrap().success());
        }
    }

    fn lockf_succeeds(path: &Path) -> bool {
        let mut python = Python::run(
            "import fcntl,os,sys\n\
             fd=os.open(sys.argv[1],os.O_RDWR)\n\
             try: fcntl.lockf(fd,fcntl.LOCK_EX|fcntl.LOCK_NB)\n\
             except OSError: print('busy')\n\
             else: print('free')\n",
            path,
        );
        let answer = python.line();
        python.child.wait().unwrap();
        assert!(answer == "busy" || answer == "free", "{answer:?}");
        answer == "free"
    }

    #[test]
    fn excludes_lockf_of_another_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = Lock::acquire(&path).unwrap();
        assert!(!lockf_succeeds(&path));
        drop(lock);
        assert!(lockf_succeeds(&path));

        let python = Python::holding(&path);
        assert!(Lock::is_held(&path).unwrap());
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        assert!(Lock::try_acquire_shared(&path).unwrap().is_none());
        python.release("");
        assert!(!Lock::is_held(&path).unwrap());
        let lock = Lock::try_acquire(&path).unwrap();
        assert!(lock.is_some() && Lock::is_held(&path).unwrap());
        assert!(!Lock::is_held(&path.with_extension("none")).unwrap());
    }

    #[test]
    fn threads_exclude_each_other_and_sharers_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = Lock::acquire_shared(&path).unwrap();
        let second = Lock::try_acquire_shared(&path).unwrap();
        assert!(second.is_some());
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        drop((first, second));
        let exclusive = Lock::try_acquire(&path).unwrap();
        assert!(exclusive.is_some());
        assert!(Lock::try_acquire_shared(&path).unwrap().is_none());
    }

    #[test]
    fn waits_for_a_holder_that_unlinks_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let python = Python::holding(&path);
        let (send, receive) = mpsc::channel();
        let waiting = {
            let path = path.clone();
            thread::spawn(move || send.send(Lock::acquire(&path)).unwrap())
        };
        assert!(receive.recv_timeout(Duration::from_millis(200)).is_err());
        python.release("unlink");
        let lock = receive
            .recv_timeout(Duration::from_secs(20))
            .unwrap()
            .unwrap();
        waiting.join().unwrap();
        assert!(still_named(&lock.file, &path).unwrap());
        assert!(Lock::try_acquire(&path).unwrap().is_none());
    }

    #[test]
    fn a_removed_lock_file_is_never_held_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = portage_lockfile(&directory.path().join("Packages"));
        let inside = std::sync::atomic::AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lock = Lock::acquire(&path).unwrap().remove_on_release();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn names_as_portage() {
        assert_eq!(
            portage_lockfile(Path::new("/var/cache/binpkgs/Packages")),
            Path::new("/var/cache/binpkgs/.Packages.portage_lockfile")
        );
    }

    #[test]
    fn names_what_cannot_be_locked() {
        let directory = tempfile::tempdir().unwrap();
        let error = Lock::acquire(&directory.path().join("none/lock")).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("none/lock: the lock file cannot be opened"),
            "{error}"
        );
        std::os::unix::fs::symlink("nowhere", directory.path().join("link")).unwrap();
        assert!(Lock::acquire(&directory.path().join("link")).is_err());
    }

    #[tokio::test]
    async fn the_asynchronous_wait_ends_with_the_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = Lock::acquire(&path).unwrap();
        let waiting = tokio::spawn({
            let path = path.clone();
            async move { Lock::acquire_async(&path).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        drop(held);
        drop(waiting.await.unwrap().unwrap());
    }
}
