//! `ebd binpkg prune`.

use indicatif::HumanBytes;
use serde_json::json;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Opened, line, now};
use crate::binhost::choice::Wish;
use crate::binhost::instances::Instance;
use crate::binpkg::index::Entry;
use crate::binpkg::pkgdir::Format;
use crate::binpkg::prune::{Rule, Rules, Usable, choose, prune};
use crate::binpkg::selection::Selection;
use crate::cli::arguments::binpkg::Prune;
use crate::cli::build::{Failure, absolute};
use crate::cli::exit::Exit;
use crate::config::{Config, Options};
use crate::pms::cpv::Cpv;

pub(super) fn run(arguments: &Prune) -> Result<Exit, Failure> {
    let opened = Opened::new(&arguments.store, false)?;
    let selection = Selection::parse(&arguments.atoms, opened.config.repositories().names())?;
    let rules = Rules {
        keep: arguments.keep,
        per_use: arguments.per_use,
        older_than: arguments.older_than,
        max_size: arguments.max_size,
    };
    let clients = clients(&opened.config, &arguments.profiles)?;
    let by_clients = |entry: &Entry| clients.iter().any(|client| can_use(client, entry));
    let usable = (!clients.is_empty()).then_some(&by_clients as Usable<'_>);
    let json = arguments.store.json;
    let index = opened.index(json)?;
    selection.check([&index])?;
    let going = match arguments.pretend {
        true => choose(&index, &selection, rules, usable, now()),
        false => {
            let header = opened.header();
            prune(&opened.pkgdir, &selection, rules, usable, now(), &header)?
        }
    };
    for (rule, entry) in &going {
        let value = json!({
            "event": if arguments.pretend { "would remove" } else { "removed" },
            "rule": rule.name(),
            "path": entry.path(),
            "size": entry.size(),
            "build_id": entry.build_id(),
            "build_time": entry.build_time(),
        });
        let text = format!("{:10}  {}", rule.name(), entry.path());
        line(json.then_some(value), &text);
    }
    let left = match arguments.pretend {
        true => opened.pkgdir.left_over()?,
        false => opened.pkgdir.sweep()?,
    };
    for path in &left {
        let path = path.strip_prefix(opened.pkgdir.path()).unwrap_or(path);
        let value = json!({
            "event": if arguments.pretend { "would sweep" } else { "swept" },
            "path": path,
        });
        let text = format!("{:10}  {}", "left over", path.display());
        line(json.then_some(value), &text);
    }
    let did = if arguments.pretend {
        "would free"
    } else {
        "freed"
    };
    let given = [
        (Rule::Profile, usable.is_some()),
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

/// The configurations of clients: each a folder that has etc/portage, or a profile, with which the rest is as here.
fn clients(own: &Config, profiles: &[PathBuf]) -> Result<Vec<Config>, Failure> {
    let load = |root: &Path| -> Result<Config, Failure> {
        Ok(Config::load(&Options {
            config_root: Some(root.to_owned()),
            ..Options::from_process()
        })?)
    };
    let mut clients = Vec::new();
    for profile in profiles {
        if profile.join("etc/portage").is_dir() {
            clients.push(load(profile)?);
            continue;
        }
        let of_repository = || {
            let mut repositories = own.repositories().repositories().rev();
            repositories.find_map(|repository| {
                let path = repository.location().join("profiles").join(profile);
                path.is_dir().then_some(path)
            })
        };
        let found = match profile.is_dir() {
            true => Some(absolute(profile)),
            false => of_repository(),
        };
        let found = found.ok_or_else(|| {
            Failure(vec![format!(
                "{}: is neither a profile, nor a folder with etc/portage",
                profile.display()
            )])
        })?;
        let root = with_profile(own.config_root(), &found).map_err(|error| {
            Failure(vec![
                format!("{}: cannot be tried", profile.display()),
                error.to_string(),
            ])
        })?;
        clients.push(load(root.path())?);
    }
    Ok(clients)
}

/// A configuration as at `root`, with another profile.
fn with_profile(root: &Path, profile: &Path) -> std::io::Result<tempfile::TempDir> {
    let made = tempfile::tempdir()?;
    let (own, other) = (root.join("etc/portage"), made.path().join("etc/portage"));
    fs::create_dir_all(&other)?;
    for entry in fs::read_dir(&own).into_iter().flatten() {
        let entry = entry?;
        if entry.file_name() != "make.profile" {
            symlink(absolute(&entry.path()), other.join(entry.file_name()))?;
        }
    }
    symlink(profile, other.join("make.profile"))?;
    Ok(made)
}

/// Whether a client could use a package: nothing masks it, and its flags are those that the client wants.
fn can_use(client: &Config, entry: &Entry) -> bool {
    let Ok(cpv) = Cpv::parse(entry.cpv()) else {
        return false;
    };
    let Some(format) = Format::of_name(Path::new(entry.path().as_ref())) else {
        return false;
    };
    let wish = Wish {
        config: client,
        respect_use: true,
        unchanged_deps: false,
        packages_only: true,
        libc: &BTreeSet::new(),
    };
    let instance = Instance {
        entry: entry.clone(),
        cpv,
        format,
        host: None,
    };
    wish.judge(&instance, None, None).is_ok()
}
