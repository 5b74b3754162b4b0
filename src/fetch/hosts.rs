//! How many connections there are at once, to all hosts and to each, and which hosts want to be left
//! alone for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// The hosts that were asked for anything.
#[derive(Debug)]
pub(super) struct Hosts {
    all: Arc<Semaphore>,
    each: usize,
    known: Mutex<HashMap<String, Arc<Host>>>,
}

#[derive(Debug)]
struct Host {
    connections: Arc<Semaphore>,
    rests_until: Mutex<Option<Instant>>,
}

/// Leave to use one connection. Given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _all: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

impl Hosts {
    /// At most `all` connections at once, and `each` to one host; at least one.
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.max(1))),
            each: each.max(1),
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
        let host = known.entry(name).or_insert_with(|| {
            Arc::new(Host {
                connections: Arc::new(Semaphore::new(self.each)),
                rests_until: Mutex::default(),
            })
        });
        Arc::clone(host)
    }

    /// Waits until the host of `url` may be asked for something, in the order in which that was
    /// wanted. None after the end of the fetcher.
    pub(super) async fn enter(&self, url: &Url) -> Option<Permit> {
        let host = self.host(url);
        // First the host's: who waits for a busy host takes nothing from the others.
        let own = Arc::clone(&host.connections).acquire_owned().await.ok()?;
        loop {
            let until = *host
                .rests_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => break,
            }
        }
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Permit {
            _all: all,
            _host: own,
        })
    }

    /// Leaves the host of `url` alone for that long, as it has asked for.
    pub(super) fn rest(&self, url: &Url, pause: Duration) {
        let host = self.host(url);
        let until = Instant::now().checked_add(pause);
        let mut rests = host
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if until > *rests {
            *rests = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str) -> Url {
        Url::parse(&format!("http://{host}/x")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_are_asked_a_few_at_a_time() {
        let hosts = Hosts::new(3, 2);
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
        let hosts = Hosts::new(3, 2);
        hosts.rest(&url("a"), Duration::from_secs(20));
        hosts.rest(&url("a"), Duration::from_secs(5));
        let begin = Instant::now();
        hosts.enter(&url("b")).await.unwrap();
        assert_eq!(begin.elapsed(), Duration::ZERO);
        hosts.enter(&url("a")).await.unwrap();
        assert_eq!(begin.elapsed(), Duration::from_secs(20));
    }
}
