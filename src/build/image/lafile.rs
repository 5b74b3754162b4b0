//! Libtool archives: absolute `.la` names in `dependency_libs` are turned into `-L` and `-l`, as
//! FEATURES=fixlafiles asks.

/// Why a file is no libtool archive that can be rewritten.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaFileError {
    /// The entry occurs twice.
    #[error("duplicated {0} entry")]
    Duplicate(&'static str),
    /// There is no well-formed `dependency_libs`.
    #[error("missing or invalid dependency_libs")]
    NoDependencies,
    /// A word of `dependency_libs` is none that libtool writes.
    #[error("unexpected entry {0:?} in dependency_libs")]
    Unexpected(String),
}

/// Flags that belong into `inherited_linker_flags`, as prefixes.
const LINKER_FLAGS: [&[u8]; 8] = [
    b"-mt",
    b"-mthreads",
    b"-kthread",
    b"-Kthread",
    b"-pthread",
    b"-pthreads",
    b"--thread-safe",
    b"-threads",
];

/// The value of `key='value'` when that is the whole line.
fn quoted<'a>(line: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let value = line
        .strip_prefix(key.as_bytes())?
        .strip_prefix(b"='")?
        .strip_suffix(b"'")?;
    (!value.contains(&b'\'')).then_some(value)
}

/// Adds a word unless it is there.
fn add(list: &mut Vec<Vec<u8>>, word: Vec<u8>) {
    if !list.contains(&word) {
        list.push(word);
    }
}

