//! Bytes from one source into the unfinished file.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, RANGE, RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{Client, Response, StatusCode, Url, Version};
use tokio::io::AsyncReadExt;

use crate::fetch::error::{FetchError, SourceError};
use crate::fetch::event::{Event, Events};
use crate::fetch::expected::Expected;
use crate::fetch::options::FetchOptions;
use crate::fetch::origin::Origin;
use crate::fetch::partial::Partial;

/// How often progress is told.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// How much of a local file is read at a time.
const BLOCK: usize = 1 << 18;

/// The longest answer that is read when the whole of it is kept in memory.
const TEXT_LIMIT: usize = 64 << 10;

/// A transfer failed.
#[derive(Debug)]
pub(super) enum TransferError {
    /// Because of the source: the next one may do.
    Source(SourceError),
    /// Because of DISTDIR: no other source would do.
    Fatal(FetchError),
}

impl From<SourceError> for TransferError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<FetchError> for TransferError {
    fn from(error: FetchError) -> Self {
        Self::Fatal(error)
    }
}

/// Tells progress, a few times a second.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    file: &'a str,
    events: &'a Events,
    told: Option<Instant>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(file: &'a str, events: &'a Events) -> Self {
        Self {
            file,
            events,
            told: None,
        }
    }

    /// Whether the file may well be a page for people.
    fn is_for_people(&self) -> bool {
        [".html", ".htm", ".xhtml"]
            .iter()
            .any(|suffix| self.file.ends_with(suffix))
    }

    fn tell_last(&mut self, bytes: u64) {
        self.told = None;
        self.tell(bytes);
    }

    fn tell(&mut self, bytes: u64) {
        if self
            .told
            .is_none_or(|told| told.elapsed() >= PROGRESS_PAUSE)
        {
            self.told = Some(Instant::now());
            let _ = self.events.send(Event::Progress {
                file: self.file.to_owned(),
                bytes,
            });
        }
    }
}

/// Fetches by http or https, from where the unfinished file ends if the server lets us.
///
/// The file has its full size on success; its content is not verified.
pub(super) async fn http(
    client: &Client,
    options: &FetchOptions,
    url: &Url,
    partial: &mut Partial,
    expected: Option<&Expected>,
    progress: &mut Progress<'_>,
) -> Result<(), TransferError> {
    let response = request(client, options, url, partial, expected).await?;
    if expected.is_none() && is_page(response.headers()) && !progress.is_for_people() {
        return Err(SourceError::Page.into());
    }
    let closes_at_end = response.version() <= Version::HTTP_11
        && response.content_length().is_none()
        && !response.headers().contains_key(TRANSFER_ENCODING);
    let result = receive(response, options, partial, progress).await;
    // What has arrived stays, for the next attempt or the next source.
    partial.flush().await?;
    progress.tell_last(partial.size());
    result?;
    let got = partial.size();
    match expected {
        // A server that just hangs up at the end gives no way to tell the end from an accident.
        Some(expected) if got < expected.size() && closes_at_end => {
            Err(SourceError::Cut { got, source: None }.into())
        }
        Some(expected) => expected
            .verify_size(got)
            .map_err(|mismatch| SourceError::Content(mismatch).into()),
        None if got == 0 => Err(SourceError::Empty.into()),
        None if partial.is_page().await? && !progress.is_for_people() => {
            Err(SourceError::Page.into())
        }
        None => Ok(()),
    }
}

/// Whether an answer says that it is a page for people.
fn is_page(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("text/html")
        })
}

