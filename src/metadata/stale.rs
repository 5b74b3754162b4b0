//! Whether an entry still says what sourcing the ebuild would.

use std::fmt;

use super::{Entry, MetadataError};
use crate::pms::eapi::Eapi;
use crate::repo::{Ebuild, EclassFile, RepoError, RepoSet};
use crate::util::digest::{HashName, hash_file};

/// Why an entry does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaleReason {
    /// The file is no cache entry.
    Damaged(String),
    /// It was made of an EAPI that is not supported.
    Eapi(String),
    /// It holds no checksum of the ebuild.
    NoChecksum,
    /// The ebuild is another.
    EbuildChanged,
    /// The ebuild is gone.
    EbuildMissing,
    /// An eclass is another, or another repository's goes before it now.
    EclassChanged(String),
    /// An eclass is gone.
    EclassMissing(String),
}

impl fmt::Display for StaleReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) => write!(formatter, "the entry is damaged: {what}"),
            Self::Eapi(eapi) => write!(formatter, "the entry is of unsupported EAPI {eapi}"),
            Self::NoChecksum => formatter.write_str("the entry has no checksum of the ebuild"),
            Self::EbuildChanged => formatter.write_str("the ebuild has changed"),
            Self::EbuildMissing => formatter.write_str("the ebuild is gone"),
            Self::EclassChanged(name) => write!(formatter, "eclass {name} has changed"),
            Self::EclassMissing(name) => write!(formatter, "eclass {name} is gone"),
        }
    }
}

impl Entry {
    /// Compares the entry's checksums with the ebuild and with the eclasses that the ebuild
    /// would inherit now; none when all are the same.
    ///
    /// # Errors
    /// The ebuild or an eclass cannot be read, or the ebuild's repository is unknown.
    pub fn stale(
        &self,
        repositories: &RepoSet,
        ebuild: &Ebuild,
    ) -> Result<Option<StaleReason>, MetadataError> {
        let digests =
            hash_file(&ebuild.path, &[HashName::Md5]).map_err(|error| MetadataError::Read {
                path: error.path,
                source: error.source,
            })?;
        let md5 = digests.get(HashName::Md5).unwrap_or_default();
        self.stale_against(repositories, ebuild, md5)
    }

    /// As [`stale`](Self::stale), with the MD5 sum of the ebuild known already.
    ///
    /// # Errors
    /// An eclass cannot be read, or the ebuild's repository is unknown.
    pub fn stale_against(
        &self,
        repositories: &RepoSet,
        ebuild: &Ebuild,
        md5: &str,
    ) -> Result<Option<StaleReason>, MetadataError> {
        self.stale_by(md5, |name| repositories.eclass(&ebuild.repository, name))
    }

    /// As [`stale_against`](Self::stale_against), with another way to find an eclass by its name.
    ///
    /// # Errors
    /// An eclass cannot be read, or the ebuild's repository is unknown.
    pub fn stale_by(
        &self,
        md5: &str,
        mut eclass: impl FnMut(&str) -> Result<EclassFile, RepoError>,
    ) -> Result<Option<StaleReason>, MetadataError> {
        let eapi = self.get("EAPI").unwrap_or("0");
        if Eapi::parse(eapi).is_err() {
            return Ok(Some(StaleReason::Eapi(eapi.to_owned())));
        }
        match self.ebuild_md5() {
            None => return Ok(Some(StaleReason::NoChecksum)),
            Some(known) if known != md5 => return Ok(Some(StaleReason::EbuildChanged)),
            Some(_) => {}
        }
        let eclasses = match self.eclasses() {
            Ok(eclasses) => eclasses,
            Err(error) => return Ok(Some(StaleReason::Damaged(error.to_string()))),
        };
        for (name, known) in eclasses {
            match eclass(name) {
                Ok(file) if file.md5 == known => {}
                Ok(_) => return Ok(Some(StaleReason::EclassChanged(name.to_owned()))),
                Err(RepoError::MissingEclass { .. }) => {
                    return Ok(Some(StaleReason::EclassMissing(name.to_owned())));
                }
                Err(RepoError::EclassName { .. }) => {
                    let what = format!("`{name}` is not the name of an eclass");
                    return Ok(Some(StaleReason::Damaged(what)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}
