//! ROOT, EPREFIX and the other paths that everything else is relative to.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::options::Options;
use super::profile::normalize;

/// The paths that everything else is relative to, with the slash at the end that Portage gives
/// their variables.
pub(super) struct Locations {
    pub(super) config_root: PathBuf,
    pub(super) user: PathBuf,
    pub(super) eprefix: String,
    pub(super) root: String,
    pub(super) eroot: String,
    pub(super) sysroot: String,
    pub(super) esysroot: String,
    pub(super) broot: String,
}

impl Locations {
    pub(super) fn new(
        options: &Options,
        make_conf_root: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let config_root = config_root(options)?;
        let eprefix = match options.variable("EPREFIX") {
            Some(prefix) => with_slash(prefix).trim_end_matches('/').to_owned(),
            None => String::new(),
        };
        let root = match (&options.root, options.variable("ROOT"), make_conf_root) {
            (Some(root), _, _) => with_slash(&root.to_string_lossy()),
            (None, Some(root), _) => with_slash(root),
            (None, None, Some(root)) if !root.trim().is_empty() => with_slash(root),
            _ => "/".to_owned(),
        };
        if Path::new(&root).exists() && !Path::new(&root).is_dir() {
            return Err(ConfigError::NotADirectory {
                setting: "ROOT".to_owned(),
                path: PathBuf::from(root),
            });
        }
        let sysroot = options
            .variable("SYSROOT")
            .map_or_else(|| "/".to_owned(), with_slash);
        if sysroot != "/" && root == "/" {
            return Err(ConfigError::Setting {
                setting: "SYSROOT".to_owned(),
                problem: format!("is {sysroot} while ROOT is /"),
                cure: "unset SYSROOT or set ROOT".to_owned(),
            });
        }
        let broot = eprefix.clone();
        let eroot = format!("{}{eprefix}/", root.trim_end_matches('/'));
        let esysroot = if sysroot == root {
            eroot.clone()
        } else if sysroot == "/" {
            format!("{broot}/")
        } else {
            sysroot.clone()
        };
        let user = config_root.join("etc/portage");
        Ok(Locations {
            config_root,
            user,
            eprefix,
            root,
            eroot,
            sysroot,
            esysroot,
            broot,
        })
    }

    fn config_root_text(&self) -> String {
        with_slash(&self.config_root.to_string_lossy())
    }

    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PORTAGE_CONFIGROOT", self.config_root_text()),
            ("ROOT", self.root.clone()),
            ("SYSROOT", self.sysroot.clone()),
            ("EPREFIX", self.eprefix.clone()),
            ("EROOT", self.eroot.clone()),
            ("ESYSROOT", self.esysroot.clone()),
            ("BROOT", self.broot.clone()),
        ]
    }
}

pub(super) fn config_root(options: &Options) -> Result<PathBuf, ConfigError> {
    let path = match (
        &options.config_root,
        options.variable("PORTAGE_CONFIGROOT"),
        options.variable("EPREFIX"),
    ) {
        (Some(path), _, _) => path.clone(),
        (None, Some(path), _) | (None, None, Some(path)) => PathBuf::from(path),
        _ => PathBuf::from("/"),
    };
    let path =
        normalize(&std::path::absolute(&path).map_err(|error| ConfigError::read(&path, error))?);
    if !path.is_dir() {
        return Err(ConfigError::NotADirectory {
            setting: "PORTAGE_CONFIGROOT".to_owned(),
            path,
        });
    }
    Ok(path)
}

/// An absolute path without `.` and `..` and with one slash at the end.
fn with_slash(path: &str) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    let text = normalize(&absolute).to_string_lossy().into_owned();
    format!("{}/", text.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::fixture::Root;

    #[test]
    fn roots_have_their_slashes() {
        let mut root = Root::new();
        let path = root.path("image");
        root.options.root = Some(path.join("./x/.."));
        let config = root.load();
        assert_eq!(config.get("ROOT").unwrap(), format!("{}/", path.display()));
        assert_eq!(
            (
                config.get("SYSROOT"),
                config.get("ESYSROOT"),
                config.get("EPREFIX")
            ),
            (Some("/"), Some("/"), Some(""))
        );
        assert_eq!(config.eroot(), config.root());
        let mut root = root.env("SYSROOT", "/other");
        assert!(root.try_load().is_ok());
        root.options.root = Some("/".into());
        assert_eq!(
            root.error(),
            "SYSROOT: is /other/ while ROOT is /; unset SYSROOT or set ROOT"
        );
        let mut root = Root::new().file("etc/portage/make.conf", "ROOT=\"/nowhere/at/all\"\n");
        root.options.root = None;
        assert_eq!(root.load().root(), Path::new("/nowhere/at/all/"));
        assert_eq!(
            root.env("ROOT", "/elsewhere").load().root(),
            Path::new("/elsewhere/")
        );
    }

    #[test]
    fn a_configuration_root_must_be_there() {
        let mut root = Root::empty();
        root.options.config_root = Some(root.path("gone"));
        assert!(
            root.error()
                .starts_with("PORTAGE_CONFIGROOT: /gone is not a directory"),
            "{}",
            root.error()
        );
    }
}
