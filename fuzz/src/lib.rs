//! What several targets need: folders in memory, and archives that are right where a fuzzer would hardly guess it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use ebd::binpkg::compression::decompress;
use ebd::binpkg::unpack::{UnpackOptions, unpack};
use ebd::pms::eapi::Eapi;

/// The most bytes of an image that are looked at: small files can have large images.
const MOST: u64 = 4 << 20;

/// A folder in memory with a folder `outside` in it that must stay as it is, and one to unpack to.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// A new one.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let above = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let directory = tempfile::tempdir_in(above).expect("a folder for files");
        fs::write(directory.path().join("guard"), "guard").expect("a file");
        Self { directory }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).expect("a folder");
        }
        fs::write(&path, content).expect("a file");
        path
    }

    /// Unpacks a packed image, and holds that nothing came to be outside of the folder it is unpacked to.
    pub fn unpack(&self, packed: impl Read, prefix: &[u8]) {
        let target = self.path("target");
        let before = names(self.directory.path());
        if let Ok(image) = decompress(packed) {
            let _ = unpack(image.take(MOST), prefix, &target, UnpackOptions::default());
        }
        assert_eq!(fs::read(self.path("guard")).expect("the guard"), b"guard");
        let _ = fs::remove_dir_all(&target);
        assert_eq!(names(self.directory.path()), before, "something is outside");
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

fn names(directory: &Path) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(directory).expect("the folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    names
}

/// Writes the right checksum into every block that looks like the header of a tar archive.
pub fn mend_headers(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block.get(257..262) == Some(b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

/// The first two bytes are the length of a part, which is given with the rest.
pub fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    Some(rest.split_at(length.min(rest.len())))
}

/// The first byte is an EAPI, the rest is text.
pub fn eapi_and_text(data: &[u8]) -> Option<(Eapi, &str)> {
    let (first, rest) = data.split_first()?;
    let all: Vec<Eapi> = Eapi::all().collect();
    let eapi = all.get(usize::from(*first) % all.len())?;
    Some((*eapi, std::str::from_utf8(rest).ok()?))
}
