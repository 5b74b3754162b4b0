//! Regular files in folders in which there may be something else.
//!
//! Who opens a named pipe waits for somebody to write to it, perhaps for ever, and who opens a device may change it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

/// Opens a regular file for reading. Links are followed.
///
/// # Errors
/// It cannot be opened, or is something else, which the error names.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    if kind.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    let what = if kind.is_fifo() {
        "it is a named pipe"
    } else {
        "it is a device"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{what}, not a regular file"),
    ))
}

/// The bytes of a regular file.
///
/// # Errors
/// As those of [`open`], or it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let size = file.metadata().map_or(0, |it| it.len());
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read(&link).unwrap(), b"text");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let told = |path: &Path| read(path).unwrap_err().to_string();
        assert_eq!(told(&pipe), "it is a named pipe, not a regular file");
        assert_eq!(
            told(Path::new("/dev/zero")),
            "it is a device, not a regular file"
        );
        assert!(told(folder.path()).contains("directory"));
    }
}