/// Asks for the file, or what is missing of it. The answer's body goes on exactly where the unfinished file ends.
async fn request(
    client: &Client,
    options: &FetchOptions,
    url: &Url,
    partial: &mut Partial,
    expected: Option<&Expected>,
) -> Result<Response, TransferError> {
    // Without a size there is no telling an unfinished file from another one.
    let mut offset = if expected.is_some() {
        partial.size()
    } else {
        0
    };
    loop {
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
            if let Some((name, value)) = partial.origin().and_then(|it| it.condition(url)) {
                request = request.header(name, value);
            }
        }
        let response = answer(options, request).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if offset > 0 => {
                let range = content_range(response.headers());
                if let (Some(expected), Some((_, Some(total)))) = (expected, range) {
                    check_offered(total, expected)?;
                }
                let changed = partial
                    .origin()
                    .is_some_and(|it| it.contradicts(url, response.headers()));
                if range.is_some_and(|(start, _)| start == offset) && !changed {
                    let origin = Origin::of(url, response.headers());
                    partial.set_origin(origin).await?;
                    return Ok(response);
                }
                // It sends another part than the one it was asked for, or of another file: without asking for one it
                // may do better.
                offset = 0;
            }
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => offset = 0,
            StatusCode::OK => {
                if let (Some(expected), Some(length)) = (expected, response.content_length()) {
                    check_offered(length, expected)?;
                }
                if partial.size() > 0 {
                    partial.restart().await?;
                }
                // Without a size it would not be resumed.
                if expected.is_some() {
                    partial
                        .set_origin(Origin::of(url, response.headers()))
                        .await?;
                }
                return Ok(response);
            }
            status => return Err(refusal(status, response.headers()).into()),
        }
    }
}

pub(super) async fn answer(
    options: &FetchOptions,
    request: reqwest::RequestBuilder,
) -> Result<Response, SourceError> {
    // Connecting has a timeout of its own, and redirects may need it several times.
    let patience = options.stall_timeout + options.connect_timeout;
    match tokio::time::timeout(patience, request.send()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(SourceError::Http(error.without_url())),
        Err(_) => Err(SourceError::Silent(patience)),
    }
}

fn check_offered(offered: u64, expected: &Expected) -> Result<(), SourceError> {
    if offered == expected.size() {
        Ok(())
    } else {
        Err(SourceError::Offered {
            offered,
            expected: expected.size(),
        })
    }
}

pub(super) fn refusal(status: StatusCode, headers: &HeaderMap) -> SourceError {
    let retry_after = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_secs);
    SourceError::Status {
        status,
        retry_after,
    }
}

/// Start and total size from `Content-Range: bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

async fn receive(
    mut response: Response,
    options: &FetchOptions,
    partial: &mut Partial,
    progress: &mut Progress<'_>,
) -> Result<(), TransferError> {
    let mut window = Instant::now();
    let mut at_window = partial.size();
    loop {
        let stalled = || SourceError::Stalled {
            time: options.stall_timeout,
            bytes: options.stall_bytes,
        };
        let chunk = match tokio::time::timeout(options.stall_timeout, response.chunk()).await {
            Err(_) => return Err(stalled().into()),
            Ok(Err(error)) => {
                return Err(SourceError::Cut {
                    got: partial.size(),
                    source: Some(error.without_url()),
                }
                .into());
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(chunk))) => chunk,
        };
        let room = partial.limit().saturating_sub(partial.size());
        if chunk.len() as u64 > room {
            let fits = usize::try_from(room).unwrap_or(usize::MAX);
            partial.push(chunk.get(..fits).unwrap_or_default()).await?;
            return Err(SourceError::TooLong {
                limit: partial.limit(),
            }
            .into());
        }
        partial.push(&chunk).await?;
        progress.tell(partial.size());
        if window.elapsed() >= options.stall_timeout {
            if partial.size() - at_window < options.stall_bytes {
                return Err(stalled().into());
            }
            window = Instant::now();
            at_window = partial.size();
        }
    }
}

/// Copies a local file. The unfinished file has its full size on success; its content is not verified.
pub(super) async fn copy(
    path: &Path,
    partial: &mut Partial,
    expected: Option<&Expected>,
    progress: &mut Progress<'_>,
) -> Result<(), TransferError> {
    let fail = |source| SourceError::File {
        path: path.to_owned(),
        source,
    };
    // A pipe would block for ever when it is opened.
    let metadata = tokio::fs::metadata(path).await.map_err(fail)?;
    if !metadata.is_file() {
        return Err(fail(std::io::Error::other("not a regular file")).into());
    }
    if let Some(expected) = expected {
        check_offered(metadata.len(), expected)?;
    }
    let mut file = tokio::fs::File::open(path).await.map_err(fail)?;
    if partial.size() > 0 {
        partial.restart().await?;
    }
    let mut block = vec![0; BLOCK];
    loop {
        let count = file.read(&mut block).await.map_err(fail)?;
        if count == 0 {
            break;
        }
        if count as u64 > partial.limit().saturating_sub(partial.size()) {
            return Err(SourceError::TooLong {
                limit: partial.limit(),
            }
            .into());
        }
        partial.push(block.get(..count).unwrap_or_default()).await?;
        progress.tell(partial.size());
    }
    partial.flush().await?;
    progress.tell_last(partial.size());
    match expected {
        Some(expected) => expected
            .verify_size(partial.size())
            .map_err(|mismatch| SourceError::Content(mismatch).into()),
        None if partial.size() == 0 => Err(SourceError::Empty.into()),
        None => Ok(()),
    }
}

