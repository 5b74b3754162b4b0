//! Unpacking images of packages that come from strangers.
//!
//! Everything is made below one directory, through descriptors of its directories, without following a link: a name
//! with `..`, an absolute one, one below a link, or one that was there before is an error, and so are devices and
//! pipes. Hard links go to files of the same package only.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmodat, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, fchownat, linkat, symlinkat};

use super::tar_reader::{Kind, Member, TarError, TarReader};

/// What no path reaches, in bytes (`PATH_MAX`). Deeper folders could be made, and then hardly removed.
const LONGEST_PATH: usize = 4096;

/// An image could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive is damaged.
    #[error("the image cannot be read")]
    Archive(#[from] TarError),
    /// The directory cannot be used.
    #[error("{}: cannot be unpacked to", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory is there already and has something in it.
    #[error("{}: is not empty; name a directory that does not exist", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// An entry that no package may have.
    #[error("{name}: {what}, which no package may have")]
    Entry {
        /// Its name.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// An entry cannot be made.
    #[error("{name}: cannot be unpacked")]
    Make {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// How an image is unpacked.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnpackOptions {
    /// Owners, setuid bits and extended attributes are as in the package; otherwise all is the caller's, and programs
    /// run as whoever runs them.
    pub preserve: bool,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// The number of files, links and directories.
    pub entries: u64,
    /// The bytes in files.
    pub bytes: u64,
}

/// Unpacks the archive of an image into `target`, which must be empty, or not there and is made then. Names in it
/// begin with `prefix`, which is left out.
///
/// # Errors
/// The archive is damaged or has what no package may have, or something cannot be made. What was unpacked stays.
pub fn unpack(
    archive: impl Read,
    prefix: &[u8],
    target: &Path,
    options: UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let fail = |source| UnpackError::Directory {
        path: target.to_owned(),
        source,
    };
    fs::create_dir_all(target).map_err(fail)?;
    if fs::read_dir(target).map_err(fail)?.next().is_some() {
        return Err(UnpackError::NotEmpty {
            path: target.to_owned(),
        });
    }
    let root = File::open(target).map_err(fail)?.into();
    let mut unpacker = Unpacker {
        root,
        options,
        seen: HashMap::new(),
        directories: Vec::new(),
        parent: None,
        buffer: vec![0; 128 << 10],
        done: Unpacked::default(),
    };
    let mut reader = TarReader::new(archive);
    while let Some(member) = reader.next_member()? {
        unpacker.add(prefix, &member, &mut reader)?;
    }
    unpacker.finish()
}

struct Unpacker {
    root: OwnedFd,
    options: UnpackOptions,
    /// What was made, and whether it is a regular file.
    seen: HashMap<PathBuf, Kind>,
    /// Directories, whose modes and times come last.
    directories: Vec<(PathBuf, Member)>,
    /// The directory that something was made in last.
    parent: Option<(PathBuf, OwnedFd)>,
    /// What is written to a file at a time.
    buffer: Vec<u8>,
    done: Unpacked,
}

impl Unpacker {
    fn add(
        &mut self,
        prefix: &[u8],
        member: &Member,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let wrong = |what| UnpackError::Entry {
            name: member.shown(),
            what,
        };
        let fail = |source: io::Error| UnpackError::Make {
            name: member.shown(),
            source,
        };
        let path = inside(prefix, &member.name).map_err(wrong)?;
        if self.seen.contains_key(&path) {
            return Err(wrong("is there twice"));
        }
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            // The image itself.
            if member.kind != Kind::Directory {
                return Err(wrong("is no directory, but the image"));
            }
            self.seen.insert(path.clone(), Kind::Directory);
            self.directories.push((path, member.clone()));
            return Ok(());
        };
        let above = path.parent().unwrap_or(Path::new("")).to_owned();
        match self.seen.get(&above) {
            Some(Kind::Directory) => {}
            Some(_) => return Err(wrong("is below something that is no directory")),
            None if above.as_os_str().is_empty() => {}
            None => self.make_above(&above).map_err(fail)?.map_err(wrong)?,
        }
        let directory = self.directory(&above).map_err(fail)?;
        let name = name.as_os_str();
        match member.kind {
            Kind::Directory => {
                mkdirat(&directory, name, Mode::S_IRWXU).map_err(|error| fail(error.into()))?;
                self.directories.push((path.clone(), member.clone()));
            }
            Kind::Symlink => {
                let target = OsString::from_vec(member.link_name.clone());
                symlinkat(target.as_os_str(), &directory, name)
                    .map_err(|error| fail(error.into()))?;
                self.own(&directory, name, member).map_err(fail)?;
                set_time(&directory, name, member).map_err(fail)?;
            }
            Kind::HardLink => {
                let target = inside(prefix, &member.link_name).map_err(wrong)?;
                if self.seen.get(&target) != Some(&Kind::File) {
                    return Err(wrong(
                        "is another name of something that is no file before it",
                    ));
                }
                let above = target.parent().unwrap_or(Path::new("")).to_owned();
                let from = self.directory(&above).map_err(fail)?;
                let old = target.file_name().unwrap_or_default();
                linkat(&from, old, &directory, name, LinkatFlags::empty())
                    .map_err(|error| fail(error.into()))?;
            }
            Kind::File => {
                self.file(&directory, name, member, content).map_err(fail)?;
                self.done.bytes += member.size;
            }
            Kind::Special => return Err(wrong("is a device or a pipe")),
        }
        self.done.entries += 1;
        let kind = match member.kind {
            Kind::HardLink => Kind::File,
            kind => kind,
        };
        self.seen.insert(path, kind);
        self.parent = Some((above, directory));
        Ok(())
    }

    fn file(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        member: &Member,
        content: &mut impl Read,
    ) -> io::Result<()> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(
            directory,
            name,
            flags,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )?);
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            file.write_all(self.buffer.get(..count).unwrap_or_default())?;
        }
        self.own(directory, name, member)?;
        if self.options.preserve {
            use xattr::FileExt;
            for (name, value) in &member.xattrs {
                file.set_xattr(OsStr::from_bytes(name), value)?;
            }
        }
        // Behind the owner, as a change of that takes setuid bits away.
        fchmodat(
            directory,
            name,
            self.mode(member),
            FchmodatFlags::FollowSymlink,
        )?;
        set_time(directory, name, member)
    }

    fn mode(&self, member: &Member) -> Mode {
        let kept = if self.options.preserve { 0o7777 } else { 0o777 };
        Mode::from_bits_truncate(member.mode & kept)
    }

    fn own(&self, directory: &OwnedFd, name: &OsStr, member: &Member) -> io::Result<()> {
        if !self.options.preserve {
            return Ok(());
        }
        let number = |number: u64| u32::try_from(number).map_err(|_| io::ErrorKind::InvalidData);
        let uid = Uid::from_raw(number(member.uid)?);
        let gid = Gid::from_raw(number(member.gid)?);
        Ok(fchownat(
            directory,
            name,
            Some(uid),
            Some(gid),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )?)
    }

    /// Makes directories that the archive has no entries of.
    fn make_above(&mut self, path: &Path) -> io::Result<Result<(), &'static str>> {
        let mut above = PathBuf::new();
        for name in path.components() {
            let parent = above.clone();
            above.push(name);
            match self.seen.get(&above) {
                Some(Kind::Directory) => continue,
                Some(_) => return Ok(Err("is below something that is no directory")),
                None => {}
            }
            let directory = self.directory(&parent)?;
            let mode =
                Mode::S_IRWXU | Mode::S_IRGRP | Mode::S_IXGRP | Mode::S_IROTH | Mode::S_IXOTH;
            mkdirat(&directory, name.as_os_str(), mode)?;
            self.seen.insert(above.clone(), Kind::Directory);
        }
        Ok(Ok(()))
    }

    /// A directory that was made, opened step by step without following a link.
    fn directory(&mut self, path: &Path) -> io::Result<OwnedFd> {
        if let Some((known, directory)) = &self.parent
            && known == path
        {
            return directory.try_clone();
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let mut directory = self.root.as_fd().try_clone_to_owned()?;
        for name in path.components() {
            directory = openat(&directory, name.as_os_str(), flags, Mode::empty())?;
        }
        Ok(directory)
    }

    /// Gives directories their owners, modes and times, the innermost first.
    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        let directories = std::mem::take(&mut self.directories);
        for (path, member) in directories.iter().rev() {
            let mut set = || -> io::Result<()> {
                let (above, name) = match path.file_name() {
                    Some(name) => (path.parent().unwrap_or(Path::new("")), name),
                    None => (Path::new(""), OsStr::new(".")),
                };
                let directory = self.directory(above)?;
                self.own(&directory, name, member)?;
                fchmodat(
                    &directory,
                    name,
                    self.mode(member),
                    FchmodatFlags::FollowSymlink,
                )?;
                set_time(&directory, name, member)
            };
            set().map_err(|source| UnpackError::Make {
                name: member.shown(),
                source,
            })?;
        }
        Ok(self.done)
    }
}

