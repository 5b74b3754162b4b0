//! `ebd binpkg show`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Opened, is_file, line, wanted};
use crate::binpkg::gpkg::GpkgFile;
use crate::binpkg::index::Entry;
use crate::binpkg::package::Package;
use crate::binpkg::xpak::Metadata;
use crate::cli::arguments::binpkg::Show;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;
use crate::cli::stdout;

/// Metadata of more bytes is told by its size.
const LONGEST_SHOWN: usize = 2000;

pub(super) fn run(arguments: &Show) -> Result<Exit, Failure> {
    let (files, atoms): (Vec<String>, Vec<String>) = arguments
        .packages
        .iter()
        .cloned()
        .partition(|text| is_file(text));
    for file in files {
        one(None, PathBuf::from(file), arguments)?;
    }
    if !atoms.is_empty() {
        let opened = Opened::new(&arguments.store, false)?;
        let index = opened.index(arguments.store.json)?;
        for entry in wanted(&opened.config, &index, &atoms)? {
            let path = opened.pkgdir.path_of(entry);
            let path = path
                .ok_or_else(|| Failure(vec![format!("{}: leads out of PKGDIR", entry.path())]))?;
            one(Some(entry), path, arguments)?;
        }
    }
    Ok(Exit::Done)
}

fn one(entry: Option<&Entry>, path: PathBuf, arguments: &Show) -> Result<(), Failure> {
    let mut package = Package::open(&path)?;
    let metadata = package.metadata()?;
    if let Some(name) = &arguments.file {
        let Some(content) = metadata.get(name) else {
            return Err(Failure(vec![format!(
                "{}: the metadata has no {name}",
                path.display()
            )]));
        };
        stdout::write(content);
        return Ok(());
    }
    let signed = match &package {
        Package::Gpkg(package) => package.is_signed(),
        Package::Xpak(_) => false,
    };
    if arguments.store.json {
        line(Some(as_json(entry, &path, &package, signed, &metadata)), "");
        return Ok(());
    }
    line(None, &format!("{}", path.display()));
    let kind = match &package {
        Package::Gpkg(package) => container(package, signed),
        Package::Xpak(_) => "xpak".to_owned(),
    };
    line(None, &format!("  format: {kind}"));
    if let Some(entry) = entry {
        for (key, value) in entry.iter().filter(|(key, _)| *key != "PATH") {
            line(None, &format!("  {key}: {value}"));
        }
    }
    line(None, "  metadata:");
    for (name, content) in &metadata {
        let shown = match std::str::from_utf8(content) {
            Ok(text) if text.len() <= LONGEST_SHOWN && text.trim_end().lines().count() <= 1 => {
                text.trim_end().to_owned()
            }
            _ => format!("({} bytes)", content.len()),
        };
        line(None, &format!("    {name}: {shown}"));
    }
    Ok(())
}

fn container(package: &GpkgFile, signed: bool) -> String {
    format!(
        "gpkg, {}, {}",
        match package.image_algorithm().name() {
            "none" => "not compressed",
            name => name,
        },
        if signed { "signed" } else { "not signed" }
    )
}

fn as_json(
    entry: Option<&Entry>,
    path: &Path,
    package: &Package,
    signed: bool,
    metadata: &Metadata,
) -> serde_json::Value {
    let entry: Option<serde_json::Map<String, serde_json::Value>> = entry.map(|entry| {
        entry
            .iter()
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect()
    });
    // What is no text is told by its size.
    let metadata: serde_json::Map<String, serde_json::Value> = metadata
        .iter()
        .map(|(name, content)| {
            let value = match std::str::from_utf8(content) {
                Ok(text) => json!(text),
                Err(_) => json!({ "bytes": content.len() }),
            };
            (name.clone(), value)
        })
        .collect();
    json!({
        "path": path,
        "format": package.format().name(),
        "signed": signed,
        "entry": entry,
        "metadata": metadata,
    })
}
