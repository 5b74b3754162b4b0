//! `ebd binpkg check` and `ebd binpkg fix`.

use serde_json::json;

use super::{Opened, line};
use crate::binpkg::repair::{self, Finding};
use crate::cli::arguments::binpkg::Store;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;
use crate::util::causes::causes;

pub(super) fn check(store: &Store) -> Result<Exit, Failure> {
    let opened = Opened::new(store, false)?;
    let findings = repair::check(&opened.pkgdir)?;
    tell(&findings, store.json);
    if !store.json && findings.is_empty() {
        line(None, "nothing is wrong");
    }
    Ok(match findings.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

pub(super) fn fix(store: &Store) -> Result<Exit, Failure> {
    let opened = Opened::new(store, false)?;
    let repaired = repair::fix(&opened.pkgdir, &opened.header())?;
    tell(&repaired.findings, store.json);
    let count = |is_it: fn(&Finding) -> bool| {
        let findings = repaired.findings.iter();
        findings.filter(|finding| is_it(finding)).count()
    };
    let value = json!({
        "event": "fixed",
        "written": repaired.written,
        "packages": repaired.packages,
        "unusable": count(|finding| matches!(finding, Finding::Unusable(_))),
        "left_over": count(|finding| matches!(finding, Finding::LeftOver(_))),
        "unread": count(|finding| matches!(finding, Finding::Unread(_))),
    });
    let what = if repaired.written {
        "written"
    } else {
        "left as it was"
    };
    line(
        store.json.then_some(value),
        &format!("{} packages, the index was {what}", repaired.packages),
    );
    // What is no package, or cannot be read, could not be mended.
    Ok(match repaired.findings.iter().all(Finding::is_mended) {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

fn tell(findings: &[Finding], json: bool) {
    for finding in findings {
        let value = json!({
            "event": "found",
            "causes": causes(finding),
            "index": finding.is_of_index(),
        });
        line(json.then_some(value), &causes(finding).join(": "));
    }
}
