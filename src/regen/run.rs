//! Bringing the cache of one repository up to date.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::entries;
use super::event::Event;
use super::formats;
use super::inherits::Prediction;
use super::lists::{self, Lists};
use super::memory::{Memory, Remembered};
use super::readable::readable;
use super::survey::{Reason, Scope, Stale, Survey, SurveyError, survey};
use super::unaffected::Unaffected;
use super::worker::work;
use crate::metadata::{Cache, MetadataError};
use crate::processor::sourcer::{EclassStore, Sourcer, SourcingError};
use crate::processor::{ProcessorError, Settings};
use crate::repo::{Eclasses, RepoError, RepoSet, Repository};
use crate::util::atomic::AtomicError;
use crate::util::causes::causes;
use crate::util::output::OutputError;

/// Why a repository could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum RegenError {
    /// It could not be looked through.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// There is no such repository.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// No ebuild can be sourced here.
    #[error(transparent)]
    Sourcing(SourcingError),
    /// A cache of another format, or a file made of the whole repository, cannot be made or
    /// written.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A file that was named for something made of the whole repository cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The repository's formats have nothing to tell what is stale.
    #[error(
        "{}: metadata/layout.conf has no md5-dict among its cache-formats, and the others cannot \
         tell whether an entry is right",
        path.display()
    )]
    NoChecksums {
        /// The repository.
        path: PathBuf,
    },
    /// No processor could be started.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// The cache cannot be written.
    #[error("the cache cannot be written; --cache DIR keeps one elsewhere")]
    Write(#[source] AtomicError),
    /// An entry cannot be removed.
    #[error("{}: cannot be removed", path.display())]
    Remove {
        /// The entry.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// A task of ours ended early.
    #[error("the work was not finished")]
    Interrupted,
}

/// How to bring a repository up to date.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many processors to use.
    pub jobs: usize,
    /// What processors are started with.
    pub processors: Settings,
    /// The folder of the cache; the repository's own if none is named.
    pub cache: Option<PathBuf>,
    /// The folder of what is remembered of entries; without one everything whose eclasses changed
    /// is sourced.
    pub memory: Option<PathBuf>,
    /// Only these packages, if any are named.
    pub packages: Vec<String>,
    /// What is to be done about what is found.
    pub mode: Mode,
    /// What else is to be made of the repository.
    pub lists: Lists,
    /// Source everything, right or not.
    pub everything: bool,
    /// Have bash parse every eclass whole for every ebuild.
    pub whole_eclasses: bool,
    /// How long sourcing one ebuild may take.
    pub limit: Duration,
    /// Let ebuilds read and write what they like.
    pub unconfined: bool,
}

/// What is to be done about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write and remove entries.
    Write,
    /// Write nothing, only tell what is stale.
    Check,
    /// Write nothing; source everything and tell where an entry that counts as right is not.
    Verify,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Ebuilds that were sourced.
    pub generated: usize,
    /// Of these, entries whose file had to be written.
    pub written: usize,
    /// Entries that were still right.
    pub valid: usize,
    /// Entries that are right although an eclass changed, so that only its checksum was written.
    pub kept: usize,
    /// Entries that were removed, or would be.
    pub removed: usize,
    /// Ebuilds without an entry.
    pub failed: usize,
    /// Entries that are stale (when nothing is changed).
    pub stale: usize,
    /// Entries that count as right but are not (when everything is verified).
    pub different: usize,
}

impl Summary {
    fn add(&mut self, part: Self) {
        self.generated += part.generated;
        self.written += part.written;
        self.failed += part.failed;
        self.different += part.different;
    }
}

/// What the workers share.
pub(super) struct Shared {
    pub(super) repositories: Arc<RepoSet>,
    pub(super) repository: String,
    pub(super) eclass_dirs: Vec<PathBuf>,
    /// The eclasses as they were before the first ebuild was sourced.
    pub(super) eclasses: Eclasses,
    /// What sourcing may read; nothing if it cannot be confined to that.
    pub(super) readable: Option<Vec<PathBuf>>,
    pub(super) cache: PathBuf,
    pub(super) store: Option<Arc<EclassStore>>,
    pub(super) prediction: Prediction,
    pub(super) options: Options,
    queue: Mutex<VecDeque<Stale>>,
    memory: Mutex<Memory>,
    events: UnboundedSender<Event>,
}

