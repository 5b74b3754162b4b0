//! A strict reader of tar archives that come from strangers.
//!
//! It knows what binary packages are written with: the POSIX format, GNU's long names, and extended headers of one
//! entry. Every size is checked against what is there, an extension applies to exactly the entry behind it, and behind
//! the end there is nothing. What it does not know is an error, never something passed over, so that no two readers
//! can see different files in one archive.

use std::io::{self, Read};

use tar::{EntryType, Header};

/// The unit of tar archives, in bytes.
pub const BLOCK: u64 = 512;
/// The longest name or target that is read, in bytes.
const LONGEST_NAME: u64 = 64 << 10;
/// The largest extended header that is read, in bytes; values of extended attributes are at most 64 KiB each.
const LARGEST_RECORDS: u64 = 1 << 20;
/// As many bytes of zeros may follow the end; archives are filled up to a multiple of 10 KiB, some tools take more.
const LARGEST_FILLING: u64 = 1 << 20;

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The archive cannot be read (decompressing fails, for example).
    #[error("the archive cannot be read")]
    Io(#[source] io::Error),
    /// It ends before its end.
    #[error("the archive is cut off")]
    Truncated,
    /// There is something behind the end.
    #[error("there is something behind the end of the archive")]
    Trailing,
    /// A header is damaged.
    #[error("the header at byte {position} is damaged: {what}")]
    Header {
        /// Where it is.
        position: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An entry of a kind that packages do not have.
    #[error("{name}: the archive has an entry of type {kind:?}, which is not supported")]
    Kind {
        /// The entry.
        name: String,
        /// The type, as it stands in the header.
        kind: char,
    },
}

impl From<io::Error> for TarError {
    /// An error of [`TarReader`]'s own that went through [`Read`] becomes what it was.
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => Self::Io(error),
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A further name of a file before it.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
    /// A device or a named pipe.
    Special,
}

/// An entry, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name, without slashes at its end.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The target of a link.
    pub link_name: Vec<u8>,
    /// The bytes of content that follow.
    pub size: u64,
    /// The permissions.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The owner's group.
    pub gid: u64,
    /// The owner's name.
    pub user: Vec<u8>,
    /// The group's name.
    pub group: Vec<u8>,
    /// The time of modification in seconds since 1970.
    pub mtime: i64,
    /// Names and values of extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the content begins in the archive.
    pub position: u64,
}

impl Member {
    /// The name for messages; of a long one the beginning.
    pub fn shown(&self) -> String {
        const LONGEST: usize = 1024;
        match self.name.get(..LONGEST) {
            Some(beginning) => format!("{}…", String::from_utf8_lossy(beginning)),
            None => String::from_utf8_lossy(&self.name).into_owned(),
        }
    }
}

/// What extension headers say about the next entry.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    link_name: Option<Vec<u8>>,
    records: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Extension {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link_name.is_none() && self.records.is_none()
    }
}

/// Reads an archive entry by entry. Between two calls of [`TarReader::next_member`] it reads as the entry's content.
pub struct TarReader<R> {
    input: R,
    position: u64,
    /// Bytes of the current content that were not read.
    left: u64,
    /// Bytes of filling behind it.
    filling: u64,
    ended: bool,
}

impl<R: Read> TarReader<R> {
    /// An archive from its beginning.
    pub fn new(input: R) -> Self {
        Self {
            input,
            position: 0,
            left: 0,
            filling: 0,
            ended: false,
        }
    }

