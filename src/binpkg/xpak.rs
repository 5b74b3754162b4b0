//! The XPAK segment, which carries a package's metadata behind its image.
//!
//! A `.xpak` or `.tbz2` file is a compressed tar archive followed by
//!
//! ```text
//! "XPAKPACK" index_length data_length index data "XPAKSTOP" segment_length "STOP"
//! index: ( name_length name data_offset data_length )*
//! ```
//!
//! All numbers are 32 bits, big-endian; `segment_length` counts from `XPAKPACK` to `XPAKSTOP`, both included.
//! Files come from strangers, so every number is checked against what is really there before it is used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

const HEAD: &[u8; 8] = b"XPAKPACK";
const TAIL: &[u8; 8] = b"XPAKSTOP";
const STOP: &[u8; 4] = b"STOP";
/// `XPAKPACK`, two lengths, `XPAKSTOP`.
const FRAME_LENGTH: usize = 24;
/// `XPAKSTOP`, the length, `STOP`.
const TRAILER_LENGTH: usize = 16;
/// The largest segment that is read into memory, in bytes. Real ones have some kilobytes, seldom megabytes.
const LARGEST_SEGMENT: u64 = 256 << 20;

/// The metadata of a package: file names of build-info and what the files hold, sorted by name.
pub type Metadata = BTreeMap<String, Vec<u8>>;

