//! The section `routes`: the model names that clients ask for, and where their calls go.

use super::callers::one_of;
use super::reader::{At, Entry, Fields, Reader};
use super::{passthrough, pools, timeouts};
use crate::config::bounds::{TARGETS_MAX, WAIT, WAITING, WAITING_TOKENS};
use crate::config::problem::Complaint;
use crate::config::reference::ROUTE_NAMES_TAKEN;
use crate::config::{Canary, Pool, Queue, Route, Segment, Target, WhenFull, reference, scalar, weights};

/// The routes of the file: at least one, unless other paths lead to a pool. `pools` is `None` where no names of pools
/// are known, so that not every target is reported for it.
pub(super) fn routes(
    reader: &mut Reader<'_>,
    top: &Fields<'_>,
    pools: Option<&[Pool]>,
    segments: &[Segment],
) -> Vec<Route> {
    let optional = passthrough::is_there(top);
    if optional && top.get("routes").is_none() {
        return Vec::new();
    }
    let Some(at) = reader.required(top, "routes") else { return Vec::new() };
    let Some(entries) = reader.entries(at) else { return Vec::new() };
    if entries.is_empty() && !optional {
        reader.refuse(at, Complaint::new("at least one route is needed"));
    }
    let mut routes = Vec::with_capacity(entries.len());
    for Entry { name, key, value } in &entries {
        if let Err(complaint) = route_name(name) {
            reader.refuse(key, complaint);
        }
        if let Some(fields) = reader.fields(value, &reference::ROUTE) {
            let allow = fields.get("allow").map(|at| allow(reader, at, segments));
            routes.push(Route { allow, ..route(reader, &fields, name, pools) });
        }
    }
    routes
}

fn route_name(name: &str) -> Result<(), Complaint> {
    if ROUTE_NAMES_TAKEN.contains(&name) {
        return Err(Complaint::new(format!("`{name}` cannot be the name of a route"))
            .help("`/weir/backpressure/stream` and `/weir/backpressure/pools` have a meaning of their own"));
    }
    scalar::visible(name).map(drop)
}

fn route(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, pools: Option<&[Pool]>) -> Route {
    let mut route = Route {
        name: name.to_owned(),
        targets: Vec::new(),
        canary: Vec::new(),
        timeouts: timeouts::of_route(reader, fields),
        when_full: WhenFull::Spill,
        queue: fields.get("queue").map(|at| queue(reader, at)).unwrap_or_default(),
        allow: None,
    };
    let words = WhenFull::ALL.map(|way| (way.name(), way));
    route.when_full = reader.word(fields, "when_full", &words).unwrap_or(route.when_full);
    if let Some(at) = reader.required(fields, "targets") {
        route.targets = targets(reader, at, pools);
    }
    let canaries = fields.get("canary").and_then(|at| reader.items(at)).unwrap_or_default();
    for item in &canaries {
        if let Some(rule) = canary(reader, item, &mut route.targets, pools) {
            if route.targets.len() == TARGETS_MAX + 1 && rule.target == TARGETS_MAX {
                reader.refuse(item, too_many_targets(route.targets.len()));
            }
            let same = |other: &Canary| other.header == rule.header && other.equals == rule.equals;
            if route.canary.iter().any(same) {
                let message = "an earlier rule has the same header and value, so this one is never reached";
                reader.refuse(item, Complaint::new(message));
            }
            route.canary.push(rule);
        }
    }
    route
}

/// Indices of the segments whose callers may use a route.
fn allow(reader: &mut Reader<'_>, at: &At<'_>, segments: &[Segment]) -> Vec<usize> {
    let items = reader.items(at);
    if items.as_ref().is_some_and(Vec::is_empty) {
        let complaint = Complaint::new("a route that no segment may use");
        reader.refuse(at, complaint.help("leave `allow` out for a route that all may use"));
    }
    let names: Vec<_> = segments.iter().map(|segment| segment.name.clone()).collect();
    let mut allowed = Vec::new();
    for item in items.unwrap_or_default() {
        let index = reader.value(&item, "the name of a segment", |name| one_of(name, "segment", &names));
        let Some(index) = index else { continue };
        if allowed.contains(&index) && !names.is_empty() {
            reader.refuse(&item, Complaint::new("this segment is listed twice"));
        }
        allowed.push(index);
    }
    allowed
}

