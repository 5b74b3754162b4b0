//! `ebd binpkg move`.

use serde_json::json;

use super::{Opened, configuration, line, tell, tell_error};
use crate::binpkg::audit::Audit;
use crate::binpkg::moves::{Change, Moves, Resigning, apply};
use crate::binpkg::signature::{Policy, Signer, Verifier};
use crate::cli::arguments::binpkg::Move;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;

pub(super) fn run(arguments: &Move) -> Result<Exit, Failure> {
    let json = arguments.store.json;
    let opened = Opened::with(
        configuration(&arguments.store, None, &arguments.repos)?,
        false,
    )?;
    let repositories = opened.config.repositories();
    let mut moves = Moves {
        main: repositories.main().map(|main| main.name().to_owned()),
        ..Moves::default()
    };
    for repository in repositories.repositories() {
        if let Some(updates) = repository.updates()? {
            for fault in updates.faults {
                tell_error(&[fault], json);
            }
            moves
                .repositories
                .insert(repository.name().to_owned(), updates.list);
        }
    }
    let changes = moves.changes(&opened.index(json)?);
    let header = opened.header();
    let resigning = resigning(&opened)?;
    let mut done = Exit::Done;
    for change in &changes {
        let path = match arguments.pretend {
            true => None,
            false => match apply(&opened.pkgdir, change, &moves, &header, resigning.as_ref()) {
                Ok(path) => Some(path),
                Err(error) => {
                    tell(&error, json);
                    done = Exit::Failed;
                    continue;
                }
            },
        };
        let value = json!({
            "event": if arguments.pretend { "would-change" } else { "changed" },
            "from": change.entry.path(),
            "path": path,
            "cpv": change.name.as_ref().map(ToString::to_string),
            "slot": change.slot,
            "dependencies": change.dependencies,
        });
        line(json.then_some(value), &shown(change));
    }
    if !json {
        line(None, &format!("{} packages have changes", changes.len()));
    }
    Ok(done)
}

fn shown(change: &Change) -> String {
    let mut parts = Vec::new();
    if let Some(name) = &change.name {
        parts.push(format!("is {name} now"));
    }
    if let Some(slot) = &change.slot {
        parts.push(format!("is in slot {slot} now"));
    }
    let keys: Vec<&str> = change.dependencies.keys().copied().collect();
    if !keys.is_empty() {
        parts.push(format!("has other names in {}", keys.join(", ")));
    }
    format!("{}: {}", change.entry.path(), parts.join(", "))
}

/// How signed packages are signed anew, if a key is configured.
fn resigning(opened: &Opened) -> Result<Option<Resigning>, Failure> {
    let setting = |name: &str| opened.setting(name);
    let key = setting("BINPKG_GPG_SIGNING_KEY").is_some_and(|key| !key.is_empty());
    if !key && !opened.config.features().contains("binpkg-signing") {
        return Ok(None);
    }
    let audit = Audit {
        policy: Policy::Require,
        verifier: Some(Verifier::from_settings(&setting)?),
    };
    Ok(Some(Resigning {
        signer: Signer::from_settings(&setting)?,
        audit,
    }))
}
