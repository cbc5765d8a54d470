//! The sections about Weir itself: `listen`, `admin`, `limits`, `drain` and `log`.

use std::time::Duration;

use super::keys;
use super::reader::{At, Fields, Reader};
use crate::config::problem::Complaint;
use crate::config::{Address, Admin, Drain, Limits, Listen, Log, LogFormat, scalar};

pub(super) fn listen(reader: &mut Reader<'_>, top: &Fields<'_>) -> Vec<Listen> {
    let Some(at) = top.get("listen") else { return vec![Listen::default()] };
    let Some(items) = reader.items(at) else { return Vec::new() };
    if items.is_empty() {
        reader.refuse(at, Complaint::new("at least one address is needed"));
    }
    let mut listen: Vec<Listen> = Vec::with_capacity(items.len());
    for item in &items {
        let Some((place, address)) = address(reader, item, &keys::LISTEN, place) else { continue };
        let free = matches!(&address, Address::Tcp(address) if address.port() == 0);
        if !free && listen.contains(&Listen { address: address.clone() }) {
            reader.refuse(&place, Complaint::new(format!("{address} is listened on already")));
        }
        listen.push(Listen { address });
    }
    listen
}

pub(super) fn admin(reader: &mut Reader<'_>, top: &Fields<'_>) -> Admin {
    let found = top.get("admin").and_then(|at| address(reader, at, &keys::ADMIN, scalar::loopback));
    found.map_or_else(Admin::default, |(_, address)| Admin { address: address.into(), metrics: None })
}

/// Clients and operators cannot be listened for at the same place.
pub(super) fn apart(reader: &mut Reader<'_>, top: &Fields<'_>, listen: &[Listen], admin: &Admin) {
    let Some(at) = top.get("listen").or_else(|| top.get("admin")) else { return };
    let Address::Tcp(theirs) = admin.address else { return };
    let (theirs, port) = (theirs.ip(), theirs.port());
    for Listen { address } in listen {
        let Address::Tcp(address) = address else { continue };
        let (ip, same_port) = (address.ip(), address.port() == port && port != 0);
        if same_port && (ip == theirs || ip.is_unspecified()) {
            let complaint = Complaint::new(format!("{address} is also where operators are listened for"));
            reader.refuse(at, complaint.help(format!("`admin.address` is {}", admin.address)));
        }
    }
}

/// An address and a port, or `unix:` and a path.
fn place(text: &str) -> Result<Address, Complaint> {
    match text.strip_prefix("unix:") {
        Some(path) => scalar::file_path(path).map(Address::Unix),
        None => scalar::address(text).map(Address::from),
    }
}

/// The `address` of a mapping that must have one.
fn address<'n, T>(
    reader: &mut Reader<'_>,
    at: &At<'n>,
    section: &keys::Section,
    parse: fn(&str) -> Result<T, Complaint>,
) -> Option<(At<'n>, T)> {
    let fields = reader.fields(at, section)?;
    let address = reader.required(&fields, "address")?;
    Some((address.clone(), reader.value(address, "an address", parse)?))
}

pub(super) fn limits(reader: &mut Reader<'_>, top: &Fields<'_>) -> Limits {
    let default = Limits::default();
    let Some(fields) = top.get("limits").and_then(|at| reader.fields(at, &keys::LIMITS)) else {
        return default;
    };
    let mut size = |key, range, default| {
        let found = fields.get(key);
        found.and_then(|at| reader.value(at, "a size", |text| scalar::size(text, range))).unwrap_or(default)
    };
    let limits = Limits {
        head_bytes: size("head", (4 << 10, 1 << 20), default.head_bytes),
        uri_bytes: size("uri", (256, 64 << 10), default.uri_bytes),
        body_bytes: size("body", BODY_RANGE, default.body_bytes),
        body_memory_bytes: size("body_memory", (1 << 10, 1 << 40), default.body_memory_bytes),
        body_rate_bytes: size("body_rate", (0, 16 << 20), default.body_rate_bytes),
        connections: size("connections", (1, 1_000_000), default.connections),
        ..default
    };
    let range = (Duration::from_millis(10), Duration::from_secs(3600));
    let mut clock = |key, default| {
        let found = fields.get(key);
        found
            .and_then(|at| reader.value(at, "a duration", |text| scalar::duration(text, range)))
            .unwrap_or(default)
    };
    Limits {
        header_read: clock("header_read", limits.header_read),
        body_read: clock("body_read", limits.body_read),
        idle: clock("idle", limits.idle),
        client_stall: clock("client_stall", limits.client_stall),
        ..limits
    }
}

pub(super) fn drain(reader: &mut Reader<'_>, top: &Fields<'_>) -> Drain {
    let found =
        top.get("drain").map(|at| reader.value(at, "a duration", |text| scalar::duration(text, DRAIN_RANGE)));
    found.flatten().map_or_else(Drain::default, |time| Drain {
        requests: time,
        streams: time,
        ..Drain::default()
    })
}

pub(super) fn log(reader: &mut Reader<'_>, top: &Fields<'_>) -> Log {
    let default = Log::default();
    let Some(fields) = top.get("log").and_then(|at| reader.fields(at, &keys::LOG)) else { return default };
    let format = fields.get("format").and_then(|at| {
        let words = LogFormat::ALL.map(|format| (format.name(), format));
        reader.value(at, "auto, json or human", |text| scalar::word(text, &words))
    });
    let access = fields.get("access").and_then(|at| reader.value(at, "true or false", scalar::boolean));
    let headers = fields.get("headers").map(|at| log_headers(reader, at));
    Log {
        format: format.unwrap_or(default.format),
        access: access.unwrap_or(default.access),
        headers: headers.unwrap_or(default.headers),
    }
}

fn log_headers(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<String> {
    let items = reader.items(at).unwrap_or_default();
    if items.len() > LOG_HEADERS_MAX {
        let message = format!("{} headers, more than {LOG_HEADERS_MAX}", items.len());
        reader.refuse(at, Complaint::new(message));
    }
    let mut headers: Vec<String> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(name) = reader.value(item, "the name of a header", scalar::header_name) else { continue };
        if headers.contains(&name) {
            reader.refuse(item, Complaint::new(format!("`{name}` is logged already")));
        }
        headers.push(name);
    }
    headers
}

/// Smaller bodies hold no chat, larger ones no sensible one.
const BODY_RANGE: (u64, u64) = (1 << 10, 1 << 30);
/// From "at once" to the longest that any orchestrator waits.
const DRAIN_RANGE: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(3600));
/// Each is copied for each call.
const LOG_HEADERS_MAX: usize = 16;
