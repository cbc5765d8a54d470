//! The section `identity`: how callers are known. One function for each of its keys.

use super::jwt::jwt;
use super::reader::{Fields, Reader};
use crate::config::{Identity, Segment, reference};

pub(super) fn identity(reader: &mut Reader<'_>, top: &Fields<'_>, segments: &[Segment]) -> Identity {
    let Some(fields) = top.get("identity").and_then(|at| reader.fields(at, &reference::IDENTITY)) else {
        return Identity::default();
    };
    Identity { jwt: fields.get("jwt").and_then(|at| jwt(reader, at, segments)) }
}