fn set_time(directory: &OwnedFd, name: &OsStr, member: &Member) -> io::Result<()> {
    let time = TimeSpec::new(member.mtime, 0);
    Ok(utimensat(
        directory,
        name,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )?)
}

/// The path below the image, of a name in the archive.
fn inside(prefix: &[u8], name: &[u8]) -> Result<PathBuf, &'static str> {
    let rest = name
        .strip_prefix(prefix)
        .ok_or("is not inside of the image")?;
    let rest = match rest {
        [] => rest,
        [b'/', rest @ ..] => rest,
        _ => return Err("is not inside of the image"),
    };
    if rest.len() >= LONGEST_PATH {
        return Err("has a longer name than any file");
    }
    let path = Path::new(OsStr::from_bytes(rest));
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || rest.first() == Some(&b'/') {
        return Err("leads out of the image");
    }
    // Written in one way only, so that no name is there twice in disguise.
    Ok(path.components().collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use tar::EntryType;

    use super::*;
    use crate::binpkg::image_tar::{Layout, Options, write_image};
    use crate::util::causes::causes;

    fn archive(entries: &[(&str, EntryType, &str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, link, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o4755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(7);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    use EntryType::{Directory, Link, Regular, Symlink};

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<Unpacked, UnpackError>) {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        let result = unpack(bytes, b"image", &target, UnpackOptions::default());
        (directory, result)
    }

    #[test]
    fn what_was_packed_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        fs::create_dir_all(image.join("usr/bin")).unwrap();
        fs::create_dir_all(image.join("empty")).unwrap();
        fs::write(image.join("usr/bin/tool"), "tool").unwrap();
        fs::hard_link(image.join("usr/bin/tool"), image.join("usr/bin/zalias")).unwrap();
        symlink("/absolute/target", image.join("usr/link")).unwrap();
        fs::set_permissions(image.join("empty"), fs::Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(
            image.join("usr/bin/tool"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        for (layout, prefix) in [(Layout::Xpak, &b"."[..]), (Layout::Gpkg, b"image")] {
            let mut bytes = Vec::new();
            let options = Options {
                layout,
                ..Options::default()
            };
            write_image(&image, options, &mut bytes).unwrap();
            let target = directory.path().join(format!("{layout:?}"));
            let done = unpack(&bytes[..], prefix, &target, UnpackOptions::default()).unwrap();
            assert_eq!((done.entries, done.bytes), (6, 4));
            let mut again = Vec::new();
            write_image(&target, options, &mut again).unwrap();
            assert!(bytes == again, "{layout:?}");
        }
    }

    #[test]
    fn setuid_bits_are_for_those_who_ask_for_them() {
        let bytes = archive(&[("image/su", Regular, "", b"x")]);
        let (directory, result) = unpacked(&bytes);
        result.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&directory.path().join("target/su")), 0o755);
        if nix::unistd::geteuid().is_root() {
            let target = directory.path().join("preserved");
            let options = UnpackOptions { preserve: true };
            unpack(&bytes[..], b"image", &target, options).unwrap();
            assert_eq!(mode(&target.join("su")), 0o4755);
        }
    }

    #[test]
    fn nothing_leaves_the_directory() {
        let outside = tempfile::tempdir().unwrap();
        let evil = outside.path().to_str().unwrap();
        for (entries, part) in [
            (
                vec![("/etc/x", Regular, "", &b"x"[..])],
                "is not inside of the image",
            ),
            (vec![("image/../x", Regular, "", b"x")], "leads out"),
            (vec![("image//x", Regular, "", b"x")], "leads out"),
            (vec![("../image/x", Regular, "", b"x")], "is not inside"),
            (vec![("imagex", Regular, "", b"x")], "is not inside"),
            (
                vec![
                    ("image/l", Symlink, evil, b""),
                    ("image/l/x", Regular, "", b"x"),
                ],
                "below something that is no directory",
            ),
            (
                vec![
                    ("image/l", Symlink, evil, b""),
                    ("image/l/d/x", Regular, "", b"x"),
                ],
                "below something that is no directory",
            ),
            (
                vec![
                    ("image/l", Symlink, evil, b""),
                    ("image/l", Directory, "", b""),
                ],
                "is there twice",
            ),
            (
                vec![
                    ("image/l", Symlink, evil, b""),
                    ("image/l", Regular, "", b"x"),
                ],
                "is there twice",
            ),
            (vec![("image/h", Link, "/etc/passwd", b"")], "is not inside"),
            (
                vec![("image/h", Link, "image/none", b"")],
                "no file before it",
            ),
            (
                vec![
                    ("image/l", Symlink, "/etc/passwd", b""),
                    ("image/h", Link, "image/l", b""),
                ],
                "no file before it",
            ),
            (
                vec![
                    ("image/f", Regular, "", b"x"),
                    ("image/f/x", Regular, "", b"x"),
                ],
                "below something that is no directory",
            ),
            (
                vec![("image/d", EntryType::Char, "", b"")],
                "device or a pipe",
            ),
            (
                vec![("image/d", EntryType::Block, "", b"")],
                "device or a pipe",
            ),
            (
                vec![("image/p", EntryType::Fifo, "", b"")],
                "device or a pipe",
            ),
            (
                vec![("image", Symlink, evil, b"")],
                "no directory, but the image",
            ),
        ] {
            let (_directory, result) = unpacked(&archive(&entries));
            let error = causes(&result.unwrap_err()).join(": ");
            assert!(error.contains(part), "{entries:?}: {error}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn deep_nesting_ends_in_a_file_or_an_error() {
        let deep = format!("image/{}x", "d/".repeat(20_000));
        let long = format!("image/{}", "n".repeat(300));
        let many = format!("image/{}x", "d/".repeat(1_000));
        for (name, fits) in [(&deep, false), (&long, false), (&many, true)] {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            builder.append_data(&mut header, name, &[][..]).unwrap();
            let (_directory, result) = unpacked(&builder.into_inner().unwrap());
            let message = result
                .as_ref()
                .map_or_else(|error| causes(error).join(": "), |done| format!("{done:?}"));
            assert_eq!(result.is_ok(), fits, "{message}");
            assert!(message.len() < 2000, "{message}");
        }
    }

    #[test]
    fn a_directory_with_something_in_it_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("mine"), "x").unwrap();
        let bytes = archive(&[("image/f", Regular, "", b"x")]);
        let error = unpack(
            &bytes[..],
            b"image",
            directory.path(),
            UnpackOptions::default(),
        );
        assert!(matches!(error, Err(UnpackError::NotEmpty { .. })));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_directories_are_made() {
        let (directory, result) = unpacked(&archive(&[("image/a/b/c", Regular, "", b"x")]));
        result.unwrap();
        assert_eq!(
            fs::read(directory.path().join("target/a/b/c")).unwrap(),
            b"x"
        );
    }
}
