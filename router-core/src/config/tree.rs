//! YAML text as a tree in which every key and value knows its line and column. Only the structure is read
//! here; what keys and values mean is the business of `check`.
//!
//! The text may come from anywhere, so the tree is bounded: in bytes of text, in nodes (aliases count with
//! all that they repeat, which stops a few lines from growing into billions) and in depth (nothing that
//! walks the tree can overflow the stack).

use std::collections::BTreeMap;
use std::rc::Rc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::problem::Problem;

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// A tag that changes the value's meaning and is not understood, as it was written.
    pub(super) tag: Option<Rc<str>>,
    pub(super) value: Value,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A text; `plain` is one without quotes, which alone can mean "nothing".
    Scalar {
        text: Rc<str>,
        plain: bool,
    },
    Sequence(Vec<Node>),
    /// Keys in the file's order; not yet checked to be different strings.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The text as it was written, variables and all, if it is one and no tag or null.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, plain } if self.tag.is_none() && !(*plain && is_null(text)) => Some(text),
            _ => None,
        }
    }
}

/// Whether a text without quotes means "nothing".
pub(super) fn is_null(plain: &str) -> bool {
    matches!(plain, "" | "~" | "null" | "Null" | "NULL")
}

/// Reads one document. What keeps it from being read whole goes to `problems`.
pub(super) fn parse(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let bounds = Bounds { bytes: TEXT_BYTES_MAX, nodes: NODES_MAX };
    read(text, bounds, problems, None)
}

/// Reads one document that is a list, and gives away each item of it as it comes: in the end the list itself is
/// empty. What comes back is no list where the document is none.
pub(super) fn parse_items(
    text: &str,
    problems: &mut Vec<Problem>,
    mut each: impl FnMut(&Node),
) -> Option<Node> {
    let bounds = Bounds { bytes: ITEMS_BYTES_MAX, nodes: ITEMS_NODES_MAX };
    read(text, bounds, problems, Some(&mut each))
}

/// How much of a document is taken.
#[derive(Clone, Copy)]
struct Bounds {
    bytes: usize,
    nodes: usize,
}

/// Takes the items of a list.
type Each<'e> = Option<&'e mut dyn FnMut(&Node)>;

fn read(text: &str, bounds: Bounds, problems: &mut Vec<Problem>, each: Each<'_>) -> Option<Node> {
    if text.len() > bounds.bytes {
        problems.push(at((1, 1), format!("the file is larger than {} MiB", bounds.bytes >> 20)));
        return None;
    }
    let nothing = if each.is_some() { no_items() } else { empty() };
    match build(text, bounds, problems, each) {
        Ok(Some(Node { value: Value::Scalar { text, plain: true }, .. })) if is_null(&text) => {
            problems.push(nothing);
            None
        }
        Ok(None) => {
            problems.push(nothing);
            None
        }
        Ok(root) => root,
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn build(
    text: &str,
    bounds: Bounds,
    problems: &mut Vec<Problem>,
    each: Each<'_>,
) -> Result<Option<Node>, Problem> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder { nodes_max: bounds.nodes, each, ..Builder::default() };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| syntax(&error, text))?;
        if matches!(event, Event::DocumentStart(..)) && builder.root.is_some() {
            let message = "a second document starts here; a config is one document";
            problems.push(at(position(span.start), message));
            break;
        }
        builder.on_event(event, span.start)?;
    }
    Ok(builder.root)
}

/// Puts the parser's events together.
#[derive(Default)]
struct Builder<'e> {
    /// Collections that are not closed yet, outermost first.
    open: Vec<Open>,
    /// Finished nodes that an alias may repeat.
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
    nodes_max: usize,
    /// Takes the items of the outermost list, which are not kept then.
    each: Each<'e>,
}

/// A collection that is not closed yet. A mapping's children stand in one row: key, value, key, value.
struct Open {
    node: Node,
    children: Vec<Node>,
    anchor: usize,
}