/// Has a program fetch the file, or what is missing of it.
///
/// The file has its full size on success; its content is not verified.
pub(super) async fn by_command(
    options: &FetchOptions,
    (protocol, uri): (&str, &str),
    partial: &mut Partial,
    expected: Option<&Expected>,
    progress: &mut Progress<'_>,
) -> Result<(), TransferError> {
    let resume = expected.is_some() && partial.size() > 0;
    let Some(command) = options.commands.of(protocol, resume)? else {
        return Err(SourceError::Protocol {
            protocol: protocol.to_owned(),
        }
        .into());
    };
    let command = command.with_digests(&expected.map(Expected::digests).unwrap_or_default())?;
    if partial.size() > 0 && !resume {
        partial.restart().await?;
    }
    let name = partial.file_name();
    let run = command.run(uri, &options.distdir, &name, options.user);
    let result = {
        let path = options.distdir.join(&name);
        let mut run = std::pin::pin!(run);
        loop {
            tokio::select! {
                result = &mut run => break result,
                () = tokio::time::sleep(PROGRESS_PAUSE) => {
                    if let Ok(metadata) = tokio::fs::metadata(&path).await {
                        progress.tell(metadata.len());
                    }
                }
            }
        }
    };
    partial.reread().await?;
    let got = partial.size();
    progress.tell_last(got);
    match (expected, result) {
        // What it says of itself does not count.
        (Some(expected), _) if got == expected.size() => Ok(()),
        (Some(expected), _) if got > expected.size() => Err(SourceError::TooLong {
            limit: expected.size(),
        }
        .into()),
        (_, Err(error)) => Err(error.into()),
        (Some(expected), Ok(())) => expected
            .verify_size(got)
            .map_err(|mismatch| SourceError::Content(mismatch).into()),
        (None, Ok(())) if got == 0 => Err(SourceError::Empty.into()),
        (None, Ok(())) if got > partial.limit() => Err(SourceError::TooLong {
            limit: partial.limit(),
        }
        .into()),
        (None, Ok(())) if partial.is_page().await? && !progress.is_for_people() => {
            Err(SourceError::Page.into())
        }
        (None, Ok(())) => Ok(()),
    }
}

/// Gets a small text; `None` when the server says that there is none.
pub(super) async fn text(
    client: &Client,
    options: &FetchOptions,
    url: &Url,
) -> Result<Option<String>, SourceError> {
    let request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
    let mut response = answer(options, request).await?;
    let status = response.status();
    // Some stores answer 403 for what does not exist.
    let missing = [
        StatusCode::NOT_FOUND,
        StatusCode::GONE,
        StatusCode::FORBIDDEN,
    ];
    if missing.contains(&status) {
        return Ok(None);
    }
    if status != StatusCode::OK {
        return Err(refusal(status, response.headers()));
    }
    let mut text = Vec::new();
    loop {
        match tokio::time::timeout(options.stall_timeout, response.chunk()).await {
            Err(_) => {
                return Err(SourceError::Silent(options.stall_timeout));
            }
            Ok(Err(error)) => return Err(SourceError::Http(error.without_url())),
            Ok(Ok(None)) => return Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            Ok(Ok(Some(chunk))) => text.extend_from_slice(&chunk),
        }
        if text.len() > TEXT_LIMIT {
            return Err(SourceError::TooLong {
                limit: TEXT_LIMIT as u64,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            content_range(&headers)
        };
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        for text in [
            "",
            "bytes */10",
            "items 5-9/10",
            "bytes -1-9/10",
            "bytes 5/10",
        ] {
            assert_eq!(range(text), None, "{text}");
        }
        assert_eq!(content_range(&HeaderMap::new()), None);
    }
}
