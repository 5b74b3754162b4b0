//! The configuration as a build was started with it, to say what of it has changed.

use std::collections::BTreeMap;
use std::fs;

use super::candidate::Candidate;
use super::directories::Directories;
use super::runtime::RuntimeError;
use super::state;
use crate::util::anew::write_anew;

/// The file's name among what the supervisor keeps.
const FILE: &str = "configuration.json";

/// What the phases depend on of the configuration of `candidate`.
fn configuration(candidate: &Candidate) -> BTreeMap<String, String> {
    let variables = candidate.config.variables.iter();
    let variables = variables.filter(|(name, _)| !state::is_indifferent(name));
    let mut all: BTreeMap<String, String> = variables
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let flags: Vec<&str> = candidate.config.use_flags.iter().map(|it| &**it).collect();
    all.insert("USE".into(), flags.join(" "));
    all
}

/// Keeps the configuration of `candidate`.
///
/// # Errors
/// The file cannot be written.
pub fn keep(directories: &Directories, candidate: &Candidate) -> Result<(), RuntimeError> {
    let path = directories.kept().join(FILE);
    serde_json::to_vec(&configuration(candidate))
        .map_err(std::io::Error::from)
        // There may be passwords in it.
        .and_then(|text| write_anew(&path, &text, 0o600))
        .map_err(|source| RuntimeError { path, source })
}

/// The variables that are not as they were; none if that is not known.
#[must_use]
pub fn changed(directories: &Directories, candidate: &Candidate) -> Vec<String> {
    let read = fs::read(directories.kept().join(FILE)).ok();
    let kept: Option<BTreeMap<String, String>> =
        read.and_then(|text| serde_json::from_slice(&text).ok());
    let Some(kept) = kept else {
        return Vec::new();
    };
    let present = configuration(candidate);
    let names = kept.keys().chain(present.keys());
    let mut changed: Vec<String> = names
        .filter(|name| kept.get(*name) != present.get(*name))
        .cloned()
        .collect();
    changed.sort();
    changed.dedup();
    changed
}
