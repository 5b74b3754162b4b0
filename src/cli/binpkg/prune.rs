//! `ebd binpkg prune`.

use indicatif::HumanBytes;
use serde_json::json;

use super::{Opened, line, now};
use crate::binpkg::prune::{Rule, Rules, choose, prune};
use crate::binpkg::selection::Selection;
use crate::cli::arguments::binpkg::Prune;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;

pub(super) fn run(arguments: &Prune) -> Result<Exit, Failure> {
    let opened = Opened::new(&arguments.store, false)?;
    let selection = Selection::parse(&arguments.atoms)?;
    let rules = Rules {
        keep: arguments.keep,
        per_use: arguments.per_use,
        older_than: arguments.older_than,
        max_size: arguments.max_size,
    };
    let going = match arguments.pretend {
        true => choose(&opened.index()?, &selection, rules, now()),
        false => prune(&opened.pkgdir, &selection, rules, now(), &opened.header())?,
    };
    let json = arguments.store.json;
    for (rule, entry) in &going {
        let value = json!({
            "event": if arguments.pretend { "would remove" } else { "removed" },
            "rule": rule.name(),
            "path": entry.path(),
            "size": entry.size(),
        });
        let text = format!("{:10}  {}", rule.name(), entry.path());
        line(json.then_some(value), &text);
    }
    let did = if arguments.pretend {
        "would free"
    } else {
        "freed"
    };
    let given = [
        (Rule::Keep, rules.keep.is_some()),
        (Rule::OlderThan, rules.older_than.is_some()),
        (Rule::MaxSize, rules.max_size.is_some()),
    ];
    for (rule, _) in given.into_iter().filter(|(_, given)| *given) {
        let of_it = going.iter().filter(|(by, _)| *by == rule);
        let count = of_it.clone().count();
        let bytes: u64 = of_it.filter_map(|(_, entry)| entry.size()).sum();
        let value = json!({
            "event": "rule",
            "rule": rule.name(),
            "packages": count,
            "bytes": bytes,
        });
        let text = format!(
            "--{} {did} {} in {count} packages",
            rule.name(),
            HumanBytes(bytes)
        );
        line(json.then_some(value), &text);
    }
    Ok(Exit::Done)
}
