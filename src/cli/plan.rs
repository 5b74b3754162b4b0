//! Showing what would be built.

use std::collections::BTreeMap;

use super::stdout;
use crate::binpkg::selection;
use crate::build::binaries::Chosen;
use crate::build::candidate::Candidate;
use crate::build::fetching::Distfiles;
use crate::build::run::Plan;
use crate::config::Config;
use crate::pms::atom::PackageFacts;

/// Prints the plan to standard output: a line per package, or an object per line.
pub(super) fn show(plan: &Plan, config: &Config, json: bool) {
    for candidate in &plan.candidates {
        let flags = flags(candidate, config);
        let line = if json {
            let flags: BTreeMap<&str, BTreeMap<&str, bool>> = flags
                .iter()
                .map(|(name, flags)| {
                    let flags = flags.iter().map(|(f, on)| (f.as_str(), *on));
                    (name.as_str(), flags.collect())
                })
                .collect();
            serde_json::json!({
                "event": "planned",
                "package": candidate.cpv().to_string(),
                "repository": &*candidate.ebuild.repository,
                "eapi": candidate.eapi.name(),
                "slot": candidate.value("SLOT"),
                "use": flags,
                "distfiles": Distfiles::of(candidate).map(|d| d.wanted).unwrap_or_default(),
            })
            .to_string()
        } else {
            let mut line = format!("{}::{}", candidate.cpv(), candidate.ebuild.repository);
            for (name, flags) in &flags {
                let words: Vec<String> = flags
                    .iter()
                    .map(|(flag, on)| format!("{}{flag}", if *on { "" } else { "-" }))
                    .collect();
                line.push_str(&format!(" {name}=\"{}\"", words.join(" ")));
            }
            line
        };
        stdout::line(line);
    }
}

/// Prints that a binary package would be used.
pub(super) fn show_binary(chosen: &Chosen, json: bool) {
    let entry = &chosen.instance.entry;
    let flags = selection::flags(entry);
    let line = if json {
        let flags: BTreeMap<&str, bool> = flags.into_iter().collect();
        serde_json::json!({
            "event": "planned-binary",
            "package": entry.cpv(),
            "repository": entry.get("REPO"),
            "path": entry.path(),
            "build_id": entry.build_id(),
            "build_time": entry.build_time(),
            "size": entry.size(),
            "host": chosen.host,
            "use": flags,
        })
        .to_string()
    } else {
        let words: Vec<String> = flags
            .iter()
            .map(|(flag, on)| format!("{}{flag}", if *on { "" } else { "-" }))
            .collect();
        let id = entry
            .build_id()
            .map_or_else(String::new, |id| format!("-{id}"));
        let host = match &chosen.host {
            Some(host) => format!(" of {host}"),
            None => String::new(),
        };
        format!(
            "{}{id}::{} USE=\"{}\" binary package {}{host}",
            entry.cpv(),
            entry.get("REPO").unwrap_or_default(),
            words.join(" "),
            entry.path()
        )
    };
    stdout::line(line);
}

/// The flags of IUSE by the USE_EXPAND variable that they belong to, the enabled ones first.
fn flags(candidate: &Candidate, config: &Config) -> Vec<(String, Vec<(String, bool)>)> {
    let expanded: Vec<(String, &str)> = config
        .get("USE_EXPAND")
        .unwrap_or_default()
        .split_whitespace()
        .map(|name| (format!("{}_", name.to_lowercase()), name))
        .collect();
    let hidden: Vec<&str> = config
        .get("USE_EXPAND_HIDDEN")
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let mut groups: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for word in candidate.value("IUSE").split_whitespace() {
        let flag = word.trim_start_matches(['+', '-']);
        let on = candidate.has_use(flag);
        let group = expanded
            .iter()
            .filter(|(prefix, _)| flag.starts_with(prefix))
            .max_by_key(|(prefix, _)| prefix.len());
        let (name, shown) = match group {
            Some((prefix, name)) => (*name, flag.get(prefix.len()..).unwrap_or(flag)),
            None => ("USE", flag),
        };
        if !hidden.contains(&name) {
            groups
                .entry(name.to_owned())
                .or_default()
                .push((shown.to_owned(), on));
        }
    }
    for flags in groups.values_mut() {
        flags.sort_by(|a, b| (!a.1, &a.0).cmp(&(!b.1, &b.0)));
        flags.dedup();
    }
    let mut ordered: Vec<_> = groups.into_iter().collect();
    // USE comes before what is expanded into it.
    ordered.sort_by_key(|(name, _)| name != "USE");
    ordered
}
