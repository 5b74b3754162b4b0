//! Facts: what programs found at paths.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::libc;
use nix::unistd::AccessFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::loader;
use super::rules::{Rule, Rules};
use crate::util::printable::printable;

/// The SHA-256 of something.
pub(super) type Sum = [u8; 32];

/// The sum of some bytes.
pub(super) fn sum(bytes: &[u8]) -> Sum {
    Sha256::digest(bytes).into()
}

/// What was asked about a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub(super) struct Asked {
    /// Where the link leads that it is, or whether it is one.
    pub(super) link: bool,
    /// What its content is.
    pub(super) content: bool,
    /// Which names are in it.
    pub(super) names: bool,
    /// When it was modified, if it is a file.
    pub(super) time: bool,
    /// Whether it may be written to and run: how it is mounted decides on that too.
    pub(super) rights: bool,
    /// Its extended attributes.
    pub(super) extended: bool,
}

impl Asked {
    /// Both questions.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            link: self.link || other.link,
            content: self.content || other.content,
            names: self.names || other.names,
            time: self.time || other.time,
            rights: self.rights || other.rights,
            extended: self.extended || other.extended,
        }
    }
}

/// The attributes that decide on who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Attributes {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        }
    }
}

/// What is at a path, links followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub(super) enum State {
    /// Nothing, or nothing that can be reached; the number of the error.
    Absent(i32),
    /// A file; with what was asked about its content, or none if it cannot be read.
    File {
        attributes: Attributes,
        size: u64,
        content: Option<Sum>,
    },
    /// A directory; with the sum of its names if they were asked for.
    Directory {
        attributes: Attributes,
        names: Option<Sum>,
    },
    /// A device, a socket or a pipe.
    Other { attributes: Attributes, device: u64 },
    /// Something that is there; all else about it is left out of account.
    Present,
    /// A file of which only a part is taken into account.
    Part(Option<Sum>),
}

/// What else was found at a path, where it was asked for. How many names a file has, and whether two names are of one
/// file, is left out of account: these change when somebody copies what is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub(super) struct More {
    /// When a file was modified, in seconds and nanoseconds.
    pub(super) time: Option<(i64, i64)>,
    /// Whether it may be written to, and run.
    pub(super) rights: Option<(bool, bool)>,
    /// The sum of its extended attributes.
    pub(super) extended: Option<Sum>,
}

impl More {
    fn of(path: &Path, asked: Asked, state: &State, stamp: Option<Stamp>) -> Self {
        let counts = matches!(
            state,
            State::File { .. } | State::Directory { .. } | State::Other { .. }
        );
        Self {
            time: Self::time(asked, state, stamp),
            rights: allowed(path).filter(|_| counts && asked.rights),
            extended: (counts && asked.extended).then(|| extended(path)),
        }
    }

    /// When it was modified, if that counts. In directories names come and go.
    pub(super) fn time(asked: Asked, state: &State, stamp: Option<Stamp>) -> Option<(i64, i64)> {
        let stamp = stamp.filter(|_| asked.time && matches!(state, State::File { .. }));
        stamp.map(Stamp::modified)
    }

    /// What of it is not as in the other, for people; nothing where the other has none.
    fn told(&self, other: &Self) -> String {
        let mut text = String::new();
        if let Some((seconds, nanoseconds)) = self
            .time
            .filter(|it| other.time.is_some_and(|other| other != *it))
        {
            text.push_str(&format!(", modified at {seconds}.{nanoseconds:09}"));
        }
        if let Some((write, run)) = self
            .rights
            .filter(|it| other.rights.is_some_and(|other| other != *it))
        {
            let may = |may: bool| if may { "may" } else { "may not" };
            text.push_str(&format!(
                ", which {} be written to and {} be run",
                may(write),
                may(run)
            ));
        }
        if let Some(sum) = self
            .extended
            .filter(|it| other.extended.is_some_and(|other| other != *it))
        {
            let sum = short(&sum);
            text.push_str(&format!(", whose extended attributes have SHA-256 {sum}"));
        }
        text
    }
}

