//! `doman`: a manual page's section and language from its name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::env::HelperEnv;
use super::error::{FileError, HelperError, all_done};
use super::install::{Installer, ensure_directory, missing_or};
use super::message::{self, Level};
use super::source::Source;
use crate::pms::eapi::Eapi;

/// Takes the arguments of `doman`; an option counts for the pages after it.
pub(super) fn run(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    if args.is_empty() {
        return Err(HelperError::NoArgument {
            helper: helper.to_owned(),
        });
    }
    let mut language = None;
    let mut failures = Vec::new();
    for arg in args {
        if let Some(value) = arg.as_bytes().strip_prefix(b"-i18n=") {
            language = Some(value.strip_prefix(b"/").unwrap_or(value));
            continue;
        }
        // The pattern `*` in a kept directory also gives its marker.
        if arg.as_bytes().starts_with(b".keep_") {
            continue;
        }
        let source = Source::from_argument(env, arg);
        failures.extend(install(env, &source, language).err());
    }
    all_done(helper, failures)
}

/// Installs one page; an empty file is passed over.
pub(super) fn install(
    env: &HelperEnv,
    source: &Source,
    language: Option<&[u8]>,
) -> Result<(), FileError> {
    // The suffix is what follows the last dot of the path, if the name itself has none.
    let has_dot = |text: &OsStr| text.as_bytes().contains(&b'.');
    let no_suffix = source.copied || has_dot(source.path.as_os_str());
    if !has_dot(&source.name) && no_suffix {
        return Err(FileError::NotManPage(source.path.clone()));
    }
    let page = Page::of(&source.name, language, env.eapi());
    let page = page.ok_or_else(|| FileError::NotManPage(source.path.clone()))?;
    if page.compressed {
        let path = source.path.display();
        let text =
            format!("QA Notice: doman argument '{path}' is compressed, this is not portable");
        message::say(env, Level::Qa, &text);
    }
    let found = fs::metadata(&source.path).map_err(|e| missing_or(&source.path, e))?;
    if found.len() == 0 {
        return Ok(());
    }
    let tree = env.in_image(OsStr::new("/usr/share/man"));
    let tree = tree
        .map_err(|e| FileError::io(&source.path, "no image directory", std::io::Error::other(e)))?;
    let directory = tree.join(page.directory);
    ensure_directory(&directory)?;
    Installer::with_mode(0o644).install_file(env, &source.path, &directory, &page.name)
}

/// Where a page goes.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    /// Below the manual's root.
    directory: OsString,
    name: OsString,
    compressed: bool,
}

impl Page {
    /// Reads a file name; `None` if its suffix is not a section.
    fn of(file: &OsStr, option: Option<&[u8]>, eapi: Eapi) -> Option<Self> {
        let bytes = file.as_bytes();
        let mut suffix = after_dot(bytes);
        let compressed = matches!(suffix, b"Z" | b"gz" | b"bz2");
        if compressed {
            suffix = after_dot(bytes.get(..bytes.len() - suffix.len() - 1)?);
        }
        let section = *suffix.first()?;
        if !section.is_ascii_digit() && section != b'n' {
            return None;
        }
        // Whether the option or the name wins has changed over time.
        let by_name = eapi.doman_languages() && (option.is_none() || !eapi.doman_i18n_prevails());
        let (language, name) = match by_name.then(|| split_language(bytes)).flatten() {
            Some((stem, language, rest)) => (language, [stem, b".", rest].concat()),
            None => (option.unwrap_or_default(), bytes.to_vec()),
        };
        let mut directory = language.to_vec();
        if !language.is_empty() {
            directory.push(b'/');
        }
        directory.extend_from_slice(b"man");
        directory.push(section);
        let (directory, name) = (OsString::from_vec(directory), OsString::from_vec(name));
        Some(Self {
            directory,
            name,
            compressed,
        })
    }
}

fn after_dot(name: &[u8]) -> &[u8] {
    name.rsplit(|b| *b == b'.').next().unwrap_or_default()
}

/// Splits `foo.pt_BR.1` into `foo`, `pt_BR` and `1`; the last part that looks like a language is it.
fn split_language(name: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let dots: Vec<usize> = name
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'.')
        .map(|(at, _)| at)
        .collect();
    for pair in dots.windows(2).rev() {
        let [first, second] = pair else { continue };
        let part = name.get(first + 1..*second)?;
        if is_language(part) {
            return Some((name.get(..*first)?, part, name.get(second + 1..)?));
        }
    }
    None
}

