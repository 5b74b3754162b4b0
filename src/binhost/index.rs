//! The index of a host: asked for when what is kept of it is too old, and kept for the next time.
//!
//! A file of the cache has a line of JSON, which tells where and when the rest came from, and the index as the host has
//! it.

use std::io::Read;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::Host;
use crate::binpkg::index::Index;
use crate::fetch::{Document, DocumentState, SourceError, without_password};
use crate::util::atomic;
use crate::util::digest::HashName;

/// The most that an index may have, packed or not, in bytes: four times that of the largest host that is known.
pub const LIMIT: u64 = 64 << 20;

/// The index of a host cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{host}: its package index cannot be used")]
pub struct HostError {
    /// The host.
    pub host: String,
    /// Why.
    pub source: IndexFault,
}

/// Why the index of a host cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexFault {
    /// It cannot be had.
    #[error("it cannot be fetched")]
    Fetch(#[from] SourceError),
    /// There is none.
    #[error("there is neither Packages.gz nor Packages; is the address right?")]
    Missing,
    /// It cannot be decompressed.
    #[error("Packages.gz is damaged")]
    Compressed(#[source] std::io::Error),
    /// It is too long when it is decompressed.
    #[error("it has more than {LIMIT} bytes")]
    TooLong,
    /// It is no index.
    #[error("its header has no TIMESTAMP, so it is no package index")]
    NoIndex,
    /// It is of a later version of the format.
    #[error("its version {0:?} is not supported")]
    Version(String),
    /// The end is missing.
    #[error("it is cut off: of {promised} packages it has {found}")]
    Cut {
        /// How many it says there are.
        promised: usize,
        /// How many there are.
        found: usize,
    },
    /// It says that packages are elsewhere, where a host may not lead.
    #[error("its header has the URI {0:?}, which is no address of a server")]
    BaseUri(String),
}

/// How up to date an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It was fetched just now.
    Fetched,
    /// The host said that it is as it was.
    Unchanged,
    /// It was not asked for: the host is frozen, or says how long it holds.
    Kept,
    /// It could not be had; it is the last one that could.
    Old,
}

/// An index and where its packages are.
#[derive(Debug, Clone)]
pub struct HostIndex {
    /// The index.
    pub index: Index,
    /// The address that the paths of packages are below.
    pub base: String,
    /// How up to date it is.
    pub freshness: Freshness,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    address: String,
    /// Seconds since 1970.
    fetched: u64,
    #[serde(flatten)]
    state: DocumentState,
}

/// The index of `host`, which is kept in the folder `cache`. `now` is in seconds since 1970. With `pretend` an old one
/// is good enough if the host cannot be reached.
///
/// # Errors
/// It cannot be had, or is none.
pub async fn load(
    host: &Host,
    cache: &Path,
    now: u64,
    pretend: bool,
) -> Result<HostIndex, HostError> {
    load_inner(host, cache, now, pretend)
        .await
        .map_err(|source| HostError {
            host: host.name(),
            source,
        })
}

async fn load_inner(
    host: &Host,
    cache: &Path,
    now: u64,
    pretend: bool,
) -> Result<HostIndex, IndexFault> {
    let address = &host.repository.sync_uri;
    let path = kept_path(cache, address);
    let kept = read_kept(&path, address);
    if let Some((kept, index)) = &kept {
        let holds = index.header("TTL").and_then(|ttl| ttl.parse::<f64>().ok());
        let age = now.checked_sub(kept.fetched);
        let in_time = matches!((holds, age), (Some(ttl), Some(age)) if (age as f64) < ttl);
        if host.repository.frozen || in_time {
            return finish(address, index.clone(), Freshness::Kept);
        }
    }
    let (known, old) = match kept {
        Some((kept, index)) => (kept.state, Some(index)),
        None => (DocumentState::default(), None),
    };
    let state = match &old {
        Some(index) => with_timestamp(known, index),
        None => known,
    };
    let fetched = match fetch(host, address, &state).await {
        Ok(fetched) => fetched,
        Err(error) => {
            return match old.filter(|_| pretend) {
                Some(index) => finish(address, index, Freshness::Old),
                None => Err(error),
            };
        }
    };
    let Some((text, index, state)) = fetched else {
        // Only what is kept can be unchanged.
        let index = old.ok_or(IndexFault::Missing)?;
        return finish(address, index, Freshness::Unchanged);
    };
    if let Some(old) = old.filter(|old| timestamp(old) > timestamp(&index)) {
        // A mirror that is behind; as in Portage, what is newer is used.
        return finish(address, old, Freshness::Unchanged);
    }
    let found = finish(address, index, Freshness::Fetched)?;
    keep(
        &path,
        &Kept {
            address: without_password(address),
            fetched: now,
            state,
        },
        &text,
    );
    Ok(found)
}

type Fetched = Option<(Vec<u8>, Index, DocumentState)>;

