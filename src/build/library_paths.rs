//! Where the dynamic loader of a system looks for libraries.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders that it always looks in.
const ALWAYS: [&str; 2] = ["/usr/lib", "/lib"];

/// The folders that the loader of the system below `root` looks in, as they are called there: those of `variable`, which is
/// LD_LIBRARY_PATH, those of `etc/ld.so.conf` and what it includes, and its own. Files that cannot be read name none.
#[must_use]
pub fn library_paths(root: &Path, variable: &str) -> Vec<String> {
    let mut found: Vec<String> = variable.split(':').map(str::to_owned).collect();
    let first = root.join("etc/ld.so.conf");
    read(root, &first, &mut BTreeSet::new(), &mut found);
    found.extend(ALWAYS.map(str::to_owned));
    found
        .into_iter()
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| plain(&folder))
        .collect()
}

/// Adds the folders that a file names, if it is not among those that were read.
fn read(root: &Path, file: &Path, known: &mut BTreeSet<PathBuf>, found: &mut Vec<String>) {
    if !known.insert(file.to_owned()) {
        return;
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line
            .split([' ', '\t', ':', ','])
            .filter(|it| !it.is_empty());
        match words.next() {
            Some("include") => {
                for pattern in words {
                    for file in included(root, file, pattern) {
                        read(root, &file, known, found);
                    }
                }
            }
            Some("hwcap") | None => {}
            Some(first) => {
                // `=libc6` and the like say for which loader it is.
                let folder = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
                found.push(folder(first));
                found.extend(words.map(folder));
            }
        }
    }
}

/// The files that a pattern of a file stands for, from the file's own folder or from ROOT.
fn included(root: &Path, file: &Path, pattern: &str) -> Vec<PathBuf> {
    let base = match pattern.starts_with('/') {
        true => root,
        false => file.parent().unwrap_or(root),
    };
    let base = glob::Pattern::escape(&base.to_string_lossy());
    let pattern = format!(
        "{}/{}",
        base.trim_end_matches('/'),
        pattern.trim_start_matches('/')
    );
    let files = glob::glob(&pattern).into_iter().flatten().flatten();
    files.collect()
}

/// The folder without slashes that mean nothing.
fn plain(folder: &str) -> String {
    let parts = Path::new(folder)
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        });
    format!("/{}", parts.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_folders_and_other_files() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        fs::create_dir_all(etc.join("ld.so.conf.d")).unwrap();
        for (name, text) in [
            (
                "ld.so.conf",
                "# made by env-update\n/usr/local/lib64/\ninclude ld.so.conf.d/*.conf\ninclude /etc/more\n",
            ),
            ("ld.so.conf.d/b.conf", "/b\n"),
            (
                "ld.so.conf.d/a.conf",
                "/a1 /a2=libc6 # /no\nhwcap 1 x\nrelative\n",
            ),
            ("ld.so.conf.d/not", "/not\n"),
            ("more", "/more\ninclude more\n"),
        ] {
            fs::write(etc.join(name), text).unwrap();
        }
        assert_eq!(
            library_paths(root.path(), "/first::/second//x"),
            [
                "/first",
                "/second/x",
                "/usr/local/lib64",
                "/a1",
                "/a2",
                "/b",
                "/more",
                "/usr/lib",
                "/lib"
            ]
        );
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(library_paths(empty.path(), ""), ALWAYS);
    }
}
