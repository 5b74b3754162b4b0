//! `ebd binpkg`.

mod extract;
mod import;
mod index;
mod list;
mod moves;
mod prune;
mod quickpkg;
mod remote;
mod serve;
mod show;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::arguments::binpkg::{Binpkg, BinpkgCommand, Store};
use super::arguments::{Display, When};
use super::build::{Failure, absolute, complain};
use super::exit::Exit;
use super::paint::Paint;
use super::stdout;
use crate::binpkg::index::{Entry, HeaderSettings, Index};
use crate::binpkg::pkgdir::Pkgdir;
use crate::binpkg::selection::{Selection, age};
use crate::build::package::index_header;
use crate::build::packaging::pkgdir_options;
use crate::config::{Config, Options};
use crate::util::causes::causes;

/// Runs `ebd binpkg`.
pub(super) fn main(arguments: Binpkg) -> Exit {
    let (json, done) = match arguments.command {
        BinpkgCommand::Serve(arguments) => (arguments.store.json, serve::run(&arguments)),
        BinpkgCommand::List(arguments) => (arguments.store.json, list::run(&arguments)),
        BinpkgCommand::Show(arguments) => (arguments.store.json, show::run(&arguments)),
        BinpkgCommand::Extract(arguments) => (arguments.store.json, extract::run(&arguments)),
        BinpkgCommand::Check(store) => (store.json, index::check(&store)),
        BinpkgCommand::Fix(store) => (store.json, index::fix(&store)),
        BinpkgCommand::Verify(arguments) => (arguments.store.json, verify::run(&arguments)),
        BinpkgCommand::Sign(arguments) => (arguments.store.json, verify::sign(&arguments)),
        BinpkgCommand::Prune(arguments) => (arguments.store.json, prune::run(&arguments)),
        BinpkgCommand::Move(arguments) => (arguments.store.json, moves::run(&arguments)),
        BinpkgCommand::Quickpkg(arguments) => (arguments.store.json, quickpkg::run(&arguments)),
        BinpkgCommand::Import(arguments) => (arguments.store.json, import::run(&arguments)),
    };
    done.unwrap_or_else(|Failure(causes)| {
        tell_error(&causes, json);
        Exit::Failed
    })
}

/// A PKGDIR and the configuration that it belongs to.
struct Opened {
    config: Config,
    pkgdir: Pkgdir,
}

impl Opened {
    /// Opens the PKGDIR that was named, or the configured one; it must be there unless it is to be `made`.
    fn new(store: &Store, made: bool) -> Result<Self, Failure> {
        Self::with(configuration(store, None, &[])?, made)
    }

    /// Opens the PKGDIR of a configuration.
    fn with(config: Config, made: bool) -> Result<Self, Failure> {
        let feature = |name: &str| config.features().contains(name);
        let options = pkgdir_options(feature);
        let pkgdir = match made {
            true => Pkgdir::open(&config.pkgdir(), options)?,
            false => Pkgdir::existing(&config.pkgdir(), options)?,
        };
        Ok(Self { config, pkgdir })
    }

    fn header(&self) -> HeaderSettings {
        index_header(&self.config)
    }

    /// Reads the index. One without entries where there are packages is told, lest it looks as if there were none.
    fn index(&self, json: bool) -> Result<Index, Failure> {
        let index = Index::read(&self.pkgdir.index_path())?;
        if index.entries().is_empty() {
            self.tell_unlisted(self.pkgdir.list()?.len(), json);
        }
        Ok(index)
    }

    /// Tells of packages that are not in the index.
    fn tell_unlisted(&self, count: usize, json: bool) {
        if count == 0 {
            return;
        }
        let files = match count {
            1 => "1 package file".to_owned(),
            _ => format!("{count} package files"),
        };
        let what = match (self.pkgdir.index_path().exists(), count) {
            (false, _) => format!("there is no package index, but {files}"),
            (true, 1) => format!("{files} is not in the index"),
            (true, _) => format!("{files} are not in the index"),
        };
        let text = format!(
            "{}: {what}; ebd binpkg fix takes them up",
            self.pkgdir.path().display()
        );
        warn(&text, json);
    }

    /// A setting, as the functions that make signers want it.
    fn setting(&self, name: &str) -> Option<String> {
        self.config.get(name).map(str::to_owned)
    }
}

/// The configuration that was named, for what is installed below `root`, with more repositories. What may not be meant so
/// in it is told.
fn configuration(store: &Store, root: Option<&Path>, repos: &[PathBuf]) -> Result<Config, Failure> {
    let config = Config::load(&Options {
        extra_repos: repos.to_vec(),
        root: root.map(Path::to_owned),
        config_root: store.config_root.clone(),
        pkgdir: store.pkgdir.as_deref().map(absolute),
        ..Options::from_process()
    })?;
    for text in config.warnings() {
        warn(text, store.json);
    }
    Ok(config)
}

/// Whether a text names a file and no package.
fn is_file(text: &str) -> bool {
    Path::new(text).is_file()
}

/// The packages that were named, which must be there.
fn wanted<'a>(
    config: &Config,
    index: &'a Index,
    atoms: &[String],
) -> Result<Vec<&'a Entry>, Failure> {
    let selection = Selection::parse(atoms, config.repositories().names())?;
    selection.check([index])?;
    let found = selection.of(index);
    if found.is_empty() && !atoms.is_empty() {
        return Err(Failure(vec![format!(
            "{}: no package in the index is called so",
            atoms.join(" ")
        )]));
    }
    Ok(found)
}

/// The newest of some packages.
fn newest<'a>(entries: &[&'a Entry]) -> Option<&'a Entry> {
    entries.iter().copied().max_by_key(|entry| age(entry))
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}

/// Prints a line of JSON, or of text.
fn line(json: Option<serde_json::Value>, text: &str) {
    match json {
        Some(value) => stdout::line(value),
        None => stdout::line(text),
    }
}

/// Tells of something that went wrong.
fn tell(error: &dyn std::error::Error, json: bool) {
    tell_error(&causes(error), json);
}

/// Tells of something that may not be as it was meant.
fn warn(text: &str, json: bool) {
    if json {
        line(Some(json!({ "event": "warning", "message": text })), "");
        return;
    }
    let word = Paint::new(When::Auto).warn("warning:");
    let _ = writeln!(std::io::stderr(), "{word} {text}");
}

fn tell_error(causes: &[String], json: bool) {
    let display = Display {
        verbose: false,
        quiet: false,
        json,
        color: When::Auto,
    };
    complain(&display, causes);
}
