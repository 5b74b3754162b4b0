//! Where the bytes of an unfinished file came from, and how that server would know its file again.
//!
//! It is kept with the unfinished file in an extended attribute; where there are none, what was resumed is found out
//! to be wrong by its hashes.

use std::fs::File;

use reqwest::Url;
use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED};
use serde::{Deserialize, Serialize};
use xattr::FileExt;

use crate::fetch::plan::without_password;

/// The extended attribute.
const ATTRIBUTE: &str = "user.ebd.origin";

/// The most that is believed of one.
const LIMIT: usize = 4 << 10;

/// One server's name for one state of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The address, without a password.
    url: String,
    /// Its `ETag`, if that is a strong one.
    etag: Option<String>,
    /// Its `Last-Modified`.
    modified: Option<String>,
}

impl Origin {
    /// What an answer says; `None` if it says nothing by which the file would be known again.
    pub(super) fn of(url: &Url, headers: &HeaderMap) -> Option<Self> {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::to_owned);
        let origin = Self {
            url: without_password(url.as_str()),
            // A weak one says nothing of single bytes (RFC 9110, 8.8.1).
            etag: text(ETAG).filter(|etag| !etag.starts_with("W/")),
            modified: text(LAST_MODIFIED),
        };
        let known = origin.etag.is_some() || origin.modified.is_some();
        known.then_some(origin)
    }

    /// The header that asks for a part only if the file at `url` is still the same.
    pub(super) fn condition(&self, url: &Url) -> Option<(HeaderName, HeaderValue)> {
        let value = self.etag.as_ref().or(self.modified.as_ref())?;
        let value = HeaderValue::from_str(value).ok()?;
        (self.url == without_password(url.as_str())).then_some((IF_RANGE, value))
    }

    /// Whether an answer from `url` is about another file than the bytes that are there.
    pub(super) fn contradicts(&self, url: &Url, headers: &HeaderMap) -> bool {
        let Some(new) = Self::of(url, headers).filter(|new| new.url == self.url) else {
            return false;
        };
        match (&self.etag, &new.etag) {
            (Some(old), Some(new)) => old != new,
            _ => matches!((&self.modified, &new.modified), (Some(old), Some(new)) if old != new),
        }
    }

    /// What is kept with a file.
    pub(super) fn load(file: &File) -> Option<Self> {
        let bytes = file.get_xattr(ATTRIBUTE).ok().flatten()?;
        if bytes.len() > LIMIT {
            return None;
        }
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps `origin`, or nothing, with a file.
    pub(super) fn store(origin: Option<&Self>, file: &File) {
        let bytes = origin.and_then(|origin| serde_json::to_vec(origin).ok());
        let result = match bytes.filter(|bytes| bytes.len() <= LIMIT) {
            Some(bytes) => file.set_xattr(ATTRIBUTE, &bytes),
            None => file.remove_xattr(ATTRIBUTE),
        };
        if let Err(error) = result {
            tracing::trace!("{ATTRIBUTE}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str, headers: &[(HeaderName, &str)]) -> Option<Origin> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        Origin::of(&Url::parse(address).unwrap(), &headers)
    }

    #[test]
    fn servers_know_their_files_again() {
        let url = Url::parse("http://a/x").unwrap();
        assert_eq!(origin("http://a/x", &[]), None);
        assert_eq!(origin("http://a/x", &[(ETAG, "W/\"1\"")]), None);
        let date = "Sat, 01 Jan 2022 00:00:00 GMT";
        let weak = origin("http://a/x", &[(ETAG, "W/\"1\""), (LAST_MODIFIED, date)]).unwrap();
        assert_eq!(weak.condition(&url).unwrap().1, date);
        let strong = origin("http://a/x", &[(ETAG, "\"1\""), (LAST_MODIFIED, date)]).unwrap();
        assert_eq!(strong.condition(&url).unwrap().1, "\"1\"");
        let other = Url::parse("http://b/x").unwrap();
        assert_eq!(strong.condition(&other), None);
        let headers =
            |name: HeaderName, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        assert!(strong.contradicts(&url, &headers(ETAG, "\"2\"")));
        assert!(!strong.contradicts(&url, &headers(ETAG, "\"1\"")));
        assert!(!strong.contradicts(&other, &headers(ETAG, "\"2\"")));
        assert!(!strong.contradicts(&url, &HeaderMap::new()));
        assert!(weak.contradicts(
            &url,
            &headers(LAST_MODIFIED, "Sun, 02 Jan 2022 00:00:00 GMT")
        ));
    }
}
