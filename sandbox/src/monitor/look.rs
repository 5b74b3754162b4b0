//! Telling what a program finds when it looks: the same is looked at here, the way it would be.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{readlink, readlinkat};
use nix::libc;
use nix::sys::stat::SFlag;

use super::change::Change;
use super::request::{Request, Wish};
use super::{Answer, Decider, lock};
use crate::calls::{Look, Place, Shape, Subject};
use crate::resolve::{Entry, Found, Given, Object};
use crate::trace::{Kind, Outcome};

/// Where paths mean another thing to each process.
pub(super) const PERSONAL: [&[u8]; 5] = [
    b"/proc/self",
    b"/proc/thread-self",
    b"/dev/fd",
    b"/dev/std",
    b"/proc/mounts",
];

impl Decider {
    /// Notes a call that only looks.
    pub(super) fn trace_look(&mut self, request: &Request) {
        if !self.notes {
            return;
        }
        let looked = match request.row.shape {
            Shape::Open { place, flags, .. } => {
                let flags = request.int(flags);
                look_at(request, place, |name| opened(name, flags))
                    .map(|(path, outcome)| Sight::of(path, Kind::Open, outcome))
            }
            Shape::Execute { place, flags } => {
                let flags = flags.map_or(0, |flags| request.int(flags));
                run(request, place, flags)
                    .map(|(path, outcome)| Sight::of(path, Kind::Execute, outcome))
            }
            Shape::List => listed(request).map(|path| Sight {
                beside: Some(Beside::ListedBy(request.caller.program().into())),
                ..Sight::of(path, Kind::List, None)
            }),
            Shape::Look { subject, look } => asked(request, subject, look)
                .map(|(path, outcome)| Sight::of(path, kind(look), outcome)),
            _ => return,
        };
        match looked {
            Ok(seen) => self.seen.push(seen),
            // No path was named: the descriptor itself was asked, or the address is none.
            Err(Errno::EBADF | Errno::EFAULT | Errno::ENAMETOOLONG | Errno::ENOTSOCK) => {}
            Err(error) => {
                if self.listener.is_waiting(&request.notice) {
                    self.shared.escape(&format!(
                        "{}: what {} asked cannot be seen: {error}",
                        request.caller.program().display(),
                        request.row.name
                    ));
                }
            }
        }
    }

    /// Has noted what [`seen`] saw of a call, now that it is known what is said to it.
    pub(super) fn trace_seen(&mut self, seen: Seen, answer: &Answer) {
        self.seen.extend(seen.into_iter().map(|sight| Sight {
            outcome: match answer {
                Answer::Fail(error) => Some(*error),
                Answer::Proceed | Answer::Make(_) | Answer::Give(_) => sight.outcome,
            },
            ..sight
        }));
    }

    /// Answers a call and, if it was still waiting, which is given, notes what it looked at.
    pub(super) fn note(&self, seen: &Seen, answer: impl FnOnce() -> bool) -> bool {
        if seen.is_empty() {
            return answer();
        }
        // Whoever takes the trace when the call has come back must find it there.
        let mut noted = lock(&self.shared.noted);
        let waited = answer();
        if waited {
            for sight in seen {
                noted.add(sight);
            }
        }
        waited
    }
}

/// A path, what is done with it, and what will come of that if it is allowed.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    pub(super) beside: Option<Beside>,
    /// Whether it makes something where nothing is.
    pub(super) makes: bool,
}

/// What else is to be known of it.
#[derive(Debug, Clone)]
pub(super) enum Beside {
    /// The program that lists it.
    ListedBy(OsString),
    /// Where the link leads that it is from then on.
    Leads(OsString),
}

impl Sight {
    fn of(path: PathBuf, kind: Kind, outcome: Outcome) -> Self {
        Self {
            path,
            kind,
            outcome,
            beside: None,
            makes: false,
        }
    }
}

/// What a call looks at.
pub(super) type Seen = Vec<Sight>;