/// Whether what is at a path may be written to, and run.
fn allowed(path: &Path) -> Option<(bool, bool)> {
    let may = |how| nix::unistd::access(path, how).is_ok();
    Some((may(AccessFlags::W_OK), may(AccessFlags::X_OK)))
}

/// The sum of all extended attributes of what is at a path.
fn extended(path: &Path) -> Sum {
    let mut names: Vec<_> = xattr::list_deref(path).into_iter().flatten().collect();
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let value = xattr::get_deref(path, &name).ok().flatten();
        all.extend_from_slice(name.as_bytes());
        all.push(0);
        all.extend_from_slice(&sum(&value.unwrap_or_default()));
    }
    sum(&all)
}

/// The longest step in which the clock of a file system goes: FAT's.
const STEP: Duration = Duration::from_secs(2);

/// Tells a file that has not been touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a file that is changed once more may keep it, as the clock of a file system goes in steps.
    fn may_stay(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let since = Duration::new(
            u64::try_from(seconds).unwrap_or_default(),
            u32::try_from(nanoseconds).unwrap_or_default(),
        );
        let changed = SystemTime::UNIX_EPOCH.checked_add(since);
        let age = changed.and_then(|changed| now.duration_since(changed).ok());
        age.is_none_or(|age| age < STEP)
    }

    /// When the content was last changed, in seconds and nanoseconds.
    pub(super) fn modified(self) -> (i64, i64) {
        self.modified
    }

    /// When anything of it was last changed, in seconds and nanoseconds.
    pub(super) fn changed(self) -> (i64, i64) {
        self.changed
    }
}

/// What was found at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct Fact {
    /// The path, absolute.
    pub(super) path: Vec<u8>,
    pub(super) asked: Asked,
    /// Where it leads, if it is a link and that was asked for.
    pub(super) link: Option<Vec<u8>>,
    pub(super) state: State,
    pub(super) more: More,
    /// If it still has this, nothing else need be looked at.
    pub(super) stamp: Option<Stamp>,
    /// The libraries that were loaded, if of the loader's cache only what leads to them counts.
    pub(super) about: Option<Vec<Vec<u8>>>,
}

/// A fact that does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: was {was}, is {is}")]
pub struct Broken {
    /// The path, as text for people.
    pub path: String,
    /// What was there.
    pub was: String,
    /// What is.
    pub is: String,
}

impl Fact {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// The same of a path that begins in this directory, if its path is not absolute.
    pub(super) fn below(&self, directory: &Path) -> Self {
        Self {
            path: directory.join(self.path()).into_os_string().into_vec(),
            ..self.clone()
        }
    }