    /// The next entry; the rest of the content of the one before is read over.
    ///
    /// # Errors
    /// The archive is damaged or has something that packages do not have.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        self.next_with(|input, count| io::copy(&mut input.take(count), &mut io::sink()).map(|_| ()))
    }

    /// As [`TarReader::next_member`], passing over contents with `skip`, which may seek. It may end behind the end of
    /// the input; that is found out then.
    ///
    /// # Errors
    /// As for [`TarReader::next_member`].
    pub fn next_with(
        &mut self,
        mut skip: impl FnMut(&mut R, u64) -> io::Result<()>,
    ) -> Result<Option<Member>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let over = self.left + self.filling;
        if over > 0 {
            skip(&mut self.input, over)?;
            self.position += over;
            (self.left, self.filling) = (0, 0);
        }
        let mut extension = Extension::default();
        loop {
            let position = self.position;
            let damaged = |what| TarError::Header { position, what };
            let block = self.block()?;
            if block.iter().all(|byte| *byte == 0) {
                if !extension.is_empty() {
                    return Err(damaged("an extension has no entry"));
                }
                self.end()?;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            let sum: u32 = block
                .iter()
                .enumerate()
                .map(|(at, byte)| match at {
                    148..156 => u32::from(b' '),
                    _ => u32::from(*byte),
                })
                .sum();
            if header.cksum().ok() != Some(sum) {
                return Err(damaged("the checksum is wrong"));
            }
            let size = header.entry_size().map_err(|_| damaged("the size"))?;
            match header.entry_type() {
                EntryType::GNULongName if extension.name.is_none() => {
                    extension.name = Some(self.long_name(size)?);
                }
                EntryType::GNULongLink if extension.link_name.is_none() => {
                    extension.link_name = Some(self.long_name(size)?);
                }
                EntryType::XHeader if extension.records.is_none() => {
                    let content = self.extension(size, LARGEST_RECORDS)?;
                    let records = parse_records(&content)
                        .ok_or_else(|| damaged("the extended header is none"))?;
                    extension.records = Some(records);
                }
                EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader => {
                    return Err(damaged("an extension is there twice"));
                }
                _ => return self.member(header, size, extension).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        header: &Header,
        size: u64,
        extension: Extension,
    ) -> Result<Member, TarError> {
        let position = self.position - BLOCK;
        let damaged = |what| TarError::Header { position, what };
        let bytes = |value: Option<&[u8]>| value.unwrap_or_default().to_vec();
        let mut name = match extension.name {
            Some(name) => name,
            None => header.path_bytes().into_owned(),
        };
        let mut link_name = match extension.link_name {
            Some(name) => name,
            None => header
                .link_name_bytes()
                .map(|name| name.into_owned())
                .unwrap_or_default(),
        };
        let mut member = Member {
            name: Vec::new(),
            kind: Kind::File,
            link_name: Vec::new(),
            size,
            mode: header.mode().map_err(|_| damaged("the mode"))?,
            uid: header.uid().map_err(|_| damaged("the owner"))?,
            gid: header.gid().map_err(|_| damaged("the group"))?,
            user: bytes(header.username_bytes()),
            group: bytes(header.groupname_bytes()),
            mtime: time_of(header).ok_or_else(|| damaged("the time"))?,
            xattrs: Vec::new(),
            position: self.position,
        };
        for (key, value) in extension.records.into_iter().flatten() {
            let number = || {
                std::str::from_utf8(&value)
                    .ok()
                    .and_then(|text| text.parse::<u64>().ok())
                    .ok_or_else(|| damaged("a number in the extended header"))
            };
            match key.as_slice() {
                b"path" => name = value,
                b"linkpath" => link_name = value,
                b"size" => member.size = number()?,
                b"uid" => member.uid = number()?,
                b"gid" => member.gid = number()?,
                b"uname" => member.user = value,
                b"gname" => member.group = value,
                b"mtime" => {
                    member.mtime = std::str::from_utf8(&value)
                        .ok()
                        .and_then(|text| text.split('.').next()?.parse().ok())
                        .ok_or_else(|| damaged("the time in the extended header"))?;
                }
                b"atime" | b"ctime" | b"comment" => {}
                _ => match key.strip_prefix(b"SCHILY.xattr.") {
                    Some(attribute) => {
                        let attribute = percent_decoded(attribute);
                        member.xattrs.push((attribute, value));
                    }
                    None => return Err(damaged("an unknown record in the extended header")),
                },
            }
        }
        while name.len() > 1 && name.ends_with(b"/") {
            name.pop();
        }
        if name.is_empty() || name.contains(&0) || link_name.contains(&0) {
            return Err(damaged("the name"));
        }
        member.kind = match header.entry_type() {
            EntryType::Regular => Kind::File,
            EntryType::Link => Kind::HardLink,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Directory => Kind::Directory,
            EntryType::Char | EntryType::Block | EntryType::Fifo => Kind::Special,
            other => {
                return Err(TarError::Kind {
                    name: String::from_utf8_lossy(&name).into_owned(),
                    kind: char::from(other.as_byte()),
                });
            }
        };
        if member.kind != Kind::File && member.size != 0 {
            return Err(damaged("the entry has a size but no content"));
        }
        let whole = member.size.checked_next_multiple_of(BLOCK);
        self.filling = whole.ok_or_else(|| damaged("the size"))? - member.size;
        self.left = member.size;
        (member.name, member.link_name) = (name, link_name);
        Ok(member)
    }

    /// What a header of a long name carries.
    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        let position = self.position;
        let mut name = self.extension(size, LONGEST_NAME)?;
        if name.pop() != Some(0) || name.contains(&0) {
            return Err(TarError::Header {
                position,
                what: "the long name",
            });
        }
        Ok(name)
    }

    fn extension(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, TarError> {
        if size > limit {
            return Err(TarError::Header {
                position: self.position,
                what: "an extension is too long",
            });
        }
        let mut content = vec![0; size.next_multiple_of(BLOCK) as usize];
        self.exactly(&mut content)?;
        content.truncate(size as usize);
        Ok(content)
    }

    fn block(&mut self) -> Result<[u8; BLOCK as usize], TarError> {
        let mut block = [0; BLOCK as usize];
        self.exactly(&mut block)?;
        Ok(block)
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        match self.input.read_exact(buffer) {
            Ok(()) => {
                self.position += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(TarError::Truncated),
            Err(error) => Err(error.into()),
        }
    }

    /// What comes behind the first block of zeros: another, and nothing but zeros up to the end of the input.
    fn end(&mut self) -> Result<(), TarError> {
        self.ended = true;
        if self.block()?.iter().any(|byte| *byte != 0) {
            return Err(TarError::Trailing);
        }
        let mut rest = (&mut self.input).take(LARGEST_FILLING + 1);
        let mut buffer = [0; 4096];
        let mut seen = 0;
        loop {
            let count = match rest.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            seen += count as u64;
            let zeros = buffer.iter().take(count).all(|byte| *byte == 0);
            if !zeros || seen > LARGEST_FILLING {
                return Err(TarError::Trailing);
            }
        }
    }
}

impl<R: Read> Read for TarReader<R> {
    /// Reads the content of the current entry; an archive that ends within it is an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let count = self.input.read(buffer)?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                TarError::Truncated,
            ));
        }
        self.left -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