/// Every occurrence of `from` replaced by `to`.
fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(from) && !from.is_empty() {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// The new content of a libtool archive; `None` when it is right as it is.
///
/// Directories (`-R`, then `-L`) go first, each once; threading flags move to
/// `inherited_linker_flags` when the file has such a line.
///
/// # Errors
///
/// When the file is not one that libtool could have written.
pub fn rewrite(contents: &[u8]) -> Result<Option<Vec<u8>>, LaFileError> {
    let mut libs = None;
    let mut flags = None;
    for line in contents.split(|&byte| byte == b'\n') {
        for (key, slot) in [
            ("dependency_libs", &mut libs),
            ("inherited_linker_flags", &mut flags),
        ] {
            if let Some(value) = quoted(line, key) {
                if slot.is_some() {
                    return Err(LaFileError::Duplicate(key));
                }
                *slot = Some(value);
            }
        }
    }
    let libs = libs.ok_or(LaFileError::NoDependencies)?;
    let words = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut new_flags = flags.map(words).unwrap_or_default();
    let (mut rpaths, mut directories, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for word in words(libs) {
        if word.starts_with(b"-l") {
            add(&mut rest, word);
        } else if word.ends_with(b".la") {
            let slash = word.iter().rposition(|&byte| byte == b'/');
            let (directory, name) = match slash {
                Some(at) => (directory(&word, at), &word[at + 1..]),
                None => (&[][..], &word[..]),
            };
            match name.strip_prefix(b"lib") {
                Some(library) if !directory.is_empty() => {
                    let library = library.strip_suffix(b".la").unwrap_or_default();
                    add(&mut rest, [b"-l", library].concat());
                    add(&mut directories, [b"-L", directory].concat());
                }
                _ => add(&mut rest, word),
            }
        } else if word.starts_with(b"-L") {
            add(&mut directories, tidy_directory(&word));
        } else if word.starts_with(b"-R") {
            add(&mut rpaths, word);
        } else if LINKER_FLAGS.iter().any(|flag| word.starts_with(flag)) {
            add(
                if flags.is_some() {
                    &mut new_flags
                } else {
                    &mut rest
                },
                word,
            );
        } else {
            return Err(LaFileError::Unexpected(
                String::from_utf8_lossy(&word).into_owned(),
            ));
        }
    }
    let join = |lists: &[&[Vec<u8>]]| -> Vec<u8> {
        lists
            .iter()
            .flat_map(|list| list.iter())
            .flat_map(|word| [b" ".as_slice(), word].concat())
            .collect()
    };
    let new_libs = join(&[&rpaths, &directories, &rest]);
    let new_flags = join(&[&new_flags]);
    let mut out = contents.to_vec();
    let entry = |key: &str, value: &[u8]| [key.as_bytes(), b"='", value, b"'"].concat();
    for (key, old, new) in [
        ("dependency_libs", Some(libs), &new_libs),
        ("inherited_linker_flags", flags, &new_flags),
    ] {
        if let Some(old) = old
            && old != new
        {
            out = replace(&out, &entry(key, old), &entry(key, new));
        }
    }
    Ok(
        (out != contents || new_libs != libs || flags.is_some_and(|old| old != new_flags))
            .then_some(out),
    )
}

/// The directory part of a path whose last slash is at `at`, without slashes at its end.
fn directory(path: &[u8], at: usize) -> &[u8] {
    let head = &path[..=at];
    let end = head.iter().rposition(|&byte| byte != b'/');
    match end {
        Some(end) => &head[..=end],
        None => head,
    }
}

/// `X11R6/lib` and `local/lib` become `lib`; detours over `pkgconfig/..` go.
fn tidy_directory(word: &[u8]) -> Vec<u8> {
    let word = replace(word, b"X11R6/lib", b"lib");
    let word = replace(&word, b"local/lib", b"lib");
    let word = cut_detour(&word, b"/pkgconfig/../..", false);
    cut_detour(&word, b"/pkgconfig/..", true)
}

/// Replaces `usr/lib…` and `detour` after it by `usr`, or by `usr/lib…` when that is kept.
fn cut_detour(word: &[u8], detour: &[u8], keep_library_directory: bool) -> Vec<u8> {
    const START: &[u8] = b"usr/lib";
    let mut out = Vec::new();
    let mut rest = word;
    loop {
        if rest.starts_with(START) {
            let name = rest[START.len()..]
                .iter()
                .position(|&byte| byte == b'/')
                .map_or(rest.len(), |at| at + START.len());
            if rest[name..].starts_with(detour) {
                out.extend_from_slice(if keep_library_directory {
                    &rest[..name]
                } else {
                    b"usr"
                });
                rest = &rest[name + detour.len()..];
                continue;
            }
        }
        match rest.split_first() {
            Some((byte, after)) => {
                out.push(*byte);
                rest = after;
            }
            None => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn la(libs: &str, flags: Option<&str>) -> Vec<u8> {
        let flags = flags.map_or(String::new(), |f| format!("inherited_linker_flags='{f}'\n"));
        format!("# libfoo.la - a libtool library file\ndlname='libfoo.so.1'\n{flags}dependency_libs='{libs}'\nlibdir='/usr/lib64'\n").into_bytes()
    }

    fn rewritten(libs: &str, flags: Option<&str>) -> Option<String> {
        rewrite(&la(libs, flags))
            .unwrap()
            .map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn archives_become_flags() {
        let out = rewritten(
            " -lm /usr/lib64/libbar.la -L/usr/lib64 /usr/lib64/libbar.la",
            None,
        );
        assert_eq!(out.unwrap().as_bytes(), la(" -L/usr/lib64 -lm -lbar", None));
        assert_eq!(rewritten(" -lm", None), None);
        assert_eq!(rewritten("", None), None);
        assert_eq!(rewritten(" libown.la", None), None);
    }

    #[test]
    fn threading_flags_move_where_there_is_a_place() {
        assert_eq!(
            rewritten(" -lm -pthread", Some("")).unwrap().as_bytes(),
            la(" -lm", Some(" -pthread"))
        );
        assert_eq!(rewritten(" -lm -pthread", None), None);
    }

    #[test]
    fn directories_are_tidied() {
        assert_eq!(
            rewritten(
                " -L/usr/X11R6/lib -L/usr/lib64/pkgconfig/../../lib -L/usr/lib/pkgconfig/.. -R/x",
                None
            )
            .unwrap()
            .as_bytes(),
            la(" -R/x -L/usr/lib", None)
        );
    }

    #[test]
    fn strange_files_are_refused() {
        assert_eq!(rewrite(b"GROUP ( x )\n"), Err(LaFileError::NoDependencies));
        assert_eq!(
            rewrite(&la(" foo", None)),
            Err(LaFileError::Unexpected("foo".into()))
        );
        assert_eq!(
            rewrite(&[la("", None), la("", None)].concat()),
            Err(LaFileError::Duplicate("dependency_libs"))
        );
    }
}
