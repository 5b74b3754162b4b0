//! `ebd binpkg list`.

use indicatif::HumanBytes;
use serde_json::json;

use super::{Opened, line, remote, wanted};
use crate::binpkg::index::Entry;
use crate::binpkg::pkgdir::Format;
use crate::binpkg::selection::flags;
use crate::cli::arguments::binpkg::List;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;
use crate::util::date::minute;

pub(super) fn run(arguments: &List) -> Result<Exit, Failure> {
    if arguments.remote || arguments.host.is_some() {
        return remote::list(arguments);
    }
    let opened = Opened::new(&arguments.store, false)?;
    let index = opened.index(arguments.store.json)?;
    show(
        &wanted(&opened.config, &index, &arguments.atoms)?,
        arguments.store.json,
    );
    Ok(Exit::Done)
}

/// Prints packages, builds of one version together.
pub(super) fn show(entries: &[&Entry], json: bool) {
    let mut above: Option<&Entry> = None;
    for entry in entries {
        if json {
            line(Some(as_json(entry)), "");
            continue;
        }
        let above_it = above.filter(|above| above.cpv() == entry.cpv());
        if above_it.is_none() {
            line(None, entry.cpv());
        }
        line(None, &row(entry, above_it));
        above = Some(entry);
    }
}

fn row(entry: &Entry, above: Option<&Entry>) -> String {
    let id = entry
        .build_id()
        .map_or_else(|| "-".to_owned(), |id| id.to_string());
    let time = entry.build_time().or(entry.mtime()).unwrap_or(0);
    let time = minute(u64::try_from(time).unwrap_or(0));
    let size = HumanBytes(entry.size().unwrap_or(0)).to_string();
    let text = format!(
        "  {id:>4}  {time}  {:4}  {size:>11}  {}",
        format_of(entry),
        uses(entry, above)
    );
    text.trim_end().to_owned()
}

/// The format that the path of an entry says.
fn format_of(entry: &Entry) -> &'static str {
    Format::of_name(std::path::Path::new(entry.path().as_ref())).map_or("?", Format::name)
}

/// The flags of a package; behind another of the same version only what differs.
pub(super) fn uses(entry: &Entry, above: Option<&Entry>) -> String {
    let own = flags(entry);
    let words: Vec<String> = match above {
        None => own
            .iter()
            .map(|(flag, on)| format!("{}{flag}", if *on { "" } else { "-" }))
            .collect(),
        Some(above) => {
            let before = flags(above);
            let changed = own.iter().filter(|flag| !before.contains(flag));
            let gone = before
                .iter()
                .filter(|(flag, _)| own.iter().all(|(known, _)| known != flag));
            changed
                .map(|(flag, on)| format!("{}{flag}", if *on { "+" } else { "-" }))
                .chain(gone.map(|(flag, _)| format!("no {flag}")))
                .collect()
        }
    };
    match (words.is_empty(), above) {
        (false, _) => words.join(" "),
        (true, Some(_)) => "as above".to_owned(),
        (true, None) => String::new(),
    }
}

pub(super) fn as_json(entry: &Entry) -> serde_json::Value {
    let flags: serde_json::Map<String, serde_json::Value> = flags(entry)
        .into_iter()
        .map(|(flag, on)| (flag.to_owned(), json!(on)))
        .collect();
    json!({
        "cpv": entry.cpv(),
        "build_id": entry.build_id(),
        "build_time": entry.build_time(),
        "mtime": entry.mtime(),
        "size": entry.size(),
        "format": format_of(entry),
        "path": entry.path(),
        "slot": entry.get("SLOT"),
        "repository": entry.get("REPO"),
        "use": flags,
    })
}
