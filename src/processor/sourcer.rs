//! Sourcing ebuilds for their metadata, many of them in one processor.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use nix::sys::stat::Mode;
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout_at};

use super::eclass::{self, SplitEclass};
use super::frame::{Death, FrameError, Message, Reader};
use super::library::{self, quote};
use super::process::{Processor, ProcessorError};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::{BashVersion, Eapi};
use crate::pms::version::Version;
use crate::util::tail::last_lines;
use crate::util::token;

/// How many lines of what an ebuild printed an error shows.
const SHOWN_LINES: usize = 10;

/// The most bytes of metadata that one ebuild may have.
const METADATA_LIMIT: u64 = 16 << 20;

/// How many versions a processor may know.
const VERSIONS_LIMIT: usize = 2000;

/// Why an ebuild could not be sourced.
#[derive(Debug, thiserror::Error)]
pub enum SourcingError {
    /// The ebuild, or an eclass, called `die` or is no valid shell text.
    #[error("{}: cannot be sourced: {}{}{}", ebuild.display(), death.message, place(death), printed(output))]
    Died {
        /// The ebuild.
        ebuild: PathBuf,
        /// Where and why.
        death: Box<Death>,
        /// What was printed.
        output: Vec<String>,
    },
    /// The shell ended without metadata.
    #[error("{}: ends the shell that sources it (status {status}); nothing in global scope may `exit` or `exec`{}", ebuild.display(), printed(output))]
    Ended {
        /// The ebuild.
        ebuild: PathBuf,
        /// The status.
        status: i32,
        /// What was printed.
        output: Vec<String>,
    },
    /// Sourcing took too long.
    #[error("{}: takes longer than {} seconds to source", ebuild.display(), limit.as_secs())]
    Slow {
        /// The ebuild.
        ebuild: PathBuf,
        /// How long it may take.
        limit: Duration,
    },
    /// The processor ended meanwhile.
    #[error("{}: the processor that sources it was lost; nothing in global scope may end processes", ebuild.display())]
    Lost {
        /// The ebuild.
        ebuild: PathBuf,
        /// How the conversation ended.
        #[source]
        source: ProcessorError,
    },
    /// A message came that has no place here.
    #[error("{}: the shell that sources it said {message:?}", ebuild.display())]
    Unexpected {
        /// The ebuild.
        ebuild: PathBuf,
        /// The message.
        message: Box<Message>,
    },
    /// The folder for the exchange with the shell cannot be used.
    #[error("{}: cannot be used", path.display())]
    Exchange {
        /// The folder or a file in it.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The processor failed.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// The conversation broke.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl SourcingError {
    /// Whether it is the ebuild that is at fault; else nothing can be sourced here.
    #[must_use]
    pub fn is_the_ebuilds(&self) -> bool {
        !matches!(self, Self::Exchange { .. } | Self::Processor(_))
    }

    /// Whether it came from within the shell text, so that it matters which files and lines bash
    /// has for that text.
    #[must_use]
    pub fn tells_a_place(&self) -> bool {
        matches!(self, Self::Died { .. } | Self::Ended { .. })
    }

    /// Whether something else than the ebuild may have ended the processor: an earlier ebuild's
    /// background process, the system for want of memory.
    #[must_use]
    pub fn may_be_anothers(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Frame(_))
    }
}

/// Where die was called, as a part of a message.
fn place(death: &Death) -> String {
    if death.file.is_empty() {
        String::new()
    } else {
        format!(" ({}, line {})", death.file, death.line)
    }
}

/// Lines as the end of a message.
fn printed(output: &[String]) -> String {
    output.iter().map(|line| format!("\n  | {line}")).collect()
}

/// What is to be sourced.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The package.
    pub cpv: &'a Cpv,
    /// The ebuild.
    pub ebuild: &'a Path,
    /// The EAPI that its first lines name.
    pub eapi: Eapi,
    /// Where eclasses are looked for, the first directory first.
    pub eclass_dirs: &'a [PathBuf],
    /// How long it may take.
    pub limit: Duration,
}

/// What sourcing an ebuild gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    /// The metadata keys as bash had them (PMS 7), `INHERIT` and `INHERITED` among them.
    pub values: Vec<(String, Vec<u8>)>,
    /// The functions of kept eclasses that were called: the eclass's file and the function's
    /// position in it.
    pub entered: Vec<(PathBuf, usize)>,
    /// What was printed, which an ebuild should not do in global scope.
    pub output: Vec<String>,
}

