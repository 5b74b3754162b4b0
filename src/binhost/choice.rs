//! Whether a package is what would be built now.
//!
//! As in Portage: the flags must be the wanted ones, then the dependencies must still be those of the ebuild; of what
//! is left the newest is taken, so each instance is asked until one fits.

use std::collections::BTreeSet;
use std::fmt;

use regex::Regex;

use super::Host;
use super::instances::Instance;
use crate::config::{Config, PackageConfig, PackageQuery};
use crate::metadata;
use crate::pms::cpv::Cpv;
use crate::pms::dependency::DepSpec;
use crate::pms::eapi::Eapi;

/// The dependencies that are compared: those that matter where the package is installed.
const COMPARED: [&str; 3] = ["IDEPEND", "PDEPEND", "RDEPEND"];

/// The ebuild that would be built otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Ebuild<'a> {
    /// Its name and version.
    pub cpv: &'a Cpv,
    /// Its repository.
    pub repository: &'a str,
    /// Its EAPI.
    pub eapi: Eapi,
    /// Its metadata.
    pub entry: &'a metadata::Entry,
    /// What the configuration says of it.
    pub config: &'a PackageConfig,
}

/// What is asked of packages.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Whether the flags must be those that are wanted now.
    pub respect_use: bool,
    /// Whether the dependencies must be those that the ebuild has now.
    pub unchanged_deps: bool,
    /// Whether packages are looked at by themselves, whatever ebuilds there are.
    pub packages_only: bool,
    /// The names (`category/name`) of the installed C library, on which every package may depend by itself.
    pub libc: &'a BTreeSet<String>,
}

/// Why a package is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// Its EAPI is not known.
    Eapi(String),
    /// It is for other machines.
    Chost(String),
    /// It cannot be signed, but must be.
    Unsignable,
    /// The configuration masks it.
    Masked(String),
    /// It comes from another repository than the ebuild.
    Repository(String),
    /// It does not say from which repository it comes.
    NoRepository,
    /// Flags that are not as they should be.
    Use(Vec<String>),
    /// A dependency is not as in the ebuild.
    Dependencies(&'static str),
    /// It was made of something else than what is there now.
    Input(Vec<String>),
    /// It cannot be had, or is not what its index says.
    Broken(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eapi(eapi) => write!(formatter, "EAPI {eapi} is not known"),
            Self::Chost(chost) => write!(formatter, "it is for {chost}"),
            Self::Unsignable => formatter.write_str("an xpak cannot be signed, and must be"),
            Self::Masked(reason) => write!(formatter, "it is masked: {reason}"),
            Self::Repository(name) => write!(formatter, "it is from the repository {name}"),
            Self::NoRepository => formatter.write_str("it does not say of which repository it is"),
            Self::Use(flags) => write!(formatter, "its USE flags differ: {}", flags.join(" ")),
            Self::Dependencies(key) => write!(formatter, "{key} has changed since"),
            Self::Input(parts) => write!(
                formatter,
                "it was made of something else; not as it was: {}",
                parts.join(", ")
            ),
            Self::Broken(reason) => formatter.write_str(reason),
        }
    }
}

