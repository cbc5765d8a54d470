//! The claims of a token whose signature is right: is it for us and now, and who is its bearer?

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Bad, Token};
use crate::config::Jwt;

/// Whom a good token is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The caller's id: 1 to 256 bytes, printable.
    pub caller: Arc<str>,
    /// The names that the segment's claim has, one of which should be that of a segment; `None` where the configuration
    /// names no such claim.
    pub segments: Option<Vec<String>>,
    /// Until when the token is good, as time since 1970, the skew included.
    pub until: Duration,
}

impl Bearer {
    /// Whether the token is still good.
    #[must_use]
    pub fn is_good(&self, now: Duration) -> bool {
        now < self.until
    }

    /// The place of its segment among those of the configuration, in whose order they come: the first that the claim
    /// names, and the first of all where no claim is asked.
    ///
    /// # Errors
    ///
    /// [`Bad::NoSegment`] if it names none of them.
    pub fn segment<'s>(
        &self,
        mut names: impl Iterator<Item = &'s str>,
        settings: &Jwt,
    ) -> Result<usize, Bad> {
        let Some(named) = &self.segments else { return Ok(0) };
        let found = names.position(|name| named.iter().any(|one| one == name));
        found.ok_or_else(|| Bad::NoSegment { claim: settings.claims.segment.clone().unwrap_or_default() })
    }
}

/// Judges the claims of a token whose signature has been found right, at `now`, as time since 1970.
///
/// # Errors
///
/// What is wrong with them.
pub fn judge(token: &Token<'_>, settings: &Jwt, now: Duration) -> Result<Bearer, Bad> {
    let claims = token.claims()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims)
        .map_err(|_| Bad::Malformed { fault: "its claims are no JSON object" })?;
    if text(&claims, "iss")? != settings.issuer {
        return Err(Bad::Issuer);
    }
    audience(&claims, &settings.audience)?;
    let until = in_time(&claims, settings.skew, now)?;
    let caller = caller(&claims, &settings.claims.caller)?.into();
    let segments = settings.claims.segment.as_deref().map(|claim| names(&claims, claim)).transpose()?;
    Ok(Bearer { caller, segments, until })
}

/// Until when a token is good that is good now.
fn in_time(claims: &Map<String, Value>, skew: Duration, now: Duration) -> Result<Duration, Bad> {
    let until = date(claims, "exp")?.ok_or_else(|| missing("exp"))?.saturating_add(skew);
    if now >= until {
        return Err(Bad::Expired { ago_s: now.saturating_add(skew).saturating_sub(until).as_secs() });
    }
    match date(claims, "nbf")? {
        Some(from) if now.saturating_add(skew) < from => {
            Err(Bad::NotYetValid { in_s: from.saturating_sub(now).as_secs() })
        }
        _ => Ok(until),
    }
}

/// A `NumericDate`: seconds since 1970, with or without a fraction.
fn date(claims: &Map<String, Value>, claim: &str) -> Result<Option<Duration>, Bad> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let seconds = value.as_f64().ok_or_else(|| wrong(claim, "a number of seconds"))?;
    if seconds < 0.0 {
        return Ok(Some(Duration::ZERO));
    }
    // What no calendar has is for ever.
    Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}

fn text<'c>(claims: &'c Map<String, Value>, claim: &str) -> Result<&'c str, Bad> {
    let value = claims.get(claim).ok_or_else(|| missing(claim))?;
    value.as_str().ok_or_else(|| wrong(claim, "a text"))
}

/// One of these must be among those that the token is for.
fn audience(claims: &Map<String, Value>, ours: &[String]) -> Result<(), Bad> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|one| ours.iter().any(|our| our == one));
    let found = match claims.get("aud").ok_or_else(|| missing("aud"))? {
        Value::Array(all) => all.iter().any(is_ours),
        one => is_ours(one),
    };
    if found { Ok(()) } else { Err(Bad::Audience) }
}

/// The caller's id: a text or a whole number.
fn caller(claims: &Map<String, Value>, claim: &str) -> Result<String, Bad> {
    let caller = match find(claims, claim).ok_or_else(|| missing(claim))? {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        _ => return Err(wrong(claim, "a text")),
    };
    let printable = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    let sane = !caller.is_empty()
        && caller.len() <= CALLER_BYTES_MAX
        && caller.chars().all(printable)
        && caller.trim() == caller;
    if sane { Ok(caller) } else { Err(wrong(claim, "a printable text of 1 to 256 bytes")) }
}

/// The names that a claim has: one, or a list of them.
fn names(claims: &Map<String, Value>, claim: &str) -> Result<Vec<String>, Bad> {
    let fault = || wrong(claim, "a text or a list of texts");
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(fault);
    match find(claims, claim).ok_or_else(|| missing(claim))? {
        Value::Array(all) => all.iter().map(text).collect(),
        one => text(one).map(|one| vec![one]),
    }
}

/// The value of a claim by its name. A name may have dots itself, as URLs do, so the exact one comes first; else what
/// stands before a dot is the name of an object, and what follows is looked for in there.
fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    name.match_indices('.').find_map(|(dot, _)| {
        let inner = claims.get(name.get(..dot)?)?.as_object()?;
        find(inner, name.get(dot + 1..)?)
    })
}

fn missing(claim: &str) -> Bad {
    Bad::Missing { claim: claim.to_owned() }
}

fn wrong(claim: &str, wanted: &'static str) -> Bad {
    Bad::Claim { claim: claim.to_owned(), wanted }
}

/// As long as OpenID Connect lets a subject be, and one.
const CALLER_BYTES_MAX: usize = 256;
