//! Bringing the cache of one repository up to date.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::event::Event;
use super::survey::{Scope, Stale, Survey, SurveyError, survey};
use crate::config::Config;
use crate::metadata::{Entry, MetadataError};
use crate::pms::eapi::{self, Eapi, UnsupportedEapi};
use crate::processor::sourcer::{EclassStore, Sourced, Sourcer, SourcingError, Subject};
use crate::processor::{Processor, ProcessorError, Settings};
use crate::repo::{RepoError, RepoSet, Repository};
use crate::util::atomic::{self, AtomicError};
use crate::util::causes::causes;

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
    /// No processor could be started.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// The cache cannot be written.
    #[error("the cache cannot be written")]
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

/// Why one ebuild has no entry.
#[derive(Debug, thiserror::Error)]
enum EbuildError {
    #[error("{}: is not valid UTF-8 (line {line})", path.display())]
    NotText { path: PathBuf, line: usize },
    #[error("{}: has carriage returns at the ends of lines (line {line}); convert it to plain newlines", path.display())]
    CarriageReturn { path: PathBuf, line: usize },
    #[error("{}: {source}", path.display())]
    Eapi {
        path: PathBuf,
        source: UnsupportedEapi,
    },
    #[error(transparent)]
    Sourcing(#[from] SourcingError),
    #[error("{}: the value of {key} is not valid UTF-8", path.display())]
    Value { path: PathBuf, key: String },
    #[error("{}: its metadata is not valid", path.display())]
    Metadata {
        path: PathBuf,
        #[source]
        source: MetadataError,
    },
    #[error(transparent)]
    Repository(#[from] RepoError),
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
    /// Only these packages, if any are named.
    pub packages: Vec<String>,
    /// Change nothing, only tell what is stale.
    pub check: bool,
    /// Source everything, right or not.
    pub everything: bool,
    /// Have bash parse every eclass whole for every ebuild.
    pub whole_eclasses: bool,
    /// How long sourcing one ebuild may take.
    pub limit: Duration,
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
    /// Entries that were removed, or would be.
    pub removed: usize,
    /// Ebuilds without an entry.
    pub failed: usize,
    /// Entries that are stale (when nothing is changed).
    pub stale: usize,
}

/// What the workers share.
struct Shared {
    config: Arc<Config>,
    repository: String,
    eclass_dirs: Vec<PathBuf>,
    cache: PathBuf,
    queue: Mutex<VecDeque<Stale>>,
    store: Option<Arc<EclassStore>>,
    options: Options,
    events: UnboundedSender<Event>,
}

impl Shared {
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn next(&self) -> Option<Stale> {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

/// Brings the cache of the repository called `name` up to date and tells how it goes.
///
/// # Errors
/// A [`RegenError`] if nothing can be done. What is wrong with one ebuild is told as an event and
/// counted.
pub async fn regen(
    config: Arc<Config>,
    name: &str,
    options: Options,
    events: UnboundedSender<Event>,
) -> Result<Summary, RegenError> {
    let begin = Instant::now();
    let repositories = config.repositories();
    let repository = find(repositories, name)?;
    let eclass_dirs = repositories
        .eclass_order(name)?
        .into_iter()
        .map(Repository::eclass_dir)
        .collect();
    let cache = match &options.cache {
        Some(folder) => folder.join(repository.name()),
        None => repository.md5_cache_dir(),
    };
    let survey = survey(&Scope {
        repositories,
        repository,
        cache: &cache,
        packages: &options.packages,
        everything: options.everything,
        threads: options.jobs,
    })?;
    let name = repository.name().to_owned();
    let shared = Shared {
        eclass_dirs,
        cache,
        queue: Mutex::default(),
        store: (!options.whole_eclasses).then(Arc::default),
        options,
        events,
        repository: name.clone(),
        config: config.clone(),
    };
    shared.tell(Event::Surveyed {
        repository: name.clone(),
        ebuilds: survey.ebuilds,
        stale: survey.stale.len(),
    });
    let summary = apply(shared, survey, &name, begin).await?;
    Ok(summary)
}

/// The repository of that name or alias.
fn find<'a>(repositories: &'a RepoSet, name: &str) -> Result<&'a Repository, RepoError> {
    // Asking for its masters gives the error that names it.
    repositories.masters(name)?;
    repositories
        .repository(name)
        .ok_or_else(|| RepoError::UnknownRepository {
            name: name.to_owned(),
            known: repositories
                .repositories()
                .map(|repository| repository.name().to_owned())
                .collect(),
        })
}

/// Does what the survey says is to be done.
async fn apply(
    shared: Shared,
    survey: Survey,
    name: &str,
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
        remove(&shared, unreadable.ebuild.cpv.as_str())?;
        shared.tell(Event::Failed {
            package: unreadable.ebuild.cpv.to_string(),
            ebuild: unreadable.ebuild.path,
            causes: vec![unreadable.error],
        });
    }
    for path in survey.orphans {
        summary.removed += 1;
        if !shared.options.check {
            remove_entry(&path)?;
        }
        shared.tell(Event::Removed { path });
    }
    if shared.options.check {
        summary.stale = survey.stale.len();
        for stale in survey.stale {
            shared.tell(Event::Stale {
                package: stale.ebuild.cpv.to_string(),
                reason: stale.reason,
            });
        }
    } else if !survey.stale.is_empty() {
        let jobs = shared.options.jobs.clamp(1, survey.stale.len());
        *shared.queue.lock().unwrap_or_else(PoisonError::into_inner) = survey.stale.into();
        let shared = Arc::new(shared);
        let mut workers = JoinSet::new();
        for _ in 0..jobs {
            workers.spawn(work(shared.clone()));
        }
        while let Some(result) = workers.join_next().await {
            let part = result.map_err(|_| RegenError::Interrupted)??;
            summary.generated += part.generated;
            summary.written += part.written;
            summary.failed += part.failed;
        }
        finish(&shared, name, summary, begin);
        return Ok(summary);
    }
    finish(&shared, name, summary, begin);
    Ok(summary)
}

fn finish(shared: &Shared, name: &str, summary: Summary, begin: Instant) {
    shared.tell(Event::Finished {
        repository: name.to_owned(),
        generated: summary.generated,
        written: summary.written,
        valid: summary.valid,
        removed: summary.removed,
        failed: summary.failed,
        stale: summary.stale,
        seconds: begin.elapsed().as_secs_f64(),
    });
}

/// Sources ebuilds until there are none left. A sourcer that failed is replaced.
async fn work(shared: Arc<Shared>) -> Result<Summary, RegenError> {
    let mut summary = Summary::default();
    let mut sourcer = None;
    while let Some(stale) = shared.next() {
        let mut current = match sourcer.take() {
            Some(sourcer) => sourcer,
            None => start(&shared, shared.store.clone()).await?,
        };
        let mut result = generate(&shared, &mut current, &stale).await;
        // Kept eclasses know no files and lines. Whole ones do, and theirs is the last word.
        let again = matches!(&result, Err(EbuildError::Sourcing(error))
            if error.may_be_anothers() || error.tells_a_place() && current.keeps_eclasses());
        if again {
            current.end().await;
            current = start(&shared, None).await?;
            result = generate(&shared, &mut current, &stale).await;
        }
        match result {
            Ok((entry, sourced)) => {
                summary.generated += 1;
                let bytes = entry.to_md5_dict().into_bytes();
                let written = stale.present.as_ref() != Some(&bytes);
                if written {
                    summary.written += 1;
                    let path = shared.cache.join(stale.ebuild.cpv.as_str());
                    write(&path, &bytes)?;
                }
                let package = stale.ebuild.cpv.to_string();
                if !sourced.output.is_empty() {
                    shared.tell(Event::Printed {
                        package: package.clone(),
                        lines: sourced.output.clone(),
                    });
                }
                shared.tell(Event::Generated { package, written });
                let eclasses = eclass_files(&shared, &sourced)?;
                match current.keep(&eclasses).await {
                    Ok(()) => sourcer = Some(current),
                    // The next ebuild gets another.
                    Err(_) => current.end().await,
                }
            }
            Err(EbuildError::Sourcing(error)) if !error.is_the_ebuilds() => {
                current.end().await;
                return Err(RegenError::Sourcing(error));
            }
            Err(error) => {
                summary.failed += 1;
                let broke = matches!(error, EbuildError::Sourcing(_));
                if broke {
                    current.end().await;
                } else {
                    sourcer = Some(current);
                }
                // What another bash found out is right still.
                if !(stale.valid && matches!(error, EbuildError::Eapi { .. })) {
                    remove(&shared, stale.ebuild.cpv.as_str())?;
                }
                shared.tell(Event::Failed {
                    package: stale.ebuild.cpv.to_string(),
                    ebuild: stale.ebuild.path.clone(),
                    causes: causes(&error),
                });
            }
        }
    }
    if let Some(sourcer) = sourcer {
        sourcer.end().await;
    }
    Ok(summary)
}

/// A new sourcer that keeps eclasses in `store`, if there is one.
async fn start(shared: &Shared, store: Option<Arc<EclassStore>>) -> Result<Sourcer, RegenError> {
    let processor = Processor::start(&shared.options.processors).await?;
    Sourcer::start(processor, store)
        .await
        .map_err(RegenError::Sourcing)
}

/// The files of the eclasses that an ebuild inherited.
fn eclass_files(shared: &Shared, sourced: &Sourced) -> Result<Vec<PathBuf>, RepoError> {
    sourced
        .inherited()
        .iter()
        .map(|name| {
            Ok(shared
                .config
                .repositories()
                .eclass(&shared.repository, name)?
                .path)
        })
        .collect()
}

/// Sources one ebuild and makes its entry.
async fn generate(
    shared: &Shared,
    sourcer: &mut Sourcer,
    stale: &Stale,
) -> Result<(Entry, Sourced), EbuildError> {
    let path = || stale.ebuild.path.clone();
    check_text(&stale.ebuild.path, &stale.text)?;
    let eapi_error = |source| EbuildError::Eapi {
        path: path(),
        source,
    };
    let eapi = Eapi::parse(eapi::scan(&stale.text)).map_err(eapi_error)?;
    eapi.source_support(sourcer.version()).map_err(eapi_error)?;
    let sourced = sourcer
        .source(&Subject {
            cpv: &stale.ebuild.cpv,
            ebuild: &stale.ebuild.path,
            eapi,
            eclass_dirs: &shared.eclass_dirs,
            limit: shared.options.limit,
        })
        .await?;
    let mut values = Vec::with_capacity(sourced.values.len());
    for (key, value) in &sourced.values {
        let text = std::str::from_utf8(value).map_err(|_| EbuildError::Value {
            path: path(),
            key: key.clone(),
        })?;
        values.push((key.as_str(), text));
    }
    let mut eclasses = Vec::new();
    for name in sourced.inherited() {
        let file = shared
            .config
            .repositories()
            .eclass(&shared.repository, &name)?;
        eclasses.push((name, file.md5));
    }
    eclasses.sort();
    let entry = Entry::from_sourced(values, &stale.md5, &eclasses).map_err(|source| {
        EbuildError::Metadata {
            path: path(),
            source,
        }
    })?;
    Ok((entry, sourced))
}

/// Whether the text is one that bash and everybody else read alike (PMS 7.1).
fn check_text(path: &Path, text: &[u8]) -> Result<(), EbuildError> {
    let line_of = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    };
    if let Err(error) = std::str::from_utf8(text) {
        return Err(EbuildError::NotText {
            path: path.to_owned(),
            line: line_of(error.valid_up_to()),
        });
    }
    if let Some(at) = text.windows(2).position(|pair| pair == b"\r\n") {
        return Err(EbuildError::CarriageReturn {
            path: path.to_owned(),
            line: line_of(at),
        });
    }
    Ok(())
}

/// Writes an entry, and the folder of its category if need be.
fn write(path: &Path, bytes: &[u8]) -> Result<(), RegenError> {
    let attempt = || {
        if let Some(folder) = path.parent() {
            let _ = fs::create_dir_all(folder);
        }
        atomic::write_unsynced(path, bytes, 0o644)
    };
    let result = match attempt() {
        // Another run may have removed the folder while it was empty.
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => attempt(),
        result => result,
    };
    result.map_err(RegenError::Write)
}

/// Removes the entry of an ebuild that could not be sourced, if there is one.
fn remove(shared: &Shared, cpv: &str) -> Result<(), RegenError> {
    let path = shared.cache.join(cpv);
    if shared.options.check || !path.exists() {
        return Ok(());
    }
    remove_entry(&path)
}

/// Removes an entry, and its category's folder if it was the last.
fn remove_entry(path: &Path) -> Result<(), RegenError> {
    match fs::remove_file(path) {
        // Another run was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => result.map_err(|source| RegenError::Remove {
            path: path.to_owned(),
            source,
        })?,
    }
    if let Some(folder) = path.parent() {
        // Not empty is what it mostly is.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}
