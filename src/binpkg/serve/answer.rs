//! What a request is answered with.

use std::fs::Metadata;
use std::io::{self, Read, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::page;
use super::range::{Wanted, wanted};
use crate::binpkg::index::Index;
use crate::binpkg::pkgdir::{Format, Pkgdir};

/// How much of a file is read and sent at a time, in bytes.
const CHUNK: u64 = 128 << 10;
/// The largest index that is compressed or shown here, in bytes.
const LARGEST_INDEX: u64 = 512 << 20;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Answers a request.
pub(super) async fn answer(pkgdir: &Pkgdir, request: &Request<Incoming>) -> Response<Body> {
    let result = match *request.method() {
        Method::GET | Method::HEAD => route(pkgdir, request).await,
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
            set(&mut response, header::ALLOW, "GET, HEAD");
            Ok(response)
        }
    };
    let mut response = result.unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => plain(StatusCode::NOT_FOUND),
        _ => plain(StatusCode::INTERNAL_SERVER_ERROR),
    });
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if request.method() == Method::HEAD {
        *response.body_mut() = empty();
    }
    response
}

async fn route(pkgdir: &Pkgdir, request: &Request<Incoming>) -> io::Result<Response<Body>> {
    let index = pkgdir.index_path();
    match request.uri().path() {
        "/" | "/index.html" => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let file = index.clone();
            let html = blocking(move || {
                let index = Index::read(&file).map_err(io::Error::other)?;
                Ok(page::page(&index, &page::question(&query)))
            })
            .await?;
            let mut response = whole(html.into_bytes());
            set(
                &mut response,
                header::CONTENT_TYPE,
                "text/html; charset=utf-8",
            );
            set(
                &mut response,
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
            );
            Ok(response)
        }
        "/Packages" if accepts_gzip(request.headers()) => {
            let mut response = compressed(pkgdir, request.headers()).await?;
            set(&mut response, header::CONTENT_ENCODING, "gzip");
            set(&mut response, header::VARY, "Accept-Encoding");
            set(
                &mut response,
                header::CONTENT_TYPE,
                "text/plain; charset=utf-8",
            );
            Ok(response)
        }
        "/Packages" => {
            let mut response = file(&index, request.headers()).await?;
            set(&mut response, header::VARY, "Accept-Encoding");
            set(
                &mut response,
                header::CONTENT_TYPE,
                "text/plain; charset=utf-8",
            );
            Ok(response)
        }
        "/Packages.gz" => {
            let mut response = compressed(pkgdir, request.headers()).await?;
            set(&mut response, header::CONTENT_TYPE, "application/gzip");
            Ok(response)
        }
        path => match package(pkgdir, path) {
            Some(path) => {
                let kind = match Format::of_name(&path) {
                    Some(Format::Gpkg) => "application/x-tar",
                    _ => "application/octet-stream",
                };
                let mut response = file(&path, request.headers()).await?;
                set(&mut response, header::CONTENT_TYPE, kind);
                Ok(response)
            }
            None => Ok(plain(StatusCode::NOT_FOUND)),
        },
    }
}

/// The file of a package that a path of a request means, which is inside of PKGDIR and is named as a package.
fn package(pkgdir: &Pkgdir, path: &str) -> Option<PathBuf> {
    let decoded = percent_decoded(path)?;
    let relative = Path::new(decoded.strip_prefix('/')?);
    let plain = relative.components().all(|part| match part {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        _ => false,
    });
    if !plain || Format::of_name(relative).is_none() {
        return None;
    }
    // A link may lead to another place in PKGDIR, not out of it.
    let path = pkgdir.path().join(relative).canonicalize().ok()?;
    path.starts_with(pkgdir.path()).then_some(path)
}

fn percent_decoded(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        decoded.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(decoded)
        .ok()
        .filter(|text| !text.contains('\0'))
}

/// Whether a client takes gzip, and does not say that it would rather not.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = matches!(parts.next(), Some("gzip" | "x-gzip"));
            let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            named && !refused
        })
}

