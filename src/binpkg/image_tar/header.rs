//! One tar header, with the entries that go before it when a field does not fit.

use tar::{EntryType, Header};

/// The unit of tar archives, in bytes.
pub(in crate::binpkg) const BLOCK: usize = 512;
/// The bytes a header has for a name.
const NAME_LENGTH: usize = 100;
/// The bytes a header of the POSIX format has for what stands before the name.
const PREFIX_LENGTH: usize = 155;
/// The largest numbers that fit into fields of 8 and 12 bytes in octal digits.
const LARGEST_OCTAL_8: u64 = 0o7_777_777;
const LARGEST_OCTAL_12: u64 = 0o77_777_777_777;

/// Names and values of extended attributes.
pub(in crate::binpkg) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Which extensions a header may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::binpkg) enum HeaderFormat {
    /// Long names in `././@LongLink` entries, large numbers in base 256.
    Gnu,
    /// What does not fit, nanoseconds and extended attributes in records of an extended header.
    Posix,
    /// Names of up to 255 bytes, split at a slash; nothing larger than octal digits can say.
    Ustar,
    /// As GNU's, with nothing but name and size in the `././@LongLink` entries, as Python's tarfile has them.
    GnuBare,
}

/// What a header says about a file.
#[derive(Debug, Clone)]
pub(in crate::binpkg) struct Fields {
    pub(in crate::binpkg) name: Vec<u8>,
    /// The target of a symbolic link, or the first name of a file with several.
    pub(in crate::binpkg) link_name: Vec<u8>,
    pub(in crate::binpkg) kind: EntryType,
    pub(in crate::binpkg) mode: u32,
    pub(in crate::binpkg) uid: u32,
    pub(in crate::binpkg) gid: u32,
    pub(in crate::binpkg) user: Vec<u8>,
    pub(in crate::binpkg) group: Vec<u8>,
    pub(in crate::binpkg) size: u64,
    pub(in crate::binpkg) seconds: i64,
    pub(in crate::binpkg) nanoseconds: i64,
    /// Major and minor number of a device.
    pub(in crate::binpkg) device: Option<(u64, u64)>,
    pub(in crate::binpkg) xattrs: Xattrs,
}