fn queue(reader: &mut Reader<'_>, at: &At<'_>) -> Queue {
    let default = Queue::default();
    let Some(fields) = reader.fields(at, &reference::QUEUE) else { return default };
    Queue {
        wait: reader.duration(&fields, "wait", WAIT).unwrap_or(default.wait),
        requests: reader.small(&fields, "requests", WAITING).unwrap_or(default.requests),
        tokens: reader.count(&fields, "tokens", WAITING_TOKENS),
    }
}

fn targets(reader: &mut Reader<'_>, at: &At<'_>, pools: Option<&[Pool]>) -> Vec<Target> {
    let Some(items) = reader.items(at) else { return Vec::new() };
    if items.is_empty() {
        reader.refuse(at, Complaint::new("at least one target is needed"));
    }
    if items.len() > TARGETS_MAX {
        reader.refuse(at, too_many_targets(items.len()));
    }
    let single = items.len() == 1;
    let mut targets: Vec<Target> = Vec::with_capacity(items.len());
    let mut written = Vec::with_capacity(items.len());
    for item in &items {
        let Some(fields) = reader.fields(item, &reference::TARGET) else { continue };
        written.extend(weight(reader, &fields, single));
        let Some(target) = target(reader, &fields, pools) else { continue };
        if targets.iter().any(|other| other.pool == target.pool && other.model == target.model) {
            reader.refuse(item, Complaint::new("this pool and model are a target of the route already"));
        }
        targets.push(target);
    }
    // Weights are judged together only if each of them is known.
    if written.len() != items.len() || items.is_empty() {
        return targets;
    }
    if let Some(complaint) = weights::sum_complaint(&written) {
        reader.refuse(at, complaint);
    }
    for (target, share) in targets.iter_mut().zip(weights::shares(&written)) {
        target.weight = share;
    }
    targets
}

fn too_many_targets(count: usize) -> Complaint {
    let complaint = Complaint::new(format!("{count} targets of one route, more than {TARGETS_MAX}"));
    complaint.help("endpoints that serve the same model are one target: list them in one pool")
}

/// The weight as it is written, in billionths. Only a target that stands alone may leave it out.
fn weight(reader: &mut Reader<'_>, fields: &Fields<'_>, single: bool) -> Option<u64> {
    match fields.get("weight") {
        Some(at) => reader.value(at, "a number from 0 to 1", weights::ratio),
        None if single => Some(weights::WRITTEN_SUM),
        None => {
            reader.required(fields, "weight");
            None
        }
    }
}

fn target(reader: &mut Reader<'_>, fields: &Fields<'_>, pools: Option<&[Pool]>) -> Option<Target> {
    let model = fields.get("model").map(|at| reader.value(at, "the name of a model", scalar::visible));
    let at = reader.required(fields, "pool")?;
    let pool = reader.value(at, "the name of a pool", |name| pools::index(name, pools))??;
    // A model that is there and wrong leaves no target to compare others with.
    let model = match model {
        Some(found) => Some(found?),
        None => None,
    };
    Some(Target { pool, model, weight: 0 })
}

fn canary(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    targets: &mut Vec<Target>,
    pools: Option<&[Pool]>,
) -> Option<Canary> {
    let fields = reader.fields(at, &reference::CANARY)?;
    let [header, equals, target] =
        ["header", "equals", "target"].map(|key| reader.required(&fields, key).cloned());
    let header = header.and_then(|at| reader.value(&at, "the name of a header", scalar::header_name));
    let equals = equals.and_then(|at| reader.value(&at, "the value of a header", scalar::header_value));
    let target = target.and_then(|at| {
        reader.value(&at, "`pool` or `pool/model`", |text| {
            let (pool, model) = match text.split_once('/') {
                Some((pool, model)) => (pool, Some(scalar::visible(model)?)),
                None => (text, None),
            };
            Ok(pools::index(pool, pools)?.map(|pool| Target { pool, model, weight: 0 }))
        })
    })??;
    let found = targets.iter().position(|other| other.pool == target.pool && other.model == target.model);
    let target = found.unwrap_or_else(|| {
        targets.push(target);
        targets.len() - 1
    });
    Some(Canary { header: header?, equals: equals?, target })
}
