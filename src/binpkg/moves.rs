//! Package moves of repositories, applied to the packages in PKGDIR.
//!
//! As in Portage, a package that has another name now is copied under that name, and the old one stays until it is
//! pruned; slots and dependencies are changed in the package itself. Signed packages are left as they are: nobody but
//! their signer could change them.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::audit::{Audit, AuditError};
use super::index::{Entry, HeaderSettings, Index, IndexError};
use super::package::{Package, PackageError};
use super::pkgdir::{Format, Pkgdir, PkgdirError, Reservation};
use super::repack::{RepackError, with_metadata};
use super::selection::EntryFacts;
use super::signature::Signer;
use super::xpak::Metadata;
use crate::pms::atom::{Atom, PackageFacts};
use crate::pms::cpv::{Cpv, CpvError};
use crate::pms::eapi::Eapi;
use crate::repo::Update;

/// The metadata that names other packages.
const DEPENDENCIES: [&str; 5] = ["BDEPEND", "DEPEND", "IDEPEND", "PDEPEND", "RDEPEND"];

/// A package could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// It cannot be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The index leads out of PKGDIR.
    #[error("{0}: the path leads out of PKGDIR")]
    Outside(String),
    /// It would have a name that is none.
    #[error("{path}: its new name is none")]
    Name {
        /// Its path below PKGDIR.
        path: String,
        /// Why.
        source: CpvError,
    },
    /// It is signed, and there is nobody to sign it anew.
    #[error(
        "{0}: is signed, and no key is configured to sign it anew, so it stays as it is; set BINPKG_GPG_SIGNING_KEY or FEATURES=binpkg-signing"
    )]
    Signed(String),
    /// It is signed by somebody who is not trusted, so it is not to be signed anew.
    #[error("{path}: is not signed anew, so it stays as it is")]
    Untrusted {
        /// Its path below PKGDIR.
        path: String,
        /// Why.
        source: Box<AuditError>,
    },
    /// It cannot be packed anew.
    #[error(transparent)]
    Repack(#[from] RepackError),
    /// PKGDIR cannot be used.
    #[error(transparent)]
    Pkgdir(#[from] PkgdirError),
    /// The index cannot be changed, or no entry can be made.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// The moves of all repositories.
#[derive(Debug, Clone, Default)]
pub struct Moves {
    /// By the name of the repository.
    pub repositories: BTreeMap<String, Vec<Update>>,
    /// The main repository, whose moves count for packages of repositories without any.
    pub main: Option<String>,
}

/// What changes about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its entry as it is.
    pub entry: Entry,
    /// Its new name and version, if it has one.
    pub name: Option<Cpv>,
    /// Its new slot, if it has one.
    pub slot: Option<String>,
    /// Its dependencies that are others.
    pub dependencies: BTreeMap<&'static str, String>,
}

impl Moves {
    /// The changes that concern packages of a repository.
    fn of(&self, repository: Option<&str>) -> &[Update] {
        repository
            .and_then(|name| self.repositories.get(name))
            .or_else(|| self.repositories.get(self.main.as_deref()?))
            .map_or(&[], Vec::as_slice)
    }

    /// Says what is to be changed of the packages of an index. Packages whose copy under the new name is there are not
    /// copied again; as in Portage, one built at the same time is its copy.
    #[must_use]
    pub fn changes(&self, index: &Index) -> Vec<Change> {
        let mut there: HashSet<(String, Option<i64>)> = index
            .entries()
            .iter()
            .map(|entry| (entry.cpv().to_owned(), entry.build_time()))
            .collect();
        index
            .entries()
            .iter()
            .filter_map(|entry| {
                let change = self.change(entry)?;
                let new = change.name.as_ref().is_none_or(|name| {
                    there.insert((name.as_str().to_owned(), entry.build_time()))
                });
                new.then_some(change)
            })
            .collect()
    }

    /// What is to be changed of one package, if anything.
    fn change(&self, entry: &Entry) -> Option<Change> {
        let updates = self.of(entry.get("REPO"));
        let cpv = Cpv::parse(entry.cpv()).ok()?;
        let eapi = Eapi::parse(entry.get("EAPI").unwrap_or("0")).ok()?;
        let mut now = EntryFacts::new(entry, cpv.clone());
        let mut slot = entry.get("SLOT").unwrap_or("0").to_owned();
        for update in updates {
            match update {
                Update::Move { from, to } if now.cpv().cp() == from => {
                    let (category, name) = to.split_once('/')?;
                    let pf = format!("{name}-{}", now.cpv().pvr());
                    now = EntryFacts::new(entry, Cpv::from_parts(category, &pf).ok()?);
                }
                Update::SlotMove { atom, from, to } => {
                    let (own, subslot) = match slot.split_once('/') {
                        Some((own, subslot)) => (own, Some(subslot)),
                        None => (slot.as_str(), None),
                    };
                    if own == from && atom.names(now.cpv()) {
                        slot = match subslot {
                            Some(subslot) if subslot != own && subslot != to => {
                                format!("{to}/{subslot}")
                            }
                            _ => to.clone(),
                        };
                    }
                }
                Update::Move { .. } => {}
            }
        }
        let name = now.cpv().clone();
        let mut dependencies = BTreeMap::new();
        for key in DEPENDENCIES {
            let old = entry.get(key).unwrap_or_default();
            let new = applied(updates, old, eapi, &name);
            if new != old {
                dependencies.insert(key, new);
            }
        }
        let change = Change {
            name: (name != cpv).then_some(name),
            slot: (slot != entry.get("SLOT").unwrap_or("0")).then_some(slot),
            dependencies,
            entry: entry.clone(),
        };
        let none = change.name.is_none() && change.slot.is_none() && change.dependencies.is_empty();
        (!none).then_some(change)
    }
}

/// A specification after all changes; blanks stay as they are. `own` is the name of the package that has it.
fn applied(updates: &[Update], text: &str, eapi: Eapi, own: &Cpv) -> String {
    let mut all = text.to_owned();
    for update in updates {
        let name = match update {
            Update::Move { from, .. } => from.as_str(),
            Update::SlotMove { atom, .. } if atom.version_dep().is_none() => atom.cp(),
            Update::SlotMove { .. } => continue,
        };
        if !all.contains(name) {
            continue;
        }
        let mut changed = String::with_capacity(all.len());
        for part in all.split_inclusive(char::is_whitespace) {
            let word = part.trim_end();
            let blank = part.get(word.len()..).unwrap_or_default();
            match replaced(update, word, eapi, own) {
                Some(new) => changed.push_str(&new),
                None => changed.push_str(word),
            }
            changed.push_str(blank);
        }
        all = changed;
    }
    all
}

/// A word after one change, if that is about it.
fn replaced(update: &Update, word: &str, eapi: Eapi, own: &Cpv) -> Option<String> {
    let atom = Atom::parse_recorded(word, eapi).ok()?;
    match update {
        Update::Move { from, to } if atom.cp() == from => {
            let new = word.replacen(from.as_str(), to, 1);
            let parsed = Atom::parse_recorded(&new, eapi).ok()?;
            // A package does not block itself.
            let own = parsed.blocker().is_some() && parsed.names(own);
            (!own).then_some(new)
        }
        Update::SlotMove {
            atom: of, from, to, ..
        } if atom.cp() == of.cp() => {
            let (name, flags) = match word.find('[') {
                Some(at) => word.split_at(at),
                None => (word, ""),
            };
            let (name, slot) = name.split_once(':')?;
            let (slot, repository) = match slot.split_once("::") {
                Some((slot, repository)) => (slot, format!("::{repository}")),
                None => (slot, String::new()),
            };
            let bare = slot.trim_end_matches(['=', '*']);
            let operator = slot.get(bare.len()..).unwrap_or_default();
            let (own, subslot) = match bare.split_once('/') {
                Some((own, subslot)) => (own, Some(subslot)),
                None => (bare, None),
            };
            let subslot = match subslot {
                Some(subslot) if subslot == from => format!("/{to}"),
                Some(subslot) => format!("/{subslot}"),
                None => String::new(),
            };
            (own == from).then(|| format!("{name}:{to}{subslot}{operator}{repository}{flags}"))
        }
        _ => None,
    }
}

/// Who signs packages anew that were signed, and who looks at their signatures before.
#[derive(Debug, Clone)]
pub struct Resigning {
    /// Who signs.
    pub signer: Signer,
    /// What is asked of what was signed; anything less than signatures would sign what a stranger has made.
    pub audit: Audit,
}

/// Makes one change. Signed packages are changed by `resigning` only. Gives the path of the package that is changed, or that
/// is new, below PKGDIR.
///
/// # Errors
/// The package is damaged, signed and cannot be signed anew, or cannot be written; then it is as it was.
pub fn apply(
    pkgdir: &Pkgdir,
    change: &Change,
    moves: &Moves,
    header: &HeaderSettings,
    resigning: Option<&Resigning>,
) -> Result<PathBuf, MoveError> {
    let shown = change.entry.path().into_owned();
    let path = pkgdir
        .path_of(&change.entry)
        .ok_or_else(|| MoveError::Outside(shown.clone()))?;
    let format = match Format::of_name(&path) {
        Some(format) => format,
        None => Package::open(&path)?.format(),
    };
    let build_id = change.entry.build_id();
    // What changes in its place is read when nobody can build another one there that would be lost.
    let held = match change.name {
        None => Some(pkgdir.reserve_over(&path, format, build_id)?),
        Some(_) => None,
    };
    let mut package = Package::open(&path)?;
    let resigning = match (package.is_signed(), resigning) {
        (false, _) => None,
        (true, None) => return Err(MoveError::Signed(shown)),
        (true, Some(resigning)) => {
            resigning
                .audit
                .file(&path)
                .map_err(|source| MoveError::Untrusted {
                    path: shown.clone(),
                    source: Box::new(source),
                })?;
            Some(resigning)
        }
    };
    let mut metadata = package.metadata()?;
    let name = |source| MoveError::Name {
        path: shown.clone(),
        source,
    };
    let old = Cpv::parse(change.entry.cpv()).map_err(name)?;
    let cpv = change.name.as_ref().unwrap_or(&old);
    alter(&mut metadata, change, moves, cpv);
    let mut place = match held {
        Some(place) => place,
        None => place_of(pkgdir, cpv, format, build_id)?,
    };
    let signer = resigning.map(|resigning| &resigning.signer);
    with_metadata(&mut package, &metadata, &mut place, signer)?;
    let package = place.seal()?;
    // It tells of where the package was built.
    metadata.remove("REPO_REVISIONS");
    let written = pkgdir.publish(package, cpv, &metadata, header)?;
    Ok(written.relative_path)
}

/// A place for a package under a new name: that of its build id, or the next one.
fn place_of(
    pkgdir: &Pkgdir,
    cpv: &Cpv,
    format: Format,
    build_id: Option<u64>,
) -> Result<Reservation, PkgdirError> {
    if pkgdir.options().multi_instance
        && let Some(id) = build_id.filter(|id| *id > 0)
        && let Some(place) = pkgdir.reserve_id(cpv, format, id)?
    {
        return Ok(place);
    }
    pkgdir.reserve(cpv, format)
}

/// Changes the metadata of a package.
fn alter(metadata: &mut Metadata, change: &Change, moves: &Moves, cpv: &Cpv) {
    let line = |text: &str| format!("{text}\n").into_bytes();
    if change.name.is_some() {
        let old = metadata.get("PF").map_or(&[][..], Vec::as_slice);
        let ebuild = format!("{}.ebuild", String::from_utf8_lossy(old).trim());
        if let Some(text) = metadata.remove(&ebuild) {
            metadata.insert(format!("{}.ebuild", cpv.pf()), text);
        }
        metadata.insert("CATEGORY".to_owned(), line(cpv.category()));
        metadata.insert("PF".to_owned(), line(cpv.pf()));
    }
    let slot_now = metadata.get("SLOT").map_or(&[][..], Vec::as_slice);
    let slot_now = String::from_utf8_lossy(slot_now).trim().to_owned();
    if let Some(slot) = &change.slot
        // One that was built meanwhile may have another already.
        && slot_now == change.entry.get("SLOT").unwrap_or("0")
    {
        metadata.insert("SLOT".to_owned(), line(slot));
    }
    let updates = moves.of(change.entry.get("REPO"));
    let eapi = Eapi::parse(change.entry.get("EAPI").unwrap_or("0")).unwrap_or(Eapi::LATEST);
    for key in DEPENDENCIES {
        // Not what the index has of it, where conditionals are decided.
        if let Some(value) = metadata.get_mut(key) {
            let text = String::from_utf8_lossy(value).into_owned();
            *value = applied(updates, &text, eapi, cpv).into_bytes();
        }
    }
}

#[cfg(test)]
mod tests;
