//! Takes fields, lists and texts out of the tree, and notes everything that is not as it should be. What is
//! asked for and is not there comes back as `None`, reported; callers put a harmless value in its place.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::rc::Rc;

use crate::config::expand::expand;
use crate::config::problem::{Complaint, FileUse, Problem, shown};
use crate::config::reference::Section;
use crate::config::tree::{Node, Value, is_null};

/// A node of the tree and the keys that lead to it.
#[derive(Clone)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    pub(super) path: Rc<str>,
    /// Whether it may hold a secret, as what stands under a pool's `key`: no message may repeat a part of it.
    pub(super) secret: bool,
}

/// A key and its value.
pub(super) struct Entry<'n> {
    pub(super) name: &'n str,
    /// Where the key stands.
    pub(super) key: At<'n>,
    pub(super) value: At<'n>,
}

/// The values of a mapping whose keys are known.
pub(super) struct Fields<'n> {
    entries: Vec<Entry<'n>>,
    /// Keys that mistyped ones were meant to be: reported as such, so not once more as missing.
    meant: Vec<&'static str>,
    at: At<'n>,
}

/// What follows from a secret or certificate that is not there yet.
pub(super) const REFUSED_LATER: &str = "`weir run` refuses to start without it";

/// Reads a tree and collects what is wrong with it.
pub(super) struct Reader<'e> {
    env: &'e dyn Fn(&str) -> Option<String>,
    files: &'e dyn Fn(&Path, FileUse<'_>) -> Result<(), String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'n> At<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        Self { node, path: "".into(), secret: false }
    }

    /// The value of one of its keys.
    pub(super) fn key(&self, key: &str, node: &'n Node) -> Self {
        let path =
            if self.path.is_empty() { segment(key) } else { format!("{}.{}", self.path, segment(key)) };
        Self { node, path: path.into(), secret: self.secret }
    }

    pub(super) fn item(&self, index: usize, node: &'n Node) -> Self {
        Self { node, path: format!("{}[{index}]", self.path).into(), secret: self.secret }
    }

    fn problem(&self, complaint: Complaint) -> Problem {
        Problem {
            line: self.node.line,
            column: self.node.column,
            path: self.path.to_string(),
            message: complaint.message,
            help: complaint.help,
        }
    }
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, key: &str) -> Option<&At<'n>> {
        self.entries.iter().find(|entry| entry.name == key).map(|entry| &entry.value)
    }

    /// Whether a mistyped key was most likely meant to be this one.
    pub(super) fn misses(&self, key: &str) -> bool {
        self.meant.contains(&key)
    }
}