/// The time of modification, which may be negative in base 256.
fn time_of(header: &Header) -> Option<i64> {
    let field = &header.as_old().mtime;
    match field.first() {
        Some(first) if first & 0x80 != 0 => {
            let mut value: i128 = if first & 0x40 != 0 { -1 } else { 0 };
            for (at, byte) in field.iter().enumerate() {
                let byte = match (at, value) {
                    (0, 0..) => byte & 0x7f,
                    _ => *byte,
                };
                value = (value << 8) | i128::from(byte);
            }
            i64::try_from(value).ok()
        }
        _ => header
            .mtime()
            .ok()
            .and_then(|time| i64::try_from(time).ok()),
    }
}

/// Reads `length key=value\n` records, each key once.
fn parse_records(mut text: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    while !text.is_empty() {
        let space = text.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(text.get(..space)?).ok()?.parse().ok()?;
        let record = text.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
        if key.is_empty() || records.iter().any(|(known, _)| known == key) {
            return None;
        }
        records.push((key.to_vec(), value.to_vec()));
        text = text.get(length..)?;
    }
    Some(records)
}

/// Undoes what GNU tar does to `%` and `=` in names of extended attributes.
fn percent_decoded(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'%', [b'2', b'5', ..]) => decoded.push(b'%'),
            (b'%', [b'3', b'D', ..]) => decoded.push(b'='),
            _ => {
                decoded.push(*first);
                continue;
            }
        }
        rest = behind.get(2..).unwrap_or_default();
    }
    decoded
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn header(name: &str, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        header.set_cksum();
        header
    }

    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, kind, content) in entries {
            bytes.extend(header(name, *kind, content.len() as u64).as_bytes());
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.extend([0; 1024]);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, TarError> {
        let mut reader = TarReader::new(bytes);
        let mut all = Vec::new();
        while let Some(member) = reader.next_member()? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content)?;
            all.push((member.shown(), content));
        }
        Ok(all)
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn reads_names_and_contents() {
        let long = format!("{}\0", "n".repeat(300));
        let bytes = archive(&[
            ("a", FILE, b"one"),
            ("././@LongLink", EntryType::GNULongName, long.as_bytes()),
            ("n", FILE, &[b'x'; 512]),
            ("d/", EntryType::Directory, b""),
        ]);
        let all = read(&bytes).unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[0], ("a".to_owned(), b"one".to_vec()));
        assert_eq!(all[1], ("n".repeat(300), vec![b'x'; 512]));
        assert_eq!(all[2].0, "d");
    }

    #[test]
    fn an_archive_cut_off_anywhere_is_an_error() {
        let bytes = archive(&[("a", FILE, b"one"), ("b", FILE, &[1; 700])]);
        read(&bytes).unwrap();
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn refuses_what_another_reader_could_read_otherwise() {
        let is = |bytes: &[u8], part: &str| {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        };
        let mut trailing = archive(&[("a", FILE, b"x")]);
        trailing.extend(archive(&[("b", FILE, b"x")]));
        is(&trailing, "behind the end");
        let mut long = archive(&[]);
        long.resize(2 << 20, 0);
        is(&long, "behind the end");
        let mut sum = archive(&[("a", FILE, b"x")]);
        sum[0] = b'b';
        is(&sum, "checksum");
        is(
            &archive(&[("p", EntryType::XGlobalHeader, b"10 path=x\n")]),
            "type 'g'",
        );
        is(&archive(&[("s", EntryType::GNUSparse, b"")]), "type 'S'");
        let twice = ("l", EntryType::GNULongName, &b"x\0"[..]);
        is(&archive(&[twice, twice, ("a", FILE, b"")]), "twice");
        is(&archive(&[twice]), "no entry");
        is(
            &archive(&[("d", EntryType::Directory, b"content")]),
            "no content",
        );
        is(
            &archive(&[("p", EntryType::XHeader, b"12 path=x\n"), ("a", FILE, b"")]),
            "extended header",
        );
        let mut lie = Vec::from(header("a", FILE, 1 << 40).as_bytes());
        lie.extend([0; 2048]);
        is(&lie, "cut off");
    }

    #[test]
    fn reads_what_gnu_tar_writes() {
        let directory = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
        std::fs::create_dir(directory.path().join("d".repeat(120))).unwrap();
        std::fs::write(directory.path().join(&long), "deep").unwrap();
        std::os::unix::fs::symlink("t".repeat(150), directory.path().join("link")).unwrap();
        for format in ["gnu", "posix", "ustar"] {
            let mut tar = Command::new("tar");
            tar.arg(format!("--format={format}"))
                .args(["-cf", "-", "-C"]);
            tar.arg(directory.path());
            // Too long for ustar.
            match format {
                "ustar" => tar
                    .arg("./".to_owned() + &"d".repeat(120))
                    .arg("--no-recursion"),
                _ => tar.arg("."),
            };
            let output = tar.output().unwrap();
            if format == "ustar" {
                continue;
            }
            let all = read(&output.stdout).unwrap();
            assert!(
                all.contains(&(format!("./{long}"), b"deep".to_vec())),
                "{format}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_damage_panics(at in 0_usize..4096, value: u8) {
            let mut bytes = archive(&[
                ("l", EntryType::GNULongName, b"name\0"),
                ("a", FILE, b"one"),
                ("p", EntryType::XHeader, b"10 path=x\n"),
                ("b", FILE, b"two"),
            ]);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            let _ = read(&bytes);
        }
    }
}
