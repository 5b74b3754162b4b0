//! Hosts of binary packages: binrepos.conf and `PORTAGE_BINHOST`.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::ini::Ini;
use super::{Config, files};
use crate::pms::atom::{Atom, PackageFacts};
use crate::repo::RepoSet;

/// A host of binary packages, or a folder of them.
#[derive(Debug, Clone)]
pub struct BinaryRepository {
    /// The name of its section; none if `PORTAGE_BINHOST` names it.
    pub name: Option<String>,
    /// Where its index is, without slashes at the end.
    pub sync_uri: String,
    /// The larger, the earlier it is asked.
    pub priority: i64,
    /// Whether the index that is there is good enough for ever.
    pub frozen: bool,
    /// What is asked of signatures: that all are signed, or that none is looked at; without, what FEATURES say.
    pub verify_signature: Option<bool>,
    /// What is asked of signatures in words of ebd's own, which count before `verify-signature`.
    pub signatures: Option<Signatures>,
    /// Where Portage keeps packages of it, instead of PKGDIR.
    pub location: Option<PathBuf>,
    /// Packages that are not taken from it.
    pub exclude: Vec<Atom>,
    /// If there are any, the only packages that are taken from it.
    pub include: Vec<Atom>,
    /// The program that fetches from it.
    pub fetch_command: Option<String>,
    /// The program that goes on with what was fetched before.
    pub resume_command: Option<String>,
}

/// What `ebd-signatures` in binrepos.conf asks of the packages of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// They must be signed well.
    Require,
    /// It is told if they are not.
    Warn,
    /// They are not looked at.
    Ignore,
}

impl BinaryRepository {
    /// A host that is known by its address alone.
    #[must_use]
    pub fn at(sync_uri: &str) -> Self {
        Self {
            name: None,
            sync_uri: sync_uri.trim_end_matches('/').to_owned(),
            priority: 0,
            frozen: false,
            verify_signature: None,
            signatures: None,
            location: None,
            exclude: Vec::new(),
            include: Vec::new(),
            fetch_command: None,
            resume_command: None,
        }
    }

    /// Whether such a package may be taken from it.
    pub fn offers(&self, package: &impl PackageFacts) -> bool {
        let among = |atoms: &[Atom]| atoms.iter().any(|atom| atom.matches(package));
        !among(&self.exclude) && (self.include.is_empty() || among(&self.include))
    }
}

/// The hosts, those that are asked first before the others, and what was passed over.
#[derive(Debug, Default)]
pub struct BinaryRepositories {
    /// By falling priority.
    pub list: Vec<BinaryRepository>,
    /// What Portage would skip with a message.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads binrepos.conf, a file or a directory, and `PORTAGE_BINHOST`, whose first address has the highest
    /// priority of its own ones.
    ///
    /// # Errors
    /// A file cannot be read or is malformed.
    pub fn binary_repositories(&self) -> Result<BinaryRepositories, ConfigError> {
        let directory = |name: &str| self.get(name).unwrap_or_default().to_owned();
        let config_root = self.config_root();
        let mut ini = Ini::with_defaults([
            ("frozen", "false".to_owned()),
            ("EPREFIX", directory("EPREFIX")),
            ("EROOT", self.eroot().display().to_string()),
            ("ROOT", self.root().display().to_string()),
            ("PORTAGE_CONFIGROOT", config_root.display().to_string()),
        ]);
        for file in files::recursive(&config_root.join("etc/portage/binrepos.conf"))? {
            let bytes = fs::read(&file).map_err(|error| ConfigError::read(&file, error))?;
            ini.add(&file, &String::from_utf8_lossy(&bytes))?;
        }
        let mut found = BinaryRepositories::default();
        let names: Vec<String> = ini.sections().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            if let Some(repository) =
                section(&ini, &name, self.repositories(), &mut found.warnings)?
            {
                found.list.push(repository);
            }
        }
        let binhosts = directory("PORTAGE_BINHOST");
        if binhosts.trim().is_empty() {
            // As in Portage, which does not say where it is otherwise.
            let kept = PathBuf::from(directory("EPREFIX") + "/var/cache/binhost");
            for repository in &mut found.list {
                let name = repository.name.clone().unwrap_or_default();
                repository.location.get_or_insert(kept.join(name));
            }
        }
        for repository in &mut found.list {
            let pkgdir = self.pkgdir();
            repository.location.take_if(|location| *location == pkgdir);
        }
        let mut priority = 0;
        for address in binhosts.split_whitespace().rev() {
            let mut repository = BinaryRepository::at(address);
            if (found.list.iter()).any(|known| known.sync_uri == repository.sync_uri) {
                continue;
            }
            priority += 1;
            repository.priority = priority;
            found.list.push(repository);
        }
        found.list.sort_by(|one, other| {
            let name = |it: &BinaryRepository| it.name.clone().unwrap_or_default();
            (other.priority, name(other)).cmp(&(one.priority, name(one)))
        });
        Ok(found)
    }
}

