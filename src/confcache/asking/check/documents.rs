//! Names that a check makes up: what stands in its programs, and neither in its text nor in a value that it was given.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::LazyLock;

use memchr::memmem;
use regex::bytes::Regex;

static ASSIGNED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)\b([A-Za-z_]\w*)=([^\n]*)$").ok());
static READ: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)\bread\b([^\n|;&<]*)").ok());
static DOCUMENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"<<-?[ \t]*([\\'"]?)(\w+)"#).ok());
static VARIABLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$\{?([A-Za-z_]\w*)").ok());

/// What is set to numbers only.
const NUMBERS: &[u8] = b"as_val";

/// Whether a program of this name only handles texts and files, as checks have them do.
pub(super) fn compiles_nothing(name: &OsStr) -> bool {
    const ALL: [&str; 30] = [
        "awk", "basename", "cat", "chmod", "cmp", "cp", "cut", "diff", "dirname", "egrep", "expr",
        "fgrep", "gawk", "grep", "head", "ls", "mawk", "mkdir", "mv", "rm", "rmdir", "sed",
        "sleep", "sort", "tail", "touch", "tr", "uname", "uniq", "wc",
    ];
    name.to_str().is_some_and(|name| ALL.contains(&name))
}

/// Whether texts of checks may write what programs print, or what was made of it, into programs of theirs.
pub(super) fn makes_up_names<'t>(texts: impl Iterator<Item = &'t [u8]> + Clone) -> bool {
    let (Some(assigned), Some(read), Some(variable)) =
        (ASSIGNED.as_ref(), READ.as_ref(), VARIABLE.as_ref())
    else {
        return true;
    };
    let mut made: HashSet<&[u8]> = HashSet::new();
    let uses = |text: &[u8], made: &HashSet<&[u8]>| {
        let mut names = variable.captures_iter(text);
        names.any(|found| {
            found
                .get(1)
                .is_some_and(|name| made.contains(name.as_bytes()))
        })
    };
    for text in texts.clone() {
        for names in read.captures_iter(text).filter_map(|found| found.get(1)) {
            let names = names
                .as_bytes()
                .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
            made.extend(names.filter(|name| !name.is_empty()));
        }
    }
    loop {
        let before = made.len();
        for text in texts.clone() {
            for found in assigned.captures_iter(text) {
                let (Some(name), Some(value)) = (found.get(1), found.get(2)) else {
                    continue;
                };
                let (name, value) = (name.as_bytes(), value.as_bytes());
                if name != NUMBERS && (substitutes(value) || uses(value, &made)) {
                    made.insert(name);
                }
            }
        }
        if made.len() == before {
            break;
        }
    }
    let mut texts = texts;
    texts.any(|text| {
        written(text)
            .into_iter()
            .any(|part| substitutes(part) || uses(part, &made))
    })
}

/// Whether it has in it what a command prints.
fn substitutes(text: &[u8]) -> bool {
    let mut at = memmem::find_iter(text, b"$(");
    text.contains(&b'`') || at.any(|at| text.get(at + 2) != Some(&b'('))
}

/// What a text writes into files of checks: the lines of documents, and those that name such a file behind an arrow.
fn written(text: &[u8]) -> Vec<&[u8]> {
    let mut written = Vec::new();
    let mut end: Option<(&[u8], bool)> = None;
    for line in text.split(|byte| *byte == b'\n') {
        if let Some((word, expands)) = end {
            match line.trim_ascii_start() == word {
                true => end = None,
                false if expands => written.push(line),
                false => {}
            }
            continue;
        }
        let found = DOCUMENT.as_ref().and_then(|regex| regex.captures(line));
        if let Some(found) = found {
            let is_plain = found.get(1).is_none_or(|quote| quote.is_empty());
            end = found.get(2).map(|word| (word.as_bytes(), is_plain));
        }
        for command in line.split(|byte| *byte == b';') {
            let mut arrows = memmem::find_iter(command, b">");
            let is_written = |at: usize| {
                let to = command.get(at + 1..).unwrap_or_default().trim_ascii_start();
                to.starts_with(b"conftest.") && !is_said(to)
            };
            if arrows.any(is_written) {
                written.push(command);
            }
        }
    }
    written
}

/// Whether only messages go to a file of this name.
fn is_said(name: &[u8]) -> bool {
    [&b"conftest.er"[..], b"conftest.out"]
        .iter()
        .any(|said| name.starts_with(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_come_from_programs_are_seen() {
        let makes_up = |text: &str| makes_up_names(std::iter::once(text.as_bytes()));
        for text in [
            "n=HAVE_`echo foo | tr a-z A-Z`\ncat confdefs.h - <<_E >conftest.c\n#ifdef $n\n_E\n",
            "n=$(x)\nm=a$n\ncat - <<_E >conftest.c\n${m}\n_E\n",
            "cat <<E >conftest.c\n`x`\nE\n",
            "n=`x`; echo \"#ifdef $n\" >conftest.c",
            "x | while read n; do echo $n > conftest.h; done",
        ] {
            assert!(makes_up(text), "{text}");
        }
        for text in [
            "n=`x`\ncat <<\\_E >conftest.c\n$n\n_E\n",
            "n=`x`\ncat <<_E >conftest.c\n$m\n_E\ny=$n",
            "as_val=`expr 1 + 1`\nmid=$as_val\ncat <<_E >conftest.c\n$mid\n_E\n",
            "for n in a b; do cat <<_E >conftest.c\n$n\n_E\ndone",
            "ac_cv_x=`cc -E conftest.c 2>conftest.err`",
        ] {
            assert!(!makes_up(text), "{text}");
        }
    }
}
