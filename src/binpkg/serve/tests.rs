use std::fs::{self, File};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::binpkg::pkgdir::PkgdirOptions;

/// More than any buffer of a connection holds.
const LARGE: u64 = 64 << 20;

/// Serves a PKGDIR with a large package to so many clients, and gives the address.
async fn serving(directory: &std::path::Path, limits: Limits) -> SocketAddr {
    let pkgdir = Pkgdir::open(directory, PkgdirOptions::default()).unwrap();
    fs::create_dir(directory.join("a")).unwrap();
    let file = File::create(directory.join("a/b-1.tbz2")).unwrap();
    file.set_len(LARGE).unwrap();
    let mut server = Server::bind(([127, 0, 0, 1], 0).into(), pkgdir)
        .await
        .unwrap();
    server.limits = limits;
    let address = server.address();
    tokio::spawn(server.run());
    address
}

async fn ask(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /a/b-1.tbz2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// How many bytes come, up to the end or an error.
async fn taken(mut stream: TcpStream) -> u64 {
    let mut buffer = vec![0; 1 << 16];
    let mut all = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        all += count as u64;
    }
    all
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("it takes too long")
}

#[tokio::test]
async fn clients_that_do_not_read_keep_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        connections: 3,
        per_address: 3,
        patience: Duration::from_secs(2),
    };
    let address = serving(directory.path(), limits).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(ask(address).await);
    }
    let one = soon(async { taken(ask(address).await).await }).await;
    assert!(one > LARGE, "{one}");
    for stream in idle {
        let some = soon(taken(stream)).await;
        assert!(some < LARGE, "{some}");
    }
}

#[tokio::test]
async fn an_address_has_so_many_places_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        connections: 9,
        per_address: 2,
        patience: Duration::from_secs(60),
    };
    let address = serving(directory.path(), limits).await;
    let (first, _second) = (ask(address).await, ask(address).await);
    let third = soon(async { taken(ask(address).await).await }).await;
    assert!(third < 1000, "{third}");
    drop(first);
    let is_served = async {
        while taken(ask(address).await).await < LARGE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(is_served).await;
}
