//! Keys by which callers are known: `segments.NAME.keys`, and the files that `identity.keys_file` names.

use std::collections::{BTreeMap, BTreeSet};

use super::quota;
use super::reader::{At, Entry, Fields, Reader};
use crate::config::problem::{Complaint, Problem, shown};
use crate::config::suggest::nearest;
use crate::config::tree::{Node, Value};
use crate::config::{Config, FileKey, Key, Quota, Segment, reference, scalar, timestamp, tree};
use crate::identify::Digest;

/// The keys that were read so far, and what a key may name.
struct Keyring {
    /// Everything that calls go to.
    topics: Vec<String>,
    /// Names of the segments, in the file's order.
    segments: Vec<String>,
    /// The segment of each key.
    digests: BTreeMap<[u8; Digest::BYTES], usize>,
    /// What is known of the operators' keys.
    operators: BTreeSet<[u8; Digest::BYTES]>,
    /// The segment of each caller, and its quota.
    ids: BTreeMap<String, (usize, Option<Quota>)>,
}

/// Whether the file says how callers are known, right or wrong.
pub(super) fn are_known(top: &Fields<'_>) -> bool {
    let is_there = |node: &Node| !matches!(&node.value, Value::Sequence(items) if items.is_empty());
    let in_segment = |segment: &Node| value_of(segment, "keys").is_some_and(is_there);
    let in_segments = top.get("segments").is_some_and(|at| match &at.node.value {
        Value::Mapping(pairs) => pairs.iter().any(|(_, segment)| in_segment(segment)),
        Value::Scalar { .. } | Value::Sequence(_) => false,
    });
    let in_identity = |key| top.get("identity").is_some_and(|at| value_of(at.node, key).is_some());
    in_segments || in_identity("keys_file") || in_identity("jwt")
}

fn value_of<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Mapping(pairs) => {
            pairs.iter().find(|(name, _)| name.word() == Some(key)).map(|(_, value)| value)
        }
        Value::Scalar { .. } | Value::Sequence(_) => None,
    }
}

/// Reads the keys of every segment. `topics` are the names of everything that calls go to.
pub(super) fn keys(reader: &mut Reader<'_>, top: &Fields<'_>, segments: &mut [Segment], topics: Vec<String>) {
    let Some(entries) = top.get("segments").and_then(|at| reader.entries(at)) else { return };
    let mut ring = Keyring::new(topics, segments);
    for (index, Entry { value, .. }) in entries.iter().enumerate() {
        let fields = reader.fields(value, &reference::SEGMENT);
        let Some(at) = fields.as_ref().and_then(|fields| fields.get("keys")) else { continue };
        for item in reader.items(at).unwrap_or_default() {
            let Some(fields) = reader.fields(&item, &reference::SEGMENT_KEY) else { continue };
            let key = ring.key(reader, &item, &fields, Some(index));
            if let (Some(segment), Some(key)) = (segments.get_mut(index), key) {
                segment.keys.push(key);
            }
        }
    }
}

/// Reads a file of keys: a list, in YAML or JSON, each with the segment that it is of. `each` gets one key after the
/// other, so that a large file is never in memory as a tree; what it got counts only if nothing is wrong in the end.
/// `config` has the segments and routes that keys may name, and the keys that there are already.
///
/// # Errors
///
/// Every problem of the text, each once, ordered by where it stands.
pub fn load_keys(text: &str, config: &Config, mut each: impl FnMut(FileKey)) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut reader = Reader::new(&|_| None, &|_, _| Ok(()), Vec::new());
    let mut ring = Keyring::of(config);
    let mut index = 0;
    let root = tree::parse_items(text, &mut problems, |node| {
        let item = At::root(node).item(index, node);
        index += 1;
        if reader.has_enough() {
            return;
        }
        let Some(fields) = reader.fields(&item, &reference::FILE_KEY) else { return };
        let segment = reader.required(&fields, "segment").cloned();
        let segment =
            segment.and_then(|at| reader.value(&at, "the name of a segment", |name| ring.segment(name)));
        if let (Some(key), Some(segment)) = (ring.key(&mut reader, &item, &fields, segment), segment) {
            each(FileKey { segment, key });
        }
    });
    if let Some(root) = root {
        reader.items(&At::root(&root));
    }
    let (found, _) = reader.finish();
    problems.extend(found);
    problems.sort();
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

impl Keyring {
    fn new(topics: Vec<String>, segments: &[Segment]) -> Self {
        let segments = segments.iter().map(|segment| segment.name.clone()).collect();
        Self { topics, segments, digests: BTreeMap::new(), operators: BTreeSet::new(), ids: BTreeMap::new() }
    }

    /// With the keys of a configuration.
    fn of(config: &Config) -> Self {
        let mut ring = Self::new(config.topics().collect(), &config.segments);
        ring.operators.extend(config.admin.keys.iter().map(|key| key.sha256.0));
        for (index, segment) in config.segments.iter().enumerate() {
            ring.digests.extend(segment.keys.iter().map(|key| (key.sha256.0, index)));
            ring.ids.extend(segment.keys.iter().map(|key| (key.id.clone(), (index, key.quota))));
        }
        ring
    }

