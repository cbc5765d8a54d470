//! The sections about Weir's own running: `drain` and `log`.

use super::reader::{At, Fields, Reader};
use crate::config::bounds::{self, LOG_HEADERS_MAX};
use crate::config::problem::Complaint;
use crate::config::tree::Value;
use crate::config::{Drain, Log, LogFormat, reference, scalar};

pub(super) fn drain(reader: &mut Reader<'_>, top: &Fields<'_>) -> Drain {
    let default = Drain::default();
    let Some(at) = top.get("drain") else { return default };
    if !matches!(at.node.value, Value::Mapping(_)) {
        let found = reader.value(at, "a duration or a mapping", |text| scalar::duration(text, bounds::DRAIN));
        return found.map_or_else(Drain::default, |time| Drain { requests: time, streams: time, ..default });
    }
    let Some(fields) = reader.fields(at, &reference::DRAIN) else { return default };
    let grace = reader.duration(&fields, "grace", bounds::DRAIN).unwrap_or(default.grace);
    let requests = reader.duration(&fields, "requests", bounds::DRAIN);
    let streams = reader.duration(&fields, "streams", bounds::DRAIN);
    let unread = fields.get("requests").is_some() && requests.is_none();
    let requests = requests.unwrap_or(default.requests);
    if let (Some(at), Some(streams), false) = (fields.get("streams"), streams, unread)
        && streams < requests
    {
        let (streams, requests) = (scalar::render_duration(streams), scalar::render_duration(requests));
        let complaint = Complaint::new(format!("streams get {streams}, other answers {requests}"));
        reader.refuse(at, complaint.help("a stream takes longer: at least what `requests` has"));
    }
    Drain { grace, requests, streams: streams.unwrap_or(requests) }
}

pub(super) fn log(reader: &mut Reader<'_>, top: &Fields<'_>) -> Log {
    let default = Log::default();
    let Some(fields) = top.get("log").and_then(|at| reader.fields(at, &reference::LOG)) else {
        return default;
    };
    let words = LogFormat::ALL.map(|format| (format.name(), format));
    let format = reader.word(&fields, "format", &words);
    let access = reader.switch(&fields, "access");
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
