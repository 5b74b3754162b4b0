//! Where on a mirror a distfile lies (GLEP 75).
//!
//! A mirror says so in its `layout.conf`. The first structure listed there that is understood is used; a mirror
//! without the file is flat.

use crate::fetch::expected::Expected;
use crate::util::digest::HashName;

/// What a mirror's `layout.conf` lists, best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layouts {
    structures: Vec<Result<Layout, String>>,
}

/// One way to lay out distfiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// All in one directory.
    Flat,
    /// In directories named after the hash of the file's name.
    FilenameHash {
        /// The hash function.
        hash: HashName,
        /// How many hexadecimal digits each level of directories takes.
        levels: Vec<usize>,
    },
    /// In directories named after the hash of the content, under the hash as name.
    ContentHash {
        /// The hash function.
        hash: HashName,
        /// How many hexadecimal digits each level of directories takes.
        levels: Vec<usize>,
    },
}

/// None of the structures that a mirror offers is understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layout.conf offers no structure that is known here: {} (known are flat, filename-hash and content-hash)", .0.join(", "))]
pub struct UnknownLayout(
    /// The structures as written in the file.
    pub Vec<String>,
);

impl Layouts {
    /// Reads a `layout.conf`: the keys `0`, `1`, … of the section `[structure]`, up to the first that is missing.
    ///
    /// A file that lists nothing, or is something else altogether, means flat, as in Portage.
    pub fn parse(text: &str) -> Self {
        let mut values: Vec<(usize, &str)> = Vec::new();
        let mut in_section = false;
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                in_section = name == "structure";
                continue;
            }
            if !in_section {
                continue;
            }
            if let Some((key, value)) = line.split_once(['=', ':'])
                && let Ok(number) = key.trim().parse()
            {
                values.push((number, value.trim()));
            }
        }
        let mut layouts = Self::default();
        while let Some((_, value)) = values
            .iter()
            .find(|(number, _)| *number == layouts.structures.len())
        {
            layouts
                .structures
                .push(Layout::parse(value).ok_or_else(|| (*value).to_owned()));
        }
        layouts
    }

    /// The path of a distfile below the directory of the mirror that holds `layout.conf`.
    ///
    /// # Errors
    /// The mirror lists structures, and none can be used for this file.
    pub fn path(&self, file: &str, expected: Option<&Expected>) -> Result<String, UnknownLayout> {
        let mut refused = Vec::new();
        for structure in &self.structures {
            match structure {
                Ok(layout) => match layout.path(file, expected) {
                    Some(path) => return Ok(path),
                    None => refused.push("content-hash by a hash the Manifest lacks".to_owned()),
                },
                Err(text) => refused.push(format!("`{text}`")),
            }
        }
        if refused.is_empty() {
            Ok(file.to_owned())
        } else {
            Err(UnknownLayout(refused))
        }
    }
}

impl Layout {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["flat"] => Some(Self::Flat),
            [kind, hash, cutoffs] => {
                let hash: HashName = hash.to_ascii_uppercase().parse().ok()?;
                let mut levels = Vec::new();
                for bits in cutoffs.split(':') {
                    let bits: usize = bits.parse().ok()?;
                    if bits == 0 || !bits.is_multiple_of(4) {
                        return None;
                    }
                    levels.push(bits / 4);
                }
                let digits = levels
                    .iter()
                    .try_fold(0usize, |sum, level| sum.checked_add(*level))?;
                if digits > hash.hex_len() {
                    return None;
                }
                match *kind {
                    "filename-hash" => Some(Self::FilenameHash { hash, levels }),
                    "content-hash" => Some(Self::ContentHash { hash, levels }),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The path of a distfile; `None` when it hangs on a hash that the Manifest does not have.
    fn path(&self, file: &str, expected: Option<&Expected>) -> Option<String> {
        let (levels, digest, name) = match self {
            Self::Flat => return Some(file.to_owned()),
            Self::FilenameHash { hash, levels } => {
                (levels, hash.hex(file.as_bytes()), file.to_owned())
            }
            Self::ContentHash { hash, levels } => {
                let digest = expected?.get(*hash)?.to_owned();
                // It becomes part of a path.
                if !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                (levels, digest.clone(), digest)
            }
        };
        let mut path = String::new();
        let mut rest = digest.as_str();
        for level in levels {
            let (directory, others) = rest.split_at_checked(*level)?;
            path.push_str(directory);
            path.push('/');
            rest = others;
        }
        path.push_str(&name);
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str, file: &str) -> Result<String, UnknownLayout> {
        Layouts::parse(text).path(file, None)
    }

    #[test]
    fn gentoo_mirrors() {
        let text = "[structure]\n0=filename-hash BLAKE2B 8\n1=flat\n";
        assert_eq!(path(text, "gzip-1.14.tar.xz").unwrap(), {
            let digest = HashName::Blake2b.hex(b"gzip-1.14.tar.xz");
            format!("{}/gzip-1.14.tar.xz", &digest[..2])
        });
        let text = "# comment\n[other]\n0 = flat\n[structure]\n0 = filename-hash SHA1 8:16:24\n";
        let digest = HashName::Sha1.hex(b"a");
        assert_eq!(
            path(text, "a").unwrap(),
            format!("{}/{}/{}/a", &digest[..2], &digest[2..6], &digest[6..12])
        );
    }

    #[test]
    fn nothing_listed_is_flat() {
        for text in [
            "",
            "<html>\n<title>404</title>",
            "[structure]\n",
            "0=filename-hash SHA1 8",
            "[structure]\n1=filename-hash SHA1 8",
            "[structure]\n0=flat",
        ] {
            assert_eq!(path(text, "a").unwrap(), "a", "{text}");
        }
    }

    #[test]
    fn the_first_known_structure_wins() {
        assert_eq!(
            path("[structure]\n0=by-date 4\n1=flat\n", "a").unwrap(),
            "a"
        );
        for value in [
            "by-date 4",
            "filename-hash SHA1 7",
            "filename-hash SHA1 0",
            "filename-hash SHA1 -8",
            "filename-hash SHA1 800",
            "filename-hash SHA1 18446744073709551612:18446744073709551612",
            "filename-hash NONE 8",
            "filename-hash SHA1",
            "flat SHA1",
            "",
        ] {
            let error = path(&format!("[structure]\n0={value}\n"), "a").unwrap_err();
            assert_eq!(error.0, [format!("`{value}`")]);
        }
    }

    #[test]
    fn content_hash_needs_the_manifest() {
        let text = "[structure]\n0=content-hash SHA512 8:8\n";
        let digest = HashName::Sha512.hex(b"x");
        let entry = Expected::new(1, [("SHA512", digest.clone())]);
        let layouts = Layouts::parse(text);
        assert_eq!(
            layouts.path("a", Some(&entry)).unwrap(),
            format!("{}/{}/{digest}", &digest[..2], &digest[2..4])
        );
        assert!(layouts.path("a", None).is_err());
        let evil = Expected::new(1, [("SHA512", "../../../../etc")]);
        assert!(layouts.path("a", Some(&evil)).is_err());
    }
}
