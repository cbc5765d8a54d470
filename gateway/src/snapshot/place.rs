//! A page that Weir itself fetches from somewhere that is no model server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderMap, USER_AGENT};
use http::uri::PathAndQuery;

use super::Endpoint;
use crate::path::send::tls::{self, Protocol};

/// Longer than to model servers, which are next door.
const CONNECT: Duration = Duration::from_secs(3);

/// Where a JSON document is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) at: Arc<Endpoint>,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

impl Place {
    /// The place of a URL whose whole path is in its `path_prefix`; the error says what is wrong with it.
    pub(crate) fn build(url: &router_core::config::Endpoint, ca: Option<&Path>) -> Result<Self, String> {
        let tls = url.tls.then(|| tls::client(ca, Protocol::Http1)).transpose();
        let tls = tls.map_err(|problem| format!("ca: {problem}"))?;
        let mut reach = router_core::config::Pool::new("");
        reach.timeouts.connect = CONNECT;
        let host = router_core::config::Endpoint { path_prefix: String::new(), ..url.clone() };
        let at = Endpoint::build(&host, tls.as_ref(), &reach);
        let at = Arc::new(at.ok_or_else(|| format!("jwks: {} is not a usable host name", url.authority()))?);
        let path = if url.path_prefix.is_empty() { "/" } else { url.path_prefix.as_str() };
        let path = path.parse().map_err(|_| "jwks: this is not a usable path".to_owned())?;
        let mut headers = HeaderMap::new();
        headers.insert(HOST, at.host.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
        Ok(Self { at, path, headers })
    }

    /// The URL as a log shows it.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.at.config.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.at.label, self.path)
    }
}