impl Fields {
    /// The header, and before it whatever it needs.
    pub(in crate::binpkg) fn encode(&self, format: HeaderFormat) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK);
        match format {
            HeaderFormat::Gnu | HeaderFormat::GnuBare => {
                if self.link_name.len() > NAME_LENGTH {
                    bytes.extend(long_link(EntryType::GNULongLink, &self.link_name, format));
                }
                if self.name.len() > NAME_LENGTH {
                    bytes.extend(long_link(EntryType::GNULongName, &self.name, format));
                }
            }
            HeaderFormat::Ustar => {}
            HeaderFormat::Posix => {
                let records = self.records();
                if !records.is_empty() {
                    bytes.extend(self.extended_header(&records));
                }
            }
        }
        bytes.extend(self.plain(format));
        bytes
    }

    /// Whether a header of the POSIX format without extensions can say everything.
    pub(in crate::binpkg) fn fits_ustar(&self) -> bool {
        (self.name.len() <= NAME_LENGTH || split_name(&self.name).is_some())
            && self.link_name.len() <= NAME_LENGTH
            && u64::from(self.uid) <= LARGEST_OCTAL_8
            && u64::from(self.gid) <= LARGEST_OCTAL_8
            && self.size <= LARGEST_OCTAL_12
            && u64::try_from(self.seconds).is_ok_and(|seconds| seconds <= LARGEST_OCTAL_12)
    }

    fn plain(&self, format: HeaderFormat) -> [u8; BLOCK] {
        let mut header = empty(format, self.kind);
        let split = match format {
            HeaderFormat::Ustar if self.name.len() > NAME_LENGTH => split_name(&self.name),
            _ => None,
        };
        let (prefix, name) = split.unwrap_or((&[], &self.name));
        if let Some(fields) = header.as_ustar_mut() {
            text(&mut fields.prefix, prefix);
        }
        let fields = header.as_old_mut();
        text(&mut fields.name, name);
        text(&mut fields.linkname, &self.link_name);
        number(&mut fields.mode, u64::from(self.mode), format);
        number(&mut fields.uid, u64::from(self.uid), format);
        number(&mut fields.gid, u64::from(self.gid), format);
        number(&mut fields.size, self.size, format);
        signed_number(&mut fields.mtime, self.seconds, format);
        if let Some(fields) = header.as_gnu_mut() {
            terminated_text(&mut fields.uname, &self.user);
            terminated_text(&mut fields.gname, &self.group);
            if let Some((major, minor)) = self.device {
                number(&mut fields.dev_major, major, format);
                number(&mut fields.dev_minor, minor, format);
            }
        } else if let Some(fields) = header.as_ustar_mut() {
            terminated_text(&mut fields.uname, &self.user);
            terminated_text(&mut fields.gname, &self.group);
            if format == HeaderFormat::Posix || self.device.is_some() {
                let (major, minor) = self.device.unwrap_or_default();
                number(&mut fields.dev_major, major, format);
                number(&mut fields.dev_minor, minor, format);
            }
        }
        sealed(header)
    }

    /// The records of the extended header, in the order of GNU tar.
    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if self.link_name.len() > NAME_LENGTH {
            record(&mut records, b"linkpath", &self.link_name);
        }
        if self.name.len() > NAME_LENGTH || !self.name.is_ascii() {
            record(&mut records, b"path", &self.name);
        }
        if u64::from(self.uid) > LARGEST_OCTAL_8 {
            record(&mut records, b"uid", self.uid.to_string().as_bytes());
        }
        if u64::from(self.gid) > LARGEST_OCTAL_8 {
            record(&mut records, b"gid", self.gid.to_string().as_bytes());
        }
        if self.size > LARGEST_OCTAL_12 {
            record(&mut records, b"size", self.size.to_string().as_bytes());
        }
        if self.nanoseconds != 0 || self.seconds < 0 || self.seconds as u64 > LARGEST_OCTAL_12 {
            record(
                &mut records,
                b"mtime",
                time(self.seconds, self.nanoseconds).as_bytes(),
            );
        }
        if !fits(&self.user) {
            record(&mut records, b"uname", &self.user);
        }
        if !fits(&self.group) {
            record(&mut records, b"gname", &self.group);
        }
        for (name, value) in &self.xattrs {
            let mut key = b"SCHILY.xattr.".to_vec();
            for byte in name {
                match byte {
                    b'%' => key.extend(b"%25"),
                    b'=' => key.extend(b"%3D"),
                    _ => key.push(*byte),
                }
            }
            record(&mut records, &key, value);
        }
        records
    }

    fn extended_header(&self, records: &[u8]) -> Vec<u8> {
        let name = self.name.strip_suffix(b"/").unwrap_or(&self.name);
        let (directory, base) = match name.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => name.split_at(slash + 1),
            None => (&b"./"[..], name),
        };
        let name = [directory, b"PaxHeaders/", base].concat();
        let mut header = empty(HeaderFormat::Posix, EntryType::XHeader);
        let fields = header.as_old_mut();
        text(&mut fields.name, &name);
        number(&mut fields.mode, 0o644, HeaderFormat::Posix);
        number(&mut fields.uid, 0, HeaderFormat::Posix);
        number(&mut fields.gid, 0, HeaderFormat::Posix);
        number(&mut fields.size, records.len() as u64, HeaderFormat::Posix);
        signed_number(&mut fields.mtime, self.seconds, HeaderFormat::Posix);
        let mut bytes = sealed(header).to_vec();
        bytes.extend(records);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }
}

/// The entry that carries a name too long for a header.
fn long_link(kind: EntryType, name: &[u8], format: HeaderFormat) -> Vec<u8> {
    let bare = format == HeaderFormat::GnuBare;
    let mut header = empty(format, kind);
    let fields = header.as_old_mut();
    text(&mut fields.name, b"././@LongLink");
    number(&mut fields.mode, if bare { 0 } else { 0o644 }, format);
    number(&mut fields.uid, 0, format);
    number(&mut fields.gid, 0, format);
    number(&mut fields.size, name.len() as u64 + 1, format);
    number(&mut fields.mtime, 0, format);
    if let Some(fields) = header.as_gnu_mut().filter(|_| !bare) {
        terminated_text(&mut fields.uname, b"root");
        terminated_text(&mut fields.gname, b"root");
    }
    let mut bytes = sealed(header).to_vec();
    bytes.extend(name);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// Splits a name at its first slash that leaves both parts short enough, the prefix first.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    name.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| (name.get(..at), name.get(at + 1..)))
        .find_map(|parts| match parts {
            (Some(prefix), Some(rest))
                if prefix.len() <= PREFIX_LENGTH && rest.len() <= NAME_LENGTH =>
            {
                Some((prefix, rest))
            }
            _ => None,
        })
}

