//! The steps of one fetch: what is there already, the lock, the sources in turn.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use crate::fetch::client::HttpClient;
use crate::fetch::distdir::{
    Found, check_name, check_space, ensure, inspect, local, remove_link, set_aside, share_existing,
    wanted,
};
use crate::fetch::error::{FetchError, SourceError, SourceFailure, chain};
use crate::fetch::event::{Event, Events, How};
use crate::fetch::expected::Expected;
use crate::fetch::hosts::Hosts;
use crate::fetch::layouts::{KnownLayouts, Location, in_directory, locate};
use crate::fetch::options::FetchOptions;
use crate::fetch::partial::{Partial, blocking};
use crate::fetch::plan::{Plan, Source, without_password};
use crate::fetch::transfer::{Progress, TransferError, copy, http};
use crate::repo::manifest::Manifest;
use crate::util::digest::Digests;
use crate::util::lock::{Lock, LockError, portage_lockfile};

/// After so much wrong content the addresses in `SRC_URI` are tried next, as in Portage.
const WRONG_CONTENT_FOR_PRIMARY: usize = 2;

/// How much a source has to get further for a broken connection not to count as an attempt, in bytes.
const GETS_FURTHER: u64 = 1 << 20;

/// A distfile that is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name and its sources.
    pub plan: Plan,
    /// What the Manifest says of it.
    pub expected: Option<Expected>,
    /// The path of the Manifest, to be named in messages.
    pub manifest: PathBuf,
}

impl Request {
    /// The distfiles of a package with what its Manifest says of each. `path` is where the Manifest is, or should be.
    pub fn with_manifest(
        plans: impl IntoIterator<Item = Plan>,
        manifest: Option<&Manifest>,
        path: &Path,
    ) -> Vec<Self> {
        plans
            .into_iter()
            .map(|plan| Self {
                expected: manifest
                    .and_then(|manifest| manifest.distfile(&plan.file))
                    .map(Expected::from),
                plan,
                manifest: path.to_owned(),
            })
            .collect()
    }
}

/// A distfile that is in DISTDIR and verified.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its name.
    pub file: String,
    /// Its path in DISTDIR.
    pub path: PathBuf,
    /// How it came there.
    pub how: How,
    /// Its size and hashes.
    pub digests: Digests,
    /// Files with wrong content that were renamed on the way.
    pub set_aside: Vec<PathBuf>,
}

/// Gets distfiles into DISTDIR. One fetcher serves many fetches at a time, and remembers what mirrors look like.
#[derive(Debug)]
pub struct Fetcher {
    client: HttpClient,
    options: FetchOptions,
    layouts: KnownLayouts,
    hosts: Hosts,
}

/// What is carried through the steps of one fetch.
struct Job<'a> {
    request: &'a Request,
    events: &'a Events,
    target: PathBuf,
    set_aside: Vec<PathBuf>,
}

impl Job<'_> {
    fn file(&self) -> &str {
        &self.request.plan.file
    }

    fn expected(&self) -> Option<&Expected> {
        self.request.expected.as_ref()
    }

    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn kept(&mut self, path: &Path) {
        self.set_aside.push(path.to_owned());
        self.tell(Event::SetAside {
            file: self.file().to_owned(),
            path: path.to_owned(),
        });
    }

    fn done(self, how: How, digests: Digests) -> Fetched {
        self.tell(Event::Done {
            file: self.file().to_owned(),
            how: how.clone(),
        });
        Fetched {
            file: self.request.plan.file.clone(),
            path: self.target,
            how,
            digests,
            set_aside: self.set_aside,
        }
    }
}

impl Fetcher {
    /// A fetcher that has not done anything yet; an HTTP client is set up when the first file needs one.
    pub fn new(options: FetchOptions) -> Self {
        Self {
            client: HttpClient::default(),
            hosts: Hosts::new(options.connections, options.connections_per_host),
            options,
            layouts: KnownLayouts::default(),
        }
    }

    /// How this fetcher fetches.
    pub fn options(&self) -> &FetchOptions {
        &self.options
    }

