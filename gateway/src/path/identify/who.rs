//! Who calls, by the head alone: nothing of a body is read for a caller that is not known.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::request::Parts;
use router_core::dialect::{Reason, Unidentified};
use router_core::identify::jwt::{Bad, is_token};
use router_core::identify::{Rights, Verdict};
use router_core::overload::ask::{self, Ask};

use super::credential::{self, unidentified};
use super::words::Words;
use crate::gateway::Gateway;
use crate::path::Failure;
use crate::path::limit::{ALLOWANCES_MAX, Allowance};
use crate::path::telemetry::{Account, Limit};
use crate::snapshot::{Caller, Route, Segment, Snapshot};

/// No key of an operator's making is longer.
const KEY_BYTES_MAX: usize = 512;

/// A caller as its head shows it.
pub(super) struct Who {
    /// The caller, if it is known by a credential.
    pub(super) caller: Option<Arc<Caller>>,
    pub(super) segment: Segment,
    /// What its headers ask for.
    pub(super) ask: Ask,
}

impl Who {
    /// Whether the caller may use a route. One that names another segment than its key's, where it is believed, has
    /// that segment's rights; what its key is for still narrows them.
    pub(super) fn may_use(&self, route: &Route) -> bool {
        let routes = self.caller.as_ref().and_then(|caller| caller.routes.as_deref());
        Rights { segment: self.segment.index, routes }.cover(&route.name, route.allow.as_deref())
    }

    /// The quotas that its call is under: the segment's, and the caller's own.
    pub(super) fn allowances<'a>(
        &'a self,
        snapshot: &'a Snapshot,
    ) -> [Option<&'a Arc<Allowance>>; ALLOWANCES_MAX] {
        let own = self.caller.as_ref().and_then(|caller| caller.allowance.as_ref());
        [snapshot.allowances.get(self.segment.index), own]
    }
}

/// Who calls, and what it asks for, noted in the call's account.
pub(super) async fn who(
    gateway: &Gateway,
    snapshot: &Snapshot,
    account: &Account,
    head: &Parts,
) -> Result<Who, Failure> {
    let origin = &account.origin;
    let words = Words::of(&head.headers, origin.trusted)?;
    let ask = Ask::read(|name| words.get(name))?;
    let named = match words.get(ask::SEGMENT).filter(|_| origin.trusted) {
        Some(named) => Some(ask::segment(named, &snapshot.config.segments)?),
        None => None,
    };
    let caller = match identified(snapshot, account, head) {
        Err(Unknown::Token(bad)) if bad.may_be_newer() => {
            // What is rare is kept apart, so that every call's future stays small.
            Box::pin(newer_keys(snapshot)).await;
            identified(snapshot, account, head)
        }
        known => known,
    };
    let caller = caller.map_err(|unknown| note_unknown(gateway, account, unknown))?;
    let segment = match (named, &caller) {
        // Whoever may name a segment is believed in everything.
        (Some(index), _) => snapshot.segments.get(index),
        (None, Some(caller)) => Some(&caller.segment),
        (None, None) => snapshot.anonymous(),
    };
    let segment = segment.cloned().ok_or_else(|| refused(unidentified(Unidentified::NoKey), account))?;
    {
        let mut facts = account.facts();
        facts.segment = Some(segment.clone());
        facts.caller.clone_from(&caller);
    }
    Ok(Who { caller, segment, ask })
}

/// Why a caller is not known.
enum Unknown {
    Key(Failure),
    Token(Bad),
}

/// The caller that a head's credential is of; none where it has none, and where credentials are not looked at.
fn identified(snapshot: &Snapshot, account: &Account, head: &Parts) -> Result<Option<Arc<Caller>>, Unknown> {
    if !snapshot.knows_callers {
        return Ok(None);
    }
    let found = credential::of(&head.headers).map_err(|reason| Unknown::Key(refused(reason, account)))?;
    match (found, &snapshot.issuer) {
        (None, _) => Ok(None),
        (Some(token), Some(issuer)) if is_token(token) => {
            issuer.caller(token, &snapshot.segments).map(Some).map_err(Unknown::Token)
        }
        (Some(key), _) => by_key(snapshot, account, key).map(Some).map_err(Unknown::Key),
    }
}

/// Waits a moment for newer keys of an issuer.
async fn newer_keys(snapshot: &Snapshot) {
    if let Some(issuer) = &snapshot.issuer {
        issuer.newer_keys().await;
    }
}

/// Counts a credential that is nobody's, and makes it a refusal.
fn note_unknown(gateway: &Gateway, account: &Account, unknown: Unknown) -> Failure {
    // It is of no segment: whose it would have been nobody knows.
    account.facts().segment = None;
    let too_many = gateway.guard.is_too_many(&account.origin.peer);
    if too_many {
        gateway.telemetry.metrics.hit(Limit::UnknownKeys);
    }
    match unknown {
        Unknown::Key(failure) if too_many => failure.instead(unidentified(Unidentified::TooMany)),
        Unknown::Key(failure) => failure,
        // Callers do not make tokens up by mistake: what is wrong with theirs is what they have to know.
        Unknown::Token(bad) => {
            gateway.telemetry.metrics.jwt.refused(&bad);
            let cause = format!("{bad}, from {}", peer(account));
            Failure::new(Reason::InvalidToken { told: bad.told() }, cause)
        }
    }
}

/// A refusal that the log tells an operator about: what was wrong with the credential, and where it came from.
fn refused(reason: Reason, account: &Account) -> Failure {
    let why = if let Reason::InvalidKey { why } = reason { why.name() } else { reason.code() };
    Failure::new(reason, format!("{why}, from {}", peer(account)))
}

fn peer(account: &Account) -> &str {
    account.origin.peer.to_str().unwrap_or_default()
}

fn by_key(snapshot: &Snapshot, account: &Account, key: &[u8]) -> Result<Arc<Caller>, Failure> {
    let unknown = || refused(unidentified(Unidentified::UnknownKey), account);
    if key.len() > KEY_BYTES_MAX {
        return Err(unknown());
    }
    match snapshot.callers().judge(key, unix_seconds()) {
        Verdict::Known(caller) => Ok(caller.clone()),
        Verdict::Expired(caller) => {
            let cause = format!("a key of the caller {} has expired", caller.id);
            Err(Failure::new(unidentified(Unidentified::ExpiredKey), cause))
        }
        Verdict::Unknown => Err(unknown()),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