fn empty(format: HeaderFormat, kind: EntryType) -> Header {
    let mut header = match format {
        HeaderFormat::Gnu | HeaderFormat::GnuBare => Header::new_gnu(),
        HeaderFormat::Posix | HeaderFormat::Ustar => Header::new_ustar(),
    };
    header.set_entry_type(kind);
    header
}

/// Fills in the checksum as GNU tar does: six digits, a zero byte and a space.
fn sealed(mut header: Header) -> [u8; BLOCK] {
    header.as_old_mut().cksum = [b' '; 8];
    let sum: u32 = header.as_bytes().iter().copied().map(u32::from).sum();
    header
        .as_old_mut()
        .cksum
        .copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    *header.as_bytes()
}

fn text(field: &mut [u8], value: &[u8]) {
    for (to, from) in field.iter_mut().zip(value) {
        *to = *from;
    }
}

/// A text whose last byte must stay zero.
fn terminated_text(field: &mut [u8], value: &[u8]) {
    if let Some((_, field)) = field.split_last_mut() {
        text(field, value);
    }
}

fn fits(name: &[u8]) -> bool {
    name.len() < 32 && name.is_ascii()
}

/// Octal digits and a zero byte; what does not fit stands in base 256, or as 0 where a record says it.
fn number(field: &mut [u8], value: u64, format: HeaderFormat) {
    let digits = field.len() - 1;
    let octal = format!("{value:0digits$o}");
    if octal.len() == digits {
        text(field, octal.as_bytes());
    } else if matches!(format, HeaderFormat::Gnu | HeaderFormat::GnuBare) {
        base256(field, i128::from(value));
    } else {
        text(field, "0".repeat(digits).as_bytes());
    }
}

fn signed_number(field: &mut [u8], value: i64, format: HeaderFormat) {
    match u64::try_from(value) {
        Ok(value) => number(field, value, format),
        Err(_) if matches!(format, HeaderFormat::Gnu | HeaderFormat::GnuBare) => {
            base256(field, i128::from(value));
        }
        Err(_) => number(field, 0, format),
    }
}

/// Two's complement, big-endian, with the first bit set to tell it from digits.
fn base256(field: &mut [u8], value: i128) {
    for (byte, from) in field.iter_mut().rev().zip(value.to_be_bytes().iter().rev()) {
        *byte = *from;
    }
    if let Some(first) = field.first_mut() {
        *first |= 0x80;
    }
}

/// `length key=value\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend(length.to_string().as_bytes());
    records.push(b' ');
    records.extend(key);
    records.push(b'=');
    records.extend(value);
    records.push(b'\n');
}

/// Seconds with as many decimals as are needed.
fn time(seconds: i64, nanoseconds: i64) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    let (whole, fraction) = (total / 1_000_000_000, total % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    format!(
        "{sign}{whole}.{}",
        format!("{fraction:09}").trim_end_matches('0')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(length: usize, value: u64, format: HeaderFormat) -> Vec<u8> {
        let mut field = vec![0; length];
        number(&mut field, value, format);
        field
    }

    #[test]
    fn numbers_are_octal_while_they_fit() {
        assert_eq!(field(8, 0o755, HeaderFormat::Gnu), b"0000755\0");
        assert_eq!(field(8, LARGEST_OCTAL_8, HeaderFormat::Gnu), b"7777777\0");
        assert_eq!(
            field(8, LARGEST_OCTAL_8 + 1, HeaderFormat::Gnu),
            b"\x80\0\0\0\0\x20\0\0"
        );
        assert_eq!(
            field(8, LARGEST_OCTAL_8 + 1, HeaderFormat::Posix),
            b"0000000\0"
        );
        assert_eq!(
            field(12, 8 << 30, HeaderFormat::Gnu),
            b"\x80\0\0\0\0\0\0\x02\0\0\0\0"
        );
    }

    #[test]
    fn times_before_1970_are_negative() {
        let mut field = [0; 12];
        signed_number(&mut field, -2, HeaderFormat::Gnu);
        assert_eq!(field, *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe");
        assert_eq!(time(-2, 500_000_000), "-1.5");
        assert_eq!(time(7, 120_000_000), "7.12");
        assert_eq!(time(7, 0), "7");
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [0, 1, 87, 88, 89, 90, 91, 985, 986, 987, 988, 989] {
            let mut records = Vec::new();
            record(&mut records, b"path", &vec![b'x'; length]);
            let claimed: usize = std::str::from_utf8(&records)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(claimed, records.len(), "{length}");
        }
    }
}
