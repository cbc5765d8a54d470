//! Where a secret is found: an environment variable or a file, never the secret itself.

use super::reader::{At, REFUSED_LATER, Reader};
use crate::config::expand::is_variable_name;
use crate::config::problem::Complaint;
use crate::config::reference::Section;
use crate::config::tree::Value;
use crate::config::{Secret, scalar};

/// Reads `{ env: NAME }` or `{ file: PATH }`, whose keys are those of `section`. Whatever stands there instead may be
/// the secret itself: nothing of it is repeated, looked up or replaced. A file is not looked at.
pub(super) fn secret(reader: &mut Reader<'_>, at: &At<'_>, section: &Section) -> Option<Secret> {
    let at = At { secret: true, ..at.clone() };
    let entry = match &at.node.value {
        Value::Mapping(pairs) if at.node.tag.is_none() => match pairs.as_slice() {
            [(name, value)] => name.word().filter(|name| section.knows(name)).map(|name| (name, value)),
            _ => None,
        },
        _ => None,
    };
    let Some((name, value)) = entry else {
        reader.refuse(&at, Complaint::new("secrets are only ever { env: NAME } or { file: PATH }"));
        return None;
    };
    let value = at.key(name, value);
    if name == "file" {
        return reader.value(&value, "the path of a file", scalar::file_path).map(Secret::File);
    }
    let Some(variable) = value.node.word().filter(|name| is_variable_name(name)) else {
        reader.refuse(&value, Complaint::new("expected the bare name of an environment variable").help(
            "letters, digits and underscores, as in { env: OPENAI_API_KEY }, without `${}` and never the secret",
        ));
        return None;
    };
    if !reader.is_set(variable) {
        let complaint = Complaint::new("the environment variable that this names is not set");
        reader.warn(&at, complaint.help(REFUSED_LATER));
    }
    Some(Secret::Env(variable.to_owned()))
}
