//! How distfiles are fetched, as the configuration says.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::fetch::{FetchCommands, FetchOptions, FetchUser, Proxies, parse_resume_size};

/// A setting of fetching that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {value:?} is not {wanted}")]
pub struct FetchSettingError {
    /// The variable.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it should be.
    pub wanted: &'static str,
}

/// What the configuration says of fetching. `cache` is a folder for what is remembered from run to run.
///
/// # Errors
/// A [`FetchSettingError`] for a number or a list of paths that is none.
pub fn fetch_options(config: &Config, cache: &Path) -> Result<FetchOptions, FetchSettingError> {
    let text = |name: &str| {
        config
            .get(name)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    let number = |name: &'static str, usual: usize| match text(name) {
        None => Ok(usual),
        Some(value) => value
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| FetchSettingError {
                name,
                value: value.to_owned(),
                wanted: "a number from 1",
            }),
    };
    let usual = FetchOptions::new(config.distdir());
    let root = nix::unistd::geteuid().is_root();
    let names: Vec<(&str, &str)> = config.all_settings();
    Ok(FetchOptions {
        ro_distdirs: read_only(text("PORTAGE_RO_DISTDIRS").unwrap_or_default())?,
        locks: config.features().contains("distlocks"),
        group: if root { group(config) } else { None },
        user: user(config).filter(|_| root && config.features().contains("userfetch")),
        checksum_tries: number("PORTAGE_FETCH_CHECKSUM_TRY_MIRRORS", usual.checksum_tries)?,
        resume_min_size: match text("PORTAGE_FETCH_RESUME_MIN_SIZE") {
            None => usual.resume_min_size,
            Some(value) => parse_resume_size(value).ok_or_else(|| FetchSettingError {
                name: "PORTAGE_FETCH_RESUME_MIN_SIZE",
                value: value.to_owned(),
                wanted: "a size such as 350K",
            })?,
        },
        connections: number("EBD_FETCH_CONNECTIONS", usual.connections)?,
        connections_per_host: number("EBD_FETCH_CONNECTIONS_PER_HOST", usual.connections_per_host)?,
        proxies: Proxies::named(|name| config.get(name)),
        commands: FetchCommands::from_variables(names),
        layouts: Some(cache.join("mirror-layouts.json")),
        ..usual
    })
}

fn read_only(value: &str) -> Result<Vec<PathBuf>, FetchSettingError> {
    let words = shell_words::split(value).map_err(|_| FetchSettingError {
        name: "PORTAGE_RO_DISTDIRS",
        value: value.to_owned(),
        wanted: "a list of words as in a shell",
    })?;
    Ok(words.into_iter().map(PathBuf::from).collect())
}

/// The group of distfiles.
fn group(config: &Config) -> Option<u32> {
    let name = config.get("PORTAGE_GRPNAME").unwrap_or("portage");
    let group = nix::unistd::Group::from_name(name).ok().flatten()?;
    Some(group.gid.as_raw())
}

/// The user who fetches for root; none if this system has no such user, or it is root.
fn user(config: &Config) -> Option<FetchUser> {
    let name = config.get("PORTAGE_USERNAME").unwrap_or("portage");
    let user = nix::unistd::User::from_name(name).ok().flatten()?;
    if user.uid.is_root() {
        return None;
    }
    Some(FetchUser {
        uid: user.uid.as_raw(),
        gid: group(config).unwrap_or(user.gid.as_raw()),
    })
}