impl Wish<'_> {
    /// Whether a package, of `host` or of PKGDIR, may be used instead of `ebuild`, or by itself.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(
        &self,
        instance: &Instance,
        host: Option<&Host>,
        ebuild: Option<Ebuild<'_>>,
    ) -> Result<(), Unfit> {
        let entry = &instance.entry;
        let text = |key: &str| entry.get(key).unwrap_or_default();
        let eapi = Eapi::parse(text("EAPI")).map_err(|_| Unfit::Eapi(text("EAPI").to_owned()))?;
        let chost = text("CHOST");
        if !self.is_for_this(chost) {
            return Err(Unfit::Chost(chost.to_owned()));
        }
        if host.is_some_and(|host| !host.accepts(instance.format)) {
            return Err(Unfit::Unsignable);
        }
        let (slot, subslot) = text("SLOT")
            .split_once('/')
            .unwrap_or((text("SLOT"), text("SLOT")));
        let own = self.config.package(&PackageQuery {
            cpv: &instance.cpv,
            slot,
            subslot,
            repository: entry.get("REPO"),
            eapi,
            iuse: text("IUSE"),
            keywords: text("KEYWORDS"),
            license: text("LICENSE"),
            restrict: text("RESTRICT"),
            properties: text("PROPERTIES"),
        });
        if let Some(mask) = own.masks.first() {
            return Err(Unfit::Masked(mask.to_string()));
        }
        if let Some(ebuild) = ebuild.filter(|_| !self.packages_only) {
            match entry.get("REPO") {
                None => return Err(Unfit::NoRepository),
                Some(repository) if repository != ebuild.repository => {
                    return Err(Unfit::Repository(repository.to_owned()));
                }
                Some(_) => {}
            }
        }
        if self.respect_use {
            let flags = self.differing(instance, &own, ebuild);
            if !flags.is_empty() {
                return Err(Unfit::Use(flags));
            }
        }
        match ebuild {
            Some(ebuild) if self.unchanged_deps => self.dependencies(instance, eapi, ebuild),
            _ => Ok(()),
        }
    }

    /// Whether packages for this CHOST may be used: `ACCEPT_CHOSTS`, which are patterns, or CHOST.
    fn is_for_this(&self, chost: &str) -> bool {
        let accepted = self.config.get("ACCEPT_CHOSTS").unwrap_or_default();
        let mut patterns = accepted.split_whitespace().peekable();
        if chost.is_empty() || (patterns.peek().is_none() && self.config.chost().is_empty()) {
            return true;
        }
        match patterns.peek() {
            None => chost == self.config.chost(),
            Some(_) => patterns.any(|pattern| {
                Regex::new(&format!("^(?:{pattern})$"))
                    .map_or(pattern == chost, |pattern| pattern.is_match(chost))
            }),
        }
    }

    /// The flags that are not as they should be, as they should be.
    fn differing(
        &self,
        instance: &Instance,
        own: &PackageConfig,
        ebuild: Option<Ebuild<'_>>,
    ) -> Vec<String> {
        let names = |text: &str| -> BTreeSet<String> {
            text.split_whitespace()
                .map(|flag| flag.trim_start_matches(['+', '-']).to_owned())
                .collect()
        };
        let value = |key: &str| instance.entry.get(key).unwrap_or_default();
        let known = names(value("IUSE"));
        let on = names(value("USE"));
        let (wanted, known_now) = match ebuild.filter(|_| !self.packages_only) {
            Some(ebuild) => (
                ebuild.config,
                names(ebuild.entry.get("IUSE").unwrap_or_default()),
            ),
            None => (own, known.clone()),
        };
        let forced =
            |flag: &String| wanted.use_force.contains(flag) || wanted.use_mask.contains(flag);
        let is_on = |flag: &String| known.contains(flag) && on.contains(flag);
        let is_wanted = |flag: &String| known_now.contains(flag) && wanted.use_flags.contains(flag);
        let mut differing = Vec::new();
        for flag in known.union(&known_now) {
            let appeared = known.contains(flag) != known_now.contains(flag) && !forced(flag);
            if appeared || is_on(flag) != is_wanted(flag) {
                let sign = match (known_now.contains(flag), is_wanted(flag)) {
                    (false, _) => "?",
                    (true, true) => "",
                    (true, false) => "-",
                };
                differing.push(format!("{sign}{flag}"));
            }
        }
        differing
    }

    /// Compares dependencies, but for what building adds to them.
    fn dependencies(
        &self,
        instance: &Instance,
        eapi: Eapi,
        ebuild: Ebuild<'_>,
    ) -> Result<(), Unfit> {
        let on: BTreeSet<&str> = instance
            .entry
            .get("USE")
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let plain = |text: &str, eapi: Eapi| -> Option<Vec<String>> {
            let spec = DepSpec::parse_recorded_dependencies(text, eapi).ok()?;
            let spec = spec.evaluate(|flag| on.contains(flag));
            Some(self.without_additions(&spec.to_string()))
        };
        for key in COMPARED {
            let built = instance.entry.get(key).unwrap_or_default();
            let now = ebuild.entry.get(key).unwrap_or_default();
            let built = plain(built, eapi);
            if built.is_none() || built != plain(now, ebuild.eapi) {
                return Err(Unfit::Dependencies(key));
            }
        }
        Ok(())
    }

    /// The words of a specification without the slots that `:=` was bound to, and without the C library at the top.
    fn without_additions(&self, spec: &str) -> Vec<String> {
        let mut depth = 0;
        let mut words = Vec::new();
        for word in spec.split_whitespace() {
            match word {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            let word = unbound(word);
            let name = word.trim_start_matches(['<', '>', '=', '~']);
            let is_libc = self.libc.iter().any(|libc| {
                let rest = name.strip_prefix(libc.as_str());
                rest.is_some_and(|rest| {
                    rest.is_empty()
                        || rest.starts_with([':', '['])
                        || rest
                            .strip_prefix('-')
                            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                })
            });
            if depth > 0 || !is_libc {
                words.push(word);
            }
        }
        words
    }
}

/// A word of a specification with `:=` for `:slot/subslot=`.
fn unbound(word: &str) -> String {
    let (atom, flags) = match word.find('[') {
        Some(at) => word.split_at(at),
        None => (word, ""),
    };
    match atom.split_once(':') {
        Some((name, slot)) if slot.ends_with('=') => format!("{name}:={flags}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_slots_are_unbound() {
        for (word, plain) in [
            ("a/b", "a/b"),
            ("a/b:0/1=", "a/b:="),
            (">=a/b-1:2=[x,y(+)]", ">=a/b-1:=[x,y(+)]"),
            ("a/b:2", "a/b:2"),
            ("a/b:*", "a/b:*"),
            ("||", "||"),
        ] {
            assert_eq!(unbound(word), plain);
        }
    }
}
