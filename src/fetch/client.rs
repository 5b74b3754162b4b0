//! The HTTP client, set up when it is first needed.

use std::sync::OnceLock;

use reqwest::{Client, NoProxy, Proxy};

use crate::fetch::error::SourceError;
use crate::fetch::options::{FetchOptions, Proxies};
use crate::fetch::plan::without_password;

/// A client for http and https with TLS by rustls.
///
/// Reading the certificates of the system takes longer than finding that all distfiles are there, and what is
/// there must be found on a system without certificates, too.
#[derive(Debug, Default)]
pub(super) struct HttpClient {
    client: OnceLock<Client>,
}

impl HttpClient {
    /// The client. All share its connections.
    pub(super) fn get(&self, options: &FetchOptions) -> Result<&Client, SourceError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // An error means that somebody has installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("ebd/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .referer(false)
            // None but those that are given.
            .no_proxy();
        for proxy in proxies(&options.proxies)? {
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(SourceError::Client)?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn proxies(wanted: &Proxies) -> Result<Vec<Proxy>, SourceError> {
    let except = wanted.except.as_deref().and_then(NoProxy::from_string);
    let mut found = Vec::new();
    for (name, address, make) in [
        ("http_proxy", &wanted.http, Proxy::http as fn(String) -> _),
        ("https_proxy", &wanted.https, Proxy::https),
        ("all_proxy", &wanted.all, Proxy::all),
    ] {
        let Some(address) = address else { continue };
        let proxy = make(address.clone()).map_err(|source| SourceError::Proxy {
            name,
            address: without_password(address),
            source,
        })?;
        found.push(proxy.no_proxy(except.clone()));
    }
    Ok(found)
}
