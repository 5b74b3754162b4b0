//! The hosts that are configured, their indexes, and what is asked of the signatures of their packages.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;

use crate::binhost::bring;
use crate::binhost::{Host, index};
use crate::binpkg::audit::Audit;
use crate::binpkg::signature::{CommandError, Policy, Verifier};
use crate::config::{Config, ConfigError};
use crate::fetch::FetchOptions;

/// What is asked of the signatures of hosts that say nothing of their own.
#[must_use]
pub fn policy_for_hosts(config: &Config) -> Policy {
    let keyring = config.get("BINPKG_GPG_VERIFY_GPG_HOME").map(Path::new);
    Policy::from_features(|name| config.features().contains(name)).for_hosts(keyring)
}

/// The hosts that are configured, those of higher priority first, and what was wrong with their configuration.
/// What they have is fetched into a folder below `pkgdir`.
///
/// # Errors
/// binrepos.conf cannot be read.
pub fn hosts(
    config: &Config,
    fetch: &FetchOptions,
    pkgdir: &Path,
) -> Result<(Vec<Host>, Vec<String>), ConfigError> {
    let found = config.binary_repositories()?;
    let usual = policy_for_hosts(config);
    let options = FetchOptions {
        distdir: bring::folder(pkgdir),
        group: None,
        // An unfinished package is known to be of the same state of the same one.
        resume_min_size: 0,
        layouts: None,
        ..fetch.clone()
    };
    let hosts = found
        .list
        .into_iter()
        .map(|repository| Host::new(repository, options.clone(), usual));
    Ok((hosts.collect(), found.warnings))
}

/// Asks all hosts for their indexes; of those that have none that can be used, why is given too. With `pretend` an old
/// one is good enough.
pub async fn indexes(
    hosts: Vec<Host>,
    cache: &Path,
    pretend: bool,
) -> (Vec<(Host, index::HostIndex)>, Vec<index::HostError>) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let asked: Vec<_> = futures_util::stream::iter(hosts)
        .map(|host| async move {
            let found = index::load(&host, cache, now, pretend).await;
            (host, found)
        })
        .buffered(8)
        .collect()
        .await;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (host, found) in asked {
        match found {
            Ok(index) => good.push((host, index)),
            Err(error) => bad.push(error),
        }
    }
    (good, bad)
}

/// How packages are verified of which this is asked.
pub(super) fn audit(config: &Config, policy: Policy) -> Result<Audit, CommandError> {
    let verifier = match policy {
        Policy::Ignore => None,
        Policy::IfSigned | Policy::Require | Policy::Warn => {
            Some(Verifier::from_settings(&|name| {
                config.get(name).map(str::to_owned)
            })?)
        }
    };
    Ok(Audit { policy, verifier })
}
