//! The section `pools`: groups of endpoints that serve the same thing.

use std::path::PathBuf;
use std::time::Duration;

use super::keys;
use super::reader::{At, Entry, Fields, REFUSED_LATER, Reader};
use crate::config::expand::is_variable_name;
use crate::config::problem::{Complaint, FileUse, shown};
use crate::config::tree::Value;
use crate::config::{Balance, Endpoint, Pool, Secret, Timeouts, Usage, scalar, url};
use crate::dialect::DialectSet;

/// The pools of the file, each in its place even if something is wrong with it, so that routes are checked
/// against all names. `None` if there is nothing to check against.
pub(super) fn pools(reader: &mut Reader<'_>, top: &Fields<'_>) -> Option<Vec<Pool>> {
    let at = reader.required(top, "pools")?;
    let entries = reader.entries(at)?;
    if entries.is_empty() {
        reader.refuse(at, Complaint::new("at least one pool is needed"));
        return None;
    }
    let mut pools = Vec::with_capacity(entries.len());
    for Entry { name, key, value } in &entries {
        if let Err(complaint) = scalar::pool_name(name) {
            reader.refuse(key, complaint);
        }
        pools.push(pool(reader, value, name));
    }
    Some(pools)
}

fn pool(reader: &mut Reader<'_>, at: &At<'_>, name: &str) -> Pool {
    let mut pool = Pool::new(name);
    let Some(fields) = reader.fields(at, &keys::POOL) else { return pool };
    pool.endpoints = endpoints(reader, &fields);
    if let Some(at) = fields.get("dialects") {
        pool.dialects = dialects(reader, at);
    }
    pool.key = fields.get("key").and_then(|at| key(reader, at));
    pool.ca = fields.get("ca").and_then(|at| ca(reader, at, &pool.endpoints));
    if let Some(at) = fields.get("balance")
        && let Some(found) = balance(reader, at)
    {
        pool.balance = found;
    }
    if let Some(at) = fields.get("timeouts") {
        timeouts(reader, at, &mut pool.timeouts);
    }
    if let Some(at) = fields.get("http2") {
        let words = [("true", true), ("false", false)];
        pool.http2 =
            reader.value(at, "true or false", |text| scalar::word(text, &words)).unwrap_or(pool.http2);
    }
    if let Some(at) = fields.get("usage") {
        let words = Usage::ALL.map(|usage| (usage.name(), usage));
        pool.usage = reader
            .value(at, "auto, always or never", |text| scalar::word(text, &words))
            .unwrap_or(pool.usage);
    }
    pool
}

fn endpoints(reader: &mut Reader<'_>, pool: &Fields<'_>) -> Vec<Endpoint> {
    let Some(at) = reader.required(pool, "endpoints") else { return Vec::new() };
    let Some(items) = reader.items(at) else { return Vec::new() };
    if items.is_empty() {
        reader.refuse(at, Complaint::new("at least one endpoint is needed"));
    }
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(fields) = reader.fields(item, &keys::ENDPOINT) else { continue };
        let Some(at) = reader.required(&fields, "url") else { continue };
        let Some(endpoint) = reader.value(at, "a URL", url::endpoint) else { continue };
        if endpoints.contains(&endpoint) {
            reader.refuse(at, Complaint::new("this endpoint is listed twice in the pool"));
        }
        endpoints.push(endpoint);
    }
    endpoints
}

fn dialects(reader: &mut Reader<'_>, at: &At<'_>) -> DialectSet {
    let Some(items) = reader.items(at) else { return DialectSet::ALL };
    if items.is_empty() {
        reader.refuse(at, Complaint::new("at least one dialect is needed").help("openai or anthropic"));
    }
    let mut set = DialectSet { openai: false, anthropic: false };
    let one = |openai| DialectSet { openai, anthropic: !openai };
    let words = [("openai", one(true)), ("anthropic", one(false))];
    for item in &items {
        let Some(found) = reader.value(item, "openai or anthropic", |text| scalar::word(text, &words)) else {
            continue;
        };
        if (set.openai && found.openai) || (set.anthropic && found.anthropic) {
            reader.refuse(item, Complaint::new("this dialect is listed twice"));
        }
        set.openai |= found.openai;
        set.anthropic |= found.anthropic;
    }
    set
}

/// Where the provider's key is. Whatever stands here instead may be the key itself: nothing of it is
/// repeated, looked up or replaced.
fn key(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Secret> {
    let at = At { secret: true, ..at.clone() };
    let entry = match &at.node.value {
        Value::Mapping(pairs) if at.node.tag.is_none() => match pairs.as_slice() {
            [(name, value)] => name.word().filter(|name| PLACES.contains(name)).map(|name| (name, value)),
            _ => None,
        },
        _ => None,
    };
    let Some((name, value)) = entry else {
        reader.refuse(&at, Complaint::new("secrets are only ever { env: NAME } or { file: PATH }"));
        return None;
    };
    let value = at.key(name, value);
    if name == "file" {
        let path = reader.value(&value, "the path of a file", scalar::file_path)?;
        reader.try_file(&at, &path, FileUse::Secret);
        return Some(Secret::File(path));
    }
    let Some(variable) = value.node.word().filter(|name| is_variable_name(name)) else {
        reader.refuse(&value, Complaint::new("expected the bare name of an environment variable").help(
            "letters, digits and underscores, as in { env: OPENAI_API_KEY }, without `${}` and never the secret",
        ));
        return None;
    };
    if !reader.is_set(variable) {
        let complaint = Complaint::new("the environment variable that this names is not set");
        reader.warn(&at, complaint.help(REFUSED_LATER));
    }
    Some(Secret::Env(variable.to_owned()))
}

fn ca(reader: &mut Reader<'_>, at: &At<'_>, endpoints: &[Endpoint]) -> Option<PathBuf> {
    let path = reader.value(at, "the path of a file", scalar::file_path)?;
    if !endpoints.is_empty() && endpoints.iter().all(|endpoint| !endpoint.tls) {
        reader.refuse(at, Complaint::new("no endpoint of this pool has an https URL, so `ca` does nothing"));
    }
    reader.try_file(at, &path, FileUse::Certificates);
    Some(path)
}

fn balance(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Balance> {
    let words = Balance::ALL.map(|balance| (balance.name(), balance));
    reader.value(at, "least_request or round_robin", |text| match text {
        "affinity" => Err(keys::not_supported(&shown(text))),
        _ => scalar::word(text, &words),
    })
}

fn timeouts(reader: &mut Reader<'_>, at: &At<'_>, timeouts: &mut Timeouts) {
    let Some(fields) = reader.fields(at, &keys::POOL_TIMEOUTS) else { return };
    for (key, range, slot) in [
        ("connect", CONNECT_RANGE, &mut timeouts.connect),
        ("headers", WAIT_RANGE, &mut timeouts.headers),
        ("first_token", WAIT_RANGE, &mut timeouts.first_token),
        ("idle", WAIT_RANGE, &mut timeouts.idle),
        ("answer", WAIT_RANGE, &mut timeouts.answer),
    ] {
        let Some(at) = fields.get(key) else { continue };
        let read = reader.value(at, "a duration", |text| scalar::duration(text, range));
        *slot = read.unwrap_or(*slot);
    }
}

/// Where a secret can be.
const PLACES: [&str; 2] = ["env", "file"];
/// From a local socket's time to the point where TCP itself gives up.
const CONNECT_RANGE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));
/// From a test's to a day's.
const WAIT_RANGE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(24 * 3600));
