//! How many connections there are at once, to all hosts and to each, and which hosts are left alone for a while:
//! because they have asked for it, because they have too much to do, or because they cannot be reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::fetch::error::{SourceError, chain};

/// So often in a row a host must not be reachable to be left alone.
const UNREACHABLE_OFTEN: u32 = 3;

/// How long it is then: with hundreds of files of a host that drops packets, each would wait in vain.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// The hosts that were asked for anything.
#[derive(Debug)]
pub(super) struct Hosts {
    all: Arc<Semaphore>,
    each: usize,
    backoff: Duration,
    longest_pause: Duration,
    known: Mutex<HashMap<String, Arc<Host>>>,
}

#[derive(Debug)]
struct Host {
    name: String,
    connections: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rests_until: Option<Instant>,
    /// How often in a row it has had too much to do.
    busy: u32,
    /// How often in a row it could not be reached.
    unreachable: u32,
    left_alone: Option<(Instant, String)>,
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), SourceError> {
        match &self.state().left_alone {
            Some((until, reason)) if *until > Instant::now() => Err(SourceError::Unreachable {
                host: self.name.clone(),
                reason: reason.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// Leave to use one connection. Given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _all: Option<OwnedSemaphorePermit>,
    _host: Option<OwnedSemaphorePermit>,
}

impl Hosts {
    /// At most `all` connections at once, and `each` to one host; at least one. A host that has too much to do rests
    /// for `backoff`, twice as long each time, but no longer than `longest_pause`.
    pub(super) fn new(all: usize, each: usize, backoff: Duration, longest_pause: Duration) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.max(1))),
            each: each.max(1),
            backoff,
            longest_pause,
            known: Mutex::default(),
        }
    }

    fn host(&self, url: &Url) -> Arc<Host> {
        let name = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let host = known.entry(name.clone()).or_insert_with(|| {
            Arc::new(Host {
                name,
                connections: Arc::new(Semaphore::new(self.each)),
                state: Mutex::default(),
            })
        });
        Arc::clone(host)
    }

    /// Waits until the host of `url` may be asked for something, in the order in which that was wanted.
    ///
    /// # Errors
    /// The host could not be reached a moment ago.
    pub(super) async fn enter(&self, url: &Url) -> Result<Permit, SourceError> {
        let host = self.host(url);
        host.check()?;
        // First the host's: who waits for a busy host takes nothing from the others. Semaphores are never closed.
        let own = Arc::clone(&host.connections).acquire_owned().await.ok();
        loop {
            let until = host.state().rests_until;
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => break,
            }
        }
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        // It may have turned out while this was waiting.
        host.check()?;
        Ok(Permit {
            _all: all,
            _host: own,
        })
    }

    /// Learns from what came of asking the host of `url` for something.
    pub(super) fn learn(&self, url: &Url, result: Result<(), &SourceError>) {
        let host = self.host(url);
        let mut state = host.state();
        match result {
            Err(SourceError::Status {
                status,
                retry_after,
            }) if retry_after.is_some() || matches!(status.as_u16(), 429 | 503) => {
                let own = self.backoff * 2u32.saturating_pow(state.busy.min(16));
                let pause = own
                    .max(retry_after.unwrap_or_default())
                    .min(self.longest_pause);
                let until = Instant::now().checked_add(pause);
                if until > state.rests_until {
                    state.rests_until = until;
                    state.busy += 1;
                }
                state.unreachable = 0;
            }
            Err(error) if error.is_unreachable() => {
                state.unreachable += 1;
                if state.unreachable >= UNREACHABLE_OFTEN {
                    let until = Instant::now() + LEFT_ALONE;
                    state.left_alone = Some((until, chain(error)));
                }
            }
            // What says nothing of the host.
            Err(SourceError::Unreachable { .. } | SourceError::Client(_)) => {}
            _ => {
                state.busy = 0;
                state.unreachable = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str) -> Url {
        Url::parse(&format!("http://{host}/x")).unwrap()
    }

    fn hosts() -> Hosts {
        Hosts::new(3, 2, Duration::from_secs(1), Duration::from_secs(30))
    }

    fn status(code: u16, retry_after: Option<u64>) -> SourceError {
        SourceError::Status {
            status: reqwest::StatusCode::from_u16(code).unwrap(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    async fn waits(hosts: &Hosts, host: &str) -> Duration {
        let begin = Instant::now();
        hosts.enter(&url(host)).await.unwrap();
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_are_asked_a_few_at_a_time() {
        let hosts = hosts();
        let a1 = hosts.enter(&url("a")).await;
        let _a2 = hosts.enter(&url("a")).await;
        let soon = Duration::from_millis(10);
        let third = tokio::time::timeout(soon, hosts.enter(&url("a"))).await;
        assert!(third.is_err(), "two of one host are enough");
        let b1 = tokio::time::timeout(soon, hosts.enter(&url("b"))).await;
        assert!(b1.is_ok(), "another host is not held up");
        let c1 = tokio::time::timeout(soon, hosts.enter(&url("c"))).await;
        assert!(c1.is_err(), "three in all are enough");
        drop(a1);
        assert!(
            tokio::time::timeout(soon, hosts.enter(&url("a")))
                .await
                .is_ok()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_to_be_left_alone_is() {
        let hosts = hosts();
        hosts.learn(&url("a"), Err(&status(500, Some(20))));
        hosts.learn(&url("a"), Err(&status(429, Some(5))));
        assert_eq!(waits(&hosts, "b").await, Duration::ZERO);
        assert_eq!(waits(&hosts, "a").await, Duration::from_secs(20));
        hosts.learn(&url("a"), Err(&status(429, Some(100_000))));
        assert_eq!(waits(&hosts, "a").await, Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_too_much_to_do_is_given_more_and_more_time() {
        let hosts = hosts();
        for seconds in [1, 2, 4] {
            // Several connections learn it at once: that is one time, not several.
            hosts.learn(&url("a"), Err(&status(503, None)));
            assert_eq!(waits(&hosts, "a").await, Duration::from_secs(seconds));
        }
        hosts.learn(&url("a"), Ok(()));
        hosts.learn(&url("a"), Err(&status(503, None)));
        assert_eq!(waits(&hosts, "a").await, Duration::from_secs(1));
        hosts.learn(&url("a"), Err(&status(404, None)));
        assert_eq!(waits(&hosts, "a").await, Duration::ZERO);
    }

    #[tokio::test]
    async fn who_cannot_be_reached_is_not_asked_by_everyone() {
        let nobody = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap()
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let error = reqwest::get(nobody.clone()).await.unwrap_err();
        let error = SourceError::Http(error);
        let hosts = hosts();
        for _ in 0..2 {
            hosts.learn(&nobody, Err(&error));
        }
        hosts.learn(&nobody, Ok(()));
        for _ in 0..3 {
            hosts.enter(&nobody).await.unwrap();
            hosts.learn(&nobody, Err(&error));
        }
        let refused = hosts.enter(&nobody).await.unwrap_err();
        assert!(refused.to_string().contains("left alone"), "{refused}");
        hosts.enter(&url("b")).await.unwrap();
    }
}