impl<'e> Reader<'e> {
    pub(super) fn new(
        env: &'e dyn Fn(&str) -> Option<String>,
        files: &'e dyn Fn(&Path, FileUse<'_>) -> Result<(), String>,
        problems: Vec<Problem>,
    ) -> Self {
        Self { env, files, problems, warnings: Vec::new() }
    }

    /// Problems and warnings, each once, by position.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<Problem>) {
        for list in [&mut self.problems, &mut self.warnings] {
            list.sort();
            list.dedup();
        }
        (self.problems, self.warnings)
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_content(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether so much is wrong that more of it would help nobody.
    pub(super) fn has_enough(&self) -> bool {
        self.problems.len() >= PROBLEMS_ENOUGH
    }

    pub(super) fn refuse(&mut self, at: &At<'_>, complaint: Complaint) {
        self.problems.push(at.problem(complaint));
    }

    pub(super) fn warn(&mut self, at: &At<'_>, complaint: Complaint) {
        self.warnings.push(at.problem(complaint));
    }

    /// Whether the environment variable `name` has a value.
    pub(super) fn is_set(&self, name: &str) -> bool {
        (self.env)(name).is_some_and(|value| !value.is_empty())
    }

    /// Warns of a file that cannot serve. Whether it can.
    pub(super) fn try_file(&mut self, at: &At<'_>, path: &Path, what: FileUse<'_>) -> bool {
        let tried = (self.files)(path, what);
        let serves = tried.is_ok();
        if let Err(fault) = tried {
            self.warn(at, Complaint::new(fault).help(REFUSED_LATER));
        }
        serves
    }

    /// The fields of a mapping with fixed keys.
    pub(super) fn fields<'n>(&mut self, at: &At<'n>, section: &Section) -> Option<Fields<'n>> {
        let mut entries = self.entries(at)?;
        let mut meant = Vec::new();
        entries.retain(|Entry { name, key, .. }| {
            let known = section.knows(name);
            if !known {
                self.refuse(key, section.unknown(name));
                meant.extend(section.meant(name));
            }
            known
        });
        Some(Fields { entries, meant, at: at.clone() })
    }

    /// A field that must be there.
    pub(super) fn required<'f, 'n>(&mut self, fields: &'f Fields<'n>, key: &str) -> Option<&'f At<'n>> {
        let found = fields.get(key);
        if found.is_none() && !fields.misses(key) {
            self.refuse(&fields.at, Complaint::new(format!("missing key `{key}`")));
        }
        found
    }

    /// The entries of a mapping. Keys are different strings; those that are not are reported and left out.
    pub(super) fn entries<'n>(&mut self, at: &At<'n>) -> Option<Vec<Entry<'n>>> {
        self.tag(at)?;
        let Value::Mapping(pairs) = &at.node.value else {
            return self.mismatch(at, "a mapping");
        };
        let mut entries = Vec::with_capacity(pairs.len());
        let mut lines = BTreeMap::new();
        for (key, value) in pairs {
            let Some(name) = self.key(&At { node: key, ..at.clone() }) else { continue };
            let entry = Entry { name, key: at.key(name, key), value: at.key(name, value) };
            if let Some(line) = lines.get(name) {
                let complaint = Complaint::new(format!("key {} stands here twice", shown(name)));
                self.refuse(&entry.key, complaint.help(format!("first on line {line}")));
            } else {
                lines.insert(name, key.line);
                entries.push(entry);
            }
        }
        Some(entries)
    }

    fn key<'n>(&mut self, at: &At<'n>) -> Option<&'n str> {
        self.tag(at)?;
        let Value::Scalar { text, plain } = &at.node.value else {
            self.refuse(at, Complaint::new("a key must be a string"));
            return None;
        };
        if *plain && &**text == "<<" {
            let complaint = Complaint::new("merge keys (`<<`) are not read");
            self.refuse(at, complaint.help("repeat the keys, or alias a whole value"));
            return None;
        }
        if *plain && !looks_like_text(text) {
            let complaint = Complaint::new(format!("key {} is not a string", shown(text)));
            self.refuse(at, complaint.help("write it in quotes"));
            return None;
        }
        if text.contains("${") {
            self.refuse(at, Complaint::new("`${…}` is replaced in values, not in keys"));
            return None;
        }
        Some(text)
    }

    /// The items of a list.
    pub(super) fn items<'n>(&mut self, at: &At<'n>) -> Option<Vec<At<'n>>> {
        self.tag(at)?;
        let Value::Sequence(items) = &at.node.value else {
            return self.mismatch(at, "a list");
        };
        Some(items.iter().enumerate().map(|(index, node)| at.item(index, node)).collect())
    }

    /// A text, variables replaced, as `parse` reads it. `expected` says what is missing if it is none.
    pub(super) fn value<T>(
        &mut self,
        at: &At<'_>,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        self.tag(at)?;
        let Value::Scalar { text, plain } = &at.node.value else {
            return self.mismatch(at, expected);
        };
        if *plain && is_null(text) {
            return self.mismatch(at, expected);
        }
        let parsed = match expand(text, self.env) {
            Ok(text) => parse(&text),
            Err(error) => Err(error.complaint(at.secret)),
        };
        parsed.map_err(|complaint| self.refuse(at, complaint)).ok()
    }

    fn tag(&mut self, at: &At<'_>) -> Option<()> {
        let Some(tag) = &at.node.tag else { return Some(()) };
        let complaint = Complaint::new(if at.secret {
            "YAML tags are not read".to_owned()
        } else {
            format!("YAML tag {} is not read", shown(tag))
        });
        self.refuse(at, complaint.help("leave it out"));
        None
    }

    fn mismatch<T>(&mut self, at: &At<'_>, expected: impl Display) -> Option<T> {
        let found = match &at.node.value {
            Value::Scalar { text, plain: true } if is_null(text) => "nothing",
            Value::Scalar { .. } => "a text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        };
        self.refuse(at, Complaint::new(format!("expected {expected}, found {found}")));
        None
    }
}

/// `key` as a part of a path: in quotes where a dot or a bracket of its own would mislead.
fn segment(key: &str) -> String {
    let clear = |c: char| c.is_alphanumeric() || "_-*/:@+".contains(c);
    if !key.is_empty() && key.len() <= SEGMENT_BYTES_MAX && key.chars().all(clear) {
        return key.to_owned();
    }
    format!("\"{}\"", shown(key).trim_matches('`'))
}

/// Whether YAML's core schema takes a plain text for a string.
fn looks_like_text(plain: &str) -> bool {
    let boolean = matches!(plain, "true" | "True" | "TRUE" | "false" | "False" | "FALSE");
    let numeric = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || ".+-".contains(c));
    let number = numeric(plain)
        && (plain.parse::<f64>().is_ok() || plain.starts_with("0x") || plain.starts_with("0o"));
    !is_null(plain) && !boolean && !number
}

/// As many problems of a long list as anybody reads at a time.
const PROBLEMS_ENOUGH: usize = 100;
/// Longer keys are shortened in paths.
const SEGMENT_BYTES_MAX: usize = 60;