    /// One key, of this segment if that is known.
    fn key(
        &mut self,
        reader: &mut Reader<'_>,
        at: &At<'_>,
        fields: &Fields<'_>,
        segment: Option<usize>,
    ) -> Option<Key> {
        let id = reader.required(fields, "id").cloned();
        let id = id.and_then(|at| reader.value(&at, "the name of a caller", caller_name));
        let sha256 = reader.required(fields, "sha256").cloned();
        let sha256 = sha256.and_then(|at| {
            // What stands there may be the key itself: no message repeats it.
            let at = At { secret: true, ..at };
            reader.value(&at, DIGEST, |text| Digest::parse(text).ok_or_else(not_a_digest))
        });
        let expires = fields.get("expires");
        let expires = expires.and_then(|at| reader.value(at, "a moment", timestamp::timestamp));
        let routes = fields.get("routes").map(|at| self.routes(reader, at));
        let quota = fields.get("quota").map(|at| quota::section(reader, at));
        let (id, sha256, segment) = (id?, sha256?, segment?);
        // One that is refused is compared with nothing.
        let quota = quota.map_or(Some(None), |quota| quota.map(Some))?;
        if let Err(complaint) = self.claim(&id, sha256, (segment, quota)) {
            reader.refuse(at, complaint);
        }
        Some(Key { id, sha256, expires, routes, quota })
    }

    /// A key is one segment's, and so is a caller, which has one quota whatever its keys.
    fn claim(
        &mut self,
        id: &str,
        sha256: Digest,
        (segment, quota): (usize, Option<Quota>),
    ) -> Result<(), Complaint> {
        let name = |index: usize| shown(self.segments.get(index).map_or("", String::as_str));
        if self.operators.contains(&sha256.0) {
            let complaint = Complaint::new("this is an operator's key: `admin.keys` has it");
            return Err(complaint.help(OPERATES));
        }
        if let Some(other) = self.digests.insert(sha256.0, segment) {
            let complaint = match other == segment {
                true => Complaint::new("the same key twice: another entry has this `sha256`"),
                false => Complaint::new(format!("one key in two segments: it is {}'s already", name(other))),
            };
            return Err(complaint.help("every key is of one caller; `weir key new` makes another one"));
        }
        match self.ids.get(id) {
            Some(&(other, _)) if other != segment => {
                let message = format!("the caller {} is of the segment {} already", shown(id), name(other));
                Err(Complaint::new(message).help("keys of one `id` are all of one segment"))
            }
            Some(&(_, other)) if other != quota => {
                let message = format!("another key of the caller {} has another `quota`", shown(id));
                Err(Complaint::new(message).help("all keys of one `id` share what their caller may use"))
            }
            Some(_) => Ok(()),
            None => {
                self.ids.insert(id.to_owned(), (segment, quota));
                Ok(())
            }
        }
    }

    fn segment(&self, name: &str) -> Result<usize, Complaint> {
        one_of(name, "segment", &self.segments)
    }

    fn routes(&self, reader: &mut Reader<'_>, at: &At<'_>) -> Vec<String> {
        let items = reader.items(at);
        if items.as_ref().is_some_and(Vec::is_empty) {
            let complaint = Complaint::new("a key that is for no route is of no use");
            reader.refuse(at, complaint.help("leave `routes` out for a key that is for all of them"));
        }
        let mut routes: Vec<String> = Vec::new();
        for item in items.unwrap_or_default() {
            let index =
                reader.value(&item, "the name of a route", |name| one_of(name, "route", &self.topics));
            let Some(name) = index.and_then(|index| self.topics.get(index)) else { continue };
            if routes.contains(name) {
                reader.refuse(&item, Complaint::new(format!("{} is listed already", shown(name))));
            }
            routes.push(name.clone());
        }
        routes
    }
}

/// A caller's name stands in logs, and in commands later.
fn caller_name(text: &str) -> Result<String, Complaint> {
    scalar::plain_name(text, "a caller").map(|()| text.to_owned())
}

pub(super) fn not_a_digest() -> Complaint {
    Complaint::new(format!("expected {DIGEST}"))
        .help("`weir key new` prints a key and this beside it; never put the key itself here")
}

/// The place of a name among `names` of this kind. No names are known where their section is refused as such.
pub(super) fn one_of(name: &str, kind: &str, names: &[String]) -> Result<usize, Complaint> {
    if let Some(index) = names.iter().position(|known| known == name) {
        return Ok(index);
    }
    if names.is_empty() {
        return Ok(0);
    }
    let known = names.iter().map(String::as_str);
    Err(match nearest(name, known.clone()) {
        Some(near) => Complaint::new(format!("no {kind} {}, did you mean {}?", shown(name), shown(near))),
        None => {
            let known: Vec<_> = known.take(NAMES_SHOWN_MAX).map(shown).collect();
            let complaint = Complaint::new(format!("no {kind} {}", shown(name)));
            complaint.help(format!("the {kind}s are {}", known.join(", ")))
        }
    })
}

/// Why a key is not a caller's and an operator's.
pub(super) const OPERATES: &str =
    "who calls models must not operate Weir by that; `weir key new` makes another one";
pub(super) const DIGEST: &str = "the SHA-256 digest of a key, 64 hexadecimal digits";
/// So many names help; more hide the message.
const NAMES_SHOWN_MAX: usize = 8;
