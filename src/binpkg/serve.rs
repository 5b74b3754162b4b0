//! A PKGDIR over HTTP: what Portage's clients fetch, and a page for people.
//!
//! Served are the index, plain and compressed, and files with names of packages; nothing else of the directory. Every
//! answer of a file has an entity tag and a time, and parts of it can be asked for.

mod answer;
mod page;
mod range;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::pkgdir::Pkgdir;
use answer::answer;

/// How many clients are served at a time; others wait.
const CONNECTIONS: usize = 256;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    pkgdir: Pkgdir,
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
        })
    }

    /// Where it can be reached.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the future is dropped.
    pub async fn run(self) -> Infallible {
        let pkgdir = Arc::new(self.pkgdir);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let place = places.clone().acquire_owned().await;
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                // Too many open files, or a client that is gone already.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
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
                    .header_read_timeout(PATIENCE);
                // A client that goes in the middle is no error of ours.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(place);
            });
        }
    }
}
