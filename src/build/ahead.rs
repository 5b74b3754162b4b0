//! Fetching for builds that are still to come, in their order, while others are at work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::candidate::Candidate;
use super::fetching::{Distfiles, FetchingError, Teller, requests};
use super::session::Session;
use crate::pms::atom::PackageFacts;

/// What comes of fetching for a package.
type Result = std::result::Result<(), FetchingError>;

/// The packages for which somebody fetches already.
#[derive(Debug, Default)]
pub struct Ahead {
    results: Mutex<HashMap<String, oneshot::Receiver<Result>>>,
    task: Mutex<Option<AbortHandle>>,
}

/// What is still to come of a package.
struct Package {
    left: usize,
    failure: Option<FetchingError>,
    done: Option<oneshot::Sender<Result>>,
    teller: Teller,
}

impl Package {
    /// Notes that one file came or did not.
    fn note(&mut self, result: Result) {
        self.left = self.left.saturating_sub(1);
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            // A build that was given up does not listen.
            let _ = done.send(self.failure.take().map_or(Ok(()), Err));
        }
    }
}

fn key(candidate: &Candidate) -> String {
    format!("{}::{}", candidate.cpv(), candidate.ebuild.repository)
}

impl Ahead {
    /// Begins to fetch what the candidates want, the first one's files first.
    pub fn start(&self, session: &Arc<Session>, candidates: &[Arc<Candidate>]) {
        let mut packages = Vec::new();
        let mut wanted = Vec::new();
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        for candidate in candidates {
            let found = Distfiles::of(candidate)
                .map_err(FetchingError::from)
                .and_then(|distfiles| requests(session, candidate, &distfiles));
            // What is wrong with it its own build will find, and tell in its place.
            let Ok(files) = found else {
                continue;
            };
            if files.is_empty() {
                continue;
            }
            let (sender, receiver) = oneshot::channel();
            results.insert(key(candidate), receiver);
            let at = packages.len();
            packages.push(Package {
                left: files.len(),
                failure: None,
                done: Some(sender),
                teller: Teller::new(&session.events, candidate),
            });
            wanted.extend(files.into_iter().map(|file| (at, file)));
        }
        drop(results);
        if wanted.is_empty() {
            return;
        }
        let session = Arc::clone(session);
        let task = tokio::spawn(async move {
            let tellers: Vec<_> = packages.iter().map(|it| it.teller.sender()).collect();
            let fetches = wanted.into_iter().filter_map(|(at, request)| {
                let events = tellers.get(at)?.clone();
                let session = Arc::clone(&session);
                Some(async move {
                    let result = session.fetcher.fetch(&request, &events).await;
                    (at, result.map(drop).map_err(FetchingError::from))
                })
            });
            // A few more than there are connections: some only look at what is there.
            let at_once = session.fetcher.options().connections + 2;
            let mut ended = futures_util::stream::iter(fetches).buffer_unordered(at_once);
            while let Some((at, result)) = ended.next().await {
                if let Some(package) = packages.get_mut(at) {
                    package.note(result);
                }
            }
        });
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
    }

    /// Ends what is still being fetched; what has arrived is resumed next time.
    pub fn stop(&self) {
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Waits for the files of the candidate, if somebody fetches them. The result is given once.
    pub async fn wait(&self, candidate: &Candidate) -> Option<Result> {
        let receiver = self
            .results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key(candidate))?;
        receiver.await.ok()
    }
}
