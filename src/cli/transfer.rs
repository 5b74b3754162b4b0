//! `ebd transfer`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::arguments;
use super::arguments::When;
use super::exit::Exit;
use super::paint::Paint;
use super::stdout;
use crate::config::{Options, repositories};
use crate::metadata::transfer::{Extent, Summary, transfer};
use crate::metadata::{Cache, CacheFormat, MetadataError, Tree};
use crate::repo::Repository;
use crate::util::causes::causes;

/// Runs `ebd transfer`.
pub(super) fn main(arguments: &arguments::Transfer) -> Exit {
    match work(arguments) {
        Ok((summary, target)) => {
            show(&summary, &target, arguments.json);
            if summary.faults.is_empty() {
                Exit::Done
            } else {
                Exit::Failed
            }
        }
        Err(causes) => {
            complain(&causes, None, arguments.json);
            Exit::Failed
        }
    }
}

/// Finds the caches and what is needed between them, and transfers.
fn work(arguments: &arguments::Transfer) -> Result<(Summary, Cache), Vec<String>> {
    let (from, to) = (
        repository_at(&arguments.source)?,
        repository_at(&arguments.target)?,
    );
    let source = match &from {
        Some(repository) => Cache::shipped(repository),
        None => Cache::detect(&arguments.source),
    };
    let source = source
        .map_err(|error| causes(&error))?
        .ok_or_else(|| causes(&nothing_in(&arguments.source)))?;
    let target = match &to {
        Some(repository) => Cache::to_ship(repository, arguments.format),
        None => match arguments.format {
            Some(format) => Ok(Cache::open(&arguments.target, format)),
            None => Cache::detect(&arguments.target).map(|found| {
                found.unwrap_or_else(|| Cache::open(&arguments.target, source.format()))
            }),
        },
    };
    let target = target.map_err(|error| causes(&error))?;
    let given = match arguments.repos.first() {
        Some(path) => Some(Repository::open(path).map_err(|error| causes(&error))?),
        None => None,
    };
    // Times are those of the repository that has, or gets, the cache with the times.
    let (first, second) = match source.format().is_md5() {
        true => (&to, &from),
        false => (&from, &to),
    };
    let entries_of = first.as_ref().or(second.as_ref()).or(given.as_ref());
    let needed = target.format().needs_repository(source.format());
    let set;
    let tree = match entries_of {
        // repos.conf is read for the repository's masters, so only where eclasses count.
        Some(repository) if needed || given.is_some() => {
            let mut extra_repos = arguments.repos.clone();
            extra_repos.push(repository.location().to_owned());
            let options = Options {
                config_root: arguments.config_root.clone(),
                config_file: arguments.config.clone(),
                extra_repos,
                ..Options::from_process()
            };
            let warnings;
            (set, warnings) = repositories(&options).map_err(|error| causes(&error))?;
            for warning in warnings {
                let _ = writeln!(std::io::stderr(), "ebd: {warning}");
            }
            Some(Tree {
                repositories: &set,
                name: repository.name(),
            })
        }
        _ => None,
    };
    if needed && tree.is_none() {
        let format = target.format();
        return Err(causes(&MetadataError::NeedsRepository { format }));
    }
    let extent = match arguments.keep_extra {
        true => Extent::KeepExtra,
        false => Extent::Whole,
    };
    let summary = transfer(&source, &target, tree, extent);
    Ok((summary.map_err(|error| causes(&error))?, target))
}

/// Why there is no cache at a path.
fn nothing_in(path: &Path) -> MetadataError {
    let cache = Cache::open(path, CacheFormat::Md5Dict);
    match cache.names() {
        Ok(names) => match names.first() {
            Some(cpv) => MetadataError::NoFormat {
                path: cache.path(cpv),
            },
            None => MetadataError::NoEntries {
                path: path.to_owned(),
            },
        },
        Err(error) => error,
    }
}

/// The repository at a path, unless that is a folder with nothing but a cache.
fn repository_at(path: &Path) -> Result<Option<Repository>, Vec<String>> {
    let parts = [
        "profiles",
        "metadata/layout.conf",
        "metadata/md5-cache",
        "metadata/cache",
    ];
    if !parts.iter().any(|part| path.join(part).exists()) {
        return Ok(None);
    }
    let repository = Repository::open(path).map_err(|error| causes(&error))?;
    Ok(Some(repository))
}

/// Tells what was done: faults to standard error, the summary to standard output.
fn show(summary: &Summary, target: &Cache, json: bool) {
    for fault in &summary.faults {
        complain(&causes(&fault.error), Some(&fault.path), json);
    }
    if json {
        let line = serde_json::json!({
            "event": "transferred",
            "path": target.directory(),
            "format": target.format().name(),
            "written": summary.written,
            "unchanged": summary.unchanged,
            "removed": summary.removed,
            "failed": summary.faults.len(),
            "unusable": summary.unusable,
            "lost": summary.lost,
        });
        stdout::line(line);
        return;
    }
    let unusable: usize = summary.unusable.values().sum();
    stdout::line(format_args!(
        "{} ({}): {} written, {} unchanged, {} removed, {unusable} unusable, {} failed",
        target.directory().display(),
        target.format(),
        summary.written,
        summary.unchanged,
        summary.removed,
        summary.faults.len(),
    ));
    let paint = Paint::new(When::Auto);
    let mut notes = std::io::stderr().lock();
    for (eapi, count) in &summary.unusable {
        let _ = writeln!(
            notes,
            "{} {} of EAPI {eapi}, which ebd does not know: carried, but no use",
            paint.warn("note:"),
            entries(*count)
        );
    }
    for (count, keys) in by_count(&summary.lost) {
        let _ = writeln!(
            notes,
            "{} {} lost {}, for which {} has no place",
            paint.warn("note:"),
            entries(count),
            keys.join(", "),
            target.format(),
        );
    }
}

fn entries(count: usize) -> String {
    match count {
        1 => "1 entry".to_owned(),
        _ => format!("{count} entries"),
    }
}

/// Keys by how many entries lost them, the most first.
fn by_count(lost: &BTreeMap<String, usize>) -> Vec<(usize, Vec<&str>)> {
    let mut counts: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (key, count) in lost {
        counts.entry(*count).or_default().push(key);
    }
    counts.into_iter().rev().collect()
}

/// Prints an error. `path` is the entry that it is about.
fn complain(causes: &[String], path: Option<&PathBuf>, json: bool) {
    if json {
        let mut line = serde_json::json!({ "event": "error", "causes": causes });
        if let (Some(path), Some(object)) = (path, line.as_object_mut()) {
            object.insert("path".to_owned(), serde_json::json!(path));
        }
        stdout::line(line);
        return;
    }
    let mut causes = causes.iter();
    let first = causes.next().map_or("", String::as_str);
    // Some errors name the file themselves.
    let place = path
        .map(|path| format!("{}: ", path.display()))
        .filter(|place| !first.starts_with(place.as_str()))
        .unwrap_or_default();
    let mut text = format!("{} {place}{first}", Paint::new(When::Auto).bad("error:"));
    for cause in causes {
        text.push_str(&format!("\n  because: {}", cause.replace('\n', "\n    ")));
    }
    let _ = writeln!(std::io::stderr(), "{text}");
}
