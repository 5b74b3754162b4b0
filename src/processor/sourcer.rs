//! Sourcing ebuilds for their metadata, many of them in one processor.

mod error;
mod exchange;
mod job;
mod store;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use nix::sys::stat::Mode;
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout, timeout_at};

use self::job::{assign, bytes, tables, top_level};
use self::store::{Finding, Prepared};
use super::eclass;
use super::frame::{Death, Message, Reader};
use super::library::{self, quote};
use super::process::Processor;
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;
use crate::pms::version::Version;
use crate::util::tail::last_lines;
use crate::util::token;

pub use self::error::SourcingError;
pub use self::exchange::Exchange;
pub use self::store::{EclassStore, KeptEclass, KeptUse};

/// How many lines of what an ebuild printed an error shows.
const SHOWN_LINES: usize = 10;

/// The most bytes of metadata that one ebuild may have.
const METADATA_LIMIT: u64 = 16 << 20;

/// How long keeping an eclass, or finding out whether it can be kept, may take.
const KEEPING_LIMIT: Duration = Duration::from_secs(10);

/// The longest version that is remembered.
const VERSION_LENGTH: usize = 100;

/// How many versions a processor may know.
const VERSIONS_LIMIT: usize = 2000;

/// What is to be sourced.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The package.
    pub cpv: &'a Cpv,
    /// The ebuild, whose first lines name the sourcer's EAPI.
    pub ebuild: &'a Path,
    /// Whether every eclass is to be sourced whole, kept or not, see [`eclass::reads_itself`].
    pub whole_eclasses: bool,
    /// How long it may take.
    pub limit: Duration,
}

/// What sourcing an ebuild gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    /// The metadata keys as bash had them (PMS 7), `INHERIT` and `INHERITED` among them.
    pub values: Vec<(String, Vec<u8>)>,
    /// The inherited eclasses that were kept already, by name, so that it is known which of their
    /// functions were called.
    pub kept: HashMap<String, KeptUse>,
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

/// An eclass as a processor keeps it.
#[derive(Debug)]
struct Kept {
    name: String,
    prepared: Arc<Prepared>,
    /// The functions that are not stubs there.
    hot: Arc<BTreeSet<usize>>,
}

/// A processor that sources ebuilds, one at a time, each in a fork.
#[derive(Debug)]
pub struct Sourcer {
    processor: Processor,
    eapi: Eapi,
    folder: Exchange,
    up: Reader<pipe::Receiver>,
    store: Option<Arc<EclassStore>>,
    /// Kept eclasses; the position is their id.
    kept: Vec<Kept>,
    /// The eclasses that were looked at, kept or not.
    seen: HashSet<PathBuf>,
    /// Those of them beside which none may be kept.
    alone: HashSet<PathBuf>,
    /// Versions that ebuilds compared.
    versions: HashSet<String>,
    /// Those of them that the processor does not know yet.
    new_versions: Vec<String>,
}

impl Sourcer {
    /// Prepares `processor` for sourcing ebuilds of one EAPI whose eclasses are in `eclass_dirs`,
    /// the first directory first. With a store, eclasses are kept in two parts, see [`eclass`]; without one,
    /// every eclass is sourced whole. If the processor is confined, it must be able to write into
    /// `folder`.
    ///
    /// # Errors
    /// [`SourcingError::Exchange`] or [`SourcingError::Processor`].
    pub async fn start(
        mut processor: Processor,
        folder: Exchange,
        eapi: Eapi,
        eclass_dirs: &[PathBuf],
        store: Option<Arc<EclassStore>>,
    ) -> Result<Self, SourcingError> {
        let exchange = |path: &Path| {
            let path = path.to_owned();
            move |source| SourcingError::Exchange { path, source }
        };
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
        job.extend_from_slice(eapi.to_bash().as_bytes());
        job.extend_from_slice(b"\n__EBD_ECLASS_DIRS=(");
        for dir in eclass_dirs {
            job.extend(quote(bytes(dir)));
            job.push(b' ');
        }
        job.extend_from_slice(b")\n");
        job.extend_from_slice(library::SOURCER.as_bytes());
        processor.begin(&job).await?;
        processor.ended().await?;
        Ok(Self {
            processor,
            eapi,
            folder,
            up: Reader::new(receiver, Some(token)),
            store,
            kept: Vec::new(),
            seen: HashSet::new(),
            alone: HashSet::new(),
            versions: HashSet::new(),
            new_versions: Vec::new(),
        })
    }

    /// The EAPI of the ebuilds that it can source.
    #[must_use]
    pub fn eapi(&self) -> Eapi {
        self.eapi
    }

