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

#[cfg(test)]
mod tests {
    use super::super::fixture::{Ebuild, Root};
    use super::*;

    #[test]
    fn without_any_file_this_machine_is_assumed() {
        let root = Root::empty().env("HOME", "/home/me");
        let config = root.load();
        assert_eq!(
            (config.arch(), config.chost()),
            ("amd64", "x86_64-pc-linux-gnu")
        );
        assert_eq!(config.accept_keywords(), ["amd64", "~amd64"]);
        assert_eq!(config.get("LIBDIR_amd64"), Some("lib64"));
        assert_eq!(config.distdir(), Path::new("/home/me/.cache/ebd/distfiles"));
        assert_eq!(
            config.pkgdir(),
            Path::new("/home/me/.local/share/ebd/binpkgs")
        );
        assert!(
            config.assumptions()[0].contains("ARCH=amd64"),
            "{:?}",
            config.assumptions()
        );
        assert!(
            config.assumptions()[1].contains("PKGDIR="),
            "{:?}",
            config.assumptions()
        );
        let answer = Ebuild::new("a/b-1")
            .keywords("~amd64")
            .license("anything")
            .iuse("acl")
            .ask(&config);
        assert_eq!(answer.masks, []);
        assert!(answer.use_flags.contains("acl") && answer.use_flags.contains("elibc_glibc"));
        assert!(
            answer.iuse_effective.contains("abi_x86_64") && answer.iuse_effective.contains("riscv")
        );
    }

    #[test]
    fn parts_of_a_configuration_are_taken_and_the_rest_assumed() {
        let mut root = Root::empty()
            .env("HOME", "/home/me")
            .file(
                "etc/portage/make.conf",
                "CFLAGS=\"-O3\"\nDISTDIR=\"/d\"\nUSE=\"mine\"\n",
            )
            .file("etc/portage/profile/use.mask", "acl\n");
        let config = root.load();
        assert_eq!(
            (config.get("CFLAGS"), config.get("CXXFLAGS")),
            (Some("-O3"), Some("-O2 -pipe"))
        );
        // Root with a make.conf is on Gentoo: its own places hold.
        assert_eq!(config.pkgdir(), Path::new("/var/cache/binpkgs"));
        assert_eq!(config.assumptions().len(), 1);
        assert_eq!(Ebuild::new("a/b-1").iuse("acl mine").flags(&config), "mine");
        root.options.uid = 1000;
        let config = root.load();
        assert_eq!(config.distdir(), Path::new("/d"));
        assert_eq!(
            config.pkgdir(),
            Path::new("/home/me/.local/share/ebd/binpkgs")
        );
        let root = root.env("XDG_DATA_HOME", "/data");
        assert_eq!(root.load().pkgdir(), Path::new("/data/ebd/binpkgs"));
    }

    #[test]
    fn no_home_is_an_error_only_where_it_matters() {
        let mut root = Root::empty();
        assert!(
            root.error()
                .starts_with("HOME: is not set, so there is no place for PKGDIR"),
            "{}",
            root.error()
        );
        root.options.pkgdir = Some("/p".into());
        root.options.distdir = Some("/d".into());
        root.options.tmpdir = Some("/t".into());
        assert_eq!(root.load().tmpdir(), Path::new("/t"));
    }
}
