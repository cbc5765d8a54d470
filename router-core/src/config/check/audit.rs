//! The section `audit`: where changes that operators make are kept.

use super::reader::{At, Fields, Reader};
use super::secret;
use crate::config::problem::FileUse;
use crate::config::{Audit, Secret, reference, scalar};

pub(super) fn audit(reader: &mut Reader<'_>, top: &Fields<'_>) -> Option<Audit> {
    let fields = reader.fields(top.get("audit")?, &reference::AUDIT)?;
    let key = fields.get("key").and_then(|at| key(reader, at));
    let path = reader.required(&fields, "path")?;
    let path = reader.value(path, "the path of a file", scalar::file_path)?;
    Some(Audit { path, key })
}

fn key(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Secret> {
    let key = secret::secret(reader, at, &reference::AUDIT_KEY)?;
    if let Secret::File(path) = &key {
        reader.try_file(at, path, FileUse::SigningKey);
    }
    Some(key)
}
