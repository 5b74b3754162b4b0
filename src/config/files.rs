//! The line-based files of profiles and /etc/portage, single or as directories.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::shell_vars::Origin;

/// Directories of version control systems, never part of a configuration.
const VCS_DIRECTORIES: [&[u8]; 7] = [b"CVS", b"RCS", b"SCCS", b".bzr", b".git", b".hg", b".svn"];

/// How a path that is a directory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directories {
    /// Only a plain file is allowed.
    Forbidden,
    /// The files of the directory, subdirectories ignored (PMS 5.2.5).
    Flat,
    /// The files of the directory and of all directories below it, as in /etc/portage.
    Recursive,
}

/// One line that is neither blank nor a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its words, without a comment at the end.
    pub(super) words: Vec<String>,
    /// Where it stands.
    pub(super) origin: Origin,
    /// The comment lines that speak about it, with their `#`.
    pub(super) comment: Vec<String>,
}

impl Line {
    /// The words with single blanks between them.
    pub(super) fn text(&self) -> String {
        self.words.join(" ")
    }
}

fn wanted(name: &[u8]) -> bool {
    !name.starts_with(b".") && !name.ends_with(b"~")
}

/// All files at or below a path in the order in which Portage reads them; none if the path is
/// not there. Hidden files, backup files and the directories of version control systems are
/// left out.
///
/// # Errors
/// Something there cannot be read.
pub(super) fn recursive(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut found = Vec::new();
    collect(path, true, &mut found)?;
    Ok(found)
}

fn collect(path: &Path, deep: bool, found: &mut Vec<PathBuf>) -> Result<(), ConfigError> {
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // A dangling symlink inside a directory counts as absent, as it does for Portage.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(());
        }
        Err(error) => return Err(ConfigError::read(path, error)),
    };
    if kind.is_file() {
        found.push(path.to_path_buf());
    } else if kind.is_dir() && deep && !VCS_DIRECTORIES.contains(&name) {
        for child in sorted_children(path)? {
            collect(&child, true, found)?;
        }
    }
    Ok(())
}

fn sorted_children(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut children = fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|e| e.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(|error| ConfigError::read(path, error))?;
    children.retain(|child| {
        child
            .file_name()
            .is_some_and(|name| wanted(name.as_bytes()))
    });
    children.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(children)
}

/// The lines of a file, or of the files of a directory if that is allowed. A path that is not
/// there has no lines.
///
/// # Errors
/// Something there cannot be read, or a directory stands where only a file may be.
pub(super) fn lines(path: &Path, directories: Directories) -> Result<Vec<Line>, ConfigError> {
    let mut result = Vec::new();
    let mut list = Vec::new();
    match directories {
        Directories::Forbidden => list.push(path.to_path_buf()),
        Directories::Recursive => collect(path, true, &mut list)?,
        Directories::Flat if path.is_dir() => {
            for child in sorted_children(path)? {
                collect(&child, false, &mut list)?;
            }
        }
        Directories::Flat => collect(path, false, &mut list)?,
    }
    for file in &list {
        match fs::read(file) {
            Ok(bytes) => parse_lines(file, &String::from_utf8_lossy(&bytes), &mut result),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ConfigError::read(file.clone(), error)),
        }
    }
    Ok(result)
}

fn parse_lines(file: &Path, text: &str, result: &mut Vec<Line>) {
    let file: Arc<Path> = Arc::from(file);
    let mut comment: Vec<String> = Vec::new();
    let mut comment_ended = false;
    for (index, raw) in text.lines().enumerate() {
        let trimmed = raw.trim();
        if trimmed.is_empty() {
            comment.clear();
            comment_ended = false;
            continue;
        }
        if trimmed.starts_with('#') {
            // A comment below an entry begins a new one: the lines above belong to that entry.
            if comment_ended {
                comment.clear();
                comment_ended = false;
            }
            comment.push(trimmed.to_owned());
            continue;
        }
        comment_ended = true;
        let words = trimmed
            .split_whitespace()
            .take_while(|word| !word.starts_with('#'))
            .map(str::to_owned)
            .collect();
        result.push(Line {
            words,
            origin: Origin {
                file: Arc::clone(&file),
                line: index + 1,
            },
            comment: comment.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;

    #[test]
    fn words_comments_and_places() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(
            &file,
            "# Somebody\n# because\na/b  x # end\nc/d\n# other\ne/f\n\ng/h\n",
        )
        .unwrap();
        let lines = lines(&file, Directories::Forbidden).unwrap();
        let seen: Vec<_> = lines
            .iter()
            .map(|l| (l.text(), l.origin.line, l.comment.join("|")))
            .collect();
        let expected = [
            ("a/b x", 3, "# Somebody|# because"),
            ("c/d", 4, "# Somebody|# because"),
            ("e/f", 6, "# other"),
            ("g/h", 8, ""),
        ];
        assert_eq!(
            seen,
            expected.map(|(a, b, c)| (a.to_owned(), b, c.to_owned()))
        );
    }

    #[test]
    fn directories_in_posix_order() {
        let _rows = rows(&[208]);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("m/.git")).unwrap();
        fs::create_dir_all(dir.path().join("CVS")).unwrap();
        for name in ["b", "B", "a~", ".c", "m/n", "m/.git/x", "CVS/y"] {
            fs::write(dir.path().join(name), format!("{name}\n")).unwrap();
        }
        let read = |how| {
            lines(dir.path(), how)
                .unwrap()
                .iter()
                .map(Line::text)
                .collect::<Vec<_>>()
        };
        assert_eq!(read(Directories::Recursive), ["B", "b", "m/n"]);
        assert_eq!(read(Directories::Flat), ["B", "b"]);
        let error = lines(dir.path(), Directories::Forbidden).unwrap_err();
        assert!(matches!(error, ConfigError::Read { path, .. } if path == dir.path()));
    }

    #[test]
    fn what_is_not_there_has_no_lines() {
        assert_eq!(
            lines(Path::new("/nowhere/at/all"), Directories::Recursive).unwrap(),
            []
        );
        assert_eq!(
            lines(Path::new("/nowhere/at/all"), Directories::Forbidden).unwrap(),
            []
        );
    }
}
