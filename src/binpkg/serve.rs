//! A PKGDIR over HTTP: what Portage's clients fetch, and a page for people.
//!
//! Served are the index, plain and compressed, and files with names of packages; nothing else of the directory. Every
//! answer of a file has an entity tag and a time, and parts of it can be asked for.

mod answer;
mod guests;
mod page;
mod patient;
mod range;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::pkgdir::Pkgdir;
use answer::answer;
use guests::Guests;
use patient::Patient;

/// How many clients are served at a time; others wait.
const CONNECTIONS: usize = 256;
/// How many of them may come from one address; more are sent away.
const PER_ADDRESS: usize = 32;
/// How long a client may take to ask, and to take anything of its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a client is told that is sent away.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n    Content-Length: 0\r\n\r\n";

/// A PKGDIR cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("{address}: cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// What clients are given.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    per_address: usize,
    patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            per_address: PER_ADDRESS,
            patience: PATIENCE,
        }
    }
}

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    pkgdir: Pkgdir,
    limits: Limits,
}

impl Server {
    /// Listens on an address; port 0 is any that is free.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn bind(address: SocketAddr, pkgdir: Pkgdir) -> Result<Self, ServeError> {
        let fail = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self {
            listener,
            address,
            pkgdir,
            limits: Limits::default(),
        })
    }

    /// Where it can be reached.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the future is dropped.
    pub async fn run(self) -> Infallible {
        let pkgdir = Arc::new(self.pkgdir);
        let limits = self.limits;
        let places = Arc::new(Semaphore::new(limits.connections));
        let guests = Guests::default();
        loop {
            let place = places.clone().acquire_owned().await;
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                // Too many open files, or a client that is gone already.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(guest) = guests.admit(peer.ip(), limits.per_address) else {
                send_away(stream);
                continue;
            };
            let pkgdir = pkgdir.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let pkgdir = pkgdir.clone();
                    async move { Ok::<_, Infallible>(answer(&pkgdir, &request).await) }
                });
                let mut builder = http1::Builder::new();
                builder
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits.patience);
                let stream = TokioIo::new(Patient::new(stream, limits.patience));
                // A client that goes in the middle is no error of ours.
                let _ = builder.serve_connection(stream, service).await;
                drop((guest, place));
            });
        }
    }
}

/// Tells a client that has enough connections already, if it listens, and waits for nothing.
fn send_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write_all(BUSY);
    }
}
