//! Where state is kept: the places of the command line, and those below the home directory for
//! users without root's rights and for machines without a Gentoo configuration.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::locations;
use super::options::Options;
use super::shell_vars::{Setting, Variables};

/// Sets PKGDIR, DISTDIR and PORTAGE_TMPDIR: above everything what the command line says, and
/// below everything the user's own directories in place of the system's. `gentoo` tells whether
/// there is a Gentoo configuration.
///
/// # Errors
/// The home directory is needed and not known.
pub(super) fn apply(
    options: &Options,
    gentoo: bool,
    globals: &mut Variables,
    env: &mut Variables,
    assumptions: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let set = |layer: &mut Variables, name: &str, path: &Path, place: &str| {
        layer.insert(name.to_owned(), Setting::at(place, path.to_string_lossy()));
    };
    if options.uid != 0 || !gentoo {
        let mut places = Vec::new();
        for (name, option, variable, home, below) in [
            (
                "PKGDIR",
                &options.pkgdir,
                "XDG_DATA_HOME",
                ".local/share",
                "ebd/binpkgs",
            ),
            (
                "DISTDIR",
                &options.distdir,
                "XDG_CACHE_HOME",
                ".cache",
                "ebd/distfiles",
            ),
            (
                "PORTAGE_TMPDIR",
                &options.tmpdir,
                "XDG_CACHE_HOME",
                ".cache",
                "ebd/tmp",
            ),
        ] {
            if option.is_some() || env.contains_key(name) {
                continue;
            }
            let Some(base) = base(options, variable, home) else {
                return Err(ConfigError::Setting {
                    setting: "HOME".to_owned(),
                    problem: format!("is not set, so there is no place for {name}"),
                    cure: format!("set HOME, {variable} or {name}"),
                });
            };
            let path = base.join(below);
            set(globals, name, &path, "<built in>");
            places.push(format!("{name}={}", path.display()));
        }
        if !gentoo && !places.is_empty() {
            assumptions.push(format!("no Gentoo configuration: {}", places.join(", ")));
        }
    }
    for (name, option) in [
        ("PKGDIR", &options.pkgdir),
        ("DISTDIR", &options.distdir),
        ("PORTAGE_TMPDIR", &options.tmpdir),
    ] {
        if let Some(path) = option {
            let absolute =
                std::path::absolute(path).map_err(|error| ConfigError::read(path, error))?;
            set(env, name, &absolute, "<command line>");
        }
    }
    Ok(())
}

/// A base directory of the user's: what the variable says or, without it, `home` below the home
/// directory; none if that is not known.
fn base(options: &Options, variable: &str, home: &str) -> Option<PathBuf> {
    match (options.variable(variable), options.variable("HOME")) {
        (Some(base), _) if Path::new(base).is_absolute() => Some(PathBuf::from(base)),
        (_, Some(home_directory)) => Some(Path::new(home_directory).join(home)),
        _ => None,
    }
}

/// Whether the configuration is this system's own, and not one below another root or none at all.
///
/// # Errors
/// The folder with the configuration that the caller names does not exist, or its profile is broken.
pub fn has_own_configuration(options: &Options) -> Result<bool, ConfigError> {
    let root = locations::config_root(options)?;
    Ok(root == Path::new("/") && super::profile::find(&root)?.is_some())
}

/// Where people put what they tell ebd alone; none if the home directory is needed and not known.
#[must_use]
pub fn own_directory(options: &Options) -> Option<PathBuf> {
    base(options, "XDG_CONFIG_HOME", ".config").map(|base| base.join("ebd"))
}

/// Where ebd keeps what it can make anew: the system's directory for root on Gentoo, the user's own
/// otherwise. None if the home directory is needed and not known.
///
/// # Errors
/// The folder with the configuration that the caller names does not exist.
pub fn cache_directory(options: &Options) -> Result<Option<PathBuf>, ConfigError> {
    let gentoo = locations::config_root(options)?
        .join("etc/portage")
        .is_dir();
    if options.uid == 0 && gentoo {
        return Ok(Some(PathBuf::from("/var/cache/ebd")));
    }
    Ok(base(options, "XDG_CACHE_HOME", ".cache").map(|base| base.join("ebd")))
}
