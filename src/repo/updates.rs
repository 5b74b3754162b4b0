//! Package moves, `profiles/updates` of a repository (PMS 5.4.3).

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{RepoError, Repository};
use crate::pms::atom::Atom;
use crate::pms::names::NameKind;

/// A change of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// A package has another name.
    Move {
        /// `category/name` as it was.
        from: String,
        /// `category/name` as it is.
        to: String,
    },
    /// Packages have another slot.
    SlotMove {
        /// Which packages.
        atom: Atom,
        /// The slot they had.
        from: String,
        /// The slot they have.
        to: String,
    },
}

/// The changes of a repository, the oldest first, and lines that are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Updates {
    /// The changes.
    pub list: Vec<Update>,
    /// What was passed over, one text each.
    pub faults: Vec<String>,
}

impl Repository {
    /// Reads `profiles/updates`; nothing if there is no such directory.
    ///
    /// # Errors
    /// Something in it cannot be read.
    pub fn updates(&self) -> Result<Option<Updates>, RepoError> {
        let directory = self.location().join("profiles/updates");
        let fail = |path: &PathBuf, source: io::Error| RepoError::read(path)(source);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(|source| fail(&directory, source))?,
        };
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| fail(&directory, source))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with('.') && path.is_file() {
                files.push(path);
            }
        }
        files.sort_by_key(|path| age(&path.file_name().unwrap_or_default().to_string_lossy()));
        let mut updates = Updates::default();
        for path in files {
            let text = fs::read(&path).map_err(|source| fail(&path, source))?;
            for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
                if line.trim().is_empty() {
                    continue;
                }
                match parse(line) {
                    Some(update) => updates.list.push(update),
                    None => updates.faults.push(format!(
                        "{}:{}: is neither `move OLD NEW` nor `slotmove ATOM OLD NEW`",
                        path.display(),
                        number + 1
                    )),
                }
            }
        }
        Ok(Some(updates))
    }
}

/// What files are sorted by: `2Q-2025` by year and quarter; others come behind, by name.
fn age(name: &str) -> (bool, u32, u32, String) {
    let dated = name.split_once("Q-").and_then(|(quarter, year)| {
        let number = |text: &str| text.parse::<u32>().ok();
        Some((number(year)?, number(quarter)?))
    });
    match dated {
        Some((year, quarter)) => (false, year, quarter, String::new()),
        None => (true, 0, 0, name.to_owned()),
    }
}

fn parse(line: &str) -> Option<Update> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["move", from, to] => {
            let name = |text: &str| {
                let atom = Atom::parse_config(text).ok()?;
                (!atom.is_wildcard() && atom.to_string() == text && atom.cp() == text)
                    .then(|| text.to_owned())
            };
            Some(Update::Move {
                from: name(from)?,
                to: name(to)?,
            })
        }
        ["slotmove", atom, from, to] => {
            let atom = Atom::parse_config(atom).ok()?;
            let plain = atom.blocker().is_none() && !atom.is_wildcard() && atom.slot().is_none();
            let slot = |text: &str| NameKind::Slot.is_valid(text).then(|| text.to_owned());
            Some(Update::SlotMove {
                from: slot(from)?,
                to: slot(to)?,
                atom: plain.then_some(atom)?,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        assert_eq!(
            parse("move a/b  c/d"),
            Some(Update::Move {
                from: "a/b".to_owned(),
                to: "c/d".to_owned()
            })
        );
        assert!(matches!(
            parse("slotmove <a/b-2 0 1"),
            Some(Update::SlotMove { from, to, .. }) if from == "0" && to == "1"
        ));
        for bad in [
            "move a/b",
            "move a/b c/d e/f",
            "move a/b-1 c/d:0",
            "move =a/b-1 c/d",
            "move ../b c/d",
            "slotmove a/b 0 1/2",
            "slotmove !a/b 0 1",
            "slotmove a/* 0 1",
            "slotmove a/b 0",
            "rename a/b c/d",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn older_files_come_first() {
        let mut names = ["1Q-2025", "4Q-2024", "zz", "3Q-2025", "1Q-2004"];
        names.sort_by_key(|name| age(name));
        assert_eq!(names, ["1Q-2004", "4Q-2024", "1Q-2025", "3Q-2025", "zz"]);
    }
}