impl Sourced {
    /// The names of the inherited eclasses.
    #[must_use]
    pub fn inherited(&self) -> Vec<String> {
        self.values
            .iter()
            .find(|(key, _)| key == "INHERITED")
            .map(|(_, names)| {
                String::from_utf8_lossy(names)
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default()
    }
}

/// An eclass that was taken apart, and whether it may be used so.
#[derive(Debug)]
struct Prepared {
    split: SplitEclass,
    sound: bool,
}

/// Eclasses that were taken apart, for all sourcers of one call.
#[derive(Debug, Default)]
pub struct EclassStore {
    prepared: Mutex<HashMap<PathBuf, Arc<Prepared>>>,
}

/// A processor that sources ebuilds, one at a time, each in a fork.
#[derive(Debug)]
pub struct Sourcer {
    processor: Processor,
    folder: tempfile::TempDir,
    up: Reader<pipe::Receiver>,
    store: Option<Arc<EclassStore>>,
    /// The files of kept eclasses; the position is their id.
    kept: Vec<PathBuf>,
    /// Files of eclasses that are sourced whole.
    whole: Vec<PathBuf>,
    /// Versions that ebuilds compared.
    versions: HashSet<String>,
    /// Those of them that the processor does not know yet.
    new_versions: Vec<String>,
}

impl Sourcer {
    /// Prepares `processor` for sourcing. With a store, eclasses are kept in two parts, see
    /// [`eclass`]; without one, every eclass is sourced whole.
    ///
    /// # Errors
    /// [`SourcingError::Exchange`] or [`SourcingError::Processor`].
    pub async fn start(
        mut processor: Processor,
        store: Option<Arc<EclassStore>>,
    ) -> Result<Self, SourcingError> {
        let exchange = |path: &Path| {
            let path = path.to_owned();
            move |source| SourcingError::Exchange { path, source }
        };
        let folder = tempfile::Builder::new()
            .prefix("ebd-source-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(exchange(&std::env::temp_dir()))?;
        let pipe = folder.path().join("up");
        nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(io::Error::from)
            .map_err(exchange(&pipe))?;
        let receiver = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(&pipe)
            .map_err(exchange(&pipe))?;
        let token = token::fresh();
        let mut job = b"#resident\n".to_vec();
        assign(&mut job, "__EBD_BUILD", bytes(folder.path()));
        assign(&mut job, "__EBD_LOG", bytes(&folder.path().join("log")));
        assign(&mut job, "__EBD_TOKEN", token.as_bytes());
        assign(&mut job, "__EBD_METADATA", library::METADATA.as_bytes());
        for eapi in Eapi::all() {
            job.extend_from_slice(eapi.to_bash_as(&table(eapi)).as_bytes());
            job.push(b'\n');
        }
        processor.begin(&job).await?;
        processor.ended().await?;
        Ok(Self {
            processor,
            folder,
            up: Reader::new(receiver, Some(token)),
            store,
            kept: Vec::new(),
            whole: Vec::new(),
            versions: HashSet::new(),
            new_versions: Vec::new(),
        })
    }

    /// The version of the bash that sources.
    #[must_use]
    pub fn version(&self) -> BashVersion {
        self.processor.version()
    }

    /// Whether any eclass is kept in two parts already.
    #[must_use]
    pub fn keeps_eclasses(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Sources the ebuild in a fork.
    ///
    /// # Errors
    /// A [`SourcingError`]; after one the sourcer must be ended.
    pub async fn source(&mut self, subject: &Subject<'_>) -> Result<Sourced, SourcingError> {
        let log = self.folder.path().join("log");
        let metadata = self.folder.path().join("metadata");
        let _ = fs::remove_file(&metadata);
        let lost = |source| SourcingError::Lost {
            ebuild: subject.ebuild.to_owned(),
            source,
        };
        self.processor.begin(&job(subject)).await.map_err(lost)?;
        self.converse(subject, &log).await?;
        let text = match read_bounded(&metadata) {
            // The shell ended well, but before it came to the metadata.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SourcingError::Ended {
                    ebuild: subject.ebuild.to_owned(),
                    status: 0,
                    output: last_lines(&log, SHOWN_LINES),
                });
            }
            result => result.map_err(|source| SourcingError::Exchange {
                path: metadata.clone(),
                source,
            })?,
        };
        let mut values = pairs(&text);
        let mut take = |name: &str| {
            let at = values.iter().position(|(key, _)| key == name);
            at.map(|at| values.remove(at).1).unwrap_or_default()
        };
        let entered = take("__EBD_ENTERED");
        let versions = take("__EBD_VERSIONS");
        self.note_versions(&versions);
        let output = match fs::metadata(&log) {
            Ok(found) if found.len() > 0 => {
                let lines = last_lines(&log, SHOWN_LINES);
                let _ = fs::remove_file(&log);
                lines
            }
            _ => Vec::new(),
        };
        Ok(Sourced {
            values,
            entered: self.entered(&entered),
            output,
        })
    }

    /// Keeps the eclasses, and the versions that were compared, in this processor for later ebuilds,
    /// as far as they are not.
    ///
    /// # Errors
    /// A [`SourcingError`]; after one the sourcer must be ended.
    pub async fn keep(&mut self, eclasses: &[PathBuf]) -> Result<(), SourcingError> {
        let Some(store) = self.store.clone() else {
            return Ok(());
        };
        if !self.new_versions.is_empty() {
            let mut job = b"#resident\n".to_vec();
            for version in self.new_versions.drain(..) {
                job.extend_from_slice(b"__ebd_version_key ");
                job.extend(quote(version.as_bytes()));
                job.push(b'\n');
            }
            self.processor.begin(&job).await?;
            self.processor.ended().await?;
        }
        for path in eclasses {
            if self.kept.contains(path) || self.whole.contains(path) {
                continue;
            }
            let known = store
                .prepared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(path)
                .cloned();
            let prepared = match known {
                Some(prepared) => Some(prepared),
                None => self.prepare(&store, path).await?,
            };
            match prepared.filter(|prepared| prepared.sound) {
                Some(prepared) => {
                    let id = self.kept.len();
                    self.kept.push(path.clone());
                    self.processor
                        .begin(&keeping(path, id, &prepared.split))
                        .await?;
                    self.processor.ended().await?;
                }
                None => self.whole.push(path.clone()),
            }
        }
        Ok(())
    }

    /// Takes an eclass apart and has bash say whether the parts are what the whole is.
    async fn prepare(
        &mut self,
        store: &EclassStore,
        path: &Path,
    ) -> Result<Option<Arc<Prepared>>, SourcingError> {
        let Ok(text) = fs::read(path) else {
            return Ok(None);
        };
        let Some(split) = eclass::split(&text, ID) else {
            return Ok(None);
        };
        let file = self.folder.path().join("check");
        self.processor
            .begin(&eclass::check_script(&split, bytes(&file)))
            .await?;
        self.processor.ended().await?;
        let answer = fs::read(&file).unwrap_or_default();
        let _ = fs::remove_file(&file);
        let _ = fs::remove_file(self.folder.path().join("log"));
        let prepared = Arc::new(Prepared {
            sound: eclass::is_sound(&split, &answer),
            split,
        });
        store
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_owned(), prepared.clone());
        Ok(Some(prepared))
    }

