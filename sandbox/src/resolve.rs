//! What a caller's path leads to, found without trusting that it stays so.
//!
//! The result is a descriptor, which no renaming changes, and the name that the kernel has for it.
//! Mostly the kernel resolves a path in one go. Where the answer would be ours and not the caller's
//! (`/proc/self`, links of `/proc` to descriptors and roots, a root of its own), it is done here, a
//! component at a time.

mod walk;

use std::cell::OnceCell;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlink};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::caller::Caller;
use walk::{Last, Walk};

/// How something is opened only to hold it.
const HELD: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// Something that exists.
#[derive(Debug)]
pub(crate) struct Object {
    /// Held open, for nothing but naming it.
    pub(crate) fd: OwnedFd,
    /// Its name; of what has none, such as a pipe, a text that is no absolute path.
    pub(crate) path: PathBuf,
}

/// A name in a directory, whether or not it is taken.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The directory, held open.
    pub(crate) parent: OwnedFd,
    /// The name in it, with a slash if the caller's path ends with one: it must be a directory then.
    pub(crate) name: CString,
    /// Both together, without that.
    pub(crate) path: PathBuf,
}

/// What a path leads to when it may be missing.
#[derive(Debug)]
pub(crate) enum Found {
    /// It exists.
    Object(Object),
    /// It could be made here.
    Missing(Entry),
}

/// A caller's path, and how it is to be understood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    /// The thread.
    pub(crate) caller: Caller,
    /// The descriptor, or `AT_FDCWD`, that it starts from if it is relative.
    pub(crate) dir: i32,
    /// The text.
    pub(crate) path: &'a CStr,
    /// What the caller asked the kernel to mind (`openat2(2)`).
    pub(crate) resolve: ResolveFlag,
    /// Whether the caller sees the same files at the same paths as we do, `/proc` apart.
    pub(crate) same_root: bool,
}

impl Object {
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let path = match name_of(&fd) {
            Err(Errno::ENAMETOOLONG) if kind_of(&fd)? == SFlag::S_IFDIR => above_nameless(&fd),
            result => result,
        };
        Ok(Self { path: path?, fd })
    }

    /// Its metadata.
    pub(crate) fn stat(&self) -> Result<FileStat, Errno> {
        fstat(&self.fd)
    }

    /// What kind of file it is.
    pub(crate) fn kind(&self) -> Result<SFlag, Errno> {
        kind_of(&self.fd)
    }

    /// The name by which this process can open it once more.
    pub(crate) fn handle(&self) -> PathBuf {
        handle(&self.fd)
    }
}

impl Entry {
    fn new(parent: OwnedFd, name: &[u8], slash: bool) -> Result<Self, Errno> {
        if kind_of(&parent)? != SFlag::S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        let path = name_of_folder(&parent)?;
        Self::below(Object { fd: parent, path }, name, slash)
    }

    /// A name in what is known to be a directory.
    fn below(parent: Object, name: &[u8], slash: bool) -> Result<Self, Errno> {
        let path = parent.path.join(OsStr::from_bytes(name));
        let name = match slash {
            true => [name, b"/"].concat(),
            false => name.to_vec(),
        };
        Ok(Self {
            parent: parent.fd,
            name: CString::new(name).map_err(|_| Errno::EINVAL)?,
            path,
        })
    }

    /// The directory with this name, open for reading, if there is one.
    pub(crate) fn folder(&self) -> Option<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.parent, self.name.as_c_str(), flags, Mode::empty()).ok()
    }

    /// Whether the name is taken, a dangling link too.
    pub(crate) fn exists(&self) -> bool {
        self.kind().is_ok()
    }

    /// Whether the path ends with a slash.
    pub(crate) fn is_slashed(&self) -> bool {
        self.name.as_bytes().ends_with(b"/")
    }

    /// Whether the path ends with a slash although no directory has the name.
    pub(crate) fn is_wrongly_slashed(&self) -> bool {
        self.is_slashed() && self.kind().is_ok_and(|kind| kind != SFlag::S_IFDIR)
    }

    /// What kind of file has the name, a link as such.
    ///
    /// # Errors
    /// `ENOENT` if nothing has it.
    pub(crate) fn kind(&self) -> Result<SFlag, Errno> {
        let name = self.path.file_name().unwrap_or_default();
        let found = fstatat(&self.parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT)
    }
}

