//! The section `identity.jwt`: whose bearer tokens are taken.

use std::path::PathBuf;

use super::reader::{At, Reader};
use crate::config::bounds::{AUDIENCES_MAX, SKEW};
use crate::config::problem::{Complaint, FileUse, shown};
use crate::config::tree::{Node, Value};
use crate::config::{Claims, JwksSource, Jwt, Segment, reference, scalar, url};

pub(super) fn jwt(reader: &mut Reader<'_>, at: &At<'_>, segments: &[Segment]) -> Option<Jwt> {
    let fields = reader.fields(at, &reference::JWT)?;
    let issuer = reader.required(&fields, "issuer");
    let issuer = issuer.and_then(|at| reader.value(at, "an issuer's name", said));
    let audience = reader.required(&fields, "audience");
    let audience = audience.and_then(|at| audiences(reader, at));
    let jwks = reader.required(&fields, "jwks");
    let jwks = jwks.and_then(|at| jwks_source(reader, at));
    let ca = fields.get("ca").and_then(|at| ca(reader, at, jwks.as_ref()));
    let skew = reader.duration(&fields, "skew", SKEW).unwrap_or(Jwt::SKEW_DEFAULT);
    let own = fields.get("claims");
    let claims = own.map(|at| claims(reader, at)).unwrap_or_default();
    let tried = fields.misses("claims") || own.is_some_and(|at| has_segment(at.node));
    if claims.segment.is_none() && segments.len() > 1 && !tried {
        let complaint =
            Complaint::new("several segments, and no claim says of which one a token's caller is");
        reader.refuse(at, complaint.help("`claims.segment` names it, as in `claims: { segment: tier }`"));
    }
    Some(Jwt { issuer: issuer?, audience: audience?, jwks: jwks?, ca, skew, claims })
}

/// Whether the name of the segment's claim is there, right or wrong: what is wrong with it has been said.
fn has_segment(claims: &Node) -> bool {
    let Value::Mapping(pairs) = &claims.value else { return true };
    pairs.iter().any(|(key, _)| key.word() == Some("segment"))
}

/// What a token says of its issuer or whom it is for.
fn said(text: &str) -> Result<String, Complaint> {
    let sane = !text.is_empty() && text.chars().count() <= SAID_CHARS_MAX;
    if sane && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("no token says {}", shown(text)))
        .help(format!("1 to {SAID_CHARS_MAX} characters without spaces, exactly as tokens have it")))
}

/// One or several.
fn audiences(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<String>> {
    if at.node.word().is_some() {
        return reader.value(at, "a text or a list", said).map(|one| vec![one]);
    }
    let items = reader.items(at)?;
    if items.is_empty() || items.len() > AUDIENCES_MAX {
        let message = format!("{} audiences; 1 to {AUDIENCES_MAX} can be given", items.len());
        reader.refuse(at, Complaint::new(message));
    }
    let mut found: Vec<String> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(one) = reader.value(item, "a text", said) else { continue };
        if found.contains(&one) {
            reader.refuse(item, Complaint::new(format!("{} is there already", shown(&one))));
        }
        found.push(one);
    }
    Some(found)
}

fn jwks_source(reader: &mut Reader<'_>, at: &At<'_>) -> Option<JwksSource> {
    let source = reader.value(at, "a URL or the path of a file", |text| match text.contains("://") {
        true => url::page(text).map(JwksSource::Url),
        false => scalar::file_path(text).map(JwksSource::File),
    })?;
    if let JwksSource::File(path) = &source {
        reader.try_file(at, path, FileUse::Jwks);
    }
    Some(source)
}

fn ca(reader: &mut Reader<'_>, at: &At<'_>, jwks: Option<&JwksSource>) -> Option<PathBuf> {
    let path = reader.value(at, "the path of a file", scalar::file_path)?;
    let secure = |jwks: &JwksSource| matches!(jwks, JwksSource::Url(place) if place.tls);
    if !jwks.is_none_or(secure) {
        reader.refuse(at, Complaint::new("`jwks` is no https URL, so `ca` does nothing"));
    }
    reader.try_file(at, &path, FileUse::Certificates);
    Some(path)
}

fn claims(reader: &mut Reader<'_>, at: &At<'_>) -> Claims {
    let default = Claims::default();
    let Some(fields) = reader.fields(at, &reference::CLAIMS) else { return default };
    let mut name = |key: &str| reader.value(fields.get(key)?, "the name of a claim", said);
    Claims { segment: name("segment"), caller: name("caller").unwrap_or(default.caller) }
}

/// Longest text of these kinds: issuers and claims that are URLs have some hundred characters.
const SAID_CHARS_MAX: usize = 256;
