//! The layouts of the mirrors, each asked for once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::sync::Mutex;

use crate::fetch::client::HttpClient;
use crate::fetch::command::{FetchCommands, fetched};
use crate::fetch::error::SourceError;
use crate::fetch::expected::Expected;
use crate::fetch::kept_layouts;
use crate::fetch::layout::Layouts;
use crate::fetch::options::FetchOptions;
use crate::fetch::transfer::text;

/// How long an answer holds, as in Portage.
pub(super) const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// To be fetched by a program.
    Command {
        /// The protocol, in lower case.
        protocol: String,
        /// The address, as it was written.
        uri: String,
    },
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
        let commands = &options.commands;
        match locate(&format!("{base}/distfiles"), commands)? {
            Location::File(directory) => in_directory(&directory, file, expected).await,
            Location::Http(_) | Location::Command { .. } => {
                let layouts = self.ask(client, options, base).await?;
                let path = layouts.path(file, expected)?;
                // What other protocols would make of it nobody knows.
                let web = ["http:", "https:", "ftp:"];
                let path = if web.iter().any(|scheme| base.starts_with(scheme)) {
                    quoted(&path)
                } else {
                    path
                };
                locate(&format!("{base}/distfiles/{path}"), commands)
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
                let kept = options.layouts.as_deref();
                let answer = match kept.and_then(|kept| kept_layouts::find(kept, base)) {
                    Some(text) => Ok(text),
                    None => load(client, options, base).await.inspect(|text| {
                        if let Some(kept) = kept {
                            kept_layouts::keep(kept, base, text);
                        }
                    }),
                };
                let answer = answer
                    .map(|text| Arc::new(Layouts::parse(&text)))
                    .map_err(Arc::new);
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
) -> Result<String, SourceError> {
    let address = format!("{base}/distfiles/layout.conf");
    let url = match locate(&address, &options.commands)? {
        Location::Http(url) => url,
        Location::Command { protocol, uri } => return by_command(options, &protocol, &uri).await,
        Location::File(_) => return Err(SourceError::Address(address)),
    };
    let client = client.get(options)?;
    let mut attempt = 1;
    let mut pause = options.backoff;
    loop {
        match text(client, options, &url).await {
            Ok(text) => return Ok(text.unwrap_or_default()),
            Err(error) if error.is_transient() && attempt < options.attempts => {
                tokio::time::sleep(pause.min(options.longest_pause)).await;
                attempt += 1;
                pause *= 2;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Has a program fetch a `layout.conf`. That it fails may mean that there is none.
async fn by_command(
    options: &FetchOptions,
    protocol: &str,
    uri: &str,
) -> Result<String, SourceError> {
    let Some((_folder, path)) = fetched(options, protocol, uri, "layout.conf").await? else {
        return Ok(String::new());
    };
    match tokio::fs::symlink_metadata(&path).await {
        Ok(metadata) if metadata.len() <= LOCAL_LIMIT => {
            let bytes = tokio::fs::read(&path)
                .await
                .map_err(|source| SourceError::File { path, source })?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => Ok(String::new()),
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
pub(super) fn locate(address: &str, commands: &FetchCommands) -> Result<Location, SourceError> {
    let url = Url::parse(address).map_err(|error| SourceError::Address(error.to_string()))?;
    match url.scheme() {
        protocol if protocol != "file" && commands.has(protocol) => {
            // Nobody fetches from there, or a program does.
            commands.of(protocol, false)?;
            Ok(Location::Command {
                protocol: protocol.to_owned(),
                uri: address.to_owned(),
            })
        }
        "http" | "https" => Ok(Location::Http(url)),
        "file" => url
            .to_file_path()
            .map(Location::File)
            .map_err(|()| SourceError::Address("a file of another host".to_owned())),
        scheme => Err(SourceError::Protocol {
            protocol: scheme.to_owned(),
        }),
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
        let none = FetchCommands::default();
        let locate = |address| super::locate(address, &none);
        assert!(matches!(locate("https://a/b"), Ok(Location::Http(_))));
        assert_eq!(
            locate("file:///a%20b").unwrap(),
            Location::File(PathBuf::from("/a b"))
        );
        assert!(matches!(
            locate("file://host/a"),
            Err(SourceError::Address(_))
        ));
        assert!(
            matches!(locate("ftp://a/b"), Ok(Location::Command { protocol, .. }) if protocol == "ftp")
        );
        assert!(
            matches!(locate("gopher://a/b"), Err(SourceError::Protocol { protocol }) if protocol == "gopher")
        );
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
