//! `ebd binpkg list --remote`.

use serde_json::json;

use super::list::{as_json, show};
use super::{configuration, line, tell, tell_error};
use crate::binhost::Host;
use crate::binhost::index::HostIndex;
use crate::binhost::instances::Instances;
use crate::binpkg::index::Index;
use crate::binpkg::selection::Selection;
use crate::build::binaries::{hosts, indexes, policy_for_hosts};
use crate::build::fetch_options::fetch_options;
use crate::cli::arguments::binpkg::List;
use crate::cli::build::{Failure, cache};
use crate::cli::exit::Exit;
use crate::cli::signals;
use crate::config::BinaryRepository;

pub(super) fn list(arguments: &List) -> Result<Exit, Failure> {
    let json = arguments.store.json;
    let config = configuration(&arguments.store, None, &[])?;
    let cache = cache(&config);
    let fetch = fetch_options(&config, &cache)?;
    let (hosts, warnings) = match &arguments.host {
        Some(address) => {
            let policy = policy_for_hosts(&config);
            let host = Host::new(BinaryRepository::at(address), fetch, policy);
            (vec![host], Vec::new())
        }
        None => hosts(&config, &fetch, &config.pkgdir())?,
    };
    if hosts.is_empty() {
        return Err(Failure(vec![
            "no host of binary packages is configured; set PORTAGE_BINHOST, write binrepos.conf, or name one with --host"
                .to_owned(),
        ]));
    }
    let selection = Selection::parse(&arguments.atoms, config.repositories().names())?;
    let work = async {
        let (good, bad) = indexes(hosts, &cache.join("binhosts"), false).await;
        for text in warnings {
            tell_error(&[text], json);
        }
        for error in &bad {
            tell(error, json);
        }
        let all: Vec<Listed> = good
            .into_iter()
            .map(|(host, found)| Listed::new(host, found, json))
            .collect();
        if let Err(error) = selection.check(all.iter().map(|listed| &listed.index)) {
            tell(&error, json);
            return Exit::Failed;
        }
        for listed in &all {
            listed.show(&selection, json);
        }
        match bad.is_empty() {
            true => Exit::Done,
            false => Exit::Failed,
        }
    };
    Ok(signals::guard(work)?)
}

/// What one host has.
struct Listed {
    name: String,
    base: String,
    index: Index,
}

impl Listed {
    /// Takes what can be used of a host's index; what cannot is told.
    fn new(host: Host, found: HostIndex, json: bool) -> Self {
        let name = host.name();
        let base = found.base.clone();
        let instances = Instances::new(None, vec![(host, found)]);
        for text in &instances.notices {
            tell_error(std::slice::from_ref(text), json);
        }
        let mut index = Index::default();
        index.replace_entries(instances.all().iter().map(|it| it.entry.clone()).collect());
        Self { name, base, index }
    }

    fn show(&self, selection: &Selection, json: bool) {
        let entries = selection.of(&self.index);
        if json {
            for entry in entries {
                let mut value = as_json(entry);
                value["host"] = json!(self.name);
                value["address"] = json!(format!("{}/{}", self.base, entry.path()));
                line(Some(value), "");
            }
            return;
        }
        line(None, &format!("# {}", self.name));
        show(&entries, false);
    }
}