fn is_language(part: &[u8]) -> bool {
    let lower = |b: &u8| b.is_ascii_lowercase();
    let upper = |b: &u8| b.is_ascii_uppercase();
    match part {
        [a, b] => lower(a) && lower(b),
        [a, b, b'_', c, d] => lower(a) && lower(b) && upper(c) && upper(d),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Build;
    use super::*;
    use crate::claim::rows;

    fn place(file: &str, option: Option<&str>, eapi: &str) -> Option<(String, String)> {
        let eapi = Eapi::parse(eapi).unwrap();
        let page = Page::of(OsStr::new(file), option.map(str::as_bytes), eapi)?;
        let text = |t: OsString| t.into_string().unwrap();
        Some((text(page.directory), text(page.name)))
    }

    #[test]
    fn languages_of_names_and_options() {
        let _rows = rows(&[128, 129]);
        for (eapi, file, option, directory, name) in [
            ("8", "foo.1", None, "man1", "foo.1"),
            ("8", "foo.de.1", None, "de/man1", "foo.1"),
            ("8", "foo.pt_BR.1", None, "pt_BR/man1", "foo.1"),
            ("8", "foo.abc.1", None, "man1", "foo.abc.1"),
            ("8", "foo.DE.1", None, "man1", "foo.DE.1"),
            ("8", "foo.pt_br.1", None, "man1", "foo.pt_br.1"),
            ("8", "a.de.fr.3x", None, "fr/man3", "a.de.3x"),
            ("8", "a.de.b.1", None, "de/man1", "a.b.1"),
            ("8", "foo.n", None, "mann", "foo.n"),
            ("1", "foo.de.1", None, "man1", "foo.de.1"),
            ("2", "foo.de.1", None, "de/man1", "foo.1"),
            ("8", "foo.de.1", Some("fr"), "fr/man1", "foo.de.1"),
            ("8", "foo.de.1", Some(""), "man1", "foo.de.1"),
            ("3", "foo.de.1", Some("fr"), "de/man1", "foo.1"),
            ("3", "foo.1", Some("fr"), "fr/man1", "foo.1"),
            ("0", "foo.1", Some("fr"), "fr/man1", "foo.1"),
            ("8", "foo.de.1.gz", None, "de/man1", "foo.1.gz"),
        ] {
            let found = place(file, option, eapi);
            assert_eq!(
                found,
                Some((directory.into(), name.into())),
                "{eapi} {file} {option:?}"
            );
        }
        assert_eq!(place("foo.x", None, "8"), None);
        assert_eq!(place("foo.gz", None, "8"), place("foo", None, "8"));
        assert_eq!(place(".gz", None, "8"), None);
    }

    #[test]
    fn pages_are_installed() {
        let build = Build::new("8");
        for page in [
            "foo.1", "foo.de.1", "foo.x", "empty.1", "z.1.gz", ".keep_it",
        ] {
            build.file(page, if page == "empty.1" { "" } else { "page" });
        }
        build
            .call(&["doman", "-i18n=fr", "foo.1", "-i18n=", "foo.de.1"])
            .ok();
        assert_eq!(
            build.listing(),
            [
                "usr/ 755",
                "usr/share/ 755",
                "usr/share/man/ 755",
                "usr/share/man/fr/ 755",
                "usr/share/man/fr/man1/ 755",
                "usr/share/man/fr/man1/foo.1 644",
                "usr/share/man/man1/ 755",
                "usr/share/man/man1/foo.de.1 644"
            ]
        );
        build.call(&["doman", "empty.1", ".keep_it"]).ok();
        let called = build.call(&["doman", "z.1.gz"]).ok();
        assert!(called.stderr.contains("is compressed"), "{}", called.stderr);
        let called = build.call(&["doman", "foo.x", "no.1", "foo.1"]);
        let error = called.error();
        assert!(
            error.contains("foo.x: is probably not a man page\ndoman: "),
            "{error}"
        );
        assert!(error.ends_with("no.1: does not exist"));
        assert_eq!(
            build.files(),
            [
                "usr/share/man/fr/man1/foo.1 644",
                "usr/share/man/man1/foo.1 644",
                "usr/share/man/man1/foo.de.1 644",
                "usr/share/man/man1/z.1.gz 644"
            ]
        );
    }
}