    /// Fetches several distfiles, `parallel` at a time (at least one). Each has its own result, in the order of the
    /// requests.
    pub async fn fetch_all(
        &self,
        requests: &[Request],
        parallel: usize,
        events: &Events,
    ) -> Vec<Result<Fetched, FetchError>> {
        let fetches: Vec<_> = requests
            .iter()
            .enumerate()
            .map(|(index, request)| async move { (index, self.fetch(request, events).await) })
            .collect();
        let mut results: Vec<_> = futures_util::stream::iter(fetches)
            .buffer_unordered(parallel.max(1))
            .collect()
            .await;
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Sees to it that one distfile is in DISTDIR, with the content that the Manifest promises.
    ///
    /// Dropping the future ends the fetch; what has arrived stays as `<name>.partial` and is resumed next time.
    ///
    /// # Errors
    /// The name or the Manifest entry is no good, DISTDIR is not, or no source delivered.
    pub async fn fetch(&self, request: &Request, events: &Events) -> Result<Fetched, FetchError> {
        self.check(request)?;
        let mut job = Job {
            request,
            events,
            target: self.options.distdir.join(&request.plan.file),
            set_aside: Vec::new(),
        };
        // Complete files appear at once, so one that is right needs no lock, nor a DISTDIR to write to.
        if let Found::Good(digests) = self.inspect(&job).await? {
            return Ok(job.done(How::Present, digests));
        }
        let distdir = self.options.distdir.clone();
        let group = self.options.group;
        blocking(&self.options.distdir, move || ensure(&distdir, group)).await?;
        let lock = self.lock(&job).await?.map(Arc::new);
        if let Some(digests) = self.clear_the_way(&mut job).await? {
            return Ok(job.done(How::Present, digests));
        }
        if let Some((path, digests)) = self.link(&job).await? {
            return Ok(job.done(How::Linked(path), digests));
        }
        self.download(job, lock).await
    }

    fn check(&self, request: &Request) -> Result<(), FetchError> {
        let file = &request.plan.file;
        check_name(file)?;
        let manifest = || request.manifest.clone();
        match &request.expected {
            None if self.options.allow_missing => Ok(()),
            None => Err(FetchError::NoEntry {
                file: file.clone(),
                manifest: manifest(),
            }),
            Some(expected) if expected.size() == 0 => Err(FetchError::EmptyEntry {
                file: file.clone(),
                manifest: manifest(),
            }),
            Some(expected) if expected.names().is_empty() => Err(FetchError::NoKnownHash {
                file: file.clone(),
                manifest: manifest(),
                unknown: expected.unknown().to_vec(),
            }),
            Some(_) => Ok(()),
        }
    }

    /// Verifies what is there, and gives it the right permissions if it is right.
    async fn inspect(&self, job: &Job<'_>) -> Result<Found, FetchError> {
        let path = job.target.clone();
        let expected = job.expected().cloned();
        let group = self.options.group;
        blocking(&job.target, move || {
            let found = inspect(&path, expected.as_ref())?;
            if matches!(found, Found::Good(_)) {
                share_existing(&path, group);
            }
            Ok(found)
        })
        .await
    }

    async fn lock(&self, job: &Job<'_>) -> Result<Option<Lock>, FetchError> {
        if !self.options.locks {
            return Ok(None);
        }
        let path = portage_lockfile(&job.target);
        let refused = |error| match error {
            LockError::Open { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::PermissionDenied
                        | io::ErrorKind::ReadOnlyFilesystem
                        | io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                ) =>
            {
                FetchError::Distdir {
                    path: self.options.distdir.clone(),
                    source,
                }
            }
            error => FetchError::Lock(error),
        };
        let lock = match Lock::try_acquire(&path).map_err(refused)? {
            Some(lock) => lock,
            None => {
                job.tell(Event::Waiting {
                    file: job.file().to_owned(),
                    lock: path.clone(),
                });
                Lock::acquire_async(&path).await.map_err(refused)?
            }
        };
        Ok(Some(lock.remove_on_release()))
    }

    /// Looks again, now that nobody else changes it, and moves away what is wrong.
    async fn clear_the_way(&self, job: &mut Job<'_>) -> Result<Option<Digests>, FetchError> {
        let path = job.target.clone();
        match self.inspect(job).await? {
            Found::Good(digests) => return Ok(Some(digests)),
            Found::Missing => {}
            Found::BadLink => {
                blocking(&job.target, move || remove_link(&path)).await?;
            }
            Found::Bad(mismatch) => {
                tracing::debug!("{}: {mismatch:?}", path.display());
                let name = job.file().to_owned();
                let kept = blocking(&job.target, move || set_aside(&path, &name)).await?;
                job.kept(&kept);
            }
        }
        Ok(None)
    }

    /// Looks into the read-only directories of distfiles, and sets a link if one has the file.
    async fn link(&self, job: &Job<'_>) -> Result<Option<(PathBuf, Digests)>, FetchError> {
        for directory in &self.options.ro_distdirs {
            let expected = job.expected();
            let path = match in_directory(directory, job.file(), expected).await {
                Ok(Location::File(path)) => path,
                Ok(Location::Http(_)) => continue,
                Err(error) => {
                    self.failed(job, &directory.display().to_string(), &error);
                    continue;
                }
            };
            let target = job.target.clone();
            let expected = job.expected().cloned();
            let candidate = path.clone();
            let linked = blocking(&job.target, move || {
                // A directory that is broken is not worse than one that lacks the file.
                let found = inspect(&candidate, expected.as_ref()).unwrap_or(Found::Missing);
                let Found::Good(digests) = found else {
                    return Ok(None);
                };
                std::os::unix::fs::symlink(&candidate, &target)
                    .map_err(local(&target, "made a link"))?;
                Ok(Some(digests))
            })
            .await?;
            if let Some(digests) = linked {
                return Ok(Some((path, digests)));
            }
        }
        Ok(None)
    }

    /// Tries the sources in turn.
    async fn download(
        &self,
        mut job: Job<'_>,
        lock: Option<Arc<Lock>>,
    ) -> Result<Fetched, FetchError> {
        let request = job.request;
        let mut queue: VecDeque<Source> = request.plan.sources.iter().cloned().collect();
        let mut failures = Vec::new();
        let mut given_up = false;
        let mut partial = self.open_partial(&mut job, lock).await?;
        if let Some(digests) = self.complete(&mut job, &mut partial).await? {
            partial.place(&job.target, self.options.group).await?;
            return Ok(job.done(How::Completed, digests));
        }
        if queue.is_empty() {
            partial.remove_if_empty();
            return Err(self.give_up(&job, failures, false));
        }
        job.tell(Event::Started {
            file: job.file().to_owned(),
            total: job.expected().map(Expected::size),
        });
        if let Some(expected) = job.expected() {
            let missing = expected.size().saturating_sub(partial.size());
            let path = job.target.clone();
            blocking(&job.target, move || check_space(&path, missing)).await?;
        }

        let mut tried = HashSet::new();
        let mut wrong = 0;
        while let Some(source) = queue.pop_front() {
            let (shown, result) = match self.resolve(&job, &source).await {
                Err(reason) => (source.to_string(), Err(reason)),
                Ok(location) => {
                    if !tried.insert(location.clone()) {
                        continue;
                    }
                    let shown = show(&location);
                    let result = self
                        .try_source(&mut job, &location, &shown, &mut partial)
                        .await;
                    match result {
                        Ok(digests) => (shown, Ok(digests)),
                        Err(TransferError::Source(reason)) => (shown, Err(reason)),
                        Err(TransferError::Fatal(error)) => return Err(error),
                    }
                }
            };
            let reason = match result {
                Ok(digests) => {
                    partial.place(&job.target, self.options.group).await?;
                    return Ok(job.done(How::Fetched(shown), digests));
                }
                Err(reason) => reason,
            };
            self.failed(&job, &shown, &reason);
            let is_wrong = reason.is_wrong_content();
            let kept = if reason.has_left_content() && partial.size() > 0 {
                let kept = partial.set_aside().await?;
                job.kept(&kept);
                Some(kept)
            } else {
                None
            };
            failures.push(SourceFailure {
                source: shown,
                reason,
                kept,
            });
            if is_wrong {
                wrong += 1;
                if wrong == WRONG_CONTENT_FOR_PRIMARY {
                    for source in request.plan.primary.iter().rev() {
                        queue.push_front(source.clone());
                    }
                }
                if wrong >= self.options.checksum_tries.max(1) {
                    given_up = !queue.is_empty();
                    break;
                }
            }
        }
        partial.remove_if_empty();
        Err(self.give_up(&job, failures, given_up))
    }

    fn give_up(&self, job: &Job<'_>, failures: Vec<SourceFailure>, given_up: bool) -> FetchError {
        let file = job.file().to_owned();
        if job.request.plan.fetch_restricted {
            FetchError::Restricted {
                file,
                distdir: self.options.distdir.clone(),
                failures,
            }
        } else {
            FetchError::AllFailed {
                file,
                failures,
                given_up,
            }
        }
    }

    fn failed(&self, job: &Job<'_>, source: &str, reason: &SourceError) {
        job.tell(Event::SourceFailed {
            file: job.file().to_owned(),
            source: source.to_owned(),
            reason: chain(reason),
        });
    }

    async fn open_partial(
        &self,
        job: &mut Job<'_>,
        lock: Option<Arc<Lock>>,
    ) -> Result<Partial, FetchError> {
        // Without a size nothing tells whether an unfinished file is the beginning of this one.
        let least = match job.expected() {
            Some(expected) => self.options.resume_min_size.min(expected.size()),
            None => u64::MAX,
        };
        let limit = job
            .expected()
            .map_or(self.options.unlisted_limit, Expected::size);
        let names = wanted(job.expected());
        Partial::open(&self.options.distdir, job.file(), names, least, limit, lock).await
    }

    /// Deals with an unfinished file that has all bytes, or more: it may be right, and is set aside if not.
    async fn complete(
        &self,
        job: &mut Job<'_>,
        partial: &mut Partial,
    ) -> Result<Option<Digests>, FetchError> {
        let Some(expected) = job.expected().cloned() else {
            return Ok(None);
        };
        if partial.size() < expected.size() {
            return Ok(None);
        }
        let digests = partial.digests().await?;
        if expected.verify(&digests).is_ok() {
            return Ok(Some(digests));
        }
        let kept = partial.set_aside().await?;
        job.kept(&kept);
        Ok(None)
    }

    async fn resolve(&self, job: &Job<'_>, source: &Source) -> Result<Location, SourceError> {
        match source {
            Source::Uri(address) => locate(address),
            Source::Directory(directory) => {
                in_directory(directory, job.file(), job.expected()).await
            }
            Source::Mirror(base) => {
                self.layouts
                    .on_mirror(
                        &self.client,
                        &self.options,
                        base,
                        job.file(),
                        job.expected(),
                    )
                    .await
            }
            Source::UnknownMirror(_) => Err(SourceError::UnknownMirror),
        }
    }

    /// Lets one source deliver what is missing, several times if it breaks off, and verifies the whole.
    async fn try_source(
        &self,
        job: &mut Job<'_>,
        location: &Location,
        shown: &str,
        partial: &mut Partial,
    ) -> Result<Digests, TransferError> {
        // What others delivered may be wrong; then this source gets a chance to deliver all of it.
        let others = (partial.size() > 0).then(|| partial.restarts());
        let mut furthest = partial.size();
        let mut attempt = 1;
        let mut pause = self.options.backoff;
        loop {
            job.tell(Event::Trying {
                file: job.file().to_owned(),
                source: shown.to_owned(),
                from: partial.size(),
            });
            let reason = match self.transfer(job, location, partial).await {
                Ok(()) => {
                    let digests = partial.digests().await?;
                    match job.expected().map(|expected| expected.verify(&digests)) {
                        None | Some(Ok(())) => return Ok(digests),
                        Some(Err(mismatch)) => SourceError::Content(mismatch),
                    }
                }
                Err(TransferError::Source(reason)) => reason,
                Err(fatal) => return Err(fatal),
            };
            if reason.has_left_content() && others == Some(partial.restarts()) {
                let kept = partial.set_aside().await?;
                job.kept(&kept);
                continue;
            }
            if !reason.is_transient() {
                return Err(reason.into());
            }
            if partial.size() >= furthest + GETS_FURTHER {
                furthest = partial.size();
                attempt = 1;
                pause = self.options.backoff;
            } else if attempt >= self.options.attempts {
                return Err(reason.into());
            } else {
                attempt += 1;
            }
            let wished = match reason {
                SourceError::Status {
                    retry_after: Some(wished),
                    ..
                } => wished,
                _ => Duration::ZERO,
            };
            let wait = pause.max(wished).min(self.options.longest_pause);
            if let (Location::Http(url), false) = (location, wished.is_zero()) {
                // Whatever else is wanted of that host waits too.
                self.hosts.rest(url, wished.min(self.options.longest_pause));
            }
            job.tell(Event::Retrying {
                file: job.file().to_owned(),
                source: shown.to_owned(),
                reason: chain(&reason),
                pause: wait,
            });
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    async fn transfer(
        &self,
        job: &Job<'_>,
        location: &Location,
        partial: &mut Partial,
    ) -> Result<(), TransferError> {
        let mut progress = Progress::new(job.file(), job.events);
        match location {
            Location::Http(url) => {
                let _permit = self.hosts.enter(url).await;
                http(
                    self.client.get(&self.options)?,
                    &self.options,
                    url,
                    partial,
                    job.expected(),
                    &mut progress,
                )
                .await
            }
            Location::File(path) => copy(path, partial, job.expected(), &mut progress).await,
        }
    }
}

fn show(location: &Location) -> String {
    match location {
        Location::Http(url) => without_password(url.as_str()),
        Location::File(path) => path.display().to_string(),
    }
}
