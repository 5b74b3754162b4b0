//! `PROVIDES` and `REQUIRES`: the sonames a package offers and asks for, by multilib category.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::needed::NeededEntry;
use super::pattern::{PathPatterns, shell_words};
use super::qa::Variables;
use super::{Image, ImageError, Level, Notice, glob, walk};

/// What is left out, and where libraries are looked for.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `PROVIDES_EXCLUDE`: shell patterns of paths and sonames.
    pub provides_exclude: String,
    /// `REQUIRES_EXCLUDE`, likewise.
    pub requires_exclude: String,
    /// Directories in which a library is expected to have a link named by its soname, absolute:
    /// the loader's search path of `ROOT`.
    pub library_paths: Vec<String>,
}

/// The texts of the two files, each with its newline; `None` where Portage writes none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SonameDeps {
    /// `PROVIDES`.
    pub provides: Option<String>,
    /// `REQUIRES`.
    pub requires: Option<String>,
}

/// Patterns of an exclude variable.
struct Exclude(Vec<String>);

impl Exclude {
    fn new(variable: &'static str, value: &str) -> Result<Self, ImageError> {
        Ok(Self(
            shell_words(variable, value)?
                .into_iter()
                .map(|word| word.trim_start_matches('/').to_owned())
                .collect(),
        ))
    }

    fn matches(&self, text: &str) -> bool {
        self.0
            .iter()
            .any(|pattern| glob::matches(pattern.as_bytes(), text.as_bytes()))
    }
}

/// Works out what the package provides and requires. Entries without a multilib category take no
/// part. What the package provides itself is not required, nor is a library without soname that
/// its users find through their own run-time path.
///
/// # Errors
///
/// When a quote in an exclude variable is not closed.
pub fn soname_deps(settings: &Settings, entries: &[NeededEntry]) -> Result<SonameDeps, ImageError> {
    let provides_exclude = Exclude::new("PROVIDES_EXCLUDE", &settings.provides_exclude)?;
    let requires_exclude = Exclude::new("REQUIRES_EXCLUDE", &settings.requires_exclude)?;
    type ByCategory<T> = BTreeMap<String, T>;
    // For each soname the run-time paths of its users, one set per user.
    let mut requires: ByCategory<BTreeMap<String, BTreeSet<BTreeSet<String>>>> = BTreeMap::new();
    let mut provides: ByCategory<BTreeSet<String>> = BTreeMap::new();
    let mut own: ByCategory<BTreeSet<String>> = BTreeMap::new();
    let mut by_basename: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for entry in entries {
        let Some(category) = &entry.category else {
            continue;
        };
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let relative = name.trim_start_matches('/');
        let (directory, basename) = name.rsplit_once('/').unwrap_or(("", &name));
        by_basename
            .entry(basename.to_owned())
            .or_default()
            .push((category.clone(), directory.to_owned()));
        if !requires_exclude.matches(relative) {
            let runpaths: BTreeSet<String> = entry
                .runpaths()
                .map(|path| normalize(&expand_origin(&String::from_utf8_lossy(path), directory)))
                .collect();
            for needed in entry.elf.needed.iter().filter(|needed| !needed.is_empty()) {
                let needed = String::from_utf8_lossy(needed);
                if !requires_exclude.matches(&needed) {
                    requires
                        .entry(category.clone())
                        .or_default()
                        .entry(needed.into_owned())
                        .or_default()
                        .insert(runpaths.clone());
                }
            }
        }
        if !entry.soname.is_empty() {
            let soname = String::from_utf8_lossy(&entry.soname).into_owned();
            own.entry(category.clone())
                .or_default()
                .insert(soname.clone());
            if !provides_exclude.matches(relative) && !provides_exclude.matches(&soname) {
                provides.entry(category.clone()).or_default().insert(soname);
            }
        }
    }
    for (category, sonames) in &mut requires {
        sonames.retain(|soname, users| {
            if own.get(category).is_some_and(|own| own.contains(soname)) {
                return false;
            }
            for (_, directory) in by_basename
                .get(soname)
                .into_iter()
                .flatten()
                .filter(|(other, _)| other == category)
            {
                users.retain(|runpaths| !runpaths.contains(directory));
            }
            !users.is_empty()
        });
    }
    let requires = requires
        .into_iter()
        .map(|(category, sonames)| (category, sonames.into_keys().collect()))
        .collect();
    Ok(SonameDeps {
        provides: join(&provides),
        requires: join(&requires),
    })
}

