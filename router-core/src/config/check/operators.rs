//! Keys by which operators are known: `admin.keys`.

use super::callers::{DIGEST, OPERATES, not_a_digest};
use super::reader::{At, Fields, Reader};
use crate::config::problem::Complaint;
use crate::config::{AdminKey, Role, Segment, reference, scalar, timestamp};
use crate::identify::Digest;

/// The keys of operators, none of them one of the segments' callers.
pub(super) fn keys(reader: &mut Reader<'_>, top: &Fields<'_>, segments: &[Segment]) -> Vec<AdminKey> {
    let fields = top.get("admin").and_then(|at| reader.fields(at, &reference::ADMIN));
    let Some(at) = fields.as_ref().and_then(|fields| fields.get("keys")) else { return Vec::new() };
    let Some(items) = reader.items(at) else { return Vec::new() };
    if items.is_empty() {
        let complaint = Complaint::new("at least one key is needed");
        reader.refuse(at, complaint.help("leave `keys` out where whoever can connect may do everything"));
    }
    let mut keys: Vec<AdminKey> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(key) = key(reader, item) else { continue };
        if let Err(complaint) = is_free(&key.sha256, &keys, segments) {
            reader.refuse(item, complaint);
        }
        keys.push(key);
    }
    keys
}

fn key(reader: &mut Reader<'_>, item: &At<'_>) -> Option<AdminKey> {
    let fields = reader.fields(item, &reference::ADMIN_KEY)?;
    let id = reader.required(&fields, "id").cloned();
    let id = id.and_then(|at| {
        reader.value(&at, "the name of an operator", |text| {
            scalar::plain_name(text, "an operator").map(|()| text.to_owned())
        })
    });
    let sha256 = reader.required(&fields, "sha256").cloned();
    let sha256 = sha256.and_then(|at| {
        // What stands there may be the key itself: no message repeats it.
        let at = At { secret: true, ..at };
        reader.value(&at, DIGEST, |text| Digest::parse(text).ok_or_else(not_a_digest))
    });
    reader.required(&fields, "role");
    let role = reader.word(&fields, "role", &Role::ALL.map(|role| (role.name(), role)));
    let expires = fields.get("expires");
    let expires = expires.and_then(|at| reader.value(at, "a moment", timestamp::timestamp));
    Some(AdminKey { id: id?, sha256: sha256?, role: role?, expires })
}

fn is_free(digest: &Digest, keys: &[AdminKey], segments: &[Segment]) -> Result<(), Complaint> {
    if keys.iter().any(|other| other.sha256 == *digest) {
        let complaint = Complaint::new("the same key twice: another entry has this `sha256`");
        return Err(complaint.help("`weir key new` makes another one"));
    }
    let of_caller = |segment: &&Segment| segment.keys.iter().any(|key| key.sha256 == *digest);
    match segments.iter().find(of_caller) {
        None => Ok(()),
        Some(segment) => {
            let message = format!("this is the key of a caller of the segment `{}`", segment.name);
            Err(Complaint::new(message).help(OPERATES))
        }
    }
}
