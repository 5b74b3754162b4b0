//! The image of a package as a tar archive, byte for byte as `gtar --sort=name -cf - -C image .` writes it.
//!
//! Sorted names make the archive the same on every file system. With extended attributes the archive is in the POSIX
//! format instead of GNU's, as `gtar --xattrs` has it, with times to the nanosecond; the times of last access and
//! change, which gtar would add, say nothing about the package and are left out.
//!
//! In a gpkg the same tree is below `image` instead of `.`, as Python's `tarfile` writes it, which Portage packs
//! with: in the POSIX format without extensions, and in GNU's where a name, a size or an owner does not fit there.
//! Extended attributes are not packed then, and what Portage would refuse to unpack is refused.

use std::collections::HashMap;
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::stat::{major, minor};
use nix::unistd::{Gid, Group, Uid, User};
use tar::EntryType;

mod contents;
mod gpkg;
pub(super) mod header;

pub use contents::{Contents, Listed};
use contents::{Found, walk};
use header::{BLOCK, Fields, HeaderFormat, Xattrs};

/// The archive ends at a multiple of this many bytes, as 20 blocks are one record.
const RECORD: u64 = 20 * BLOCK as u64;

/// The image could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file of the image cannot be read.
    #[error("{}: cannot be read for packing", path.display())]
    Read {
        /// The file, with the path of the image before it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file was not what it was a moment ago, so something still works on the image.
    #[error("{}: changed while it was packed", path.display())]
    Changed {
        /// The file, with the path of the image before it.
        path: PathBuf,
    },
    /// A file is of a kind that tar knows no entry for.
    #[error("{}: files of this kind cannot be packed", path.display())]
    Kind {
        /// The file, with the path of the image before it.
        path: PathBuf,
    },
    /// A file of a kind that Portage refuses in a gpkg.
    #[error("{}: Portage unpacks no {kind} from a gpkg; use --format xpak", path.display())]
    NotInGpkg {
        /// The file, with the path of the image before it.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Writing the archive failed.
    #[error("the archive of the image cannot be written")]
    Write(#[source] io::Error),
}

/// Whom the files in the archive belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owners {
    /// Whom they belong to in the image.
    #[default]
    AsFound,
    /// root, where they belong to the user and the group that built them, for builds that run without root.
    RootFor {
        /// The user who built.
        uid: u32,
        /// The group of that user.
        gid: u32,
    },
}

/// How names stand in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Below `.`, as GNU tar packs it.
    #[default]
    Xpak,
    /// Below `image`, as Python's tarfile packs it.
    Gpkg,
}

/// How an image is packed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How names stand in the archive.
    pub layout: Layout,
    /// Whom the files belong to.
    pub owners: Owners,
    /// Whether extended attributes are packed (`FEATURES=xattr`).
    pub xattrs: bool,
}

/// What was packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// The number of entries, the image's own directory included.
    pub entries: u64,
    /// Sockets, which no archive can hold and gtar leaves out as well, relative to the image.
    pub sockets: Vec<PathBuf>,
}

/// Writes an image to `output`, without ever following a link.
///
/// # Errors
/// The image cannot be read or changes meanwhile, or the output cannot be written.
pub fn write_image<'a, W: Write>(
    image: impl Into<Contents<'a>>,
    options: Options,
    output: W,
) -> Result<Packed, ImageError> {
    let image = image.into();
    let format = match options.layout {
        Layout::Xpak if options.xattrs => HeaderFormat::Posix,
        Layout::Xpak => HeaderFormat::Gnu,
        Layout::Gpkg => gpkg::format(image)?,
    };
    let mut packer = Packer {
        options,
        format,
        output,
        written: 0,
        buffer: vec![0; 128 << 10],
        links: HashMap::new(),
        users: HashMap::new(),
        groups: HashMap::new(),
        packed: Packed::default(),
    };
    walk(image, options.layout, |found| packer.add(found))?;
    packer.finish()
}

/// The bytes of all files of an image, each name counted.
///
/// # Errors
/// The image cannot be read.
pub fn total_size<'a>(image: impl Into<Contents<'a>>) -> Result<u64, ImageError> {
    let mut total = 0_u64;
    walk(image.into(), Layout::default(), |found| {
        if found.metadata.is_file() {
            total = total.saturating_add(found.size());
        }
        Ok(())
    })?;
    Ok(total)
}

struct Packer<W> {
    options: Options,
    format: HeaderFormat,
    output: W,
    written: u64,
    /// What is read of a file at a time.
    buffer: Vec<u8>,
    /// Files with several names that were packed already: device and inode, and the name in the archive.
    links: HashMap<(u64, u64), Vec<u8>>,
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
    packed: Packed,
}

