//! The section `identity`: where callers are known from, besides the keys of the segments. One function for each key.

use std::path::PathBuf;

use super::jwt::jwt;
use super::reader::{Fields, Reader};
use crate::config::problem::FileUse;
use crate::config::{Identity, Segment, reference, scalar};

pub(super) fn identity(reader: &mut Reader<'_>, top: &Fields<'_>, segments: &[Segment]) -> Identity {
    let fields = top.get("identity").and_then(|at| reader.fields(at, &reference::IDENTITY));
    let Some(fields) = fields else { return Identity::default() };
    Identity {
        keys_file: keys_file(reader, &fields),
        jwt: fields.get("jwt").and_then(|at| jwt(reader, at, segments)),
    }
}

fn keys_file(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<PathBuf> {
    let at = fields.get("keys_file")?;
    let path = reader.value(at, "the path of a file", scalar::file_path)?;
    reader.try_file(at, &path, FileUse::Keys);
    Some(path)
}
