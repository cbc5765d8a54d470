//! The sections `quota`: of a segment, of a key, and on their own, as operators set them at run time.

use super::reader::{At, Fields, Reader};
use crate::config::bounds::{BURST, CONCURRENT, REQUESTS_PER_SECOND, TOKENS_PER_MINUTE};
use crate::config::problem::{Complaint, Problem};
use crate::config::{Quota, RequestRate, reference, tree};

/// Reads a quota on its own, as JSON or YAML, by the rules of the file.
///
/// # Errors
///
/// Every problem of the text, each once, ordered by where it stands.
pub fn quota(text: &str) -> Result<Quota, Vec<Problem>> {
    let mut problems = Vec::new();
    let root = tree::parse(text, &mut problems);
    // What comes over the wire sees nothing of the environment.
    let mut reader = Reader::new(&|_| None, &|_, _| Ok(()), problems);
    let quota = root.and_then(|root| section(&mut reader, &At::root(&root)));
    match (quota, reader.finish().0) {
        (Some(quota), problems) if problems.is_empty() => Ok(quota),
        (_, problems) => Err(problems),
    }
}

/// The quota that stands at a place.
pub(super) fn section(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Quota> {
    let fields = reader.fields(at, &reference::QUOTA)?;
    let counted = ["requests_per_second", "tokens_per_minute", "concurrent"];
    // A mistyped key was meant to be one.
    let empty = counted.iter().all(|key| fields.get(key).is_none() && !fields.misses(key));
    let requests = requests(reader, &fields);
    if empty && fields.get("burst").is_none() {
        let complaint = Complaint::new("a quota has to count something");
        reader.refuse(at, complaint.help(format!("one of `{}` at least", counted.join("`, `"))));
    }
    Some(Quota {
        requests,
        tokens_per_minute: reader.small(&fields, "tokens_per_minute", TOKENS_PER_MINUTE),
        concurrent: reader.small(&fields, "concurrent", CONCURRENT),
        enforce: reader.switch(&fields, "enforce").unwrap_or(true),
    })
}

fn requests(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<RequestRate> {
    let burst = reader.small(fields, "burst", BURST);
    let rate = reader.number(fields, "requests_per_second", REQUESTS_PER_SECOND).map(RequestRate::new);
    if let (Some(at), None, false) =
        (fields.get("burst"), fields.get("requests_per_second"), fields.misses("requests_per_second"))
    {
        let complaint = Complaint::new("`burst` without `requests_per_second`");
        reader.refuse(at, complaint.help("it is how many requests of that rate may come at once"));
    }
    rate.map(|rate| RequestRate { burst: burst.unwrap_or(rate.burst), ..rate })
}