/// What a section says; `None` if it has no address.
fn section(
    ini: &Ini,
    name: &str,
    repositories: &RepoSet,
    warnings: &mut Vec<String>,
) -> Result<Option<BinaryRepository>, ConfigError> {
    let option = |option: &str| -> Result<Option<String>, ConfigError> {
        let value = ini.get(Some(name), option)?;
        Ok(value.map(|setting| setting.value))
    };
    let Some(address) = option("sync-uri")?.filter(|address| !address.is_empty()) else {
        warnings.push(format!(
            "binrepos.conf: [{name}] has no sync-uri and is passed over"
        ));
        return Ok(None);
    };
    let yes = |value: String| matches!(value.to_lowercase().as_str(), "true" | "yes");
    let mut atoms = |key: &str| -> Result<Vec<Atom>, ConfigError> {
        let Some(setting) = ini.get(Some(name), key)? else {
            return Ok(Vec::new());
        };
        let mut atoms = Vec::new();
        for word in setting.value.split_whitespace() {
            match Atom::parse_config(word) {
                Ok(atom)
                    if atom.blocker().is_none()
                        && atom.operator().is_none()
                        && atom.use_deps().is_empty() =>
                {
                    // A host may have packages of repositories that are not here.
                    atoms.push(repositories.resolve(atom.clone()).unwrap_or(atom));
                }
                _ => warnings.push(format!(
                    "binrepos.conf: [{name}] has `{word}` in {key}, which may have names and slots only; it is passed over"
                )),
            }
        }
        Ok(atoms)
    };
    let (exclude, include) = (atoms("getbinpkg-exclude")?, atoms("getbinpkg-include")?);
    let both: Vec<String> = exclude
        .iter()
        .map(ToString::to_string)
        .filter(|atom| include.iter().any(|other| other.to_string() == *atom))
        .collect();
    if !both.is_empty() {
        warnings.push(format!(
            "binrepos.conf: [{name}] has {} in getbinpkg-exclude and getbinpkg-include; it counts in neither",
            both.join(", ")
        ));
    }
    let without_both = |atoms: Vec<Atom>| -> Vec<Atom> {
        let keep = |atom: &Atom| !both.contains(&atom.to_string());
        atoms.into_iter().filter(keep).collect()
    };
    let location = option("location")?.filter(|path| !path.is_empty());
    if let Some(path) = &location
        && !Path::new(path).is_absolute()
    {
        warnings.push(format!(
            "binrepos.conf: [{name}] has the location `{path}`, which is not absolute; it is passed over"
        ));
    }
    let signatures = match option("ebd-signatures")?.as_deref() {
        None => None,
        Some("require") => Some(Signatures::Require),
        Some("warn") => Some(Signatures::Warn),
        Some("ignore") => Some(Signatures::Ignore),
        Some(other) => {
            warnings.push(format!(
                "binrepos.conf: [{name}] has ebd-signatures = `{other}`, which is none of require, warn and ignore; signatures are required"
            ));
            Some(Signatures::Require)
        }
    };
    if option("openpgp-key-package")?.is_some() {
        warnings.push(format!(
            "binrepos.conf: [{name}] has openpgp-key-package, which ebd does not install; import its keys into the keyring of BINPKG_GPG_VERIFY_GPG_HOME"
        ));
    }
    Ok(Some(BinaryRepository {
        name: Some(name.to_owned()),
        signatures,
        location: location
            .map(PathBuf::from)
            .filter(|path| path.is_absolute()),
        priority: option("priority")?
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0),
        frozen: option("frozen")?.is_some_and(yes),
        verify_signature: option("verify-signature")?.map(yes),
        exclude: without_both(exclude),
        include: without_both(include),
        fetch_command: option("fetchcommand")?,
        resume_command: option("resumecommand")?,
        ..BinaryRepository::at(&address)
    }))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Root;
    use super::*;

    #[test]
    fn hosts_come_by_priority() {
        let root = Root::new()
            .file(
                "etc/portage/make.conf",
                "PORTAGE_BINHOST=\"http://one/ http://two/x// http://three\"\n",
            )
            .file(
                "etc/portage/binrepos.conf/a.conf",
                "[DEFAULT]\nfrozen = yes\n[late]\nsync-uri = http://late/\npriority = 9\n\
                 verify-signature = True\ngetbinpkg-exclude = */*:9 >=a/b-1 a/c\n\
                 [none]\npriority = 3\n[same]\nsync-uri = http://three/\nfrozen = false\npriority = x\n",
            )
            .file(
                "etc/portage/binrepos.conf/b.conf",
                "[late]\nverify-signature = no\ngetbinpkg-include = a/c d/e\n",
            );
        let config = Config::load(&root.options).unwrap();
        let found = config.binary_repositories().unwrap();
        let shown: Vec<_> = found
            .list
            .iter()
            .map(|it| (it.name.as_deref(), it.sync_uri.as_str(), it.priority))
            .collect();
        assert_eq!(
            shown,
            [
                (Some("late"), "http://late", 9),
                (None, "http://one", 2),
                (None, "http://two/x", 1),
                (Some("same"), "http://three", 0),
            ]
        );
        let late = &found.list[0];
        assert_eq!((late.frozen, late.verify_signature), (true, Some(false)));
        assert!(!found.list[3].frozen);
        assert_eq!(late.exclude.len(), 1, "{:?}", late.exclude);
        assert_eq!(late.include.len(), 1, "{:?}", late.include);
        assert_eq!(found.warnings.len(), 3, "{:?}", found.warnings);
    }

    #[test]
    fn hosts_have_a_place_for_packages_that_portage_brought() {
        let hosts = "[one]\nsync-uri = http://one/\n[two]\nsync-uri = http://two/\nlocation = /two\n\
             [own]\nsync-uri = http://own/\nlocation = /own\n[odd]\nsync-uri = http://odd\nlocation = odd\n";
        let root = Root::new()
            .file("etc/portage/make.conf", "PKGDIR=\"/own\"\n")
            .file("etc/portage/binrepos.conf", hosts);
        let places = |root: &Root| {
            let config = Config::load(&root.options).unwrap();
            let found = config.binary_repositories().unwrap();
            let shown = found.list.iter().map(|it| {
                let place = it.location.as_ref().map(|path| path.display().to_string());
                (it.name.clone().unwrap_or_default(), place)
            });
            (shown.collect::<Vec<_>>(), found.warnings)
        };
        let row = |name: &str, place: Option<&str>| (name.to_owned(), place.map(str::to_owned));
        let (found, warnings) = places(&root);
        let expected = [
            row("two", Some("/two")),
            row("own", None),
            row("one", Some("/var/cache/binhost/one")),
            row("odd", Some("/var/cache/binhost/odd")),
        ];
        assert_eq!(found, expected);
        assert!(warnings[0].contains("not absolute"), "{warnings:?}");
        let root = root.env("PORTAGE_BINHOST", "http://more");
        let (found, _) = places(&root);
        assert!(found.contains(&row("one", None)), "{found:?}");
        assert!(found.contains(&row("two", Some("/two"))), "{found:?}");
    }

    #[test]
    fn hosts_have_policies_of_their_own() {
        let hosts = "[a]\nsync-uri = x\nebd-signatures = warn\nopenpgp-key-package = k\n\
             [b]\nsync-uri = y\nebd-signatures = maybe\n";
        let root = Root::new().file("etc/portage/binrepos.conf", hosts);
        let config = Config::load(&root.options).unwrap();
        let found = config.binary_repositories().unwrap();
        let policies: Vec<_> = found.list.iter().map(|it| it.signatures).collect();
        assert_eq!(
            policies,
            [Some(Signatures::Require), Some(Signatures::Warn)]
        );
        let parts = ["openpgp-key-package", "none of require, warn and ignore"];
        for (warning, part) in found.warnings.iter().zip(parts) {
            assert!(warning.contains(part), "{warning}");
        }
    }

    #[test]
    fn nothing_is_no_host() {
        let root = Root::new();
        let config = Config::load(&root.options).unwrap();
        assert!(config.binary_repositories().unwrap().list.is_empty());
    }
}
