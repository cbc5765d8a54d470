//! The sections `segments` and `anonymous`: classes of callers.

use super::callers::{self, one_of};
use super::reader::{At, Entry, Fields, Reader};
use crate::config::bounds::{FIRST_TOKEN, INFLIGHT_RATIO, INTER_TOKEN, SHARE};
use crate::config::problem::Complaint;
use crate::config::reference::SEGMENT_NAMES_TAKEN;
use crate::config::{Objective, Order, Priority, SEGMENT_DEFAULT, Segment, reference, scalar};

/// The segments of the file, each in its place even if something is wrong with it. Without the section there is
/// one; none if the section cannot be read.
pub(super) fn segments(reader: &mut Reader<'_>, top: &Fields<'_>) -> Vec<Segment> {
    let Some(at) = top.get("segments") else { return vec![Segment::new(SEGMENT_DEFAULT)] };
    let Some(entries) = reader.entries(at) else { return Vec::new() };
    if entries.is_empty() {
        let complaint = Complaint::new("at least one segment is needed");
        reader.refuse(
            at,
            complaint.help(format!("leave `segments` out for one that is called `{SEGMENT_DEFAULT}`")),
        );
    }
    let mut segments = Vec::with_capacity(entries.len());
    for Entry { name, key, value } in &entries {
        if let Err(complaint) = segment_name(name) {
            reader.refuse(key, complaint);
        }
        segments.push(segment(reader, value, name));
    }
    segments
}

fn segment_name(name: &str) -> Result<(), Complaint> {
    if SEGMENT_NAMES_TAKEN.contains(&name) {
        return Err(Complaint::new(format!("`{name}` cannot be the name of a segment"))
            .help("`anonymous: refuse` has a meaning of its own"));
    }
    scalar::plain_name(name, "a segment")
}

fn segment(reader: &mut Reader<'_>, at: &At<'_>, name: &str) -> Segment {
    let mut segment = Segment::new(name);
    let Some(fields) = reader.fields(at, &reference::SEGMENT) else { return segment };
    segment.share = reader.number(&fields, "share", SHARE).unwrap_or(segment.share);
    let words = Order::ALL.map(|order| (order.name(), order));
    segment.order = reader.word(&fields, "order", &words).unwrap_or(segment.order);
    let words = Priority::ALL.map(|priority| (priority.name(), priority));
    segment.priority = reader.word(&fields, "priority", &words).unwrap_or(segment.priority);
    segment.objective = fields.get("objective").map(|at| objective(reader, at)).unwrap_or_default();
    let ratio = reader.number(&fields, "max_inflight_ratio", INFLIGHT_RATIO);
    segment.max_inflight_ratio = ratio.unwrap_or(segment.max_inflight_ratio);
    segment
}

fn objective(reader: &mut Reader<'_>, at: &At<'_>) -> Objective {
    let Some(fields) = reader.fields(at, &reference::OBJECTIVE) else { return Objective::default() };
    Objective {
        first_token: reader.duration(&fields, "first_token", FIRST_TOKEN),
        inter_token: reader.duration(&fields, "inter_token", INTER_TOKEN),
    }
}

/// The place of the segment of callers that are of no other; none where they are refused.
pub(super) fn anonymous(reader: &mut Reader<'_>, top: &Fields<'_>, segments: &[Segment]) -> Option<usize> {
    if let Some(at) = top.get("anonymous") {
        let names: Vec<_> = segments.iter().map(|segment| segment.name.clone()).collect();
        let said = reader.value(at, "the name of a segment, or `refuse`", |name| match name {
            "refuse" => Ok(None),
            name => one_of(name, "segment", &names).map(Some),
        });
        return said.unwrap_or(Some(0));
    }
    if callers::are_known(top) {
        return None;
    }
    if let (Some(at), true) = (top.get("segments"), segments.len() > 1 && !top.misses("anonymous")) {
        let complaint = Complaint::new("several segments, and none is said to be that of all other callers");
        let first = &segments[0].name;
        reader.refuse(at, complaint.help(format!("`anonymous` names it, as in `anonymous: {first}`")));
    }
    Some(0)
}