/// What is wrong with an XPAK segment.
#[derive(Debug, thiserror::Error)]
pub enum XpakError {
    /// The file does not end as a package with an XPAK segment does.
    #[error("the file does not end with an XPAK segment")]
    NoTrailer,
    /// The trailer claims more than the file has, or than is reasonable.
    #[error("the trailer claims a segment of {claimed} bytes, more than {limit}")]
    SegmentTooLarge {
        /// The length in the trailer.
        claimed: u64,
        /// The length of the file before the trailer, or the largest that is accepted.
        limit: u64,
    },
    /// The segment does not begin and end with its marks, or its two lengths do not add up.
    #[error("the segment is damaged: {0}")]
    Frame(&'static str),
    /// An index record reaches over the end of the index.
    #[error("the index is damaged at byte {offset}")]
    Index {
        /// Where the record begins, from the start of the index.
        offset: usize,
    },
    /// A name is empty, not UTF-8, or would leave the directory it is unpacked to.
    #[error("the name {0:?} is not the name of a metadata file")]
    Name(String),
    /// Two records have one name.
    #[error("{0} is there twice")]
    Duplicate(String),
    /// A record lies outside the data, or over that of another.
    #[error("{0}: the content lies outside the data or overlaps that of another file")]
    Range(String),
    /// The metadata does not fit into 32-bit lengths.
    #[error("the metadata is larger than an XPAK segment can be (4 GiB)")]
    TooLarge,
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
}

/// Makes the segment of `metadata`, from `XPAKPACK` to `XPAKSTOP`, with the files sorted by name as Portage does.
///
/// # Errors
/// A name that could not be read back, or content beyond 4 GiB.
pub fn write_segment(metadata: &Metadata) -> Result<Vec<u8>, XpakError> {
    let mut index = Vec::new();
    let mut data_length = 0_u32;
    for (name, content) in metadata {
        check_name(name)?;
        let length = length32(content.len())?;
        index.extend(length32(name.len())?.to_be_bytes());
        index.extend(name.as_bytes());
        index.extend(data_length.to_be_bytes());
        index.extend(length.to_be_bytes());
        data_length = data_length.checked_add(length).ok_or(XpakError::TooLarge)?;
    }
    let total = FRAME_LENGTH as u64 + index.len() as u64 + u64::from(data_length);
    u32::try_from(total).map_err(|_| XpakError::TooLarge)?;

    let mut segment = Vec::with_capacity(total as usize);
    segment.extend(HEAD);
    segment.extend(length32(index.len())?.to_be_bytes());
    segment.extend(data_length.to_be_bytes());
    segment.extend(index);
    for content in metadata.values() {
        segment.extend(content);
    }
    segment.extend(TAIL);
    Ok(segment)
}

/// Makes what follows the image in a package file: the segment, its length and `STOP`.
///
/// # Errors
/// As for [`write_segment`].
pub fn write_trailer(metadata: &Metadata) -> Result<Vec<u8>, XpakError> {
    let mut bytes = write_segment(metadata)?;
    let length = length32(bytes.len())?;
    bytes.extend(length.to_be_bytes());
    bytes.extend(STOP);
    Ok(bytes)
}

/// Reads a segment from `XPAKPACK` to `XPAKSTOP`.
///
/// # Errors
/// Anything that Portage would not have written: lengths that do not add up, records outside the data or over one
/// another, names with slashes, names that are there twice.
pub fn read_segment(segment: &[u8]) -> Result<Metadata, XpakError> {
    let body = segment
        .strip_prefix(HEAD)
        .ok_or(XpakError::Frame("it does not begin with XPAKPACK"))?
        .strip_suffix(TAIL)
        .ok_or(XpakError::Frame("it does not end with XPAKSTOP"))?;
    let too_short = XpakError::Frame("it is too short");
    let Some((index_length, body)) = split_number(body) else {
        return Err(too_short);
    };
    let Some((data_length, body)) = split_number(body) else {
        return Err(too_short);
    };
    if index_length as u64 + data_length as u64 != body.len() as u64 {
        return Err(XpakError::Frame(
            "the lengths of index and data do not add up",
        ));
    }
    let (index, data) = body
        .split_at_checked(index_length as usize)
        .ok_or(XpakError::Frame("the index is cut off"))?;
    read_records(index, data)
}

fn read_records(index: &[u8], data: &[u8]) -> Result<Metadata, XpakError> {
    let mut metadata = Metadata::new();
    let mut ranges = Vec::new();
    let mut claimed = 0;
    let mut rest = index;
    while !rest.is_empty() {
        let damaged = || XpakError::Index {
            offset: index.len() - rest.len(),
        };
        let (name_length, after) = split_number(rest).ok_or_else(damaged)?;
        let (name, after) = after
            .split_at_checked(name_length as usize)
            .ok_or_else(damaged)?;
        let (offset, after) = split_number(after).ok_or_else(damaged)?;
        let (length, after) = split_number(after).ok_or_else(damaged)?;
        rest = after;

        let name = std::str::from_utf8(name)
            .map_err(|_| XpakError::Name(String::from_utf8_lossy(name).into_owned()))?;
        check_name(name)?;
        let (start, end) = (u64::from(offset), u64::from(offset) + u64::from(length));
        let content = data
            .get(start as usize..end as usize)
            .ok_or_else(|| XpakError::Range(name.to_owned()))?;
        // Records that share content could make a small file ask for a lot of memory.
        claimed += end - start;
        if claimed > data.len() as u64 {
            return Err(XpakError::Range(name.to_owned()));
        }
        if start < end {
            ranges.push((start, end, name));
        }
        if metadata.insert(name.to_owned(), content.to_vec()).is_some() {
            return Err(XpakError::Duplicate(name.to_owned()));
        }
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if let [(_, end, _), (start, _, name)] = pair
            && start < end
        {
            return Err(XpakError::Range((*name).to_owned()));
        }
    }
    Ok(metadata)
}

/// A package file in the xpak format, opened and known to have a well-formed end.
#[derive(Debug)]
pub struct XpakFile {
    file: File,
    path: PathBuf,
    segment_start: u64,
    segment_length: u64,
}

impl XpakFile {
    /// Opens the package at `path` and finds its segment by the trailer.
    ///
    /// # Errors
    /// The file cannot be read, or its end is not that of a package in the xpak format.
    pub fn open(path: &Path) -> Result<Self, XpakError> {
        let mut file = File::open(path)?;
        let size = file.seek(SeekFrom::End(0))?;
        let before_trailer = size
            .checked_sub(TRAILER_LENGTH as u64)
            .ok_or(XpakError::NoTrailer)?;
        file.seek(SeekFrom::Start(before_trailer))?;
        let mut trailer = [0; TRAILER_LENGTH];
        file.read_exact(&mut trailer)?;
        let claimed = trailer
            .strip_prefix(TAIL)
            .and_then(|rest| rest.strip_suffix(STOP))
            .and_then(split_number)
            .map(|(length, _)| u64::from(length))
            .ok_or(XpakError::NoTrailer)?;
        // The length and STOP stand behind the segment.
        let limit = (size - 8).min(LARGEST_SEGMENT);
        if claimed > limit {
            return Err(XpakError::SegmentTooLarge { claimed, limit });
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            segment_start: size - 8 - claimed,
            segment_length: claimed,
        })
    }

