//! How fetching is to be done.

use std::path::PathBuf;
use std::time::Duration;

/// How a [`Fetcher`](crate::fetch::Fetcher) fetches.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// `DISTDIR`. It is created when missing.
    pub distdir: PathBuf,
    /// `PORTAGE_RO_DISTDIRS`: directories with distfiles, to which links are set.
    pub ro_distdirs: Vec<PathBuf>,
    /// The group that distfiles get, usually that of `portage`; `None` leaves it to the system.
    pub group: Option<u32>,
    /// Whether a distfile is locked while it is fetched (`FEATURES=distlocks`).
    pub locks: bool,
    /// Whether a file that the Manifest does not have is fetched, unverified.
    pub allow_missing: bool,
    /// The most bytes that are accepted of such a file.
    pub unlisted_limit: u64,
    /// How many sources may deliver wrong content before the fetch is given up
    /// (`PORTAGE_FETCH_CHECKSUM_TRY_MIRRORS`, at least 1).
    pub checksum_tries: usize,
    /// The least size in bytes of an unfinished download that is resumed (`PORTAGE_FETCH_RESUME_MIN_SIZE`).
    pub resume_min_size: u64,
    /// Whether the proxies of the environment are used (`http_proxy`, `https_proxy`, `no_proxy`).
    pub proxies: bool,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long to wait for an answer, and in which time the [`stall_bytes`](Self::stall_bytes) have to arrive.
    pub stall_timeout: Duration,
    /// The least that has to arrive in each stall timeout, in bytes.
    pub stall_bytes: u64,
    /// How often a source is tried that breaks off without getting further.
    pub attempts: u32,
    /// The pause before the second attempt. It doubles with each further one.
    pub backoff: Duration,
    /// The longest pause, also when a server asks for a longer one.
    pub longest_pause: Duration,
}

impl FetchOptions {
    /// The defaults, which are Portage's where it has them.
    pub fn new(distdir: impl Into<PathBuf>) -> Self {
        Self {
            distdir: distdir.into(),
            ro_distdirs: Vec::new(),
            group: None,
            locks: true,
            allow_missing: false,
            unlisted_limit: 16 << 30,
            checksum_tries: 5,
            resume_min_size: 350 << 10,
            proxies: true,
            connect_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            stall_bytes: 4096,
            attempts: 3,
            backoff: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}