impl Shared {
    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// The next ebuild to source.
    pub(super) fn next(&self) -> Option<Stale> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }

    /// What is remembered of the cache's entries.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings the cache of the repository of `set` that is called `name` up to date and tells how it goes.
///
/// # Errors
/// A [`RegenError`] if nothing can be done. What is wrong with one ebuild is told as an event and
/// counted.
pub async fn regen(
    set: Arc<RepoSet>,
    name: &str,
    options: Options,
    events: UnboundedSender<Event>,
) -> Result<Summary, RegenError> {
    let begin = Instant::now();
    let repositories = set.as_ref();
    let repository = repositories.named(name)?;
    let eclass_dirs = repositories
        .eclass_order(name)?
        .into_iter()
        .map(Repository::eclass_dir)
        .collect();
    let (cache, copies) = formats::caches(repository, &options)?;
    let survey = survey(&Scope {
        repositories,
        repository,
        cache: &cache,
        packages: &options.packages,
        everything: options.everything || options.mode == Mode::Verify,
        threads: options.jobs,
    })?;
    let name = repository.name().to_owned();
    let sources = options.mode != Mode::Check && !survey.stale.is_empty();
    let folder = options.memory.as_deref().filter(|_| sources);
    let memory = folder.map(|folder| Memory::load(Memory::path(folder, &name, &cache)));
    let readable = match sources && !options.unconfined {
        true => {
            let (processors, stale) = (&options.processors, &survey.stale);
            readable(processors, repositories, repository, stale, &events).await?
        }
        false => None,
    };
    let eclasses = match sources {
        true => Eclasses::of(repositories, &name)?,
        false => Eclasses::none_yet(&name),
    };
    let shared = Shared {
        eclass_dirs,
        eclasses,
        readable,
        cache,
        queue: Mutex::default(),
        memory: Mutex::new(memory.unwrap_or_default()),
        store: (!options.whole_eclasses).then(Arc::default),
        prediction: Prediction::default(),
        options,
        events,
        repository: name.clone(),
        repositories: set.clone(),
    };
    shared.tell(Event::Surveyed {
        repository: name.clone(),
        ebuilds: survey.ebuilds,
        stale: survey.stale.len(),
    });
    apply(shared, survey, &copies, begin).await
}

/// Does what the survey says is to be done.
async fn apply(
    shared: Shared,
    survey: Survey,
    copies: &[Cache],
    begin: Instant,
) -> Result<Summary, RegenError> {
    let mut summary = Summary {
        valid: survey.valid,
        ..Summary::default()
    };
    for invalid in survey.invalid {
        summary.failed += 1;
        shared.tell(Event::Failed {
            package: invalid
                .path
                .file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            causes: vec![format!("{}: {}", invalid.path.display(), invalid.reason)],
            ebuild: invalid.path,
        });
    }
    for unreadable in survey.unreadable {
        summary.failed += 1;
        if shared.options.mode == Mode::Write {
            entries::remove(&shared.cache.join(unreadable.ebuild.cpv.as_str()))?;
        }
        shared.tell(Event::Failed {
            package: unreadable.ebuild.cpv.to_string(),
            ebuild: unreadable.ebuild.path,
            causes: vec![unreadable.error],
        });
    }
    for path in survey.orphans {
        summary.removed += 1;
        if shared.options.mode == Mode::Write {
            entries::remove(&path)?;
        }
        shared.tell(Event::Removed { path });
    }
    let (stale, sourcer) = match shared.options.mode {
        Mode::Check => (survey.stale, None),
        _ => spare(&shared, survey.stale, &mut summary).await?,
    };
    let stale = match shared.options.mode {
        Mode::Write => stale,
        mode => {
            // There is nothing to verify in an entry that does not count anyway.
            let right = |stale: &Stale| mode == Mode::Verify && stale.reason == Reason::Everything;
            let (right, outdated): (Vec<_>, Vec<_>) = stale.into_iter().partition(right);
            summary.stale = outdated.len();
            for stale in outdated {
                shared.tell(Event::Stale {
                    package: stale.ebuild.cpv.to_string(),
                    reason: stale.reason.to_string(),
                });
            }
            right
        }
    };
    let shared = Arc::new(shared);
    source(&shared, stale, sourcer, &mut summary).await?;
    for path in shared.eclasses.changed(&shared.repositories) {
        shared.tell(Event::Changed { path });
    }
    remember(&shared, survey.names.as_ref());
    formats::copy(&shared, copies, &mut summary)?;
    lists::make(&shared, &mut summary)?;
    shared.tell(Event::Finished {
        repository: shared.repository.clone(),
        generated: summary.generated,
        written: summary.written,
        valid: summary.valid,
        kept: summary.kept,
        removed: summary.removed,
        failed: summary.failed,
        stale: summary.stale,
        different: summary.different,
        seconds: begin.elapsed().as_secs_f64(),
    });
    Ok(summary)
}

