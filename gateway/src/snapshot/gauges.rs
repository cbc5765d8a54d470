//! Where a pool's servers tell how many requests wait for them, ready to be asked.

use std::sync::Arc;

use http::HeaderValue;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap};
use http::uri::PathAndQuery;

use super::{BuildError, Credential, Endpoint};
use crate::path::send::tls::{self, Protocol};

/// Where model servers have their metrics.
const PATH: &str = "/metrics";

/// The metrics page of one server.
#[derive(Debug)]
pub(crate) struct Page {
    /// Where the page is.
    pub(crate) at: Arc<Endpoint>,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// The server that it tells of.
    pub(crate) of: Arc<Endpoint>,
}

impl Page {
    /// Whether this one, of a reload, is the same page of the same server, asked for and reached in the same way.
    pub(crate) fn is(&self, other: &Self) -> bool {
        // An endpoint that stays is reached as before, and so is what the pool has elsewhere.
        Arc::ptr_eq(&self.of, &other.of)
            && self.at.config == other.at.config
            && self.path == other.path
            && self.headers == other.headers
    }
}

/// The page of each endpoint, in their order; none where the pool has no gauges.
pub(super) fn pages(
    pool: &router_core::config::Pool,
    endpoints: &[Arc<Endpoint>],
    credential: Option<&Credential>,
) -> Result<Vec<Arc<Page>>, BuildError> {
    let Some(source) = &pool.gauges else { return Ok(Vec::new()) };
    if let (Some(url), [only]) = (&source.url, endpoints) {
        return Ok(vec![Arc::new(elsewhere(pool, url, only)?)]);
    }
    let own = |endpoint: &Arc<Endpoint>| {
        let mut headers = headers(endpoint);
        if let Some(credential) = credential {
            // The server has it already: calls bring it.
            headers.insert(AUTHORIZATION, credential.bearer().clone());
        }
        let path = PathAndQuery::from_static(PATH);
        Arc::new(Page { at: endpoint.clone(), path, headers, of: endpoint.clone() })
    };
    Ok(endpoints.iter().map(own).collect())
}

/// A page that has a URL of its own. It gets no credential.
fn elsewhere(
    pool: &router_core::config::Pool,
    url: &router_core::config::Endpoint,
    of: &Arc<Endpoint>,
) -> Result<Page, BuildError> {
    let host = || BuildError::Host { pool: pool.name.clone(), endpoint: url.authority() };
    let tls = url.tls.then(|| tls::client(pool.ca.as_deref(), Protocol::Http1)).transpose();
    let tls = tls.map_err(|problem| BuildError::Certificates { pool: pool.name.clone(), problem })?;
    // Exporters speak HTTP/1.1, whatever the model server does.
    let reach = router_core::config::Pool { http2: false, ..pool.clone() };
    let place = router_core::config::Endpoint { path_prefix: String::new(), ..url.clone() };
    let at = Arc::new(Endpoint::build(&place, tls.as_ref(), &reach).ok_or_else(host)?);
    let path = if url.path_prefix.is_empty() { PATH } else { url.path_prefix.as_str() };
    Ok(Page { headers: headers(&at), path: path.parse().map_err(|_| host())?, at, of: of.clone() })
}

fn headers(endpoint: &Endpoint) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, endpoint.host.clone());
    headers.insert(ACCEPT, HeaderValue::from_static("text/plain"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}
