//! The section `audit`: where changes that operators make are kept.

use super::pools;
use super::reader::{Fields, Reader};
use crate::config::problem::FileUse;
use crate::config::{Audit, reference, scalar};

pub(super) fn audit(reader: &mut Reader<'_>, top: &Fields<'_>) -> Option<Audit> {
    let fields = reader.fields(top.get("audit")?, &reference::AUDIT)?;
    let key = fields.get("key").and_then(|at| pools::secret(reader, at, FileUse::SigningKey));
    let path = reader.required(&fields, "path")?;
    let path = reader.value(path, "the path of a file", scalar::file_path)?;
    Some(Audit { path, key })
}