/// The name in this process of what a descriptor is open for.
fn handle(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// What kind of file a descriptor is open for.
fn kind_of(fd: &OwnedFd) -> Result<SFlag, Errno> {
    Ok(SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT)
}

/// The kernel's name for what a descriptor is open for.
fn name_of(fd: &OwnedFd) -> Result<PathBuf, Errno> {
    readlink(&handle(fd)).map(PathBuf::from)
}

/// The kernel's name for a directory. One whose name is longer than the kernel tells is called by what
/// is above it and a name that nothing has.
fn name_of_folder(folder: &OwnedFd) -> Result<PathBuf, Errno> {
    match name_of(folder) {
        Err(Errno::ENAMETOOLONG) => above_nameless(folder),
        result => result,
    }
}

/// What a directory is called whose name is longer than the kernel tells: as the nearest directory above it that has
/// one, and a name that nothing has.
fn above_nameless(folder: &OwnedFd) -> Result<PathBuf, Errno> {
    // Each name costs the kernel as much as the path is long, so as few as possible are asked for.
    let mut nameless = above(folder, 0)?;
    let mut step = 1;
    let mut named = loop {
        let here = above(&nameless, step)?;
        match name_of(&here) {
            Err(Errno::ENAMETOOLONG) => {
                nameless = here;
                step = (step * 2).min(FURTHEST);
            }
            result => break result?,
        }
    };
    let mut low = 0;
    while step - low > 1 {
        let middle = low + (step - low) / 2;
        match name_of(&above(&nameless, middle)?) {
            Err(Errno::ENAMETOOLONG) => low = middle,
            result => (named, step) = (result?, middle),
        }
    }
    Ok(named.join("\u{2026}"))
}

/// How far up one path can lead.
const FURTHEST: usize = 1024;

/// The directory so many levels above `folder`, at most [`FURTHEST`].
fn above(folder: &OwnedFd, levels: usize) -> Result<OwnedFd, Errno> {
    let path = format!(".{}", "/..".repeat(levels.min(FURTHEST)));
    openat(
        folder,
        path.as_str(),
        HELD | OFlag::O_DIRECTORY,
        Mode::empty(),
    )
}

/// The path without the slashes at its end, and whether there were any.
fn without_slashes(path: &[u8]) -> (&[u8], bool) {
    let end = path
        .iter()
        .rposition(|&byte| byte != b'/')
        .map_or(0, |at| at + 1);
    let kept = path.get(..end).unwrap_or_default();
    (kept, end < path.len())
}

/// The directory's part of a path and the last name, none if that is no name of an entry.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let (path, _) = without_slashes(path);
    let at = path
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |at| at + 1);
    let (parent, name) = path.split_at_checked(at)?;
    (!matches!(name, b"" | b"." | b"..")).then_some((parent, name))
}

/// The directory that relative paths start from, opened when it is needed and only once.
struct Start {
    caller: Caller,
    dir: i32,
    fd: OnceCell<OwnedFd>,
}

impl Start {
    fn get(&self) -> Result<&OwnedFd, Errno> {
        if let Some(fd) = self.fd.get() {
            return Ok(fd);
        }
        let fd = self.caller.start(self.dir)?;
        Ok(self.fd.get_or_init(|| fd))
    }

    fn take(self) -> Result<OwnedFd, Errno> {
        match self.fd.into_inner() {
            Some(fd) => Ok(fd),
            None => self.caller.start(self.dir),
        }
    }
}

