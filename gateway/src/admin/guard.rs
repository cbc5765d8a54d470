//! Who operates, and what they may do. Without keys whoever can connect may do everything, which is why the listener is
//! on loopback then. With keys an operator may do what its role allows; who shows none is a reader on this machine and
//! nobody elsewhere.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::header::{FORWARDED, HeaderMap, HeaderName, VIA, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use router_core::config::{Address, Admin, Role};
use router_core::identify::jwt::is_token;

use super::refuse;
use crate::gateway::Gateway;
use crate::path::identify::{Issuer, credential};
use crate::path::telemetry::Level;
use crate::snapshot::{Snapshot, Worth};

/// Longest path that is logged.
const PATH_CHARS_MAX: usize = 256;

/// The peer of an operator's connection, as the listener knows it.
#[derive(Clone, Debug)]
pub(super) struct Peer(pub(super) HeaderValue);

/// Who asks: in the extensions of every request that is let in.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// Of the key; `None` for who showed none.
    pub(crate) id: Option<Arc<str>>,
    pub(crate) role: Role,
    /// Where the connection comes from: an address, or `unix:`.
    pub(crate) peer: HeaderValue,
}

/// What an operator should know of the listener's settings.
pub(crate) fn advice(admin: &Admin) -> Option<String> {
    let open = matches!(&admin.address, Address::Tcp(address) if !address.ip().is_loopback());
    (open && !admin.keys.is_empty() && admin.tls.is_none()).then(|| {
        "admin.keys: keys cross the network in the clear, where others can read them; `admin.tls` would do".to_owned()
    })
}

/// Lets a request in, with its [`Operator`], if that may do what it asks for.
pub(super) async fn judge(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    if is_probe(&request) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.clone());
    let peer = peer.unwrap_or_else(|| HeaderValue::from_static(""));
    let operator = match operator(&gateway.snapshot(), request.headers(), &peer) {
        Ok(operator) => operator,
        Err(why) => {
            gateway.telemetry.refuse_operator(&peer, why);
            return unknown(why);
        }
    };
    let needed = needed(request.method(), request.uri().path());
    if operator.role < needed {
        let who = operator.id.as_deref().map_or("without a key", |_| "with this key");
        let message = format!(
            "this needs the role {}, and {who} there is only the role {}",
            needed.name(),
            operator.role.name()
        );
        gateway.telemetry.refuse_operator(&peer, &message);
        return refuse(StatusCode::FORBIDDEN, "role_needed", &message);
    }
    let change = (needed > Role::Reader).then(|| operator.tell(request.method(), request.uri().path()));
    request.extensions_mut().insert(operator);
    let response = next.run(request).await;
    if let Some(change) = change {
        gateway.telemetry.event(Level::Info, format!("{change}: {}", response.status().as_u16()));
    }
    response
}

/// Whether it is what orchestrators ask for, which tells nothing that the data port does not.
pub(super) fn is_probe(request: &Request) -> bool {
    request.uri().path().starts_with("/health")
}

impl Operator {
    /// Who asks for what, for the log.
    fn tell(&self, method: &Method, path: &str) -> String {
        let id = self.id.as_deref().unwrap_or("without a key");
        let peer = self.peer.to_str().unwrap_or_default();
        // hyper takes no characters in it that would end a line.
        let path: String = path.chars().take(PATH_CHARS_MAX).collect();
        format!("operator {id} ({}) from {peer}: {method} {path}", self.role.name())
    }
}

/// Who asks, or why that is nobody.
fn operator(snapshot: &Snapshot, headers: &HeaderMap, peer: &HeaderValue) -> Result<Operator, &'static str> {
    let operator = |id, role| Operator { id, role, peer: peer.clone() };
    if !snapshot.operators.are_known() {
        return Ok(operator(None, Role::Admin));
    }
    let key = credential(headers).map_err(|_| "one key is to be sent, as `authorization: Bearer KEY`")?;
    let issuer = snapshot.issuer.as_deref().filter(|issuer| issuer.names_operators());
    match (key, issuer) {
        (Some(token), Some(issuer)) if is_token(token) => {
            by_token(issuer, token).map(|(id, role)| operator(Some(id), role))
        }
        (Some(key), _) => match snapshot.operators.judge(key, now()) {
            Worth::Known(id, role) => Ok(operator(Some(id), role)),
            Worth::Expired => Err("this key has expired"),
            Worth::Nothing => Err("this key is not known"),
        },
        (None, _) if is_local(peer, headers) => Ok(operator(None, Role::Reader)),
        (None, _) => Err("a key is needed, as `authorization: Bearer KEY`"),
    }
}

/// Who shows a token, and with which role.
fn by_token(issuer: &Issuer, token: &[u8]) -> Result<(Arc<str>, Role), &'static str> {
    match issuer.operator(token) {
        Ok((id, Some(role))) => Ok((id, role)),
        Ok((_, None)) => Err("this token names no role"),
        Err(bad) => Err(bad.told()),
    }
}

/// What a request needs: whatever is not known here to change nothing, changes something.
fn needed(method: &Method, path: &str) -> Role {
    match (method, path) {
        (&Method::GET | &Method::HEAD, _) => Role::Reader,
        (_, "/admin/v1/reload" | "/admin/v1/config") => Role::Admin,
        _ => Role::Writer,
    }
}

/// Whether it comes from this machine, and not through a proxy on it.
fn is_local(peer: &HeaderValue, headers: &HeaderMap) -> bool {
    let peer = peer.to_str().unwrap_or_default();
    let here = peer == "unix:" || peer.parse().is_ok_and(|peer: IpAddr| peer.is_loopback());
    here && !headers.keys().any(is_of_proxies)
}

/// What proxies add to what they pass on: each does it by its own name.
fn is_of_proxies(name: &HeaderName) -> bool {
    *name == FORWARDED || *name == VIA || name == "x-real-ip" || name.as_str().starts_with("x-forwarded-")
}

fn unknown(why: &str) -> Response {
    let mut response = refuse(StatusCode::UNAUTHORIZED, "invalid_admin_key", why);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_needs_a_role_for_it() {
        for path in ["/metrics", "/admin/v1/routes", "/admin/v1/config", "/weir/backpressure"] {
            assert_eq!(needed(&Method::GET, path), Role::Reader);
        }
        for (method, path) in [
            (Method::PATCH, "/admin/v1/routes/m/targets/p"),
            (Method::POST, "/admin/v1/deploy"),
            (Method::PUT, "/admin/v1/segments/b2b/quota"),
            (Method::DELETE, "/admin/v1/segments/b2b/quota"),
            (Method::OPTIONS, "/whatever/comes"),
        ] {
            assert_eq!(needed(&method, path), Role::Writer, "{path}");
        }
        assert_eq!(needed(&Method::POST, "/admin/v1/reload"), Role::Admin);
        assert_eq!(needed(&Method::PUT, "/admin/v1/config"), Role::Admin);
    }

    #[test]
    fn who_comes_through_a_proxy_is_not_of_this_machine() {
        let mut headers = HeaderMap::new();
        for (peer, local) in
            [("127.0.0.1", true), ("::1", true), ("unix:", true), ("10.0.0.1", false), ("", false)]
        {
            assert_eq!(is_local(&HeaderValue::from_static(peer), &headers), local, "{peer}");
        }
        headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
        assert!(!is_local(&HeaderValue::from_static("127.0.0.1"), &headers));
    }
}
