//! The section `limits`: what a caller may send, and how long it may take.

use super::reader::{Fields, Reader};
use crate::config::Limits;
use crate::config::bounds::{
    BODY, BODY_MEMORY, BODY_RATE, CALLER_CLOCK, CONNECTIONS, HEAD, Range, SEND_BUFFER, URI,
};
use crate::config::problem::Complaint;
use crate::config::reference;
use crate::config::scalar::render_size;

/// A size of the section, and what is to be known of it when it is compared with another.
struct Size {
    key: &'static str,
    bytes: u64,
    written: Written,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// The default stands in its place.
    No,
    Well,
    /// It is refused already, so it is not compared with anything.
    Badly,
}

pub(super) fn limits(reader: &mut Reader<'_>, top: &Fields<'_>) -> Limits {
    let default = Limits::default();
    let Some(fields) = top.get("limits").and_then(|at| reader.fields(at, &reference::LIMITS)) else {
        return default;
    };
    let head = size(reader, &fields, ("head", HEAD), default.head_bytes);
    let uri = size(reader, &fields, ("uri", URI), default.uri_bytes);
    let body = size(reader, &fields, ("body", BODY), default.body_bytes);
    let memory = size(reader, &fields, ("body_memory", BODY_MEMORY), default.body_memory_bytes);
    let rate = size(reader, &fields, ("body_rate", BODY_RATE), default.body_rate_bytes);
    let send_buffer = size(reader, &fields, ("send_buffer", SEND_BUFFER), default.send_buffer_bytes);
    // The complaint stands at the last one that is written.
    fits(reader, &fields, &uri, &head, [&head, &uri]);
    fits(reader, &fields, &body, &memory, [&body, &memory]);
    let mut clock = |key, default| reader.duration(&fields, key, CALLER_CLOCK).unwrap_or(default);
    Limits {
        header_read: clock("header_read", default.header_read),
        body_read: clock("body_read", default.body_read),
        idle: clock("idle", default.idle),
        client_stall: clock("client_stall", default.client_stall),
        connections: reader.count(&fields, "connections", CONNECTIONS).unwrap_or(default.connections),
        head_bytes: head.bytes,
        uri_bytes: uri.bytes,
        body_bytes: body.bytes,
        body_memory_bytes: memory.bytes,
        body_rate_bytes: rate.bytes,
        send_buffer_bytes: send_buffer.bytes,
    }
}

fn size(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    (key, range): (&'static str, Range<u64>),
    default: u64,
) -> Size {
    let found = reader.size(fields, key, range);
    let written = match (fields.get(key), found) {
        (None, _) => Written::No,
        (Some(_), Some(_)) => Written::Well,
        (Some(_), None) => Written::Badly,
    };
    Size { key, bytes: found.unwrap_or(default), written }
}

/// `inner` is a part of `outer`, so it cannot be larger.
fn fits(reader: &mut Reader<'_>, fields: &Fields<'_>, inner: &Size, outer: &Size, places: [&Size; 2]) {
    let judged = inner.written != Written::Badly && outer.written != Written::Badly;
    let place = places.iter().rev().find(|size| size.written == Written::Well);
    let Some(at) = place.and_then(|size| fields.get(size.key)).filter(|_| judged) else { return };
    if inner.bytes > outer.bytes {
        let message = format!("{} is larger than {}", inner.told(), outer.told());
        let help = format!("`{}` has to be at least what `{}` is", outer.key, inner.key);
        reader.refuse(at, Complaint::new(message).help(help));
    }
}

impl Size {
    fn told(&self) -> String {
        let by_default = if self.written == Written::No { " by default" } else { "" };
        format!("`{}` ({}{by_default})", self.key, render_size(self.bytes))
    }
}
