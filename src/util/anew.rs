//! Files in folders in which others may have put something in their place.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Makes `path` a new file with this content and these permissions, whatever was there: nothing that
/// stands in its place is followed or written to.
///
/// # Errors
/// What is there cannot be removed, or the file not be written.
pub fn write_anew(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) if fs::symlink_metadata(path).is_ok_and(|it| it.is_dir()) => {
            fs::remove_dir_all(path)?;
        }
        result => result?,
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    options.open(path)?.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_neither_followed_nor_kept() {
        let tmp = tempfile::tempdir().unwrap();
        let victim = tmp.path().join("victim");
        let path = tmp.path().join("file");
        fs::write(&victim, "precious").unwrap();
        for put in 0..4 {
            let _ = fs::remove_file(&path);
            match put {
                0 => {}
                1 => std::os::unix::fs::symlink(&victim, &path).unwrap(),
                2 => fs::hard_link(&victim, &path).unwrap(),
                _ => {
                    fs::create_dir(&path).unwrap();
                    fs::write(path.join("more"), "").unwrap();
                }
            }
            write_anew(&path, b"new", 0o600).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
        }
    }
}