/// `category: soname… category: soname…` and a newline.
fn join(by_category: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let words: Vec<_> = by_category
        .iter()
        .filter(|(_, sonames)| !sonames.is_empty())
        .flat_map(|(category, sonames)| {
            std::iter::once(format!("{category}:")).chain(sonames.iter().cloned())
        })
        .collect();
    (!words.is_empty()).then(|| words.join(" ") + "\n")
}

/// Replaces `$ORIGIN` and `${ORIGIN}`; any other variable becomes nothing.
fn expand_origin(path: &str, origin: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, next) = match after.strip_prefix('{') {
            Some(braced) => match braced.split_once('}') {
                Some(pair) => pair,
                None => return out,
            },
            None => {
                let end = after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if name == "ORIGIN" {
            out.push_str(origin);
        }
        rest = next;
    }
    out.push_str(rest);
    out
}

/// The path without empty, `.` and `..` components, worked out on the text alone.
fn normalize(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.last().is_some_and(|last| *last != "..") {
                    parts.pop();
                } else if !absolute {
                    parts.push("..");
                }
            }
            part => parts.push(part),
        }
    }
    match (absolute, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

/// Writes `PROVIDES` and `REQUIRES`, and tells of ELF files without a category, of libraries
/// without a link named by their soname, and of shared libraries that provide nothing. Does
/// nothing when the image has no ELF file. Gives the text of `REQUIRES`.
///
/// # Errors
///
/// When a file cannot be written or a variable is malformed.
pub fn write(
    image: &Image,
    settings: &Settings,
    variables: &Variables,
    entries: &[NeededEntry],
    notices: &mut Vec<Notice>,
) -> Result<Option<String>, ImageError> {
    if entries.is_empty() {
        return Ok(None);
    }
    let deps = soname_deps(settings, entries)?;
    for (name, text) in [("REQUIRES", &deps.requires), ("PROVIDES", &deps.provides)] {
        if let Some(text) = text {
            let path = image.build_info.join(name);
            fs::write(&path, text).map_err(ImageError::io("write", &path))?;
        }
    }
    if deps.provides.is_none() && holds_shared_libraries(&image.d)? {
        notices.push(Notice::new(
            Level::Error,
            "shared libraries (.so) are installed, but PROVIDES is empty",
        ));
    }
    unrecognized(image, variables, entries, notices)?;
    missing_links(image, settings, variables, entries, notices)?;
    Ok(deps.requires)
}

fn unrecognized(
    image: &Image,
    variables: &Variables,
    entries: &[NeededEntry],
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let prebuilt = Exclude::new("QA_PREBUILT", &variables.scalar("QA_PREBUILT"))?;
    let lines: Vec<_> = entries
        .iter()
        .filter(|entry| entry.category.is_none())
        .filter(|entry| {
            let name = String::from_utf8_lossy(&entry.name);
            let name = name.get(image.eprefix.len()..).unwrap_or(&name);
            !prebuilt.matches(name.trim_start_matches('/'))
        })
        .map(NeededEntry::elf2_line)
        .collect();
    if !lines.is_empty() {
        notices.push(Notice::qa_list("Unrecognized ELF file(s):", &lines));
    }
    Ok(())
}

fn missing_links(
    image: &Image,
    settings: &Settings,
    variables: &Variables,
    entries: &[NeededEntry],
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let excused = variables.scalar("QA_SONAME_NO_SYMLINK");
    let excused = PathPatterns::extended("QA_SONAME_NO_SYMLINK", excused.split_whitespace())?;
    let inode = |path: &str| {
        let path = image.root.join(path.trim_start_matches('/'));
        fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
    };
    let library_inodes: BTreeSet<_> = settings
        .library_paths
        .iter()
        .filter_map(|path| inode(path))
        .collect();
    let mut lines = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.soname.is_empty()) {
        let name = String::from_utf8_lossy(&entry.name);
        let (directory, basename) = name.rsplit_once('/').unwrap_or(("", &name));
        let searched = settings.library_paths.iter().any(|path| path == directory)
            || inode(directory).is_some_and(|inode| library_inodes.contains(&inode));
        if !searched || excused.matches(name.trim_matches('/').as_bytes()) {
            continue;
        }
        let link = entry
            .path
            .with_file_name(std::ffi::OsStr::from_bytes(&entry.soname));
        if fs::symlink_metadata(&link).is_err() {
            lines.push(format!(
                "{}/{} -> {basename}",
                directory.trim_start_matches('/'),
                String::from_utf8_lossy(&entry.soname)
            ));
        }
    }
    if !lines.is_empty() {
        notices.push(Notice::qa_list("Missing soname symlink(s):", &lines));
    }
    Ok(())
}