    /// The path the file was opened under.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all metadata.
    ///
    /// # Errors
    /// As for [`read_segment`].
    pub fn metadata(&mut self) -> Result<Metadata, XpakError> {
        self.file.seek(SeekFrom::Start(self.segment_start))?;
        let mut segment = Vec::new();
        (&self.file)
            .take(self.segment_length)
            .read_to_end(&mut segment)?;
        read_segment(&segment)
    }

    /// The compressed image: everything before the segment.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn image(&mut self) -> Result<Take<&File>, XpakError> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok((&self.file).take(self.segment_start))
    }
}

fn check_name(name: &str) -> Result<(), XpakError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(XpakError::Name(name.to_owned()));
    }
    Ok(())
}

fn split_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

fn length32(length: usize) -> Result<u32, XpakError> {
    u32::try_from(length).map_err(|_| XpakError::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metadata(files: &[(&str, &[u8])]) -> Metadata {
        files
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
            .collect()
    }

    fn segment_of(records: &[(&[u8], u32, u32)], data: &[u8]) -> Vec<u8> {
        let mut index = Vec::new();
        for (name, offset, length) in records {
            index.extend((name.len() as u32).to_be_bytes());
            index.extend(*name);
            index.extend(offset.to_be_bytes());
            index.extend(length.to_be_bytes());
        }
        let mut segment = HEAD.to_vec();
        segment.extend((index.len() as u32).to_be_bytes());
        segment.extend((data.len() as u32).to_be_bytes());
        segment.extend(index);
        segment.extend(data);
        segment.extend(TAIL);
        segment
    }

    #[test]
    fn writes_the_documented_bytes() {
        let bytes = write_trailer(&metadata(&[("SLOT", b"0\n"), ("EAPI", b"8\n")])).unwrap();
        let expected = b"XPAKPACK\0\0\0\x20\0\0\0\x04\
            \0\0\0\x04EAPI\0\0\0\0\0\0\0\x02\
            \0\0\0\x04SLOT\0\0\0\x02\0\0\0\x02\
            8\n0\nXPAKSTOP\0\0\0\x3cSTOP";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn reads_back_from_a_file_behind_its_image() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("foo-1-1.xpak");
        let files = metadata(&[
            ("CATEGORY", b"a\n"),
            ("empty", b""),
            ("environment.bz2", &[0, 255, 10]),
        ]);
        let mut bytes = b"the image".to_vec();
        bytes.extend(write_trailer(&files).unwrap());
        std::fs::write(&path, bytes).unwrap();
        let mut package = XpakFile::open(&path).unwrap();
        assert_eq!(package.metadata().unwrap(), files);
        let mut image = String::new();
        package.image().unwrap().read_to_string(&mut image).unwrap();
        assert_eq!(image, "the image");
        assert_eq!(package.metadata().unwrap(), files, "the second time");
    }

    #[test]
    fn refuses_files_with_another_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for content in [
            &b""[..],
            b"STOP",
            b"0123456789abcdef",
            b"XPAKSTOP\0\0\0\0STOX",
        ] {
            std::fs::write(&path, content).unwrap();
            assert!(
                matches!(XpakFile::open(&path), Err(XpakError::NoTrailer)),
                "{content:?}"
            );
        }
        std::fs::write(&path, b"XPAKSTOP\0\0\0\x09STOP").unwrap();
        assert!(matches!(
            XpakFile::open(&path),
            Err(XpakError::SegmentTooLarge {
                claimed: 9,
                limit: 8
            })
        ));
        std::fs::write(&path, b"XPAKSTOP\0\0\0\x08STOP").unwrap();
        assert!(matches!(
            XpakFile::open(&path).unwrap().metadata(),
            Err(XpakError::Frame(_))
        ));
    }

    #[test]
    fn a_package_cut_off_anywhere_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("foo-1-1.xpak");
        let mut bytes = b"the image".to_vec();
        bytes.extend(write_trailer(&metadata(&[("SLOT", b"0\n"), ("EAPI", b"8\n")])).unwrap());
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let opened = XpakFile::open(&path);
            assert!(matches!(opened, Err(XpakError::NoTrailer)), "{length}");
        }
        // Of what is gone at the beginning nobody can know.
        for start in 10..bytes.len() {
            std::fs::write(&path, &bytes[start..]).unwrap();
            let read = XpakFile::open(&path).and_then(|mut file| file.metadata());
            assert!(read.is_err(), "{start}");
        }
    }

    #[test]
    fn refuses_lies() {
        let good = segment_of(&[(b"A", 0, 1), (b"B", 1, 1)], b"ab");
        assert_eq!(
            read_segment(&good).unwrap(),
            metadata(&[("A", b"a"), ("B", b"b")])
        );
        let frame = |bytes: &[u8]| matches!(read_segment(bytes), Err(XpakError::Frame(_)));
        assert!(frame(&good[1..]));
        assert!(frame(&good[..good.len() - 1]));
        assert!(frame(b"XPAKPACKXPAKSTOP"));
        let mut long = good.clone();
        long[11] += 1;
        assert!(frame(&long));

        let range = |records: &[_]| {
            matches!(
                read_segment(&segment_of(records, b"ab")),
                Err(XpakError::Range(_))
            )
        };
        assert!(range(&[(b"A", 0, 3)]));
        assert!(range(&[(b"A", u32::MAX, 1)]));
        assert!(range(&[(b"A", 0, u32::MAX)]));
        assert!(range(&[(b"A", 0, 2), (b"B", 1, 1)]));
        assert!(range(&[(b"A", 0, 1), (b"B", 0, 1)]));
        assert!(matches!(
            read_segment(&segment_of(&[(b"A", 0, 1), (b"A", 1, 1)], b"ab")),
            Err(XpakError::Duplicate(name)) if name == "A"
        ));
        for name in [
            &b""[..],
            b".",
            b"..",
            b"../x",
            b"/etc/passwd",
            b"a/b",
            b"a\0",
            b"\xff",
        ] {
            let segment = segment_of(&[(name, 0, 1)], b"a");
            assert!(
                matches!(read_segment(&segment), Err(XpakError::Name(_))),
                "{name:?}"
            );
        }
        let mut cut = good;
        cut[19] = 200;
        assert!(matches!(
            read_segment(&cut),
            Err(XpakError::Index { offset: 0 })
        ));
    }

    #[test]
    fn does_not_write_what_it_would_not_read() {
        assert!(matches!(
            write_segment(&metadata(&[("a/b", b"")])),
            Err(XpakError::Name(_))
        ));
    }

    proptest! {
        #[test]
        fn any_metadata_survives(
            files in proptest::collection::btree_map("[A-Za-z0-9._+-]{3,20}", any::<Vec<u8>>(), 0..20)
        ) {
            let segment = write_segment(&files).unwrap();
            prop_assert_eq!(read_segment(&segment).unwrap(), files);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read_segment(&bytes);
            let mut framed = HEAD.to_vec();
            framed.extend(bytes);
            framed.extend(TAIL);
            let _ = read_segment(&framed);
        }

        #[test]
        fn no_damage_panics(position in 0_usize..80, value: u8) {
            let files = metadata(&[("SLOT", b"0\n"), ("EAPI", b"8\n")]);
            let mut segment = write_segment(&files).unwrap();
            if let Some(byte) = segment.get_mut(position) {
                *byte = value;
            }
            if let Ok(read) = read_segment(&segment) {
                prop_assert_eq!(read.len(), 2);
            }
        }
    }
}
