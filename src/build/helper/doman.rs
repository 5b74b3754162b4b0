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