/// What is to be noted of a call that changes something, or that was resolved for another reason.
pub(super) fn seen(request: &Request, wish: Result<&Wish, &Errno>) -> Seen {
    let places: &[Place] = match request.row.shape {
        Shape::Open { place, .. }
        | Shape::Mkdir { place, .. }
        | Shape::Mknod { place, .. }
        | Shape::Symlink { place }
        | Shape::Unlink { place, .. }
        | Shape::Execute { place, .. } => &[place],
        Shape::Openat2 => &[Place {
            dir: Some(0),
            path: 1,
        }],
        Shape::Creat | Shape::Rmdir | Shape::Truncate { .. } => &[Place { dir: None, path: 0 }],
        Shape::Link { old, new, .. } | Shape::Rename { old, new, .. } => &[old, new],
        Shape::Chmod { subject, .. }
        | Shape::Chown { subject, .. }
        | Shape::Utime { subject, .. }
        | Shape::Setxattr { subject, .. }
        | Shape::Removexattr { subject, .. } => match subject {
            Subject::Path { place, .. } => &[place],
            Subject::Descriptor(_) => return Seen::new(),
        },
        _ => return Seen::new(),
    };
    let kind = match (&wish, request.row.shape) {
        (_, Shape::Execute { .. }) => Kind::Execute,
        // It has no name, so nothing changes where it is made.
        (_, Shape::Open { flags, .. })
            if request.int(flags) & libc::O_TMPFILE == libc::O_TMPFILE =>
        {
            Kind::Other
        }
        (Ok(Wish::Read { .. }), _) => Kind::Open,
        _ => Kind::Change,
    };
    let outcome = match &wish {
        Err(error) => Some(**error),
        Ok(Wish::Change(change)) => foreseen(change).or_else(|| {
            // A program without a terminal has none by that name either.
            let terminal = change.paths().contains(&Path::new("/dev/tty"));
            (terminal && !request.caller.has_terminal()).then_some(Errno::ENXIO)
        }),
        Ok(_) => None,
    };
    let path = |place: &Place| {
        let text = request.text(*place).ok()?;
        absolute(request, *place, &text).ok()
    };
    let mut seen: Seen = places
        .iter()
        .filter_map(path)
        .map(|path| Sight::of(path, kind, outcome))
        .collect();
    if let (Ok(Wish::Change(change)), Kind::Change) = (&wish, kind) {
        add_really_changed(&mut seen, change, outcome);
        if let (Some(sight), Some(target)) = (seen.get_mut(places.len() - 1), leads(change)) {
            sight.beside = Some(Beside::Leads(target));
        }
    }
    if let Ok(Wish::Change(change)) = &wish
        && makes(change)
    {
        for sight in &mut seen {
            sight.makes = true;
        }
    }
    seen
}

/// Whether a change makes something where nothing is, and does nothing else.
fn makes(change: &Change) -> bool {
    match change {
        Change::Open { found, .. } => matches!(found, Found::Missing(_)),
        Change::Mkdir(entry, _) | Change::Mknod(entry, ..) | Change::Symlink(_, entry) => {
            !entry.exists()
        }
        _ => false,
    }
}

/// Adds what a change is made to, where links on the way lead elsewhere than the path says.
fn add_really_changed(seen: &mut Seen, change: &Change, outcome: Outcome) {
    let is_personal = |path: &Path| {
        let path = path.as_os_str().as_bytes();
        PERSONAL.iter().any(|prefix| path.starts_with(prefix))
    };
    if seen.iter().any(|sight| is_personal(&sight.path)) {
        return;
    }
    for path in change.paths() {
        if path.is_absolute() && seen.iter().all(|sight| sight.path != path) {
            seen.push(Sight::of(path.to_owned(), Kind::Change, outcome));
        }
    }
}

/// Where a link leads that is made, or gets another name.
fn leads(change: &Change) -> Option<OsString> {
    let named = |entry: &Entry| {
        (entry.kind() == Ok(SFlag::S_IFLNK))
            .then(|| readlinkat(&entry.parent, entry.name.as_c_str()).ok())?
    };
    match change {
        Change::Symlink(target, _) => Some(OsStr::from_bytes(target.to_bytes()).to_owned()),
        Change::Link(object, _) if object.kind() == Ok(SFlag::S_IFLNK) => {
            readlinkat(&object.fd, c"").ok()
        }
        Change::Rename { old, .. } => named(old),
        _ => None,
    }
}

/// The kind of access that a way of looking is.
fn kind(look: Look) -> Kind {
    match look {
        Look::Stat => Kind::Stat,
        Look::Access => Kind::Access,
        Look::Readlink => Kind::Readlink,
        Look::Xattr => Kind::Xattr,
        Look::Chdir => Kind::Chdir,
        Look::Other => Kind::Other,
    }
}