/// The compressed index: the one that was written with the index, or one that is made here.
async fn compressed(pkgdir: &Pkgdir, headers: &HeaderMap) -> io::Result<Response<Body>> {
    let plain = pkgdir.index_path();
    let packed = plain.with_extension("gz");
    let (plain_metadata, packed_metadata) = (
        tokio::fs::metadata(&plain).await?,
        tokio::fs::metadata(&packed).await,
    );
    if packed_metadata.is_ok_and(|packed| packed.mtime() == plain_metadata.mtime()) {
        return file(&packed, headers).await;
    }
    let tag = format!("{}-gz\"", tag_of(&plain_metadata).trim_end_matches('"'));
    let modified = plain_metadata.modified()?;
    if let Some(response) = unchanged(headers, &tag, modified) {
        return Ok(response);
    }
    let bytes = blocking(move || {
        let mut content = Vec::new();
        std::fs::File::open(plain)?
            .take(LARGEST_INDEX)
            .read_to_end(&mut content)?;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&content)?;
        encoder.finish()
    })
    .await?;
    let mut response = whole(bytes);
    describe(&mut response, &tag, modified);
    Ok(response)
}

/// A file, or the part of it that is asked for.
async fn file(path: &Path, headers: &HeaderMap) -> io::Result<Response<Body>> {
    let mut file = File::open(path).await?;
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        return Ok(plain(StatusCode::NOT_FOUND));
    }
    let (tag, modified) = (tag_of(&metadata), metadata.modified()?);
    if let Some(response) = unchanged(headers, &tag, modified) {
        return Ok(response);
    }
    let size = metadata.len();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // With If-Range a part is wanted only of the file that the client knows.
    let known = match text(header::IF_RANGE) {
        Some(condition) if condition.starts_with('"') => condition == tag,
        Some(condition) => condition == httpdate::fmt_http_date(modified),
        None => true,
    };
    let range = text(header::RANGE).filter(|_| known);
    let mut response = match wanted(range, size) {
        Wanted::Whole => sent(file, size),
        Wanted::Part(first, last) => {
            file.seek(SeekFrom::Start(first)).await?;
            let mut response = sent(file, last - first + 1);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {first}-{last}/{size}");
            set(&mut response, header::CONTENT_RANGE, &range);
            response
        }
        Wanted::Nothing => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE);
            set(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{size}"),
            );
            return Ok(response);
        }
    };
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    describe(&mut response, &tag, modified);
    Ok(response)
}

/// The answer that a client has the file already, if it has.
fn unchanged(headers: &HeaderMap, tag: &str, modified: SystemTime) -> Option<Response<Body>> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let same = match text(header::IF_NONE_MATCH) {
        Some(tags) => tags
            .split(',')
            .map(|known| known.trim().trim_start_matches("W/"))
            .any(|known| known == "*" || known == tag),
        None => text(header::IF_MODIFIED_SINCE)
            .and_then(|since| httpdate::parse_http_date(since).ok())
            // Times in headers are whole seconds.
            .is_some_and(|since| seconds(modified) <= seconds(since)),
    };
    same.then(|| {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        describe(&mut response, tag, modified);
        response
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// An entity tag: what changes whenever a file does, as files are renamed into place.
fn tag_of(metadata: &Metadata) -> String {
    format!(
        "\"{:x}-{:x}-{:x}.{:x}\"",
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec()
    )
}

fn describe(response: &mut Response<Body>, tag: &str, modified: SystemTime) {
    set(response, header::ETAG, tag);
    set(
        response,
        header::LAST_MODIFIED,
        &httpdate::fmt_http_date(modified),
    );
    set(response, header::CACHE_CONTROL, "no-cache");
}

/// So many bytes of a file from where it stands. A file that is shorter than that ends the connection.
fn sent(file: File, length: u64) -> Response<Body> {
    let chunks = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok::<_, io::Error>(None);
        }
        let mut chunk = vec![0; left.min(CHUNK) as usize];
        let count = file.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(count);
        let frame = Frame::data(Bytes::from(chunk));
        Ok(Some((frame, (file, left - count as u64))))
    });
    let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    response
}

fn whole(bytes: Vec<u8>) -> Response<Body> {
    let length = bytes.len().to_string();
    let mut response = Response::new(full(bytes));
    set(&mut response, header::CONTENT_LENGTH, &length);
    response
}

fn plain(status: StatusCode) -> Response<Body> {
    let text = format!("{status}\n");
    let mut response = whole(text.into_bytes());
    *response.status_mut() = status;
    set(
        &mut response,
        header::CONTENT_TYPE,
        "text/plain; charset=utf-8",
    );
    response
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes))
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn empty() -> Body {
    full(Vec::new())
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Work that reads files or takes time, in a thread for such.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