/// Tells whether a `*.so` in the image is, or leads within the image to, a regular file.
fn holds_shared_libraries(d: &Path) -> Result<bool, ImageError> {
    for entry in walk::walk(d)? {
        if entry
            .path
            .extension()
            .is_none_or(|extension| extension != "so")
        {
            continue;
        }
        let mut target = entry.path;
        for _ in 0..40 {
            let Ok(metadata) = fs::symlink_metadata(&target) else {
                break;
            };
            if metadata.is_file() {
                return Ok(true);
            }
            let Ok(link) = fs::read_link(&target) else {
                break;
            };
            let next = target.parent().unwrap_or(d).join(&link);
            target = if link.is_absolute() && !link.starts_with(d) {
                inside(d, &link)
            } else if next.starts_with(d) {
                inside(d, next.strip_prefix(d).unwrap_or(&next))
            } else {
                break;
            };
        }
    }
    Ok(false)
}

/// `path` below `d`, its `..` not leading out of it.
fn inside(d: &Path, path: &Path) -> PathBuf {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    let mut out = d.to_path_buf();
    out.extend(parts);
    out
}

/// What `PROVIDES` or `REQUIRES` lists: multilib categories and sonames.
pub fn listed(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut category = "";
    text.split_whitespace()
        .filter_map(move |word| match word.strip_suffix(':') {
            Some(name) => {
                category = name;
                None
            }
            None => Some((category, word)),
        })
}

/// The notice of FEATURES=qa-unresolved-soname-deps: files that ask for sonames which neither the
/// package nor, as `provided(category, soname)` tells, an installed package has.
pub fn unresolved(
    entries: &[NeededEntry],
    requires: &str,
    provided: impl Fn(&str, &str) -> bool,
) -> Option<Notice> {
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (category, soname) in listed(requires) {
        if !provided(category, soname) {
            missing.entry(category).or_default().insert(soname);
        }
    }
    let mut lines: Vec<String> = entries
        .iter()
        .filter_map(|entry| {
            let missing = missing.get(entry.category.as_deref()?)?;
            let mut sonames: Vec<_> = entry
                .elf
                .needed
                .iter()
                .map(|needed| String::from_utf8_lossy(needed))
                .filter(|needed| missing.contains(&needed[..]))
                .collect();
            sonames.sort();
            (!sonames.is_empty()).then(|| {
                format!(
                    "{}: {}",
                    String::from_utf8_lossy(&entry.name),
                    sonames.join(" ")
                )
            })
        })
        .collect();
    lines.sort();
    (!lines.is_empty()).then(|| Notice::qa_list("Unresolved soname dependencies:", &lines))
}

#[cfg(test)]
mod tests {
    use super::super::elf::{Class, ElfInfo, Kind};
    use super::*;

    fn entry(name: &str, soname: &str, rpath: &str, needed: &[&str]) -> NeededEntry {
        NeededEntry {
            path: PathBuf::from(format!("/nowhere{name}")),
            name: name.into(),
            soname: soname.into(),
            rpath: rpath.into(),
            category: Some("x86_64".into()),
            elf: ElfInfo {
                class: Class::Elf64,
                little_endian: true,
                machine: 62,
                flags: 0,
                kind: Kind::SharedObject,
                needed: needed.iter().map(|n| n.as_bytes().to_vec()).collect(),
                soname: None,
                rpath: None,
                runpath: None,
                has_symtab: true,
                has_dynsym: true,
                textrel: false,
                executable_stack: false,
                writable_code: false,
                undefined_symbols: false,
            },
        }
    }

