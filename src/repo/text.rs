//! Small text files of repositories: one item a line, `#` for comments.

use std::fs;
use std::io;
use std::path::Path;

use super::RepoError;

/// The text of a file, or none when there is no such file.
pub(super) fn read_optional(path: &Path) -> Result<Option<String>, RepoError> {
    match fs::read(path) {
        Ok(bytes) => text(path, bytes).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(RepoError::read(path)(error)),
    }
}

/// True for the errors that say that a path leads nowhere.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The lines of a file, or of all files of a directory in order of name (PMS 5.2.5), without
/// comments, blank lines and surrounding space. No file gives no lines.
pub(super) fn lines(path: &Path) -> Result<Vec<String>, RepoError> {
    let mut found = Vec::new();
    if path.is_dir() {
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(RepoError::read(path))? {
            let entry = entry.map_err(RepoError::read(path))?;
            let hidden = entry.file_name().as_encoded_bytes().first() == Some(&b'.');
            if !hidden && entry.path().is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        for file in files {
            if let Some(text) = read_optional(&file)? {
                found.extend(items(&text));
            }
        }
    } else if let Some(text) = read_optional(path)? {
        found.extend(items(&text));
    }
    Ok(found)
}

fn items(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, RepoError> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        RepoError::Encoding {
            path: path.to_owned(),
            line,
        }
    })
}