    /// How many of these eclasses are kept in two parts.
    #[must_use]
    pub fn kept(&self, eclasses: &[PathBuf]) -> usize {
        let names = eclasses
            .iter()
            .filter_map(|path| path.file_stem()?.to_str());
        names
            .filter(|name| self.kept.iter().any(|kept| kept.name == *name))
            .count()
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
        let subshells = self.folder.path().join("entered");
        // Made here, so that no umask hides what is written into them.
        for path in [&metadata, &subshells, &self.folder.path().join("phases")] {
            fs::write(path, "").map_err(|source| match source.kind() {
                // The warden removes the folder when the processor has ended.
                io::ErrorKind::NotFound => SourcingError::LostBetween { source: None },
                _ => SourcingError::Exchange {
                    path: path.clone(),
                    source,
                },
            })?;
        }
        let lost = |source| SourcingError::Lost {
            ebuild: subject.ebuild.to_owned(),
            source,
        };
        self.processor
            .begin(&job::job(subject))
            .await
            .map_err(lost)?;
        let conversation = self.converse(subject, &log).await;
        if let Some(output) = self.refused(&log) {
            let _ = fs::remove_file(&log);
            return Err(SourcingError::Forbidden {
                ebuild: subject.ebuild.to_owned(),
                output,
            });
        }
        conversation?;
        let text = read_bounded(&metadata).unwrap_or_default();
        // The shell ended well, but before it came to the metadata, or took it away again.
        if text.is_empty() {
            return Err(SourcingError::Ended {
                ebuild: subject.ebuild.to_owned(),
                status: 0,
                output: last_lines(&log, SHOWN_LINES),
            });
        }
        let mut values = pairs(&text);
        let mut take = |name: &str| {
            let at = values.iter().position(|(key, _)| key == name);
            at.map(|at| values.remove(at).1).unwrap_or_default()
        };
        let mut entered = take("__EBD_ENTERED");
        entered.push(b' ');
        // What cannot be read is as unknown as what the ebuild has lost.
        entered.extend(read_bounded(&subshells).unwrap_or_else(|_| b"?".to_vec()));
        let versions = take("__EBD_NEW_VERSIONS");
        self.note_versions(&versions);
        let mut output = Vec::new();
        if fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
            output = last_lines(&log, SHOWN_LINES);
            let _ = fs::remove_file(&log);
        }
        let mut sourced = Sourced {
            values,
            kept: HashMap::new(),
            output,
        };
        if !subject.whole_eclasses && !entered.contains(&b'?') {
            sourced.kept = self.kept_uses(&entered, &sourced.inherited());
        }
        Ok(sourced)
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
            job.extend_from_slice(b"__EBD_NEW_VERSIONS=\n");
            self.tell(&job).await?;
        }
        for path in eclasses {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            if !self.seen.insert(path.clone()) {
                self.reheat(name).await?;
                continue;
            }
            let finding = self.finding(&store, path).await?;
            if matches!(finding, Finding::AllWhole) {
                self.alone.insert(path.clone());
            }
            if let Finding::Keep(prepared) = finding {
                let id = self.kept.len();
                let hot = prepared.usage().hot.clone();
                let mut job = top_level(id, &prepared.split, &hot);
                job.extend(tables(name, id, &prepared.split));
                self.kept.push(Kept {
                    name: name.to_owned(),
                    prepared,
                    hot,
                });
                self.tell(&job).await?;
            }
        }
        Ok(())
    }

    /// Whether one of these eclasses must not be inherited beside kept ones.
    #[must_use]
    pub fn wants_whole(&self, eclasses: &[PathBuf]) -> bool {
        eclasses.iter().any(|path| self.alone.contains(path))
    }

    /// Has the processor do something about eclasses, which it must do soon.
    async fn tell(&mut self, job: &[u8]) -> Result<(), SourcingError> {
        let conversation = async {
            self.processor.begin(job).await?;
            self.processor.ended().await
        };
        match timeout(KEEPING_LIMIT, conversation).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(SourcingError::LostBetween {
                source: Some(source),
            }),
            Err(_) => Err(SourcingError::LostBetween { source: None }),
        }
    }

    /// Keeps an eclass anew, if other functions of it than before are called often.
    async fn reheat(&mut self, name: &str) -> Result<(), SourcingError> {
        let found = self
            .kept
            .iter_mut()
            .enumerate()
            .find(|(_, kept)| kept.name == name);
        let Some((id, kept)) = found else {
            return Ok(());
        };
        let hot = kept.prepared.usage().hot.clone();
        if hot != kept.hot {
            let job = top_level(id, &kept.prepared.split, &hot);
            kept.hot = hot;
            self.tell(&job).await?;
        }
        Ok(())
    }

    /// What can be compared of an eclass that may be kept; nothing if it may not. The store is to
    /// know the answer later.
    ///
    /// # Errors
    /// A [`SourcingError`]; after one the sourcer must be ended.
    pub async fn examine(
        &mut self,
        store: &EclassStore,
        eclass: &Path,
    ) -> Result<Option<Arc<KeptEclass>>, SourcingError> {
        Ok(match self.finding(store, eclass).await? {
            Finding::Keep(prepared) => Some(prepared.kept.clone()),
            Finding::Whole | Finding::AllWhole => None,
        })
    }

    /// What there is to know about an eclass.
    async fn finding(
        &mut self,
        store: &EclassStore,
        path: &Path,
    ) -> Result<Finding, SourcingError> {
        if let Some(known) = store.get(path) {
            return Ok(known);
        }
        let finding = match self.find(path).await {
            // Not once more for each ebuild that has it.
            Err(SourcingError::LostBetween { source }) => {
                store.set(path, Finding::Whole);
                return Err(SourcingError::LostBetween { source });
            }
            finding => finding?,
        };
        store.set(path, finding.clone());
        Ok(finding)
    }

    /// Takes an eclass apart and has bash say whether the parts are what the whole is.
    async fn find(&mut self, path: &Path) -> Result<Finding, SourcingError> {
        let Ok(text) = fs::read(path) else {
            return Ok(Finding::Whole);
        };
        if eclass::reads_itself(&text) {
            return Ok(Finding::AllWhole);
        }
        let Some(split) = eclass::split(&text) else {
            return Ok(Finding::Whole);
        };
        let file = self.folder.path().join("check");
        self.tell(&eclass::check_script(&split, bytes(&file)))
            .await?;
        let answer = fs::read(&file).unwrap_or_default();
        let _ = fs::remove_file(&file);
        let _ = fs::remove_file(self.folder.path().join("log"));
        if !eclass::is_sound(&split, &answer) {
            return Ok(Finding::Whole);
        }
        Ok(Finding::Keep(Arc::new(Prepared::new(&text, split))))
    }

    /// Takes note of versions that an ebuild compared. Only what is a version, and not too many: the
    /// list comes from the ebuild's shell.
    fn note_versions(&mut self, text: &[u8]) {
        for word in String::from_utf8_lossy(text).split(' ') {
            let Some(version) = word.strip_prefix('v') else {
                continue;
            };
            let wanted = self.versions.len() < VERSIONS_LIMIT
                && version.len() <= VERSION_LENGTH
                && !self.versions.contains(version)
                && version.parse::<Version>().is_ok();
            if wanted {
                self.versions.insert(version.to_owned());
                self.new_versions.push(version.to_owned());
            }
        }
    }

    /// How kept eclasses were used, by what bash says of the functions that were entered.
    fn kept_uses(&self, entered: &[u8], inherited: &[String]) -> HashMap<String, KeptUse> {
        let mut functions = vec![Vec::new(); self.kept.len()];
        let text = String::from_utf8_lossy(entered);
        for id in text.split_whitespace() {
            let numbers = id.strip_prefix('e').and_then(|id| id.split_once('.'));
            if let Some((eclass, function)) = numbers
                && let (Ok(eclass), Ok(function)) = (eclass.parse::<usize>(), function.parse())
                && let Some(functions) = functions.get_mut(eclass)
            {
                functions.push(function);
            }
        }
        let mut uses = HashMap::new();
        for (kept, mut entered) in self.kept.iter().zip(functions) {
            if !inherited.contains(&kept.name) {
                continue;
            }
            kept.prepared.note(&entered);
            entered.sort_unstable();
            entered.dedup();
            let eclass = kept.prepared.kept.clone();
            let name = kept.name.clone();
            uses.insert(
                name.clone(),
                KeptUse {
                    name,
                    eclass,
                    entered,
                },
            );
        }
        uses
    }

    /// The lines in which bash says that the system refused it something, `FILE: line N: …`, if it
    /// is confined and there are any.
    fn refused(&self, log: &Path) -> Option<Vec<String>> {
        let printed = fs::metadata(log).is_ok_and(|found| found.len() > 0);
        if !printed || !self.processor.is_confined() {
            return None;
        }
        let text = read_bounded(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text
            .lines()
            .filter(|line| line.contains(": line ") && line.ends_with(": Permission denied"));
        let lines: Vec<_> = lines.take(SHOWN_LINES).map(str::to_owned).collect();
        (!lines.is_empty()).then_some(lines)
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