    fn deps(settings: &Settings, entries: &[NeededEntry]) -> (String, String) {
        let deps = soname_deps(settings, entries).unwrap();
        (
            deps.provides.unwrap_or_default(),
            deps.requires.unwrap_or_default(),
        )
    }

    #[test]
    fn own_libraries_are_not_required() {
        let mut other = entry("/usr/lib/libc32.so", "", "", &["libc.so.6"]);
        other.category = Some("x86_32".into());
        let entries = [
            entry("/usr/lib64/libz.so.1.3", "libz.so.1", "", &["libc.so.6"]),
            entry(
                "/usr/bin/z",
                "",
                "",
                &["libz.so.1", "liba.so.2", "libc.so.6"],
            ),
            other,
        ];
        let (provides, requires) = deps(&Settings::default(), &entries);
        assert_eq!(provides, "x86_64: libz.so.1\n");
        assert_eq!(requires, "x86_32: libc.so.6 x86_64: liba.so.2 libc.so.6\n");
    }

    #[test]
    fn a_library_without_soname_is_found_through_the_run_path() {
        let entries = [
            entry("/usr/lib64/ebtables/libebt.so", "", "", &[]),
            entry(
                "/usr/lib64/ebtables/bin/ebt",
                "",
                "${ORIGIN}/../../ebtables",
                &["libebt.so"],
            ),
        ];
        assert_eq!(deps(&Settings::default(), &entries).1, "");
        // One user without the path is enough to need it.
        let mut entries = entries.to_vec();
        entries.push(entry("/usr/bin/other", "", "", &["libebt.so"]));
        assert_eq!(
            deps(&Settings::default(), &entries).1,
            "x86_64: libebt.so\n"
        );
    }

    #[test]
    fn excludes_are_patterns_of_paths_and_sonames() {
        let entries = [
            entry(
                "/opt/bin/libx.so",
                "libx.so.1",
                "",
                &["libgone.so.1", "libc.so.6"],
            ),
            entry("/usr/lib/liby.so", "liby.so.1", "", &["libz.so"]),
        ];
        let settings = Settings {
            provides_exclude: "/opt/*".into(),
            requires_exclude: "'libgone*' /usr/lib/liby.so".into(),
            library_paths: Vec::new(),
        };
        let (provides, requires) = deps(&settings, &entries);
        assert_eq!(provides, "x86_64: liby.so.1\n");
        assert_eq!(requires, "x86_64: libc.so.6\n");
        let broken = Settings {
            provides_exclude: "'a".into(),
            ..Settings::default()
        };
        assert!(matches!(
            soname_deps(&broken, &entries),
            Err(ImageError::Quote { .. })
        ));
    }

    #[test]
    fn paths() {
        assert_eq!(
            expand_origin("$ORIGIN/../lib:$X", "/usr/bin"),
            "/usr/bin/../lib:"
        );
        assert_eq!(normalize("/usr/bin/../lib64//x/."), "/usr/lib64/x");
        assert_eq!(normalize("//usr/../.."), "/");
        assert_eq!(normalize("a/../.."), "..");
    }

    #[test]
    fn unresolved_sonames_are_listed_by_file() {
        let entries = [entry("/usr/bin/a", "", "", &["libq.so.1", "libc.so.6"])];
        let notice = unresolved(
            &entries,
            "x86_64: libc.so.6 libq.so.1\n",
            |category, soname| category == "x86_64" && soname == "libc.so.6",
        );
        assert_eq!(
            notice.unwrap().text,
            "QA Notice: Unresolved soname dependencies:\n  /usr/bin/a: libq.so.1"
        );
        assert!(unresolved(&entries, "x86_64: libc.so.6\n", |_, _| true).is_none());
    }
}
