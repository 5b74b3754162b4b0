//! The steps of one fetch: what is there already, the lock, the sources in turn.

mod sources;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;

use crate::fetch::client::HttpClient;
use crate::fetch::distdir::{
    Found, Shared, bring, check_name, ensure, inspect, may_write, remove_link, set_aside,
    share_existing,
};
use crate::fetch::error::{FetchError, SourceError};
use crate::fetch::event::{Event, Events, How};
use crate::fetch::expected::{Contradiction, Expected};
use crate::fetch::held_lock::HeldLock;
use crate::fetch::hosts::Hosts;
use crate::fetch::identity::{FetchUser, acting};
use crate::fetch::layouts::{KnownLayouts, Location, in_directory};
use crate::fetch::options::FetchOptions;
use crate::fetch::partial::blocking;
use crate::fetch::plan::Plan;
use crate::repo::manifest::Manifest;
use crate::util::digest::Digests;
use crate::util::lock::{LockError, portage_lockfile};

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
    /// Takes up what another package has of the same file: its sources, and what its Manifest says.
    ///
    /// # Errors
    /// The Manifests say that they are different files; then nothing is taken up.
    pub fn join(&mut self, other: &Self) -> Result<(), Contradiction> {
        match (&mut self.expected, &other.expected) {
            (Some(own), Some(other)) => own.join(other)?,
            (None, other) => self.expected.clone_from(other),
            (Some(_), None) => {}
        }
        self.plan.join(other.plan.clone());
        Ok(())
    }

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
    /// Who makes the files in DISTDIR, once that is known.
    user: tokio::sync::OnceCell<Option<FetchUser>>,
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

    fn kept(&mut self, path: &Path, reason: String) {
        self.set_aside.push(path.to_owned());
        self.tell(Event::SetAside {
            file: self.file().to_owned(),
            path: path.to_owned(),
            reason,
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
            hosts: Hosts::new(
                options.connections,
                options.connections_per_host,
                options.backoff,
                options.longest_pause,
            ),
            user: tokio::sync::OnceCell::new(),
            options,
            layouts: KnownLayouts::default(),
        }
    }

    /// How this fetcher fetches.
    pub fn options(&self) -> &FetchOptions {
        &self.options
    }

    /// The HTTP client.
    pub(super) fn client(&self) -> Result<&reqwest::Client, SourceError> {
        self.client.get(&self.options)
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
        let (user, group) = (self.options.user, self.options.group);
        blocking(&self.options.distdir, None, move || {
            ensure(&distdir, user, group)
        })
        .await?;
        let lock = self.lock(&job).await?.map(Arc::new);
        if let Some(digests) = self.clear_the_way(&mut job).await? {
            return Ok(job.done(How::Present, digests));
        }
        if let Some((how, digests)) = self.share(&job).await? {
            return Ok(job.done(how, digests));
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

    /// Who makes the files in DISTDIR. One that the fetch user may not write to, but this user may, is left to this one.
    async fn user(&self) -> Option<FetchUser> {
        let user = self.options.user?;
        let distdir = &self.options.distdir;
        let find = || async {
            let directory = distdir.clone();
            let found = tokio::task::spawn_blocking(move || {
                acting(Some(user), || may_write(&directory)) || !may_write(&directory)
            });
            found.await.unwrap_or(true).then_some(user)
        };
        *self.user.get_or_init(find).await
    }

    /// The options where that is the user.
    fn options_of(&self, user: Option<FetchUser>) -> Cow<'_, FetchOptions> {
        if user == self.options.user {
            return Cow::Borrowed(&self.options);
        }
        let mut options = self.options.clone();
        options.user = user;
        Cow::Owned(options)
    }

    /// Verifies what is there, and gives it the right permissions if it is right.
    async fn inspect(&self, job: &Job<'_>) -> Result<Found, FetchError> {
        let path = job.target.clone();
        let expected = job.expected().cloned();
        let group = self.options.group;
        // Before anything is known to be missing, DISTDIR need not be one to write to.
        let user = self.user.get().copied().unwrap_or(self.options.user);
        blocking(&job.target, None, move || {
            let look = || -> Result<Found, FetchError> {
                let found = inspect(&path, expected.as_ref())?;
                if matches!(found, Found::Good(_)) {
                    share_existing(&path, group);
                }
                Ok(found)
            };
            match acting(user, look) {
                Err(error) if user.is_some() && error.is_denied() => look(),
                result => result,
            }
        })
        .await
    }

    async fn lock(&self, job: &Job<'_>) -> Result<Option<HeldLock>, FetchError> {
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
        let user = self.user().await;
        let lock = match HeldLock::attempt(&path, user).map_err(refused)? {
            Some(lock) => lock,
            None => {
                job.tell(Event::Waiting {
                    file: job.file().to_owned(),
                    lock: path.clone(),
                });
                HeldLock::wait(&path, user).await.map_err(refused)?
            }
        };
        Ok(Some(lock))
    }

    /// Looks again, now that nobody else changes it, and moves away what is wrong.
    async fn clear_the_way(&self, job: &mut Job<'_>) -> Result<Option<Digests>, FetchError> {
        let path = job.target.clone();
        match self.inspect(job).await? {
            Found::Good(digests) => return Ok(Some(digests)),
            Found::Missing => {}
            Found::BadLink => {
                let user = self.user().await;
                blocking(&job.target, user, move || remove_link(&path)).await?;
            }
            Found::Bad(mismatch) => {
                tracing::debug!("{}: {mismatch:?}", path.display());
                let name = job.file().to_owned();
                let user = self.user().await;
                let kept = blocking(&job.target, user, move || set_aside(&path, &name)).await?;
                let reason = mismatch.map(|it| it.to_string());
                let reason = reason.unwrap_or_else(|| "it is empty".to_owned());
                job.kept(&kept, reason);
            }
        }
        Ok(None)
    }

    /// Looks into the read-only directories of distfiles, and takes the file from there if one has it.
    async fn share(&self, job: &Job<'_>) -> Result<Option<(How, Digests)>, FetchError> {
        for directory in &self.options.ro_distdirs {
            let expected = job.expected();
            let path = match in_directory(directory, job.file(), expected).await {
                Ok(Location::File(path)) => path,
                Ok(Location::Http(_) | Location::Command { .. }) => continue,
                Err(error) => {
                    self.failed(job, &directory.display().to_string(), &error);
                    continue;
                }
            };
            let target = job.target.clone();
            let expected = job.expected().cloned();
            let candidate = path.clone();
            let group = self.options.group;
            let user = self.user().await;
            let brought = blocking(&job.target, user, move || {
                bring(&candidate, &target, expected.as_ref(), group)
            })
            .await?;
            if let Some((shared, digests)) = brought {
                let how = match shared {
                    Shared::Linked => How::Linked(path),
                    Shared::Copied => How::Copied(path),
                };
                return Ok(Some((how, digests)));
            }
        }
        Ok(None)
    }
}
