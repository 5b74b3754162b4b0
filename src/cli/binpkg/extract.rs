//! `ebd binpkg extract`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Opened, is_file, line, newest, wanted};
use crate::binpkg::package::Package;
use crate::binpkg::unpack::{UnpackError, UnpackOptions, unpack};
use crate::cli::arguments::binpkg::Extract;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;

pub(super) fn run(arguments: &Extract) -> Result<Exit, Failure> {
    let path = find(arguments)?;
    let mut package = Package::open(&path)?;
    let folder = &arguments.folder;
    let (entries, bytes) = if arguments.metadata {
        metadata(&mut package, folder)?
    } else {
        let prefix = package.image_prefix();
        let options = UnpackOptions {
            preserve: arguments.preserve,
        };
        let done = unpack(package.image()?, prefix, folder, options)?;
        (done.entries, done.bytes)
    };
    let value = json!({
        "package": path,
        "folder": folder,
        "entries": entries,
        "bytes": bytes,
    });
    line(
        arguments.store.json.then_some(value),
        &format!(
            "{}: {entries} files and folders in {}",
            path.display(),
            folder.display()
        ),
    );
    Ok(Exit::Done)
}

fn find(arguments: &Extract) -> Result<PathBuf, Failure> {
    if is_file(&arguments.package) {
        return Ok(PathBuf::from(&arguments.package));
    }
    let opened = Opened::new(&arguments.store, false)?;
    let index = opened.index(arguments.store.json)?;
    let found = wanted(
        &opened.config,
        &index,
        std::slice::from_ref(&arguments.package),
    )?;
    newest(&found)
        .and_then(|entry| opened.pkgdir.path_of(entry))
        .ok_or_else(|| Failure(vec![format!("{}: there is no file", arguments.package)]))
}

/// Writes the metadata, a file each.
fn metadata(package: &mut Package, folder: &Path) -> Result<(u64, u64), Failure> {
    let metadata = package.metadata()?;
    let fail = |source| UnpackError::Directory {
        path: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(fail)?;
    if std::fs::read_dir(folder).map_err(fail)?.next().is_some() {
        return Err(UnpackError::NotEmpty {
            path: folder.to_owned(),
        }
        .into());
    }
    let mut bytes = 0;
    for (name, content) in &metadata {
        // The names were found to be no paths when the metadata was read.
        std::fs::write(folder.join(name), content).map_err(fail)?;
        bytes += content.len() as u64;
    }
    Ok((metadata.len() as u64, bytes))
}