    /// Takes note of versions that an ebuild compared. Only what is a version, and not too many: the
    /// list comes from the ebuild's shell.
    fn note_versions(&mut self, text: &[u8]) {
        for word in String::from_utf8_lossy(text).split(' ') {
            let Some(version) = word.strip_prefix('v') else {
                continue;
            };
            let wanted = self.versions.len() < VERSIONS_LIMIT
                && !self.versions.contains(version)
                && version.parse::<Version>().is_ok();
            if wanted {
                self.versions.insert(version.to_owned());
                self.new_versions.push(version.to_owned());
            }
        }
    }

    /// The functions that bash says were entered.
    fn entered(&self, text: &[u8]) -> Vec<(PathBuf, usize)> {
        let text = String::from_utf8_lossy(text);
        let mut all: Vec<(PathBuf, usize)> = text
            .split_whitespace()
            .filter_map(|id| {
                let (eclass, function) = id.strip_prefix('e')?.split_once('.')?;
                let path = self.kept.get(eclass.parse::<usize>().ok()?)?;
                Some((path.clone(), function.parse().ok()?))
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// Follows the fork to its end.
    async fn converse(&mut self, subject: &Subject<'_>, log: &Path) -> Result<(), SourcingError> {
        let ebuild = || subject.ebuild.to_owned();
        let deadline = Instant::now() + subject.limit;
        let mut death: Option<Death> = None;
        loop {
            let event = timeout_at(deadline, async {
                tokio::select! {
                    biased;
                    message = self.up.next() => message.map(Ok).map_err(SourcingError::from),
                    status = self.processor.ended() => status.map(Err).map_err(|source| SourcingError::Lost {
                        ebuild: ebuild(),
                        source,
                    }),
                }
            })
            .await
            .map_err(|_| SourcingError::Slow {
                ebuild: ebuild(),
                limit: subject.limit,
            })??;
            let status = match event {
                Ok(message) => {
                    self.note(subject, message, &mut death)?;
                    continue;
                }
                Err(status) => status,
            };
            // What was sent before the end is in the pipe already.
            while let Some(message) = self.up.next().now_or_never() {
                self.note(subject, message?, &mut death)?;
            }
            return match (death, status) {
                (Some(death), _) => Err(SourcingError::Died {
                    ebuild: ebuild(),
                    death: Box::new(death),
                    output: last_lines(log, SHOWN_LINES),
                }),
                (None, 0) => Ok(()),
                (None, status) => Err(SourcingError::Ended {
                    ebuild: ebuild(),
                    status,
                    output: last_lines(log, SHOWN_LINES),
                }),
            };
        }
    }

    /// Takes note of a message.
    fn note(
        &self,
        subject: &Subject<'_>,
        message: Message,
        death: &mut Option<Death>,
    ) -> Result<(), SourcingError> {
        match message {
            Message::Elog { .. } => {}
            Message::Died(told) => {
                death.get_or_insert(told);
            }
            message => {
                return Err(SourcingError::Unexpected {
                    ebuild: subject.ebuild.to_owned(),
                    message: Box::new(message),
                });
            }
        }
        Ok(())
    }

    /// Ends the processor and everything that it started.
    pub async fn end(self) {
        self.processor.end().await;
    }
}

/// The id under which eclasses are taken apart; a processor replaces it by its own.
const ID: &str = "__ebd_id";

/// The job that keeps an eclass in the processor.
fn keeping(path: &Path, id: usize, split: &SplitEclass) -> Vec<u8> {
    let mut job = format!("#resident\n__ebd_eclass_{id}() {{\n").into_bytes();
    let own = format!("e{id}");
    job.extend(replace(&split.top_level, ID.as_bytes(), own.as_bytes()));
    job.extend_from_slice(b"\n}\n__EBD_ECLASSES[");
    job.extend(quote(bytes(path)));
    job.extend_from_slice(format!("]=__ebd_eclass_{id}\n__EBD_BODIES+=(").as_bytes());
    for (number, function) in split.functions.iter().enumerate() {
        job.extend_from_slice(format!("[{own}.{number}]=").as_bytes());
        job.extend(quote(&function.definition));
        job.push(b' ');
    }
    job.extend_from_slice(b")\n");
    job
}

/// `text` with every `from` replaced.
fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        let (before, after) = rest.split_at(at);
        result.extend_from_slice(before);
        result.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    result
}

/// The name of the table that has the facts of an EAPI.
fn table(eapi: Eapi) -> String {
    format!("__EBD_EAPI_{}", eapi.name())
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn assign(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    text.extend(quote(value));
    text.push(b'\n');
}

/// The job that sources an ebuild: what it may rely on in global scope (PMS 11.1), then the script.
fn job(subject: &Subject<'_>) -> Vec<u8> {
    let cpv = subject.cpv;
    let mut text = Vec::new();
    for (name, value) in [
        ("P", cpv.p()),
        ("PF", cpv.pf()),
        ("PN", cpv.pn()),
        ("CATEGORY", cpv.category()),
        ("PV", cpv.pv()),
        ("PR", cpv.pr()),
        ("PVR", cpv.pvr()),
        ("EBUILD_PHASE", "depend"),
        ("__EBD_EAPI_NAME", subject.eapi.name()),
    ] {
        assign(&mut text, name, value.as_bytes());
    }
    assign(&mut text, "EBUILD", bytes(subject.ebuild));
    text.extend_from_slice(b"__EBD_ECLASS_DIRS=(");
    for dir in subject.eclass_dirs {
        text.extend(quote(bytes(dir)));
        text.push(b' ');
    }
    text.extend_from_slice(b")\neval \"${__EBD_METADATA}\"\n");
    text
}

/// Reads a file that the other side wrote.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    fs::File::open(path)?
        .take(METADATA_LIMIT)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// The NUL-terminated KEY=VALUE entries of `text`.
#[must_use]
pub fn pairs(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    text.split(|&byte| byte == 0)
        .filter_map(|entry| {
            let at = entry.iter().position(|&byte| byte == b'=')?;
            let (key, value) = entry.split_at(at);
            Some((
                String::from_utf8_lossy(key).into_owned(),
                value.get(1..)?.to_vec(),
            ))
        })
        .collect()
}
