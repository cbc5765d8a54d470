//! The section `passthrough`: paths that lead to a pool as they are.

use super::pools;
use super::reader::{At, Fields, Reader};
use crate::config::bounds::ENDPOINT_CLOCK;
use crate::config::problem::{Complaint, shown};
use crate::config::tree::Value;
use crate::config::{Passthrough, Pool, reference, scalar};

/// Whether the file has the section with something in it, so that it can do without routes.
pub(super) fn is_there(top: &Fields<'_>) -> bool {
    top.get("passthrough").is_some_and(|at| match &at.node.value {
        Value::Sequence(items) => !items.is_empty(),
        // Refused as such; routes are not called missing as well.
        Value::Scalar { .. } | Value::Mapping(_) => true,
    })
}

/// `pools` is `None` where no names of pools are known.
pub(super) fn passthrough(
    reader: &mut Reader<'_>,
    top: &Fields<'_>,
    pools: Option<&[Pool]>,
) -> Vec<Passthrough> {
    let items = top.get("passthrough").and_then(|at| reader.items(at)).unwrap_or_default();
    let mut seen: Vec<String> = Vec::new();
    let mut found = Vec::with_capacity(items.len());
    for item in &items {
        found.extend(one(reader, item, pools, &mut seen));
    }
    found
}

fn one(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    pools: Option<&[Pool]>,
    seen: &mut Vec<String>,
) -> Option<Passthrough> {
    let fields = reader.fields(at, &reference::PASSTHROUGH)?;
    let timeout = reader.duration(&fields, "timeout", ENDPOINT_CLOCK);
    let pool = reader.required(&fields, "pool").cloned();
    let pool = pool.and_then(|at| reader.value(&at, "the name of a pool", |name| pools::index(name, pools)));
    let at = reader.required(&fields, "prefix")?;
    let prefix = reader.value(at, "a path", scalar::path_prefix)?;
    if seen.contains(&prefix) {
        reader.refuse(at, Complaint::new(format!("{} is taken by an earlier entry", shown(&prefix))));
    }
    seen.push(prefix.clone());
    Some(Passthrough { prefix, pool: pool??, timeout })
}
