//! Which files of the image are stripped.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Settings;
use crate::build::image::{Image, ImageError, glob};

/// Which files the package wants stripped.
pub(super) struct Choice {
    /// Installed names, without the first slash: an ELF file is chosen if it is one, or below one.
    included: Vec<PathBuf>,
    /// Where static archives are looked for.
    pub(super) archive_tops: Vec<PathBuf>,
    /// Files and directories left alone.
    excluded: BTreeSet<PathBuf>,
    /// Patterns of `STRIP_MASK`.
    mask: Vec<String>,
}

impl Choice {
    pub(super) fn new(image: &Image, settings: &Settings) -> Result<Self, ImageError> {
        let ed = image.ed();
        if !settings.controllable {
            return Ok(Self {
                included: vec![PathBuf::new()],
                archive_tops: vec![ed],
                excluded: BTreeSet::new(),
                mask: expand_braces(&settings.mask),
            });
        }
        let at = |path: &String| ed.join(path.trim_start_matches('/'));
        let included: Vec<_> = settings
            .include
            .iter()
            .map(at)
            .filter(|path| path.exists())
            .collect();
        let mut excluded = BTreeSet::new();
        for path in settings.exclude.iter().map(at) {
            // Compared without the links in the middle of it, as files are found without them.
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                continue;
            };
            if let Ok(parent) = parent.canonicalize() {
                excluded.insert(parent.join(name));
            }
        }
        let top = ed.canonicalize().unwrap_or_else(|_| ed.clone());
        Ok(Self {
            included: included
                .iter()
                .filter_map(|path| path.strip_prefix(&ed).ok())
                .map(Path::to_owned)
                .collect(),
            archive_tops: included,
            excluded: excluded
                .into_iter()
                .filter_map(|path| path.strip_prefix(&top).map(|inside| ed.join(inside)).ok())
                .collect(),
            mask: Vec::new(),
        })
    }

    fn masked(&self, image: &Image, path: &Path) -> bool {
        let mut name = vec![b'/'];
        name.extend(image.below_ed(path));
        self.mask
            .iter()
            .any(|pattern| glob::matches(pattern.as_bytes(), &name))
            || path.ancestors().any(|part| self.excluded.contains(part))
    }

    pub(super) fn elf(&self, image: &Image, path: &Path) -> bool {
        let below = image.below_ed(path);
        let name = Path::new(OsStr::from_bytes(&below));
        self.included.iter().any(|top| name.starts_with(top)) && !self.masked(image, path)
    }

    pub(super) fn archive(&self, image: &Image, path: &Path) -> bool {
        !self.masked(image, path)
    }
}

/// The words of a value with `{a,b}` written out, as a shell does it.
fn expand_braces(value: &str) -> Vec<String> {
    const MOST: usize = 1 << 16;
    let mut out = Vec::new();
    for word in value.split_whitespace() {
        let mut todo = vec![word.to_owned()];
        while let Some(word) = todo.pop() {
            match brace(&word) {
                // A bound, so that no value can grow without end.
                Some((start, commas, end)) if out.len() + todo.len() + commas.len() < MOST => {
                    let ends = commas.iter().chain([&end]);
                    let starts = [&start].into_iter().chain(&commas);
                    let alternatives: Vec<_> = starts.zip(ends).collect();
                    for (&from, &to) in alternatives.into_iter().rev() {
                        todo.push(format!(
                            "{}{}{}",
                            &word[..start],
                            &word[from + 1..to],
                            &word[end + 1..]
                        ));
                    }
                }
                _ => out.push(word),
            }
        }
    }
    out
}

/// The first `{…}` with a comma that is in no inner brace, and where those commas are.
fn brace(word: &str) -> Option<(usize, Vec<usize>, usize)> {
    for (start, _) in word.match_indices('{') {
        let mut depth = 0;
        let mut commas = Vec::new();
        for (at, c) in word.char_indices().skip_while(|(at, _)| *at < start) {
            match c {
                '{' => depth += 1,
                ',' if depth == 1 => commas.push(at),
                '}' if depth == 1 && !commas.is_empty() => return Some((start, commas, at)),
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_written_out() {
        assert_eq!(
            expand_braces("a{b,c{d,e}}f g {x} {,y}z"),
            ["abf", "acdf", "acef", "g", "{x}", "z", "yz"]
        );
        assert!(expand_braces(&"{a,b}".repeat(40)).len() <= 1 << 17);
    }
}