/// What will come of a change that is allowed.
fn foreseen(change: &Change) -> Outcome {
    let is_directory = |object: &Object| object.kind().is_ok_and(|kind| kind == SFlag::S_IFDIR);
    match change {
        Change::Open {
            found: Found::Object(_),
            flags,
            ..
        } if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL => {
            Some(Errno::EEXIST)
        }
        Change::Mkdir(entry, _)
        | Change::Mknod(entry, ..)
        | Change::Symlink(_, entry)
        | Change::Link(_, entry)
        | Change::Bind(_, entry)
            if entry.exists() =>
        {
            Some(match change {
                Change::Bind(..) => Errno::EADDRINUSE,
                _ => Errno::EEXIST,
            })
        }
        Change::Rename { old, .. } if !old.exists() => Some(Errno::ENOENT),
        Change::Rename { old, .. } if old.is_wrongly_slashed() => Some(Errno::ENOTDIR),
        // Only a directory can get a name with a slash at its end.
        Change::Rename { old, new, .. } if new.is_slashed() && old.folder().is_none() => {
            Some(Errno::ENOTDIR)
        }
        Change::Rename { new, flags, .. }
            if flags & libc::RENAME_NOREPLACE != 0 && new.exists() =>
        {
            Some(Errno::EEXIST)
        }
        Change::Rename { new, flags, .. }
            if flags & libc::RENAME_EXCHANGE != 0 && !new.exists() =>
        {
            Some(Errno::ENOENT)
        }
        Change::Open {
            found: Found::Object(object),
            flags,
            ..
        } if flags & libc::O_PATH == 0
            && object.kind().is_ok_and(|kind| kind == SFlag::S_IFLNK) =>
        {
            Some(Errno::ELOOP)
        }
        Change::Remove { entry, directory } => match (entry.kind(), directory) {
            (Err(error), _) => Some(error),
            (Ok(SFlag::S_IFDIR), false) => Some(Errno::EISDIR),
            (Ok(SFlag::S_IFDIR), true) => {
                let full = entry.folder().is_some_and(|folder| !is_empty(&folder));
                full.then_some(Errno::ENOTEMPTY)
            }
            (Ok(_), true) => Some(Errno::ENOTDIR),
            (Ok(_), false) => entry.is_slashed().then_some(Errno::ENOTDIR),
        },
        Change::Truncate(object, _) if is_directory(object) => Some(Errno::EISDIR),
        _ => None,
    }
}

fn is_empty(folder: &OwnedFd) -> bool {
    std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))
        .is_ok_and(|mut names| names.next().is_none())
}

/// The absolute path of what a program names, without looking at it.
fn absolute(request: &Request, place: Place, text: &CStr) -> Result<PathBuf, Errno> {
    let path = Path::new(OsStr::from_bytes(text.to_bytes()));
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let start = readlink(&request.caller.start_name(request.dir(place)))?;
    let mut whole = start.into_encoded_bytes();
    if !text.is_empty() {
        if whole.last() != Some(&b'/') {
            whole.push(b'/');
        }
        whole.extend_from_slice(text.to_bytes());
    }
    use std::os::unix::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_vec(whole).into())
}

/// The name by which this process can look at what a program names, and the path to tell.
fn look_at(
    request: &Request,
    place: Place,
    look: impl Fn(&CStr) -> Outcome,
) -> Result<(PathBuf, Outcome), Errno> {
    let text = request.text(place)?;
    let path = absolute(request, place, &text)?;
    if text.is_empty() {
        return Ok((path, Some(Errno::ENOENT)));
    }
    let bytes = text.to_bytes();
    let whole = path.as_os_str().as_bytes();
    let personal = PERSONAL.iter().any(|prefix| whole.starts_with(prefix));
    if personal || !request.same_root {
        // Found a component at a time, then looked at by its descriptor.
        let given = request.given(place, &text);
        return Ok(match given.object(true) {
            Err(error) => (path, Some(error)),
            Ok(object) => {
                let name = CString::new(object.handle().as_os_str().as_bytes())
                    .map_err(|_| Errno::EINVAL)?;
                (path, look(&name))
            }
        });
    }
    if bytes.first() == Some(&b'/') {
        return Ok((path, look(&text)));
    }
    let mut name = request
        .caller
        .start_name(request.dir(place))
        .into_os_string()
        .into_encoded_bytes();
    name.push(b'/');
    name.extend_from_slice(bytes);
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    Ok((path, look(&name)))
}

/// What comes of a call, none if it was done.
fn outcome(result: i32) -> Outcome {
    Errno::result(result).err()
}

