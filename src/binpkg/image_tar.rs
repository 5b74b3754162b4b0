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
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use crate::claim::rows;
    use filetime::{FileTime, set_file_mtime};

    use super::*;

    /// An image with everything that a header has to express.
    fn image() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let long = format!("usr/share/{}/{}", "d".repeat(90), "n".repeat(60));
        for name in ["usr/bin", "usr/share/doc", "usr/empty", "var"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::create_dir_all(root.join(&long)).unwrap();
        fs::write(root.join(&long).join("file"), "deep").unwrap();
        fs::write(root.join("usr/bin/tool"), vec![7; 70_000]).unwrap();
        fs::write(root.join("usr/bin/block"), vec![8; 1024]).unwrap();
        fs::write(root.join("usr/empty.txt"), "").unwrap();
        fs::write(root.join("usr/share/doc/größe"), "x").unwrap();
        fs::write(
            root.join("usr/share/doc")
                .join(OsString::from_vec(b"\xff".to_vec())),
            "y",
        )
        .unwrap();
        // One name of exactly as many bytes as the header holds, and one of one more.
        fs::write(root.join("var").join("e".repeat(94)), "").unwrap();
        fs::write(root.join("var").join("f".repeat(95)), "").unwrap();
        fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/alias")).unwrap();
        fs::hard_link(root.join(&long).join("file"), root.join("var/link")).unwrap();
        symlink("tool", root.join("usr/bin/soft")).unwrap();
        symlink("t".repeat(100), root.join("usr/bin/hundred")).unwrap();
        symlink("t".repeat(101), root.join("usr/bin/more")).unwrap();
        symlink("/nowhere", root.join("dangling")).unwrap();
        nix::unistd::mkfifo(
            &root.join("var/pipe"),
            nix::sys::stat::Mode::from_bits_truncate(0o640),
        )
        .unwrap();
        fs::set_permissions(
            root.join("usr/bin/tool"),
            fs::Permissions::from_mode(0o4711),
        )
        .unwrap();
        fs::set_permissions(root.join("var"), fs::Permissions::from_mode(0o1777)).unwrap();
        set_file_mtime(
            root.join("usr/empty.txt"),
            FileTime::from_unix_time(86_400, 0),
        )
        .unwrap();
        set_file_mtime(
            root.join("usr/bin/tool"),
            FileTime::from_unix_time(1_600_000_000, 120_000_000),
        )
        .unwrap();
        directory
    }

    fn pack(root: &Path, options: Options) -> Vec<u8> {
        let mut archive = Vec::new();
        write_image(root, options, &mut archive).unwrap();
        archive
    }

    /// The same by GNU tar, or nothing where tar is another.
    fn gnu_tar(root: &Path, options: &[&str]) -> Option<Vec<u8>> {
        let version = Command::new("tar").arg("--version").output().ok()?;
        if !version.stdout.starts_with(b"tar (GNU tar)") {
            return None;
        }
        let output = Command::new("tar")
            .args(["--sort=name", "-cf", "-"])
            .args(options)
            .arg("-C")
            .arg(root)
            .arg(".")
            .output();
        Some(output.unwrap().stdout)
    }

    /// The position of the first byte that differs, with what is around it.
    fn assert_same(ours: &[u8], theirs: &[u8]) {
        if ours == theirs {
            return;
        }
        let position = ours
            .iter()
            .zip(theirs)
            .position(|(one, other)| one != other)
            .unwrap_or(ours.len().min(theirs.len()));
        let block = position / BLOCK * BLOCK;
        let show = |bytes: &[u8]| {
            bytes
                .get(block..block + BLOCK)
                .map(|block| block.escape_ascii().to_string())
        };
        panic!(
            "{} and {} bytes differ at {} of block {block}\nours:   {:?}\ntheirs: {:?}",
            ours.len(),
            theirs.len(),
            position - block,
            show(ours),
            show(theirs)
        );
    }

    #[test]
    fn equals_gnu_tar() {
        let image = image();
        if let Some(theirs) = gnu_tar(image.path(), &[]) {
            assert_same(&pack(image.path(), Options::default()), &theirs);
        }
    }

    #[test]
    fn equals_gnu_tar_with_xattrs() {
        let image = image();
        let file = image.path().join("usr/bin/tool");
        if xattr::set(&file, "user.ebd.test", b"\0binary=\xff").is_err() {
            return;
        }
        xattr::set(image.path().join("usr/bin/block"), "user.a=b%", b"").unwrap();
        xattr::set(image.path().join("usr"), "user.dir", b"on a directory").unwrap();
        let options = [
            "--xattrs",
            "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
        ];
        if let Some(theirs) = gnu_tar(image.path(), &options) {
            assert_same(
                &pack(
                    image.path(),
                    Options {
                        xattrs: true,
                        ..Options::default()
                    },
                ),
                &theirs,
            );
        }
    }

    /// The same by Python's tarfile in the format it has for the name, or nothing where there is no Python 3.11.
    fn python_tar(root: &Path, format: &str) -> Option<Vec<u8>> {
        let program = format!(
            "import sys, tarfile\n\
             if sys.version_info < (3, 11): sys.exit(9)\n\
             with tarfile.open(mode='w|', fileobj=sys.stdout.buffer, format=tarfile.{format}) as tar:\n \
             tar.add(sys.argv[1], 'image', recursive=True)\n"
        );
        let output = Command::new("python3")
            .args(["-c", &program])
            .arg(root)
            .output()
            .ok()?;
        if output.status.code() == Some(9) {
            return None;
        }
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(output.stdout)
    }

    fn as_gpkg() -> Options {
        Options {
            layout: Layout::Gpkg,
            // Not packed there.
            xattrs: true,
            ..Options::default()
        }
    }

    #[test]
    fn writes_what_python_writes_into_a_gpkg() {
        let image = image();
        fs::remove_file(image.path().join("var/pipe")).unwrap();
        let not_utf8 = OsString::from_vec(b"\xff".to_vec());
        fs::remove_file(image.path().join("usr/share/doc").join(not_utf8)).unwrap();
        // Long names and targets are there, so the format is GNU's.
        if let Some(theirs) = python_tar(image.path(), "GNU_FORMAT") {
            assert_same(&pack(image.path(), as_gpkg()), &theirs);
        }
        fs::remove_file(image.path().join("usr/bin/hundred")).unwrap();
        fs::remove_file(image.path().join("usr/bin/more")).unwrap();
        let deep = format!("usr/share/{}", "d".repeat(90));
        fs::remove_dir_all(image.path().join(&deep)).unwrap();
        let long = image
            .path()
            .join(format!("usr/{}/{}", "p".repeat(99), "q".repeat(40)));
        fs::create_dir_all(&long).unwrap();
        fs::write(long.join("n".repeat(99)), "split").unwrap();
        let archive = pack(image.path(), as_gpkg());
        assert_eq!(archive.get(257..265), Some(&b"ustar\x0000"[..]));
        if let Some(theirs) = python_tar(image.path(), "USTAR_FORMAT") {
            assert_same(&archive, &theirs);
        }
    }

    #[test]
    fn refuses_what_portage_would_not_unpack_from_a_gpkg() {
        let image = image();
        let not_utf8 = OsString::from_vec(b"\xff".to_vec());
        let refused = |image: &Path| {
            write_image(image, as_gpkg(), io::sink())
                .unwrap_err()
                .to_string()
        };
        let error = refused(image.path());
        assert!(error.contains("no file whose name is not UTF-8"), "{error}");
        fs::remove_file(image.path().join("usr/share/doc").join(not_utf8)).unwrap();
        let error = refused(image.path());
        assert!(
            error.contains("var/pipe: Portage unpacks no pipe"),
            "{error}"
        );
    }

    #[test]
    fn the_builder_becomes_root() {
        let _rows = rows(&[136, 182]);
        let image = image();
        let metadata = fs::metadata(image.path().join("usr")).unwrap();
        let owners = Owners::RootFor {
            uid: metadata.uid(),
            gid: metadata.gid(),
        };
        let archive = pack(
            image.path(),
            Options {
                owners,
                ..Options::default()
            },
        );
        let mut reader = tar::Archive::new(&archive[..]);
        let mut names = Vec::new();
        for entry in reader.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(
                (header.username().unwrap(), header.groupname().unwrap()),
                (Some("root"), Some("root"))
            );
            names.push(String::from_utf8_lossy(&entry.path_bytes()).into_owned());
        }
        assert_eq!(names.first().map(String::as_str), Some("./"));
        assert!(names.iter().any(|name| name.ends_with(&"f".repeat(95))));

        let others = Owners::RootFor {
            uid: metadata.uid() + 1,
            gid: metadata.gid() + 1,
        };
        assert_eq!(
            pack(
                image.path(),
                Options {
                    owners: others,
                    ..Options::default()
                }
            ),
            pack(image.path(), Options::default())
        );
    }

    #[test]
    fn leaves_sockets_out_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let _socket =
            std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
        fs::write(directory.path().join("file"), "x").unwrap();
        let packed = write_image(directory.path(), Options::default(), io::sink()).unwrap();
        assert_eq!(
            packed,
            Packed {
                entries: 2,
                sockets: vec!["socket".into()]
            }
        );
    }

    #[test]
    fn names_what_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let error = write_image(
            &directory.path().join("none"),
            Options::default(),
            io::sink(),
        )
        .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("none: cannot be read for packing"),
            "{error}"
        );
    }
}
