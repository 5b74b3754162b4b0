//! Sourcing one ebuild and making its entry.

use std::io;
use std::path::{Path, PathBuf};

use super::run::Shared;
use super::survey::Stale;
use crate::metadata::{Entry, MetadataError, from_values};
use crate::pms::eapi::{self, Eapi, UnsupportedEapi};
use crate::processor::sourcer::{KeptUse, Sourcer, SourcingError, Subject};
use crate::util::digest::HashName;
use crate::util::regular;

/// Why one ebuild has no entry.
#[derive(Debug, thiserror::Error)]
pub(super) enum EbuildError {
    #[error("{}: cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: is not valid UTF-8 (line {line})", path.display())]
    NotText { path: PathBuf, line: usize },
    #[error("{}: has carriage returns at the ends of lines (line {line}); convert it to plain newlines", path.display())]
    CarriageReturn { path: PathBuf, line: usize },
    #[error("{}: {source}", path.display())]
    Eapi {
        path: PathBuf,
        source: UnsupportedEapi,
    },
    #[error(transparent)]
    Sourcing(#[from] SourcingError),
    #[error("{}: {} changed while it was sourced, more than once; call ebd regen again when nothing changes the repository", path.display(), eclass.display())]
    Changing { path: PathBuf, eclass: PathBuf },
    #[error("{}: its metadata is not valid", path.display())]
    Metadata {
        path: PathBuf,
        #[source]
        source: MetadataError,
    },
}

/// What sourcing an ebuild gave.
pub(super) struct Generated {
    /// Its entry.
    pub(super) entry: Entry,
    /// The files of the eclasses that it inherited.
    pub(super) eclasses: Vec<PathBuf>,
    /// How it used those of them that were kept.
    pub(super) kept: Vec<KeptUse>,
    /// What it printed.
    pub(super) output: Vec<String>,
}

/// The text of an ebuild that can be sourced.
pub(super) struct Text {
    /// The text.
    pub(super) bytes: Vec<u8>,
    /// Its EAPI.
    pub(super) eapi: Eapi,
}

/// Reads an ebuild.
///
/// # Errors
/// It cannot be read, is no text that everybody reads alike, or its EAPI is unknown.
pub(super) fn read(path: &Path) -> Result<Text, EbuildError> {
    let own = || path.to_owned();
    let bytes = regular::read(path).map_err(|source| EbuildError::Read {
        path: own(),
        source,
    })?;
    check_text(path, &bytes)?;
    let eapi = Eapi::parse(eapi::scan(&bytes)).map_err(|source| EbuildError::Eapi {
        path: own(),
        source,
    })?;
    Ok(Text { bytes, eapi })
}

/// How often an ebuild is sourced whose eclasses come into being meanwhile.
const ATTEMPTS: usize = 3;

/// Sources one ebuild and makes its entry; the sourcer must be for its EAPI.
pub(super) async fn generate(
    shared: &Shared,
    sourcer: &mut Sourcer,
    stale: &Stale,
    text: &Text,
    whole_eclasses: bool,
) -> Result<Generated, EbuildError> {
    let mut new = PathBuf::new();
    for _ in 0..ATTEMPTS {
        match attempt(shared, sourcer, stale, text, whole_eclasses).await? {
            Attempt::Made(generated) => return Ok(generated),
            Attempt::New(eclass) => new = eclass,
        }
    }
    Err(EbuildError::Changing {
        path: stale.ebuild.path.clone(),
        eclass: new,
    })
}

/// What came of sourcing an ebuild once.
enum Attempt {
    /// All its eclasses were known before.
    Made(Generated),
    /// This one was not, so it may have been another when bash read it.
    New(PathBuf),
}

async fn attempt(
    shared: &Shared,
    sourcer: &mut Sourcer,
    stale: &Stale,
    text: &Text,
    whole_eclasses: bool,
) -> Result<Attempt, EbuildError> {
    let known = shared.eclasses.len();
    let sourced = sourcer
        .source(&Subject {
            cpv: &stale.ebuild.cpv,
            ebuild: &stale.ebuild.path,
            whole_eclasses,
            limit: shared.options.limit,
        })
        .await?;
    let mut new = None;
    let find = |name: &str| {
        let file = shared.eclasses.get(&shared.repositories, name)?;
        if !shared.eclasses.was_among(known, name) {
            new = Some(file.path.clone());
        }
        Ok(file)
    };
    let md5 = HashName::Md5.hex(&text.bytes);
    let (entry, inherited) =
        from_values(&md5, &sourced.values, find).map_err(|source| EbuildError::Metadata {
            path: stale.ebuild.path.clone(),
            source,
        })?;
    if let Some(eclass) = new {
        return Ok(Attempt::New(eclass));
    }
    let mut eclasses = Vec::new();
    let mut kept = Vec::new();
    for (name, file) in inherited {
        // What changed meanwhile may have been another when it was kept.
        let used = sourced.kept.get(&name);
        kept.extend(used.filter(|used| used.eclass.md5 == file.md5).cloned());
        eclasses.push(file.path);
    }
    Ok(Attempt::Made(Generated {
        entry,
        eclasses,
        kept,
        output: sourced.output,
    }))
}

/// Whether the text is one that bash and everybody else read alike (PMS 7.1).
fn check_text(path: &Path, text: &[u8]) -> Result<(), EbuildError> {
    let line_of = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    };
    if let Err(error) = std::str::from_utf8(text) {
        return Err(EbuildError::NotText {
            path: path.to_owned(),
            line: line_of(error.valid_up_to()),
        });
    }
    if let Some(at) = text.windows(2).position(|pair| pair == b"\r\n") {
        return Err(EbuildError::CarriageReturn {
            path: path.to_owned(),
            line: line_of(at),
        });
    }
    Ok(())
}
