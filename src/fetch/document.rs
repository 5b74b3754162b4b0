//! Documents that change, such as the index of a package host: fetched only if they are not as they were.

use std::path::Path;

use reqwest::header::{
    ACCEPT_ENCODING, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::fetch::command::fetched;
use crate::fetch::error::SourceError;
use crate::fetch::fetcher::Fetcher;
use crate::fetch::layouts::{Location, locate};
use crate::fetch::transfer::{answer, refusal};

/// How a server knows the state of a document again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentState {
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub modified: Option<String>,
}

/// What became of asking for a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// It is as it was.
    Unchanged,
    /// There is none.
    Missing,
    /// Its content, and its state if the server tells.
    Content(Vec<u8>, DocumentState),
}

impl Fetcher {
    /// Asks for the document at `address`, which is only sent if it is not in the state that is `known`. No more than
    /// `limit` bytes are taken. A program that fetches by http is only used with `commands`.
    ///
    /// # Errors
    /// It cannot be had, or is longer.
    pub async fn document(
        &self,
        address: &str,
        known: &DocumentState,
        limit: u64,
        commands: bool,
    ) -> Result<Document, SourceError> {
        let options = self.options();
        let location = match Url::parse(address) {
            Ok(url) if !commands && matches!(url.scheme(), "http" | "https") => Location::Http(url),
            _ => locate(address, &options.commands)?,
        };
        let url = match location {
            Location::Http(url) => url,
            Location::File(path) => return file(&path, known, limit).await,
            Location::Command { protocol, uri } => {
                return self.by_command(&protocol, &uri, limit).await;
            }
        };
        let mut attempt = 1;
        let mut pause = options.backoff;
        loop {
            match self.ask(&url, known, limit).await {
                Err(error) if error.is_transient() && attempt < options.attempts => {
                    tokio::time::sleep(pause.min(options.longest_pause)).await;
                    attempt += 1;
                    pause *= 2;
                }
                result => return result,
            }
        }
    }

    async fn ask(
        &self,
        url: &Url,
        known: &DocumentState,
        limit: u64,
    ) -> Result<Document, SourceError> {
        let options = self.options();
        let mut request = self
            .client()?
            .get(url.clone())
            .header(ACCEPT_ENCODING, "identity");
        for (name, value) in [
            (IF_NONE_MATCH, &known.etag),
            (IF_MODIFIED_SINCE, &known.modified),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let mut response = answer(options, request).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED if *known != DocumentState::default() => {
                return Ok(Document::Unchanged);
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Document::Missing),
            StatusCode::OK => {}
            status => return Err(refusal(status, response.headers())),
        }
        let promised = response.content_length();
        if promised.is_some_and(|length| length > limit) {
            return Err(SourceError::TooLong { limit });
        }
        let text = |name: HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let state = DocumentState {
            etag: text(ETAG),
            modified: text(LAST_MODIFIED),
        };
        let mut content = Vec::new();
        let begin = tokio::time::Instant::now();
        loop {
            let chunk = match tokio::time::timeout(options.stall_timeout, response.chunk()).await {
                Err(_) => return Err(SourceError::Silent(options.stall_timeout)),
                Ok(Err(error)) => {
                    return Err(SourceError::Cut {
                        got: content.len() as u64,
                        source: Some(error.without_url()),
                    });
                }
                Ok(Ok(None)) => return Ok(Document::Content(content, state)),
                Ok(Ok(Some(chunk))) => chunk,
            };
            if (content.len() + chunk.len()) as u64 > limit {
                return Err(SourceError::TooLong { limit });
            }
            content.extend_from_slice(&chunk);
            // So slow that it never ends.
            let windows = begin.elapsed().as_secs() / options.stall_timeout.as_secs().max(1);
            if (content.len() as u64) < windows.saturating_mul(options.stall_bytes) {
                return Err(SourceError::Stalled {
                    time: options.stall_timeout,
                    bytes: options.stall_bytes,
                });
            }
        }
    }

    async fn by_command(
        &self,
        protocol: &str,
        uri: &str,
        limit: u64,
    ) -> Result<Document, SourceError> {
        match fetched(self.options(), protocol, uri, "document").await? {
            Some((_folder, path)) => file(&path, &DocumentState::default(), limit).await,
            None => Ok(Document::Missing),
        }
    }
}

/// A document on this machine; its time is its state.
async fn file(path: &Path, known: &DocumentState, limit: u64) -> Result<Document, SourceError> {
    let fail = |source| SourceError::File {
        path: path.to_owned(),
        source,
    };
    let metadata = match tokio::fs::metadata(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Document::Missing),
        metadata => metadata.map_err(fail)?,
    };
    // A pipe would block for ever when it is opened.
    if !metadata.is_file() {
        return Err(fail(std::io::Error::other("not a regular file")));
    }
    let state = DocumentState {
        etag: None,
        modified: metadata.modified().ok().map(httpdate::fmt_http_date),
    };
    if state.modified.is_some() && state.modified == known.modified {
        return Ok(Document::Unchanged);
    }
    let file = tokio::fs::File::open(path).await.map_err(fail)?;
    let mut content = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut content)
        .await
        .map_err(fail)?;
    if content.len() as u64 > limit {
        return Err(SourceError::TooLong { limit });
    }
    Ok(Document::Content(content, state))
}
