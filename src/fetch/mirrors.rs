//! Mirrors: those of repositories (`profiles/thirdpartymirrors`), those of the user (`/etc/portage/mirrors`), and
//! those that carry everything (`GENTOO_MIRRORS`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

/// Mirror names and their addresses, as in `profiles/thirdpartymirrors` (PMS: the thirdpartymirrors file) and `/etc/portage/mirrors`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MirrorMap {
    names: IndexMap<String, Vec<String>>,
}

/// A file of mirrors could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be read", path.display())]
pub struct MirrorFileError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl MirrorMap {
    /// Reads the text of one file: a name and its addresses a line. A name that comes again gets more addresses;
    /// a line without an address says nothing; `#` at the start of a word begins a comment.
    pub fn parse(text: &str) -> Self {
        let mut map = Self::default();
        for line in text.lines() {
            let mut words = line
                .split_whitespace()
                .take_while(|word| !word.starts_with('#'));
            let Some(name) = words.next() else { continue };
            let addresses: Vec<String> = words.map(str::to_owned).collect();
            if !addresses.is_empty() {
                map.names
                    .entry(name.to_owned())
                    .or_default()
                    .extend(addresses);
            }
        }
        map
    }

    /// Reads a file, or all files below a directory in the order of their names, hidden ones and backups (`name~`)
    /// aside. What does not exist is empty.
    ///
    /// # Errors
    /// A file that exists cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, MirrorFileError> {
        let mut text = String::new();
        read_into(&mut text, path)?;
        Ok(Self::parse(&text))
    }

    /// Joins the maps of several repositories, those of the highest priority first. An address is taken once;
    /// `-address` takes one from before away, `-*` all of its name.
    pub fn stack(maps: impl IntoIterator<Item = Self>) -> Self {
        let mut stacked = Self::default();
        for (name, addresses) in maps.into_iter().flat_map(|map| map.names) {
            let list = stacked.names.entry(name).or_default();
            for address in addresses {
                match address.strip_prefix('-') {
                    Some("*") => list.clear(),
                    Some(removed) => list.retain(|known| known != removed),
                    None if list.contains(&address) => {}
                    None => list.push(address),
                }
            }
        }
        stacked
    }

    /// The addresses of one name, in the order of the file.
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.names.get(name).map(Vec::as_slice)
    }
}

fn read_into(text: &mut String, path: &Path) -> Result<(), MirrorFileError> {
    let fail = |source| MirrorFileError {
        path: path.to_owned(),
        source,
    };
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(fail)?,
    };
    if !metadata.is_dir() {
        text.push_str(&fs::read_to_string(path).map_err(fail)?);
        text.push('\n');
        return Ok(());
    }
    let mut entries = fs::read_dir(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(fail)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if !name.starts_with(b".") && !name.ends_with(b"~") && name != b"CVS" {
            read_into(text, &entry.path())?;
        }
    }
    Ok(())
}

/// All mirrors there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirrors {
    /// The user's own; the name `local` stands for mirrors that carry everything, even what is restricted.
    pub custom: MirrorMap,
    /// Those of the repositories.
    pub third_party: MirrorMap,
    /// The words of `GENTOO_MIRRORS`: addresses, or absolute paths of directories.
    pub gentoo: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_mirrors() {
        let map = MirrorMap::parse(
            "# comment\n\ngnu\thttps://a/ https://b # https://c\n  cpan x\nalone\ngnu https://d\n #z y\n",
        );
        assert_eq!(
            map.get("gnu").unwrap(),
            ["https://a/", "https://b", "https://d"]
        );
        assert_eq!(map.get("cpan").unwrap(), ["x"]);
        assert_eq!(map.get("alone"), None);
        assert_eq!(map.names.len(), 2);
    }

    #[test]
    fn a_directory_of_mirrors() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("mirrors");
        assert_eq!(MirrorMap::read(&root).unwrap(), MirrorMap::default());
        fs::create_dir_all(root.join("b")).unwrap();
        fs::write(root.join("b/file"), "gnu two").unwrap();
        fs::write(root.join("a"), "gnu one").unwrap();
        fs::write(root.join("a~"), "gnu no").unwrap();
        fs::write(root.join(".hidden"), "gnu no").unwrap();
        let map = MirrorMap::read(&root).unwrap();
        assert_eq!(map.get("gnu").unwrap(), ["one", "two"]);
        fs::write(root.join("c"), b"gnu \xff").unwrap();
        let error = MirrorMap::read(&root).unwrap_err();
        assert_eq!(error.path, root.join("c"));
    }

    #[test]
    fn maps_are_stacked() {
        let map = MirrorMap::stack([
            MirrorMap::parse("gnu a b c\ncpan x"),
            MirrorMap::parse("gnu -b b c d\ncpan -* y"),
        ]);
        assert_eq!(map.get("gnu").unwrap(), ["a", "c", "b", "d"]);
        assert_eq!(map.get("cpan").unwrap(), ["y"]);
    }
}