/// What comes of opening for reading.
fn opened(name: &CStr, flags: i32) -> Outcome {
    // SAFETY: all zeroes is a value of it.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let nofollow = match flags & libc::O_NOFOLLOW {
        0 => 0,
        _ => libc::AT_SYMLINK_NOFOLLOW,
    };
    // SAFETY: name and structure outlive the call.
    let seen =
        outcome(unsafe { libc::fstatat(libc::AT_FDCWD, name.as_ptr(), &raw mut stat, nofollow) });
    if seen.is_some() {
        return seen;
    }
    let is = |kind: libc::mode_t| stat.st_mode & libc::S_IFMT == kind;
    if is(libc::S_IFLNK) && flags & libc::O_PATH == 0 {
        return Some(Errno::ELOOP);
    }
    if flags & libc::O_DIRECTORY != 0 && !is(libc::S_IFDIR) {
        return Some(Errno::ENOTDIR);
    }
    if flags & libc::O_PATH != 0 || nix::unistd::geteuid().is_root() {
        return None;
    }
    usable(name, libc::R_OK, 0)
}

/// What comes of asking whether something may be used.
fn usable(name: &CStr, mode: i32, flags: i32) -> Outcome {
    // SAFETY: the name outlives the call.
    outcome(unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), mode, flags) })
}

/// A program that is to be run.
fn run(request: &Request, place: Place, flags: i32) -> Result<(PathBuf, Outcome), Errno> {
    if flags & libc::AT_EMPTY_PATH != 0 && request.text(place)?.is_empty() {
        let object = Given::descriptor(request.caller, request.dir(place))?;
        return Ok((object.path, None));
    }
    look_at(request, place, |name| {
        opened(name, libc::O_PATH | libc::O_RDONLY).or_else(|| {
            let handle = Path::new(OsStr::from_bytes(name.to_bytes()));
            match std::fs::metadata(handle) {
                Ok(metadata) if !metadata.is_file() => Some(Errno::EACCES),
                _ => usable(name, libc::X_OK, 0),
            }
        })
    })
}

/// The directory whose names are read.
fn listed(request: &Request) -> Result<PathBuf, Errno> {
    readlink(&request.caller.start_name(request.int(0))).map(PathBuf::from)
}

/// What comes of asking for metadata and the like.
fn asked(request: &Request, subject: Subject, look: Look) -> Result<(PathBuf, Outcome), Errno> {
    let Subject::Path {
        place,
        flags,
        follow,
    } = subject
    else {
        return Err(Errno::EBADF);
    };
    let flags = flags.map_or(0, |flags| request.int(flags));
    if flags & libc::AT_EMPTY_PATH != 0 && request.text(place)?.is_empty() {
        return Err(Errno::EBADF);
    }
    let nofollow = match follow && flags & libc::AT_SYMLINK_NOFOLLOW == 0 {
        true => 0,
        false => libc::AT_SYMLINK_NOFOLLOW,
    };
    if nofollow != 0 {
        // The link itself: its descriptor's handle would be followed.
        let text = request.text(place)?;
        let personal = PERSONAL
            .iter()
            .any(|prefix| text.to_bytes().starts_with(prefix));
        if personal || !request.same_root {
            let path = absolute(request, place, &text)?;
            return Ok(match request.given(place, &text).object(false) {
                Err(error) => (path, Some(error)),
                Ok(object) if look == Look::Readlink => {
                    let link = object.kind().is_ok_and(|kind| kind == SFlag::S_IFLNK);
                    (path, (!link).then_some(Errno::EINVAL))
                }
                Ok(_) => (path, None),
            });
        }
    }
    let mode = match (look, request.row.shape) {
        (Look::Access, Shape::Look { subject, .. }) => match subject {
            Subject::Path { place, .. } => request.int(place.path + 1),
            Subject::Descriptor(_) => 0,
        },
        _ => 0,
    };
    look_at(request, place, |name| match look {
        Look::Access => usable(name, mode, 0),
        Look::Readlink => {
            let mut buffer = [0_u8; 1];
            // SAFETY: name and buffer outlive the call.
            Errno::result(unsafe {
                libc::readlink(name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
            })
            .err()
        }
        Look::Chdir => {
            opened(name, libc::O_DIRECTORY | libc::O_PATH).or_else(|| usable(name, libc::X_OK, 0))
        }
        Look::Xattr | Look::Stat | Look::Other => {
            // SAFETY: all zeroes is a value of it.
            let mut stat: libc::stat = unsafe { std::mem::zeroed() };
            // SAFETY: name and structure outlive the call.
            outcome(unsafe {
                libc::fstatat(libc::AT_FDCWD, name.as_ptr(), &raw mut stat, nofollow)
            })
        }
    })
}
