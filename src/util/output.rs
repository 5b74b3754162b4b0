//! Output files that the user names.
//!
//! Whoever names a device, a pipe or a link wants it written to, not replaced by a file of that name. Only what is a
//! regular file, or is not there yet, appears complete or not at all as other files do.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::atomic::{self, AtomicError};
use super::printable::printable;

/// How many links may lead to each other, as the kernel has it.
const LINKS: usize = 40;

/// An output file that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It is a folder.
    #[error("{}: is a folder, not a file to write to", printable(path.as_os_str()))]
    Folder {
        /// As it was named.
        path: PathBuf,
    },
    /// There is no folder in which it could be.
    #[error("{}: cannot be written: its folder does not exist", printable(path.as_os_str()))]
    NoFolder {
        /// As it was named.
        path: PathBuf,
    },
    /// The system refuses it.
    #[error("{}: cannot be written", printable(path.as_os_str()))]
    Write {
        /// As it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A regular file cannot be put in its place.
    #[error(transparent)]
    Replace(#[from] AtomicError),
}

/// Where an output file is, its links followed.
#[derive(Debug, Clone)]
pub struct Output {
    named: PathBuf,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A regular file, or none yet.
    File(PathBuf),
    /// A device, a pipe, or what this process has open: written to as it is.
    Stream(PathBuf),
    /// The standard output of this process.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl Output {
    /// Finds what `path` leads to.
    ///
    /// # Errors
    /// It is a folder, or its links lead to nowhere.
    pub fn find(path: &Path) -> Result<Self, OutputError> {
        let place = match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                return Err(OutputError::Folder {
                    path: path.to_owned(),
                });
            }
            found => place(path, found.is_ok_and(|found| !found.is_file())),
        };
        match place {
            Ok(place) => Ok(Self {
                named: path.to_owned(),
                place,
            }),
            Err(source) => Err(OutputError::Write {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The place of the regular file that is written, without links; none for everything else, which can be neither
    /// read nor replaced.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            _ => None,
        }
    }

    /// Whether both are the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.place == other.place
    }

    /// Finds out whether it can be written, which it is not yet.
    ///
    /// # Errors
    /// Its folder is missing, or the system does not let this user write there.
    pub fn check(&self) -> Result<(), OutputError> {
        let at = match &self.place {
            Place::File(path) => {
                let folder = path.parent().unwrap_or(path);
                if !folder.is_dir() {
                    return Err(OutputError::NoFolder {
                        path: self.named.clone(),
                    });
                }
                folder
            }
            Place::Stream(path) => path,
            Place::Stdout | Place::Stderr => return Ok(()),
        };
        access(at, AccessFlags::W_OK).map_err(|errno| self.failed(errno.into()))
    }

    /// Writes it: a regular file as a whole, anything else by writing to it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, content: &[u8]) -> Result<(), OutputError> {
        let written = match &self.place {
            Place::File(path) => return Ok(atomic::write(path, content, 0o644)?),
            // What is behind a descriptor may be a file, and what was written there before is to stay.
            Place::Stream(path) => File::options()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(content)),
            Place::Stdout => write_to(std::io::stdout().lock(), content),
            Place::Stderr => write_to(std::io::stderr().lock(), content),
        };
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> OutputError {
        OutputError::Write {
            path: self.named.clone(),
            source,
        }
    }
}

fn write_to(mut stream: impl Write, content: &[u8]) -> io::Result<()> {
    stream.write_all(content)?;
    stream.flush()
}

/// Follows the links of a path, but not those of the kernel to what a process has open.
fn place(path: &Path, is_special: bool) -> io::Result<Place> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..LINKS {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Place::File(path));
        };
        let Ok(folder) = parent.canonicalize() else {
            return Ok(Place::File(path));
        };
        let here = folder.join(name);
        if folder.starts_with("/proc") && folder.file_name() == Some(OsStr::new("fd")) {
            here.symlink_metadata()?;
            return Ok(descriptor(&folder, name).unwrap_or(Place::Stream(here)));
        }
        match fs::read_link(&here) {
            Ok(target) => path = folder.join(target),
            Err(_) if is_special => return Ok(Place::Stream(here)),
            Err(_) => return Ok(Place::File(here)),
        }
    }
    Err(Errno::ELOOP.into())
}

/// What this process writes to by other means than a path, which a socket has not.
fn descriptor(folder: &Path, name: &OsStr) -> Option<Place> {
    let own = folder.starts_with(Path::new("/proc").join(std::process::id().to_string()));
    match name.to_str() {
        Some("1") if own => Some(Place::Stdout),
        Some("2") if own => Some(Place::Stderr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) -> Result<(), OutputError> {
        let output = Output::find(path)?;
        output.check()?;
        output.write(text.as_bytes())
    }

    #[test]
    fn links_stay_and_lead_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        symlink("sub/second", at("first")).unwrap();
        symlink("../file", at("sub/second")).unwrap();
        for text in ["new", "again"] {
            write(&at("first"), text).unwrap();
            assert_eq!(fs::read_to_string(at("file")).unwrap(), text);
        }
        assert!(at("first").is_symlink() && at("sub/second").is_symlink());
        let one = Output::find(&at("first")).unwrap();
        assert!(one.is(&Output::find(&at("./sub/../file")).unwrap()));
        symlink("loop", at("loop")).unwrap();
        let error = write(&at("loop"), "x").unwrap_err();
        assert!(error.to_string().ends_with("loop: cannot be written"));
        assert!(matches!(
            write(&at("sub"), "x"),
            Err(OutputError::Folder { .. })
        ));
        assert!(matches!(
            write(&at("none/file"), "x"),
            Err(OutputError::NoFolder { .. })
        ));
    }

    #[test]
    fn what_is_no_file_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("null");
        symlink("/dev/null", &link).unwrap();
        for path in [Path::new("/dev/null"), &link] {
            let output = Output::find(path).unwrap();
            assert_eq!(output.file(), None);
            output.write(b"x").unwrap();
        }
        assert!(link.is_symlink());
        let error = write(Path::new("/dev/full"), "x").unwrap_err();
        assert_eq!(error.to_string(), "/dev/full: cannot be written");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write(&pipe, "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
    }

    #[test]
    fn what_a_descriptor_has_is_kept() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before ").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        write(Path::new(&format!("/dev/fd/{number}")), "after").unwrap();
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "before after");
        assert!(Output::find(Path::new("/dev/fd/999999")).is_err());
    }
}
