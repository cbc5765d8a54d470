//! The section `pools`: groups of endpoints that serve the same thing.

use std::path::PathBuf;

use super::reader::{At, Entry, Fields, Reader};
use super::{concurrency, keys, secret, timeouts};
use crate::config::bounds::{CONCURRENCY, RESERVE, WAITING};
use crate::config::problem::{Complaint, FileUse, shown};
use crate::config::suggest::nearest;
use crate::config::{
    Balance, Batch, Bulkhead, Endpoint, GaugesSource, NonStreaming, Pool, Secret, Usage, reference, scalar,
    url,
};
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
        if let Err(complaint) = scalar::plain_name(name, "a pool") {
            reader.refuse(key, complaint);
        }
        pools.push(pool(reader, value, name));
    }
    Some(pools)
}

fn pool(reader: &mut Reader<'_>, at: &At<'_>, name: &str) -> Pool {
    let mut pool = Pool::new(name);
    let Some(fields) = reader.fields(at, &reference::POOL) else { return pool };
    pool.endpoints = endpoints(reader, &fields);
    if let Some(at) = fields.get("dialects") {
        pool.dialects = dialects(reader, at);
    }
    pool.key = fields.get("key").and_then(|at| secret(reader, at, FileUse::Secret));
    pool.ca = fields.get("ca").and_then(|at| ca(reader, at, &pool.endpoints));
    if let Some(at) = fields.get("balance")
        && let Some(found) = balance(reader, at)
    {
        pool.balance = found;
    }
    timeouts::of_pool(reader, &fields, &mut pool.timeouts);
    pool.http2 = reader.switch(&fields, "http2").unwrap_or(pool.http2);
    let words = Usage::ALL.map(|usage| (usage.name(), usage));
    pool.usage = reader.word(&fields, "usage", &words).unwrap_or(pool.usage);
    pool.concurrency = fields.get("concurrency").and_then(|at| concurrency::read(reader, at));
    let words = NonStreaming::ALL.map(|counted| (counted.name(), counted));
    pool.non_streaming = reader.word(&fields, "non_streaming", &words).unwrap_or(pool.non_streaming);
    pool.bulkhead = fields.get("bulkhead").map(|at| bulkhead(reader, at, pool.http2)).unwrap_or_default();
    pool.batch = fields.get("batch").map(|at| batch(reader, at)).unwrap_or_default();
    pool.gauges = fields.get("gauges").and_then(|at| gauges(reader, at, &pool.endpoints));
    pool
}

fn bulkhead(reader: &mut Reader<'_>, at: &At<'_>, http2: bool) -> Bulkhead {
    let Some(fields) = reader.fields(at, &reference::BULKHEAD) else { return Bulkhead::default() };
    if let Some(at) = fields.get("connections").filter(|_| http2) {
        let complaint = Complaint::new("this does nothing with `http2: true`: calls share connections there");
        reader.refuse(at, complaint.help("`streams` caps the calls that the pool works on at a time"));
    }
    Bulkhead {
        connections: reader.small(&fields, "connections", CONCURRENCY),
        pending: reader.small(&fields, "pending", WAITING),
        streams: reader.small(&fields, "streams", CONCURRENCY),
    }
}

fn batch(reader: &mut Reader<'_>, at: &At<'_>) -> Batch {
    let default = Batch::default();
    let Some(fields) = reader.fields(at, &reference::BATCH) else { return default };
    Batch {
        reserve: reader.number(&fields, "reserve", RESERVE).unwrap_or(default.reserve),
        minimum: reader.small(&fields, "minimum", WAITING).unwrap_or(default.minimum),
    }
}

fn gauges(reader: &mut Reader<'_>, at: &At<'_>, endpoints: &[Endpoint]) -> Option<GaugesSource> {
    let fields = reader.fields(at, &reference::GAUGES)?;
    let Some(at) = fields.get("url") else { return Some(GaugesSource::default()) };
    let page = reader.value(at, "a URL", url::endpoint)?;
    if endpoints.len() > 1 {
        reader.refuse(
            at,
            Complaint::new("one page cannot tell of several servers")
                .help("without `url` each endpoint is asked at its own `/metrics`"),
        );
    }
    Some(GaugesSource { url: Some(page) })
}

fn endpoints(reader: &mut Reader<'_>, pool: &Fields<'_>) -> Vec<Endpoint> {
    let Some(at) = reader.required(pool, "endpoints") else { return Vec::new() };
    let Some(items) = reader.items(at) else { return Vec::new() };
    if items.is_empty() {
        reader.refuse(at, Complaint::new("at least one endpoint is needed"));
    }
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(fields) = reader.fields(item, &reference::ENDPOINT) else { continue };
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

/// Where a secret is, whose file is used so.
pub(super) fn secret(reader: &mut Reader<'_>, at: &At<'_>, what: FileUse<'_>) -> Option<Secret> {
    let secret = secret::secret(reader, at, &reference::KEY)?;
    if let Secret::File(path) = &secret {
        reader.try_file(at, path, what);
    }
    Some(secret)
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

/// The pool of that name; none if the names are not known.
pub(super) fn index(name: &str, pools: Option<&[Pool]>) -> Result<Option<usize>, Complaint> {
    let Some(pools) = pools else { return Ok(None) };
    if let Some(index) = pools.iter().position(|pool| pool.name == name) {
        return Ok(Some(index));
    }
    let names = pools.iter().map(|pool| pool.name.as_str());
    Err(match nearest(name, names.clone()) {
        Some(near) => Complaint::new(format!("no pool {}, did you mean {}?", shown(name), shown(near))),
        None => {
            let known: Vec<_> = names.take(NAMES_SHOWN_MAX).map(shown).collect();
            Complaint::new(format!("no pool {}", shown(name)))
                .help(format!("the pools are {}", known.join(", ")))
        }
    })
}

/// So many names help; more hide the message.
const NAMES_SHOWN_MAX: usize = 8;