    /// Whether there was a file.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.state, State::File { .. })
    }

    /// Looks at the path as it is now.
    pub(super) fn look(
        path: &Path,
        asked: Asked,
        about: Option<Vec<Vec<u8>>>,
        rules: &Rules,
    ) -> Self {
        Self::look_with(path, asked, about, rules, &mut Sums::default())
    }

    /// The same, where the contents of files that were looked at before and have not been touched are known.
    pub(super) fn look_with(
        path: &Path,
        asked: Asked,
        about: Option<Vec<Vec<u8>>>,
        rules: &Rules,
        sums: &mut Sums,
    ) -> Self {
        let asked = Asked {
            time: asked.time && rules.times_count(),
            ..asked
        };
        let (link, state, stamp) = look(path, asked, about.as_deref(), rules, sums);
        let more = More::of(path, asked, &state, stamp);
        Self {
            path: path.as_os_str().as_bytes().to_vec(),
            asked,
            link,
            state,
            more,
            stamp,
            about,
        }
    }

    /// Whether it still holds. If its stamp has changed and nothing else, the new one is given.
    ///
    /// # Errors
    /// It does not: what is different.
    pub(super) fn check(&self, rules: &Rules) -> Result<Option<Stamp>, Broken> {
        self.check_with(rules, &mut Sums::default())
    }

    /// The same, where the contents of files that were looked at before and have not been touched are known.
    ///
    /// # Errors
    /// As for [`Fact::check`].
    pub(super) fn check_with(
        &self,
        rules: &Rules,
        sums: &mut Sums,
    ) -> Result<Option<Stamp>, Broken> {
        let path = self.path();
        if let Some(stamp) = self.stamp {
            let untouched = match &self.link {
                // A link in the place of a file has another inode.
                None if self.asked.link => std::fs::symlink_metadata(path),
                None => std::fs::metadata(path),
                Some(target) => match std::fs::read_link(path) {
                    Ok(now) if now.as_os_str().as_bytes() == target => std::fs::metadata(path),
                    _ => Err(io::ErrorKind::NotFound.into()),
                },
            };
            let is_untouched = untouched.is_ok_and(|metadata| Stamp::of(&metadata) == stamp);
            // What may be done with it is nothing of its own.
            if is_untouched && (self.more.rights.is_none() || allowed(path) == self.more.rights) {
                return Ok(None);
            }
        }
        let (link, state, stamp) = look(path, self.asked, self.about.as_deref(), rules, sums);
        let more = More::of(path, self.asked, &state, stamp);
        if link == self.link && state == self.state && more == self.more {
            return Ok(stamp.filter(|_| self.stamp.is_some()));
        }
        Err(Broken {
            path: printable(path.as_os_str()),
            was: told(self.link.as_deref(), &self.state, &state) + &self.more.told(&more),
            is: told(link.as_deref(), &state, &self.state) + &more.told(&self.more),
        })
    }
}

/// The sums of files' contents, as long as nobody touches them.
#[derive(Debug, Default)]
pub(super) struct Sums(HashMap<Stamp, Option<Sum>>);

impl Sums {
    /// Takes what is known from before of files that have not been touched since.
    pub(super) fn know<'f>(&mut self, facts: impl Iterator<Item = &'f Fact>) {
        for fact in facts {
            if let (Some(stamp), State::File { content, .. }) = (fact.stamp, &fact.state)
                && content.is_some()
            {
                self.0.insert(stamp, *content);
            }
        }
    }

    fn of(&mut self, path: &Path, stamp: Stamp) -> Option<Sum> {
        match stamp.may_stay(SystemTime::now()) {
            true => file_sum(path).ok(),
            false => *self.0.entry(stamp).or_insert_with(|| file_sum(path).ok()),
        }
    }
}

/// What is at a path: where it leads if it is a link, what is there, and its stamp, if it can be
/// relied on.
fn look(
    path: &Path,
    asked: Asked,
    about: Option<&[Vec<u8>]>,
    rules: &Rules,
    sums: &mut Sums,
) -> (Option<Vec<u8>>, State, Option<Stamp>) {
    let nothing = |error: &io::Error| State::Absent(error.raw_os_error().unwrap_or(libc::EIO));
    let own = match std::fs::symlink_metadata(path) {
        Ok(own) => own,
        Err(error) => return (None, nothing(&error), None),
    };
    let (link, metadata) = if own.is_symlink() {
        let target = std::fs::read_link(path).ok().filter(|_| asked.link);
        match std::fs::metadata(path) {
            Ok(metadata) => (target.map(|t| t.into_os_string().into_vec()), metadata),
            Err(error) => {
                return (
                    target.map(|t| t.into_os_string().into_vec()),
                    nothing(&error),
                    None,
                );
            }
        }
    } else {
        (None, own)
    };
    let attributes = Attributes::of(&metadata);
    let stamp = Stamp::of(&metadata);
    match rules.of(path) {
        Some(Rule::Exists | Rule::Ignore) => return (link, State::Present, None),
        Some(Rule::Without(lines)) => {
            let part = content(path).ok().map(|text| lines.rest(&text));
            return (link, State::Part(part), None);
        }
        Some(Rule::Loader) => {
            if let Some(about) = about
                && let Ok(text) = content(path)
                && let Some(part) = loader::part(&text, about)
            {
                return (link, State::Part(Some(part)), None);
            }
        }
        // That it is one of the run was seen when it was.
        None | Some(Rule::Process) => {}
    }
    // What the kernel makes up has no times of its own.
    let made_up = path.starts_with("/proc") || path.starts_with("/sys");
    let stamp = Some(stamp).filter(|_| !made_up);
    let kind = metadata.file_type();
    let state = if kind.is_file() {
        State::File {
            attributes,
            size: match made_up {
                true => 0,
                false => metadata.size(),
            },
            content: match asked.content {
                true => match stamp {
                    Some(stamp) => sums.of(path, stamp),
                    None => file_sum(path).ok(),
                },
                false => None,
            },
        }
    } else if kind.is_dir() {
        State::Directory {
            attributes,
            names: match asked.names {
                true => names(path).ok().map(|names| names_sum(&names)),
                false => None,
            },
        }
    } else {
        State::Other {
            attributes,
            device: match kind.is_char_device() || kind.is_block_device() {
                true => metadata.rdev(),
                false => 0,
            },
        }
    };
    (link, state, stamp)
}