/// Writes the entries that need not be sourced, although an eclass changed, and gives what is left.
/// While everything is verified, what would be written takes the place of what is there.
async fn spare(
    shared: &Shared,
    stale: Vec<Stale>,
    summary: &mut Summary,
) -> Result<(Vec<Stale>, Option<Sourcer>), RegenError> {
    let verify = shared.options.mode == Mode::Verify;
    let store = match &shared.store {
        Some(store) if verify || !shared.options.everything => store.clone(),
        _ => return Ok((stale, None)),
    };
    let mut unaffected = Unaffected::new(shared, store);
    let mut rest = Vec::with_capacity(stale.len());
    let mut renewed = Vec::new();
    for mut stale in stale {
        let Some((text, remembered)) = unaffected.renewed(&stale).await? else {
            rest.push(stale);
            continue;
        };
        if verify {
            stale.present = Some(text);
            stale.reason = Reason::Everything;
            rest.push(stale);
            continue;
        }
        renewed.push((stale.ebuild.cpv.to_string(), text, remembered));
    }
    write_all(shared, &renewed)?;
    for (package, _, remembered) in renewed {
        shared.memory().set(&package, remembered);
        summary.kept += 1;
        shared.tell(Event::Kept { package });
    }
    Ok((rest, unaffected.into_sourcer()))
}

/// Writes entries, which may be thousands, in threads.
fn write_all(shared: &Shared, renewed: &[(String, Vec<u8>, Remembered)]) -> Result<(), RegenError> {
    let share = renewed.len().div_ceil(shared.options.jobs.max(1)).max(1);
    std::thread::scope(|threads| {
        let running: Vec<_> = renewed
            .chunks(share)
            .map(|part| {
                threads.spawn(|| {
                    part.iter().try_for_each(|(package, text, _)| {
                        entries::write(&shared.cache.join(package), text)
                    })
                })
            })
            .collect();
        running
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| RegenError::Interrupted)?)
    })
}

/// Sources ebuilds with as many workers as are wanted, the first of which has `sourcer`.
async fn source(
    shared: &Arc<Shared>,
    mut stale: Vec<Stale>,
    mut sourcer: Option<Sourcer>,
    summary: &mut Summary,
) -> Result<(), RegenError> {
    let jobs = shared.options.jobs.min(stale.len());
    // A processor is prepared for one EAPI.
    stale.sort_by(|a, b| a.eapi.cmp(&b.eapi));
    *shared.queue.lock().unwrap_or_else(PoisonError::into_inner) = stale.into();
    let mut workers = JoinSet::new();
    for _ in 0..jobs {
        workers.spawn(work(shared.clone(), sourcer.take()));
    }
    while let Some(result) = workers.join_next().await {
        summary.add(result.map_err(|_| RegenError::Interrupted)??);
    }
    if let Some(sourcer) = sourcer {
        sourcer.end().await;
    }
    Ok(())
}

/// Stores the memory, without the entries that are not among `names`.
fn remember(shared: &Shared, names: Option<&HashSet<String>>) {
    let mut memory = std::mem::take(&mut *shared.memory());
    if let Some(names) = names {
        memory.retain(names);
    }
    if let Err(error) = memory.store() {
        let why = causes(&error).join(": ");
        shared.tell(Event::Notice {
            text: format!("what the entries depend on is not remembered: {why}"),
        });
    }
}