impl<W: Write> Packer<W> {
    fn add(&mut self, found: Found<'_>) -> Result<(), ImageError> {
        let Found {
            relative,
            path,
            metadata,
            content,
        } = found;
        let kind = metadata.file_type();
        if kind.is_socket() {
            self.packed.sockets.push(relative.to_owned());
            return Ok(());
        }
        let gpkg = self.options.layout == Layout::Gpkg;
        if gpkg {
            gpkg::check(path, relative, kind)?;
        }
        let name = name_in_archive(relative, kind, self.options.layout);
        let mut fields = self.fields(name, path, metadata)?;
        if let Some(content) = content {
            fields.size = content.len() as u64;
            self.header(&fields)?;
            self.put(content)?;
            return self.pad(BLOCK as u64);
        }

        let linked = if gpkg { kind.is_file() } else { !kind.is_dir() };
        if linked && metadata.nlink() > 1 {
            let identity = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&identity) {
                fields.kind = EntryType::Link;
                fields.link_name = first.clone();
                fields.size = 0;
                // They went with the first name.
                fields.xattrs.clear();
                return self.header(&fields);
            }
            self.links.insert(identity, fields.name.clone());
        }
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|source| read_error(path, source))?;
            fields.link_name = target.into_os_string().into_vec();
        }
        self.header(&fields)?;
        if kind.is_file() {
            self.content(path, metadata)?;
        }
        Ok(())
    }

    fn fields(
        &mut self,
        name: Vec<u8>,
        path: &Path,
        metadata: &Metadata,
    ) -> Result<Fields, ImageError> {
        let kind = metadata.file_type();
        let device = kind.is_char_device() || kind.is_block_device();
        let (uid, user) = self.user(metadata.uid());
        let (gid, group) = self.group(metadata.gid());
        Ok(Fields {
            name,
            link_name: Vec::new(),
            kind: entry_type(kind).ok_or_else(|| ImageError::Kind {
                path: path.to_owned(),
            })?,
            mode: metadata.mode() & 0o7777,
            uid,
            gid,
            user,
            group,
            size: if kind.is_file() { metadata.size() } else { 0 },
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
            device: device.then(|| (major(metadata.rdev()), minor(metadata.rdev()))),
            xattrs: if self.format == HeaderFormat::Posix {
                xattrs(path)?
            } else {
                Vec::new()
            },
        })
    }

    fn user(&mut self, uid: u32) -> (u32, Vec<u8>) {
        match self.options.owners {
            Owners::RootFor { uid: builder, .. } if uid == builder => (0, b"root".to_vec()),
            _ => {
                let name = self.users.entry(uid).or_insert_with(|| {
                    User::from_uid(Uid::from_raw(uid))
                        .ok()
                        .flatten()
                        .map_or_else(Vec::new, |user| user.name.into())
                });
                (uid, name.clone())
            }
        }
    }

    fn group(&mut self, gid: u32) -> (u32, Vec<u8>) {
        match self.options.owners {
            Owners::RootFor { gid: builder, .. } if gid == builder => (0, b"root".to_vec()),
            _ => {
                let name = self.groups.entry(gid).or_insert_with(|| {
                    Group::from_gid(Gid::from_raw(gid))
                        .ok()
                        .flatten()
                        .map_or_else(Vec::new, |group| group.name.into())
                });
                (gid, name.clone())
            }
        }
    }

    fn header(&mut self, fields: &Fields) -> Result<(), ImageError> {
        let bytes = fields.encode(self.format);
        self.packed.entries += 1;
        self.put(&bytes)
    }

    fn content(&mut self, path: &Path, metadata: &Metadata) -> Result<(), ImageError> {
        let changed = || ImageError::Changed {
            path: path.to_owned(),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(|source| read_error(path, source))?;
        if !is_same(&file, metadata).map_err(|source| read_error(path, source))? {
            return Err(changed());
        }
        let mut left = metadata.size();
        while left > 0 {
            let count = match file.read(&mut self.buffer) {
                Ok(0) => return Err(changed()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read_error(path, error)),
            };
            left = left.checked_sub(count as u64).ok_or_else(changed)?;
            let read = self.buffer.get(..count).unwrap_or_default();
            self.output.write_all(read).map_err(ImageError::Write)?;
            self.written += count as u64;
        }
        if !is_same(&file, metadata).map_err(|source| read_error(path, source))? {
            return Err(changed());
        }
        self.pad(BLOCK as u64)
    }

    fn finish(mut self) -> Result<Packed, ImageError> {
        self.put(&[0; 2 * BLOCK])?;
        self.pad(RECORD)?;
        self.output.flush().map_err(ImageError::Write)?;
        Ok(self.packed)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.output.write_all(bytes).map_err(ImageError::Write)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, unit: u64) -> Result<(), ImageError> {
        let missing = self.written.next_multiple_of(unit) - self.written;
        self.put(&vec![0; missing as usize])
    }
}

fn entry_type(kind: FileType) -> Option<EntryType> {
    Some(match kind {
        _ if kind.is_file() => EntryType::Regular,
        _ if kind.is_dir() => EntryType::Directory,
        _ if kind.is_symlink() => EntryType::Symlink,
        _ if kind.is_fifo() => EntryType::Fifo,
        _ if kind.is_char_device() => EntryType::Char,
        _ if kind.is_block_device() => EntryType::Block,
        _ => return None,
    })
}

fn name_in_archive(relative: &Path, kind: FileType, layout: Layout) -> Vec<u8> {
    let mut name = match layout {
        Layout::Xpak => b"./".to_vec(),
        Layout::Gpkg => b"image/".to_vec(),
    };
    name.extend(relative.as_os_str().as_bytes());
    if kind.is_dir() && !name.ends_with(b"/") {
        name.push(b'/');
    }
    name
}

fn is_same(file: &File, seen: &Metadata) -> io::Result<bool> {
    let now = file.metadata()?;
    Ok(
        (now.dev(), now.ino(), now.size()) == (seen.dev(), seen.ino(), seen.size())
            && (now.mtime(), now.mtime_nsec()) == (seen.mtime(), seen.mtime_nsec()),
    )
}

/// The extended attributes of a file or link itself, sorted by name; none where the file system has none.
fn xattrs(path: &Path) -> Result<Xattrs, ImageError> {
    let fail = |source| read_error(path, source);
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut attributes = Vec::new();
    for name in names {
        if let Some(value) = xattr::get(path, &name).map_err(fail)? {
            attributes.push((name.into_vec(), value));
        }
    }
    attributes.sort_unstable();
    Ok(attributes)
}

fn read_error(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
