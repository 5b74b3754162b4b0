//! The sources of a distfile, tried in turn.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::{Fetched, Fetcher, Job};
use crate::fetch::distdir::{check_space, wanted};
use crate::fetch::error::{FetchError, SourceError, SourceFailure, chain};
use crate::fetch::event::{Event, How};
use crate::fetch::expected::Expected;
use crate::fetch::held_lock::HeldLock;
use crate::fetch::layouts::{Location, in_directory, locate};
use crate::fetch::partial::{Partial, blocking};
use crate::fetch::plan::{Source, without_password};
use crate::fetch::transfer::{Progress, TransferError, by_command, copy, http};
use crate::util::digest::Digests;

/// After so much wrong content the addresses in `SRC_URI` are tried next, as in Portage.
const WRONG_CONTENT_FOR_PRIMARY: usize = 2;

/// How much a source has to get further for a broken connection not to count as an attempt, in bytes.
const GETS_FURTHER: u64 = 1 << 20;

impl Fetcher {
    /// Tries the sources in turn.
    pub(super) async fn download(
        &self,
        mut job: Job<'_>,
        lock: Option<Arc<HeldLock>>,
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
            blocking(&job.target, None, move || check_space(&path, missing)).await?;
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
                job.kept(&kept, reason.to_string());
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

    pub(super) fn failed(&self, job: &Job<'_>, source: &str, reason: &SourceError) {
        job.tell(Event::SourceFailed {
            file: job.file().to_owned(),
            source: source.to_owned(),
            reason: chain(reason),
        });
    }

    async fn open_partial(
        &self,
        job: &mut Job<'_>,
        lock: Option<Arc<HeldLock>>,
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
        Partial::open(
            &self.options.distdir,
            job.file(),
            names,
            least,
            limit,
            self.user().await,
            lock,
        )
        .await
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
        let Err(mismatch) = expected.verify(&digests) else {
            return Ok(Some(digests));
        };
        let kept = partial.set_aside().await?;
        job.kept(&kept, mismatch.to_string());
        Ok(None)
    }

    async fn resolve(&self, job: &Job<'_>, source: &Source) -> Result<Location, SourceError> {
        match source {
            Source::Uri(address) => locate(address, &self.options.commands),
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
                job.kept(&kept, reason.to_string());
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
                let _permit = self.hosts.enter(url).await?;
                let result = http(
                    self.client.get(&self.options)?,
                    &self.options,
                    url,
                    partial,
                    job.expected(),
                    &mut progress,
                )
                .await;
                match &result {
                    Ok(()) => self.hosts.learn(url, Ok(())),
                    Err(TransferError::Source(reason)) => self.hosts.learn(url, Err(reason)),
                    Err(TransferError::Fatal(_)) => {}
                }
                result
            }
            Location::Command { protocol, uri } => {
                // Its host has as many connections as any other.
                let _permit = match Url::parse(uri) {
                    Ok(url) => Some(self.hosts.enter(&url).await?),
                    Err(_) => None,
                };
                let options = self.options_of(self.user().await);
                let source = (protocol.as_str(), uri.as_str());
                by_command(&options, source, partial, job.expected(), &mut progress).await
            }
            Location::File(path) => copy(path, partial, job.expected(), &mut progress).await,
        }
    }
}

fn show(location: &Location) -> String {
    match location {
        Location::Http(url) => without_password(url.as_str()),
        Location::Command { uri, .. } => without_password(uri),
        Location::File(path) => path.display().to_string(),
    }
}