/// Opens for reading what may turn out to be no file, without waiting for anybody.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// How much of a file is kept in memory at most.
const SMALL: u64 = 16 << 20;

/// The content of a small file.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open(path)?.take(SMALL).read_to_end(&mut text)?;
    Ok(text)
}

/// The sum of a file's content.
pub(super) fn file_sum(path: &Path) -> io::Result<Sum> {
    let mut file = open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The names in a directory, in order.
fn names(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path)? {
        all.push(entry?.file_name().into_vec());
    }
    all.sort();
    Ok(all)
}

/// The sum of names in order.
pub(super) fn names_sum<T: AsRef<[u8]>>(names: &[T]) -> Sum {
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_ref());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// A state for people, said so that it differs from the other.
fn told(link: Option<&[u8]>, state: &State, other: &State) -> String {
    let what = match state {
        State::Absent(libc::ENOENT | libc::ENOTDIR) => "absent".to_owned(),
        State::Absent(errno) => nix::errno::Errno::from_raw(*errno).desc().to_owned(),
        State::File {
            attributes,
            size,
            content,
        } => match other {
            State::File {
                attributes: others, ..
            } if attributes != others => format!("a file with {}", rights(*attributes)),
            State::File { size: others, .. } if size != others => {
                format!("a file of {size} bytes")
            }
            State::File { .. } => match content {
                Some(sum) => format!("a file with SHA-256 {}", short(sum)),
                None => "a file".to_owned(),
            },
            _ => "a file".to_owned(),
        },
        State::Directory { attributes, names } => match other {
            State::Directory {
                attributes: others, ..
            } if attributes != others => format!("a directory with {}", rights(*attributes)),
            State::Directory { .. } => match names {
                Some(sum) => format!("a directory whose names have SHA-256 {}", short(sum)),
                None => "a directory".to_owned(),
            },
            _ => "a directory".to_owned(),
        },
        State::Other { .. } => "a device, socket or pipe".to_owned(),
        State::Present => "there".to_owned(),
        State::Part(Some(sum)) => {
            format!("a file whose part that counts has SHA-256 {}", short(sum))
        }
        State::Part(None) => "a file that cannot be read".to_owned(),
    };
    match link {
        Some(target) => format!("a link to {}, {what}", printable(OsStr::from_bytes(target))),
        None => what,
    }
}

fn rights(attributes: Attributes) -> String {
    format!(
        "mode {:04o} of {}:{}",
        attributes.mode, attributes.uid, attributes.gid
    )
}

fn short(sum: &Sum) -> String {
    let mut text = String::new();
    for byte in sum.iter().take(4) {
        text.push_str(&format!("{byte:02x}"));
    }
    text + "…"
}

#[cfg(test)]
mod tests;