impl Given<'_> {
    fn is_absolute(&self) -> bool {
        self.path.to_bytes().first() == Some(&b'/')
    }

    /// What the path leads to.
    ///
    /// # Errors
    /// What the kernel would tell the caller.
    pub(crate) fn object(&self, follow: bool) -> Result<Object, Errno> {
        let quick = self.quickly(&self.start(), self.path.to_bytes(), follow);
        self.object_by(quick, follow)
    }

    /// The same, if the kernel's answer is had already.
    fn object_by(
        &self,
        quick: Option<Result<Object, Errno>>,
        follow: bool,
    ) -> Result<Object, Errno> {
        let found = match quick {
            Some(result) => result,
            None => self
                .walk(Last::Resolve { follow })
                .and_then(|found| match found {
                    Found::Object(object) => Ok(object),
                    Found::Missing(_) => Err(Errno::ENOENT),
                }),
        };
        match found {
            // The path is no longer than it may be, but what it leads to is called by a longer one.
            Err(Errno::ENAMETOOLONG) if self.path.to_bytes().len() < 4096 => self.deep(),
            found => found,
        }
    }

    /// An object in a directory whose name is longer than the kernel tells. A link is told as such.
    fn deep(&self) -> Result<Object, Errno> {
        let entry = match self.entry()? {
            Ok(entry) => entry,
            // A path that ends in no name, such as `.`.
            Err(object) => return Ok(object),
        };
        let flags = HELD | OFlag::O_NOFOLLOW;
        let fd = openat(&entry.parent, entry.name.as_c_str(), flags, Mode::empty())?;
        match kind_of(&fd)? {
            SFlag::S_IFLNK => Err(Errno::EACCES),
            _ => Ok(Object {
                fd,
                path: entry.path,
            }),
        }
    }

    /// The entry that the path names, its last component not followed. A path that ends in no name
    /// (`..`, `/`) is told as what it leads to.
    ///
    /// # Errors
    /// What the kernel would tell the caller.
    pub(crate) fn entry(&self) -> Result<Result<Entry, Object>, Errno> {
        let path = self.path.to_bytes();
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let Some((parent, name)) = split(path) else {
            return self.object(true).map(Err);
        };
        match self.parent(self.start(), parent) {
            Some(result) => {
                let (_, slash) = without_slashes(path);
                Entry::below(result?, name, slash).map(Ok)
            }
            None => match self.walk(Last::Entry)? {
                Found::Missing(entry) => Ok(Ok(entry)),
                Found::Object(object) => Ok(Err(object)),
            },
        }
    }

    /// The directory that a path's last name is in, as [`quickly`](Self::quickly).
    fn parent(&self, start: Start, parent: &[u8]) -> Option<Result<Object, Errno>> {
        if !parent.is_empty() || !self.resolve.is_empty() {
            let parent = if parent.is_empty() { b"." } else { parent };
            return match self.quickly(&start, parent, true)? {
                Ok(object) => Some(match object.kind() {
                    Ok(SFlag::S_IFDIR) => Ok(object),
                    Ok(_) => Err(Errno::ENOTDIR),
                    Err(error) => Err(error),
                }),
                Err(error) => Some(Err(error)),
            };
        }
        // It is where the path starts.
        if !self.same_root {
            return None;
        }
        let fd = start.take().ok()?;
        match kind_of(&fd) {
            Ok(SFlag::S_IFDIR) => {}
            Ok(_) => return Some(Err(Errno::ENOTDIR)),
            Err(error) => return Some(Err(error)),
        }
        match Object::new(fd) {
            Ok(object) if object.path.starts_with("/proc") => None,
            result => Some(result),
        }
    }

    /// What an open that may make the file works on.
    ///
    /// # Errors
    /// What the kernel would tell the caller.
    pub(crate) fn found(&self, follow: bool) -> Result<Found, Errno> {
        let start = self.start();
        let quick = self.quickly(&start, self.path.to_bytes(), follow);
        // Mostly what is not there is to be made.
        if quick.is_none()
            && let Some(entry) = self.missing(start)
        {
            return Ok(Found::Missing(entry));
        }
        match self.object_by(quick, follow) {
            Ok(object) => return Ok(Found::Object(object)),
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        if let Ok(entry) = self.entry()?
            && (!follow || !entry.exists())
        {
            return Ok(Found::Missing(entry));
        }
        if !self.resolve.is_empty() {
            return Err(Errno::ENOENT);
        }
        // A link that leads to where nothing is.
        self.walk(Last::Make)
    }

    /// The entry that the path names if nothing has the name, not even a link, in a directory that the
    /// kernel finds.
    fn missing(&self, start: Start) -> Option<Entry> {
        let path = self.path.to_bytes();
        let (parent, name) = split(path)?;
        if without_slashes(path).1 {
            return None;
        }
        let parent = self.parent(start, parent)?.ok()?;
        let entry = Entry::below(parent, name, false).ok()?;
        (entry.kind() == Err(Errno::ENOENT)).then_some(entry)
    }

    /// What the descriptor that the path starts from is open for.
    ///
    /// # Errors
    /// `EBADF` if it is none.
    pub(crate) fn descriptor(caller: Caller, number: i32) -> Result<Object, Errno> {
        Object::new(caller.start(number)?)
    }

    /// Where the path starts.
    fn start(&self) -> Start {
        Start {
            caller: self.caller,
            dir: self.dir,
            fd: OnceCell::new(),
        }
    }

    /// Lets the kernel resolve the path, if the answer is the caller's too.
    fn quickly(&self, start: &Start, path: &[u8], follow: bool) -> Option<Result<Object, Errno>> {
        if !self.resolve.is_empty() {
            return Some(self.as_asked(path, follow));
        }
        if !self.same_root {
            return None;
        }
        let mut flags = HELD;
        if !follow {
            flags |= OFlag::O_NOFOLLOW;
        }
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let opened = if self.is_absolute() {
            openat2(AT_FDCWD, path, how)
        } else {
            match start.get() {
                Ok(start) => openat2(start, path, how),
                Err(error) => Err(error),
            }
        };
        match opened {
            // A magic link, or what is not below our /proc/self but below the caller's.
            Err(_) => None,
            Ok(fd) => match Object::new(fd) {
                Ok(object) if object.path.starts_with("/proc") => None,
                result => Some(result),
            },
        }
    }

    /// Lets the kernel resolve the path with the limits that the caller asked for.
    fn as_asked(&self, path: &[u8], follow: bool) -> Result<Object, Errno> {
        let below = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_BENEATH;
        if !self.same_root && !self.resolve.intersects(below) {
            return Err(Errno::EXDEV);
        }
        let mut flags = HELD;
        if !follow {
            flags |= OFlag::O_NOFOLLOW;
        }
        let how = OpenHow::new()
            .flags(flags)
            .resolve(self.resolve | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        // A path that is relative to nothing needs no start, unless that is to be its root.
        if self.is_absolute() && !self.resolve.intersects(below) {
            return Object::new(openat2(AT_FDCWD, path, how)?);
        }
        Object::new(openat2(self.caller.start(self.dir)?, path, how)?)
    }

    /// Resolves the path a component at a time, as the caller would see it.
    fn walk(&self, last: Last) -> Result<Found, Errno> {
        let root = self.caller.root()?;
        let start = if self.is_absolute() {
            root.try_clone().map_err(|_| Errno::EMFILE)?
        } else {
            self.caller.start(self.dir)?
        };
        let (path, slashes) = without_slashes(self.path.to_bytes());
        if path.is_empty() && !slashes {
            return Err(Errno::ENOENT);
        }
        Walk::new(self.caller, root, start, path).run(last, slashes)
    }
}

/// Whether a directory's flag is among the flags of an open that the kernel would refuse to follow.
pub(crate) fn follows(flags: i32) -> bool {
    let exclusive = libc::O_CREAT | libc::O_EXCL;
    flags & libc::O_NOFOLLOW == 0 && flags & exclusive != exclusive
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn given(path: &CStr, same_root: bool) -> Given<'_> {
        Given {
            caller: Caller {
                thread: nix::unistd::gettid().as_raw(),
            },
            dir: libc::AT_FDCWD,
            path,
            resolve: ResolveFlag::empty(),
            same_root,
        }
    }

    fn c(path: &Path) -> CString {
        CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    #[test]
    fn a_folder_without_a_name_is_told_by_the_nearest_above_it() {
        use nix::sys::stat::mkdirat;
        use nix::unistd::{UnlinkatFlags, unlinkat};

        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        for (name, depths) in [
            ("long".repeat(25), &[41, 42, 43, 60][..]),
            ("sevenXX".to_owned(), &[500, 520]),
        ] {
            let (mut path, mut here) = (top.clone(), File::open(&top).unwrap().into());
            let mut nearest = top.clone();
            for depth in 1..=*depths.last().unwrap() {
                mkdirat(&here, name.as_str(), Mode::S_IRWXU).unwrap();
                let flags = HELD | OFlag::O_DIRECTORY;
                here = openat(&here, name.as_str(), flags, Mode::empty()).unwrap();
                path.push(&name);
                // With the zero at its end it fits into a page.
                if path.as_os_str().len() < 4096 {
                    nearest.clone_from(&path);
                }
                if depths.contains(&depth) {
                    let told = name_of_folder(&here).unwrap();
                    match path == nearest {
                        true => assert_eq!(told, path),
                        false => assert_eq!(told, nearest.join("\u{2026}"), "{depth}"),
                    }
                }
            }
            for _ in 1..=*depths.last().unwrap() {
                here = above(&here, 1).unwrap();
                unlinkat(&here, name.as_str(), UnlinkatFlags::RemoveDir).unwrap();
            }
        }
    }

    /// A path under test, whether its last link is followed, and what it must lead to.
    type Case<'a> = (&'a str, bool, Result<&'a str, Errno>);

    #[test]
    fn both_ways_lead_to_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/file"), "").unwrap();
        symlink("b/file", top.join("a/link")).unwrap();
        symlink(top.join("a"), top.join("whole")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        symlink("nowhere", top.join("dangling")).unwrap();
        let cases: &[Case<'_>] = &[
            ("a/b/file", true, Ok("a/b/file")),
            ("a//b/./../b/file", true, Ok("a/b/file")),
            ("a/link", true, Ok("a/b/file")),
            ("a/link", false, Ok("a/link")),
            ("whole/link", true, Ok("a/b/file")),
            ("whole", false, Ok("whole")),
            ("whole/", false, Ok("a")),
            ("a/b/file/", true, Err(Errno::ENOTDIR)),
            ("loop", true, Err(Errno::ELOOP)),
            ("dangling", true, Err(Errno::ENOENT)),
            ("dangling", false, Ok("dangling")),
            ("a/b/file/x", true, Err(Errno::ENOTDIR)),
            ("none/x", true, Err(Errno::ENOENT)),
        ];
        for &(path, follow, expected) in cases {
            for same_root in [true, false] {
                let text = c(&top.join(path));
                // PathBuf drops a slash at the end.
                let text = match path.ends_with('/') {
                    true => CString::new([text.as_bytes(), b"/"].concat()).unwrap(),
                    false => text,
                };
                let seen = given(&text, same_root).object(follow).map(|o| o.path);
                let expected = expected.map(|path| top.join(path));
                assert_eq!(seen, expected, "{path} {same_root}");
            }
        }
    }

    #[test]
    fn an_entry_is_where_the_last_name_would_stand() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir(top.join("dir")).unwrap();
        symlink("dir", top.join("link")).unwrap();
        symlink("dir/made", top.join("dangling")).unwrap();
        for same_root in [true, false] {
            let entry = |path: &str| {
                let text = CString::new(format!("{}/{path}", top.display())).unwrap();
                let entry = given(&text, same_root).entry().unwrap();
                entry.map(|entry| entry.path).map_err(|object| object.path)
            };
            assert_eq!(entry("link"), Ok(top.join("link")));
            assert_eq!(entry("link/new"), Ok(top.join("dir/new")));
            assert_eq!(entry("link/new///"), Ok(top.join("dir/new")));
            assert_eq!(entry("link/.."), Err(top.clone()));
            let text = c(&top.join("dangling"));
            let Found::Missing(made) = given(&text, same_root).found(true).unwrap() else {
                panic!("it does not exist");
            };
            assert_eq!(made.path, top.join("dir/made"));
            let Found::Object(link) = given(&text, same_root).found(false).unwrap() else {
                panic!("the link does");
            };
            assert_eq!(link.path, top.join("dangling"));
            assert_eq!(
                given(c"", same_root).object(true).unwrap_err(),
                Errno::ENOENT
            );
            assert_eq!(given(c"", same_root).entry().unwrap_err(), Errno::ENOENT);
        }
    }

    #[test]
    fn links_of_proc_mean_the_caller() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let caller = Caller {
            thread: child.id().cast_signed(),
        };
        let sleep = caller.program();
        for (path, expected) in [
            (c"/proc/self/exe", sleep.clone()),
            (c"/proc/thread-self/exe", sleep),
            (c"/proc/self/root/etc/passwd", "/etc/passwd".into()),
            (c"/proc/self/cwd/../../../../../../etc", "/etc".into()),
            (
                c"/proc/self/comm",
                format!("/proc/{}/comm", caller.thread).into(),
            ),
        ] {
            let given = Given {
                caller,
                dir: libc::AT_FDCWD,
                path,
                resolve: ResolveFlag::empty(),
                same_root: true,
            };
            let seen = given.object(true).unwrap().path;
            assert_eq!(seen, expected, "{path:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
