//! https, HTTP/2 and proxies.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{NO_MIRRORS, Server};
use crate::support::{Trial, dist};

/// A server that speaks HTTP/2 over TLS, and answers everything with its path.
struct SecureServer {
    address: String,
    certificate: String,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl SecureServer {
    /// With a certificate that nobody has signed, for `name`.
    fn start(name: &str) -> Self {
        let key = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = CertificateDer::from(key.cert.der().to_vec());
        let private =
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            address,
            certificate: key.cert.pem(),
            connections: Arc::clone(&connections),
            asked: Arc::clone(&asked),
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(accept(listener, config, connections, asked));
        });
        server
    }
}

async fn accept(
    listener: std::net::TcpListener,
    config: ServerConfig,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, asked) = (acceptor.clone(), Arc::clone(&asked));
        let connections = Arc::clone(&connections);
        tokio::spawn(async move {
            // Who does not trust the certificate hangs up.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            connections.fetch_add(1, Ordering::SeqCst);
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((request, mut reply))) = connection.accept().await {
                let path = request.uri().path().to_owned();
                let mut stream = reply
                    .send_response(Default::default(), false)
                    .expect("answered");
                stream
                    .send_data(path.clone().into(), true)
                    .expect("answered");
                asked.lock().unwrap().push(path);
            }
        });
    }
}

/// A package that wants `count` files of the server, which has them under their names.
fn trial(address: &str, count: usize) -> Trial {
    let uris: Vec<String> = (0..count).map(|at| format!("{address}/f{at}")).collect();
    let manifest: String = (0..count)
        .map(|at| dist(&format!("f{at}"), format!("/f{at}").as_bytes()))
        .collect();
    Trial::new()
        .make_conf(NO_MIRRORS)
        .package("app-misc/foo-1", &format!("SRC_URI=\"{}\"", uris.join(" ")))
        .manifest("app-misc/foo", &manifest)
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let server = SecureServer::start("127.0.0.1");
    let trial = trial(&server.address, 1);
    trial.run(&["fetch", "foo"]).fails(&[
        "the only source failed",
        &format!("{}/f0: connection failed", server.address),
        "certificate",
    ]);
    trial.assert_nothing_written();
    assert!(server.asked.lock().unwrap().is_empty());
    // Nor is one for another host.
    let other = SecureServer::start("other.example");
    let trial = self::trial(&other.address, 1).file("trusted.pem", &other.certificate);
    let trusted = trial.path("trusted.pem").display().to_string();
    let trial = trial.variable("SSL_CERT_FILE", &trusted);
    trial.run(&["fetch", "foo"]).fails(&["certificate"]);
    trial.assert_nothing_written();
}

#[test]
fn another_source_is_tried_where_a_certificate_is_bad() {
    let server = SecureServer::start("127.0.0.1");
    let good = Server::start(vec![("/f0".into(), b"/f0".to_vec())]);
    // The last address in SRC_URI is the first to be tried.
    let uris = format!("SRC_URI=\"{}/f0 {}/f0\"", good.address, server.address);
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .package("app-misc/foo-1", &uris)
        .manifest("app-misc/foo", &dist("f0", b"/f0"));
    let outcome = trial.run(&["fetch", "foo"]);
    outcome.succeeds();
    assert!(
        outcome
            .stderr
            .contains(&format!("f0: not from {}/f0", server.address)),
        "{outcome}"
    );
    assert_eq!(good.asked().len(), 1);
}

#[test]
fn many_files_come_over_few_connections() {
    let server = SecureServer::start("127.0.0.1");
    let trial = trial(&server.address, 40).file("trusted.pem", &server.certificate);
    let trusted = trial.path("trusted.pem").display().to_string();
    let trial = trial.variable("SSL_CERT_FILE", &trusted);
    trial.run(&["fetch", "foo"]).succeeds();
    assert_eq!(server.asked.lock().unwrap().len(), 40);
    // Those that were begun before the first of them was there.
    let connections = server.connections.load(Ordering::SeqCst);
    assert!(connections <= 6, "{connections}");
}

#[test]
fn proxies_are_gone_through() {
    // A proxy is asked for whole addresses.
    let proxy = Server::start(vec![("http://files.invalid/f0".into(), b"/f0".to_vec())]);
    for from in ["environment", "make.conf"] {
        let trial = trial("http://files.invalid", 1);
        let trial = match from {
            "make.conf" => {
                trial.make_conf(&format!("{NO_MIRRORS}http_proxy=\"{}\"\n", proxy.address))
            }
            _ => trial.variable("http_proxy", &proxy.address),
        };
        let before = proxy.asked().len();
        trial.run(&["fetch", "foo"]).succeeds();
        assert_eq!(proxy.asked().len(), before + 1, "{from}");
        assert_eq!(
            fs::read(trial.path("distfiles/f0")).unwrap(),
            b"/f0",
            "{from}"
        );
    }
    // Hosts may be left out.
    let server = Server::start(vec![("/f0".into(), b"/f0".to_vec())]);
    let trial = trial(&server.address, 1)
        .variable("http_proxy", &proxy.address)
        .variable("no_proxy", "127.0.0.1");
    trial.run(&["fetch", "foo"]).succeeds();
    assert_eq!(server.asked().len(), 1);
    let trial = self::trial(&server.address, 1).variable("http_proxy", "http://[nonsense");
    trial
        .run(&["fetch", "foo"])
        .fails(&["http_proxy is `http://[nonsense`, which is no proxy"]);
}