/// Asks for the index; nothing if it is as it was.
async fn fetch(host: &Host, address: &str, known: &DocumentState) -> Result<Fetched, IndexFault> {
    for name in ["Packages.gz", "Packages"] {
        let address = match address.contains("://") {
            true => format!("{address}/{name}"),
            false => format!("file://{address}/{name}"),
        };
        // As in Portage, FETCHCOMMAND is for packages; only a program of the host itself fetches its index.
        let commands = host.repository.fetch_command.is_some();
        let document = host.fetcher.document(&address, known, LIMIT, commands);
        return match document.await? {
            Document::Missing => continue,
            Document::Unchanged => Ok(None),
            Document::Content(content, state) => {
                let (text, index) = decode(content)?;
                Ok(Some((text, index, state)))
            }
        };
    }
    Err(IndexFault::Missing)
}

/// A server that says nothing of its own is asked by the time that the index itself has.
fn with_timestamp(mut state: DocumentState, index: &Index) -> DocumentState {
    if state.modified.is_none() {
        let time = std::time::Duration::from_secs(timestamp(index));
        state.modified = std::time::UNIX_EPOCH
            .checked_add(time)
            // What can be written as a date has a year of four digits.
            .filter(|_| time.as_secs() < 253_402_300_800)
            .map(httpdate::fmt_http_date);
    }
    state
}

fn timestamp(index: &Index) -> u64 {
    let text = index.header("TIMESTAMP").unwrap_or_default();
    text.parse().unwrap_or(0)
}

/// The text of an index that came from a host, packed with gzip or not, and what it says.
///
/// # Errors
/// It is damaged, too long, or no whole index.
pub fn decode(content: Vec<u8>) -> Result<(Vec<u8>, Index), IndexFault> {
    let text = decompressed(content)?;
    let index = parse(&text)?;
    Ok((text, index))
}

fn decompressed(content: Vec<u8>) -> Result<Vec<u8>, IndexFault> {
    if !content.starts_with(&[0x1f, 0x8b]) {
        return Ok(content);
    }
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(content.as_slice())
        .take(LIMIT + 1)
        .read_to_end(&mut text)
        .map_err(IndexFault::Compressed)?;
    match text.len() as u64 > LIMIT {
        true => Err(IndexFault::TooLong),
        false => Ok(text),
    }
}

/// Reads an index, which must be a whole one.
fn parse(text: &[u8]) -> Result<Index, IndexFault> {
    let index = Index::parse(text);
    let number = |key: &str| index.header(key).and_then(|text| text.parse::<u64>().ok());
    if number("TIMESTAMP").is_none() {
        return Err(IndexFault::NoIndex);
    }
    if !index.is_supported() {
        let version = index.header("VERSION").unwrap_or_default();
        return Err(IndexFault::Version(version.to_owned()));
    }
    let promised = number("PACKAGES").and_then(|count| usize::try_from(count).ok());
    // Every entry has a blank line behind it; without, the last one may lack something.
    let whole = text.ends_with(b"\n\n") || text.ends_with(b"\n\r\n");
    let found = index.entries().len() - usize::from(!whole && !index.entries().is_empty());
    match promised.filter(|promised| found < *promised) {
        Some(promised) => Err(IndexFault::Cut { promised, found }),
        None => Ok(index),
    }
}

fn finish(address: &str, index: Index, freshness: Freshness) -> Result<HostIndex, IndexFault> {
    let scheme = |address: &str| {
        let (scheme, _) = address.split_once("://")?;
        Some(scheme.to_ascii_lowercase())
    };
    let base = match index.header("URI") {
        None => address,
        Some(uri) => {
            let own = scheme(uri).is_some() && scheme(uri) == scheme(address);
            let web = matches!(scheme(uri).as_deref(), Some("http" | "https"));
            if !(own || web) {
                return Err(IndexFault::BaseUri(uri.to_owned()));
            }
            uri
        }
    };
    let base = match base.contains("://") {
        true => base.trim_end_matches('/').to_owned(),
        false => format!("file://{}", base.trim_end_matches('/')),
    };
    Ok(HostIndex {
        base,
        index,
        freshness,
    })
}

/// The file of an address: what people recognise of it, and a checksum of the whole.
fn kept_path(cache: &Path, address: &str) -> PathBuf {
    let shown = match Url::parse(address) {
        Ok(url) => format!("{}{}", url.host_str().unwrap_or_default(), url.path()),
        Err(_) => address.to_owned(),
    };
    let shown: String = shown
        .trim_matches('/')
        .chars()
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => letter,
            _ => '_',
        })
        .take(100)
        .collect();
    let digest = HashName::Sha256.hex(address.as_bytes());
    let digest = digest.get(..16).unwrap_or_default();
    cache.join(format!("{shown}-{digest}.index"))
}

/// What is kept of an address; nothing if it cannot be read, as it can be had again.
fn read_kept(path: &Path, address: &str) -> Option<(Kept, Index)> {
    let bytes = std::fs::read(path).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, text) = bytes.split_at_checked(end + 1)?;
    let kept: Kept = serde_json::from_slice(line).ok()?;
    let index = parse(text).ok()?;
    (kept.address == without_password(address)).then_some((kept, index))
}

/// Keeps an index. It is no failure when that cannot be.
fn keep(path: &Path, kept: &Kept, text: &[u8]) {
    let Ok(mut bytes) = serde_json::to_vec(kept) else {
        return;
    };
    bytes.push(b'\n');
    bytes.extend_from_slice(text);
    if let Some(folder) = path.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    if let Err(error) = atomic::write_unsynced(path, &bytes, 0o644) {
        tracing::debug!("{}: {error}", path.display());
    }
}