impl Builder<'_> {
    fn on_event(&mut self, event: Event<'_>, start: Marker) -> Result<(), Problem> {
        let position = position(start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if text.len() > SCALAR_BYTES_MAX {
                    let message = format!("text longer than {} KiB", SCALAR_BYTES_MAX >> 10);
                    return Err(at(position, message));
                }
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = Value::Scalar { text: text.as_ref().into(), plain };
                self.put(node(position, tag.as_deref(), value), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(node(position, tag.as_deref(), Value::Sequence(Vec::new())), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.open(node(position, tag.as_deref(), Value::Mapping(Vec::new())), anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.repeat(anchor, position),
            _ => Ok(()),
        }
    }

    fn open(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if self.open.len() == DEPTH_MAX {
            return Err(too_deep((node.line, node.column)));
        }
        self.open.push(Open { node, children: Vec::new(), anchor });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(Open { mut node, children, anchor }) = self.open.pop() else { return Ok(()) };
        match &mut node.value {
            Value::Sequence(items) => *items = children,
            Value::Mapping(entries) => {
                let mut rest = children.into_iter();
                while let (Some(key), Some(value)) = (rest.next(), rest.next()) {
                    entries.push((key, value));
                }
            }
            Value::Scalar { .. } => debug_assert!(false, "a scalar is never open"),
        }
        self.put(node, anchor)
    }

    fn repeat(&mut self, anchor: usize, position: (usize, usize)) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(at(position, "this alias stands inside of what it repeats"));
        };
        if self.open.len() + depth(node) > DEPTH_MAX {
            return Err(too_deep(position));
        }
        self.spend(count(node), position)?;
        let copy = self.anchors[&anchor].clone();
        self.put(copy, 0)
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        let position = (node.line, node.column);
        self.spend(1, position)?;
        if anchor > 0 {
            self.spend(count(&node), position)?;
            self.anchors.insert(anchor, node.clone());
        }
        let outermost = self.open.len() == 1;
        match (self.open.last_mut(), &mut self.each) {
            (Some(Open { node: Node { value: Value::Sequence(_), .. }, .. }), Some(each)) if outermost => {
                each(&node);
            }
            (Some(parent), _) => parent.children.push(node),
            (None, _) => self.root = Some(node),
        }
        Ok(())
    }

    fn spend(&mut self, nodes: usize, position: (usize, usize)) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > self.nodes_max {
            let message = format!("more than {} keys and values, with what aliases repeat", self.nodes_max);
            return Err(at(position, message));
        }
        Ok(())
    }
}

fn node((line, column): (usize, usize), tag: Option<&Tag>, value: Value) -> Node {
    // `!!str` says what a config's scalars are anyway, and `!` says "not what it looks like".
    let is_string = |tag: &Tag| tag.is_yaml_core_schema_tag("str") || tag.original() == "!";
    let is_scalar = matches!(value, Value::Scalar { .. });
    let tag = tag.filter(|tag| !(is_scalar && is_string(tag))).map(|tag| tag.original().into());
    Node { line, column, tag, value }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::Sequence(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Mapping(entries) => {
            1 + entries.iter().map(|(key, value)| count(key) + count(value)).sum::<usize>()
        }
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 0,
        Value::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Mapping(entries) => {
            1 + entries.iter().map(|(key, value)| depth(key).max(depth(value))).max().unwrap_or(0)
        }
    }
}

fn position(marker: Marker) -> (usize, usize) {
    (marker.line(), marker.col() + 1)
}

fn syntax(error: &ScanError, text: &str) -> Problem {
    let position = position(*error.marker());
    if *error.kind() == ErrorKind::RecursionLimitExceeded {
        return too_deep(position);
    }
    let line = position.0.checked_sub(1).and_then(|index| text.lines().nth(index));
    let help = line
        .filter(|line| line.contains("${"))
        .map(|_| "between `{` and `}` or `[` and `]` a value with `${…}` needs quotes around it".to_owned());
    Problem { help, ..at(position, format!("not valid YAML: {}", error.kind())) }
}

fn too_deep(position: (usize, usize)) -> Problem {
    at(position, format!("nested more than {DEPTH_MAX} levels deep"))
}

fn empty() -> Problem {
    let help = Some("a config has at least `pools` and `routes`".to_owned());
    Problem { help, ..at((1, 1), "the file is empty") }
}

fn no_items() -> Problem {
    let help = Some("a list without items is `[]`".to_owned());
    Problem { help, ..at((1, 1), "the file is empty") }
}

fn at((line, column): (usize, usize), message: impl Into<String>) -> Problem {
    Problem { line, column, path: String::new(), message: message.into(), help: None }
}

/// Largest file: a thousand routes are a tenth of it.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Largest file that is a list: half a million keys.
pub const ITEMS_BYTES_MAX: usize = 64 << 20;
/// Most keys and values of one, which are not kept.
const ITEMS_NODES_MAX: usize = 8_000_000;
/// Longest single value: far above any path or name, far below what repeated reading would make slow.
const SCALAR_BYTES_MAX: usize = 16 << 10;
/// Most keys and values: a target takes seven of them.
const NODES_MAX: usize = 100_000;
/// Deepest nesting; a config needs six levels.
const DEPTH_MAX: usize = 32;
