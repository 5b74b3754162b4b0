//! The layouts of the mirrors, each asked for once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::sync::Mutex;

use crate::fetch::client::HttpClient;
use crate::fetch::error::SourceError;
use crate::fetch::expected::Expected;
use crate::fetch::layout::Layouts;
use crate::fetch::options::FetchOptions;
use crate::fetch::transfer::text;

/// How long an answer holds, as in Portage.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a mirror that does not answer is left alone: a package may have hundreds of distfiles.
const LEFT_ALONE: Duration = Duration::from_secs(5 * 60);

/// The most that is read of a local `layout.conf`.
const LOCAL_LIMIT: u64 = 64 << 10;

type Answer = Result<Arc<Layouts>, Arc<SourceError>>;

/// An answer and when it came, or nothing yet. Locked while somebody asks.
type Asked = Arc<Mutex<Option<(Instant, Answer)>>>;

/// Where the file of a source is, at last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Location {
    /// To be fetched by http or https.
    Http(Url),
    /// A local file.
    File(PathBuf),
}

/// Remembers what mirrors say of their layout.
#[derive(Debug, Default)]
pub(super) struct KnownLayouts {
    mirrors: Mutex<HashMap<String, Asked>>,
}

impl KnownLayouts {
    /// The place of a distfile on the mirror at the address `base`.
    pub(super) async fn on_mirror(
        &self,
        client: &HttpClient,
        options: &FetchOptions,
        base: &str,
        file: &str,
        expected: Option<&Expected>,
    ) -> Result<Location, SourceError> {
        let base = base.trim_end_matches('/');
        match locate(&format!("{base}/distfiles"))? {
            Location::File(directory) => in_directory(&directory, file, expected).await,
            Location::Http(_) => {
                let layouts = self.ask(client, options, base).await?;
                let path = quoted(&layouts.path(file, expected)?);
                locate(&format!("{base}/distfiles/{path}"))
            }
        }
    }

    async fn ask(
        &self,
        client: &HttpClient,
        options: &FetchOptions,
        base: &str,
    ) -> Result<Arc<Layouts>, SourceError> {
        let entry = {
            let mut mirrors = self.mirrors.lock().await;
            Arc::clone(mirrors.entry(base.to_owned()).or_default())
        };
        // Others who want to know the same wait here for the answer.
        let mut entry = entry.lock().await;
        let answer = match entry.as_ref() {
            Some((time, Ok(layouts))) if time.elapsed() < FRESH => Ok(Arc::clone(layouts)),
            Some((time, Err(error))) if time.elapsed() < LEFT_ALONE => Err(Arc::clone(error)),
            _ => {
                let answer = load(client, options, base).await.map_err(Arc::new);
                *entry = Some((Instant::now(), answer.clone()));
                answer
            }
        };
        answer.map_err(SourceError::Layout)
    }
}

async fn load(
    client: &HttpClient,
    options: &FetchOptions,
    base: &str,
) -> Result<Arc<Layouts>, SourceError> {
    let address = format!("{base}/distfiles/layout.conf");
    let Location::Http(url) = locate(&address)? else {
        return Err(SourceError::Address(address));
    };
    let client = client.get(options)?;
    let mut attempt = 1;
    let mut pause = options.backoff;
    loop {
        match text(client, options, &url).await {
            Ok(text) => return Ok(Arc::new(Layouts::parse(&text.unwrap_or_default()))),
            Err(error) if error.is_transient() && attempt < options.attempts => {
                tokio::time::sleep(pause.min(options.longest_pause)).await;
                attempt += 1;
                pause *= 2;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The place of a distfile in a local directory, which may have a `layout.conf`.
pub(super) async fn in_directory(
    directory: &Path,
    file: &str,
    expected: Option<&Expected>,
) -> Result<Location, SourceError> {
    let path = directory.join("layout.conf");
    let fail = |source| SourceError::File {
        path: path.clone(),
        source,
    };
    let text = match tokio::fs::metadata(&path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(fail(error)),
        Ok(metadata) if !metadata.is_file() => {
            return Err(fail(std::io::Error::other("not a regular file")));
        }
        Ok(metadata) if metadata.len() > LOCAL_LIMIT => {
            return Err(SourceError::TooLong { limit: LOCAL_LIMIT });
        }
        Ok(_) => {
            let bytes = tokio::fs::read(&path).await.map_err(fail)?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let path = Layouts::parse(&text).path(file, expected)?;
    Ok(Location::File(directory.join(path)))
}

/// Understands an address.
pub(super) fn locate(address: &str) -> Result<Location, SourceError> {
    let url = Url::parse(address).map_err(|error| SourceError::Address(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(Location::Http(url)),
        "file" => url
            .to_file_path()
            .map(Location::File)
            .map_err(|()| SourceError::Address("a file of another host".to_owned())),
        scheme => Err(SourceError::Protocol(scheme.to_owned())),
    }
}

/// The path with everything escaped that means something else in an address.
fn quoted(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/_.-~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert!(matches!(locate("https://a/b"), Ok(Location::Http(_))));
        assert_eq!(
            locate("file:///a%20b").unwrap(),
            Location::File(PathBuf::from("/a b"))
        );
        assert!(matches!(
            locate("file://host/a"),
            Err(SourceError::Address(_))
        ));
        assert!(matches!(locate("ftp://a/b"), Err(SourceError::Protocol(name)) if name == "ftp"));
        assert!(matches!(locate("a/b"), Err(SourceError::Address(_))));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(
            quoted("ab/C-1.0_~x+y z%ä#?"),
            "ab/C-1.0_~x%2By%20z%25%C3%A4%23%3F"
        );
    }

    #[tokio::test]
    async fn local_mirrors() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let place = |file: &'static str| async move { in_directory(root, file, None).await };
        assert_eq!(place("a").await.unwrap(), Location::File(root.join("a")));
        std::fs::write(
            root.join("layout.conf"),
            "[structure]\n0=filename-hash SHA1 8\n",
        )
        .unwrap();
        let digest = crate::util::digest::HashName::Sha1.hex(b"a");
        assert_eq!(
            place("a").await.unwrap(),
            Location::File(root.join(&digest[..2]).join("a"))
        );
        std::fs::write(root.join("layout.conf"), "[structure]\n0=moon-phase\n").unwrap();
        assert!(matches!(
            place("a").await,
            Err(SourceError::UnknownLayout(_))
        ));
    }
}
