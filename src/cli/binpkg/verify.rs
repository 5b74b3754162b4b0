//! `ebd binpkg verify` and `ebd binpkg sign`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Opened, is_file, line, tell, tell_error, wanted};
use crate::binpkg::audit::{self, Audit};
use crate::binpkg::index::Index;
use crate::binpkg::signature::{Policy, Signer, Verifier};
use crate::cli::arguments::binpkg::{Named, Verify};
use crate::cli::build::Failure;
use crate::cli::exit::Exit;
use crate::util::causes::causes;

pub(super) fn run(arguments: &Verify) -> Result<Exit, Failure> {
    let (files, atoms): (Vec<String>, Vec<String>) = arguments
        .packages
        .iter()
        .cloned()
        .partition(|text| is_file(text));
    let in_pkgdir = files.is_empty() || !atoms.is_empty();
    let opened = Opened::new(&arguments.store, !in_pkgdir)?;
    let policy = match (arguments.require_signature, arguments.ignore_signature) {
        (true, _) => Policy::Require,
        (_, true) => Policy::Ignore,
        _ => Policy::from_features(|name| opened.config.features().contains(name)),
    };
    let verifier = match policy {
        Policy::Ignore => None,
        _ => Some(Verifier::from_settings(&|name| opened.setting(name))?),
    };
    let audit = Audit { policy, verifier };
    let json = arguments.store.json;
    let mut bad = 0;
    let mut count = 0;
    // Whether all of PKGDIR could be looked at, as far as that was asked for.
    let mut complete = true;
    let mut one = |path: &Path, result: Result<bool, Vec<String>>| {
        count += 1;
        match result {
            Ok(signed) => {
                let value = json!({ "event": "good", "path": path, "signed": signed });
                let how = if signed { "good, and signed" } else { "good" };
                line(
                    arguments.store.json.then_some(value),
                    &format!("{}: {how}", path.display()),
                );
            }
            Err(mut causes) => {
                bad += 1;
                let shown = path.display().to_string();
                if let Some(first) = causes.first_mut()
                    && !first.contains(&shown)
                {
                    *first = format!("{shown}: {first}");
                }
                tell_error(&causes, arguments.store.json);
            }
        }
    };
    for file in &files {
        let path = PathBuf::from(file);
        one(&path, audit.file(&path).map_err(|error| causes(&error)));
    }
    if in_pkgdir {
        let index = match atoms.is_empty() {
            true => Index::read(&opened.pkgdir.index_path())?,
            false => opened.index(json)?,
        };
        for entry in wanted(&opened.config, &index, &atoms)? {
            let path = PathBuf::from(entry.path().as_ref());
            let result = audit.entry(&opened.pkgdir, entry);
            one(&path, result.map_err(|error| causes(&error)));
        }
        if atoms.is_empty() {
            let (unlisted, unread) = opened.pkgdir.unlisted(&index)?;
            for file in &unlisted {
                let path = opened.pkgdir.path().join(file.path());
                let result = audit.file(&path);
                one(file.path(), result.map_err(|error| causes(&error)));
            }
            opened.tell_unlisted(unlisted.len(), json);
            unread.iter().for_each(|unread| tell(unread, json));
            complete = unread.is_empty();
        }
    }
    if !json {
        line(
            None,
            &format!("{} of {count} packages are good", count - bad),
        );
    }
    Ok(match bad == 0 && complete {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

pub(super) fn sign(arguments: &Named) -> Result<Exit, Failure> {
    let opened = Opened::new(&arguments.store, false)?;
    let index = opened.index(arguments.store.json)?;
    let signer = Signer::from_settings(&|name| opened.setting(name))?;
    for entry in wanted(&opened.config, &index, &arguments.atoms)? {
        let written = audit::sign(&opened.pkgdir, entry, &signer, &opened.header())?;
        let value = json!({ "event": "signed", "path": written.relative_path });
        line(
            arguments.store.json.then_some(value),
            &format!("{}: signed", written.relative_path.display()),
        );
    }
    Ok(Exit::Done)
}
