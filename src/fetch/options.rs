//! How fetching is to be done.

use std::path::PathBuf;
use std::time::Duration;

use crate::fetch::command::FetchCommands;
use crate::fetch::identity::FetchUser;

/// How a [`Fetcher`](crate::fetch::Fetcher) fetches.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// `DISTDIR`. It is created when missing.
    pub distdir: PathBuf,
    /// `PORTAGE_RO_DISTDIRS`: directories with distfiles, from which they are taken by hard link, reflink or copy.
    pub ro_distdirs: Vec<PathBuf>,
    /// The group that distfiles get, usually that of `portage`; `None` leaves it to the system.
    pub group: Option<u32>,
    /// Who fetches, if not the user who runs this program (`FEATURES=userfetch`).
    pub user: Option<FetchUser>,
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
    /// How many connections there are at once, at least 1.
    pub connections: usize,
    /// How many of them to one host, at least 1.
    pub connections_per_host: usize,
    /// The proxies.
    pub proxies: Proxies,
    /// Programs that the user wants to fetch with, and those for other protocols.
    pub commands: FetchCommands,
    /// A file that keeps what mirrors say of their layout.
    pub layouts: Option<PathBuf>,
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
            user: None,
            locks: true,
            allow_missing: false,
            unlisted_limit: 16 << 30,
            checksum_tries: 5,
            resume_min_size: 350 << 10,
            connections: 16,
            connections_per_host: 6,
            proxies: Proxies::default(),
            commands: FetchCommands::default(),
            layouts: None,
            connect_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            stall_bytes: 4096,
            attempts: 3,
            backoff: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// Through whom the network is reached: addresses such as `http://user:password@host:port`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For http (`http_proxy`).
    pub http: Option<String>,
    /// For https (`https_proxy`).
    pub https: Option<String>,
    /// For both, where there is none of its own (`all_proxy`).
    pub all: Option<String>,
    /// Hosts, domains and networks that are reached without, with commas between them (`no_proxy`).
    pub except: Option<String>,
}

impl Proxies {
    /// Those that `get` finds under their usual names, the one in lower case before that in upper case.
    pub fn named<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        let one = |name: &str| {
            [name.to_owned(), name.to_ascii_uppercase()]
                .iter()
                .filter_map(|name| get(name))
                .map(str::trim)
                .find(|value| !value.is_empty())
                .map(str::to_owned)
        };
        Self {
            http: one("http_proxy"),
            https: one("https_proxy"),
            all: one("all_proxy"),
            except: one("no_proxy"),
        }
    }
}

/// Reads the value of `PORTAGE_FETCH_RESUME_MIN_SIZE`: bytes, or with one of the suffixes `K`, `M`, `G`, … as powers
/// of 1024. `None` when it is something else, or beyond what a file can have.
pub fn parse_resume_size(text: &str) -> Option<u64> {
    let text: String = text.split_whitespace().collect();
    let (digits, power) = match text.char_indices().next_back()? {
        (_, last) if last.is_ascii_digit() => (text.as_str(), 0),
        (position, last) => {
            let power = "KMGTPEZY".find(last.to_ascii_uppercase())? + 1;
            (text.get(..position)?, power)
        }
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let unit = 1024u64.checked_pow(u32::try_from(power).ok()?)?;
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("350K", Some(350 << 10)),
            (" 2 m ", Some(2 << 20)),
            ("0", Some(0)),
            ("17", Some(17)),
            ("1E", Some(1 << 60)),
            ("1Y", None),
            ("K", None),
            ("", None),
            ("-1", None),
            ("+1K", None),
            ("1KB", None),
            ("1ä", None),
        ] {
            assert_eq!(parse_resume_size(text), size, "{text:?}");
        }
    }
}
