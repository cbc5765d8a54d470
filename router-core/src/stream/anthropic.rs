//! What does an event of Anthropic's dialect bring? Its type tells: the event's name or, where a server leaves
//! that out, `type` in the data. Until the first token a delta is parsed, since empty ones occur; after it
//! every `content_block_delta` counts as content unread.

use memchr::memchr;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::Event;
use super::keys::{self, is_filled};
use super::sse::{Ending, Found};

/// The types of events that bring something. `ping` and `content_block_stop` do not.
#[derive(Clone, Copy)]
enum Kind {
    MessageStart,
    BlockStart,
    BlockDelta,
    MessageDelta,
    MessageStop,
    Error,
}

/// The parts of any event.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<Part<'a>>,
    #[serde(borrow)]
    delta: Option<Part<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A content block or a delta: the one's fields do not collide with the other's.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// Reads an event.
pub(super) fn read(event: &Event<'_>, first_token_seen: bool) -> Found {
    let Some(kind) = Kind::of_event(event) else { return Found::default() };
    match kind {
        Kind::MessageStop => Found { ending: Some(Ending::Complete), ..Found::default() },
        Kind::Error => Found { ending: Some(Ending::Failed), ..Found::default() },
        Kind::BlockDelta if first_token_seen || event.shortened => {
            Found { content: true, ..Found::default() }
        }
        Kind::MessageStart | Kind::BlockStart | Kind::BlockDelta | Kind::MessageDelta => {
            serde_json::from_slice::<Payload<'_>>(&event.data)
                .map_or_else(|_| Found::default(), |payload| payload.found(kind))
        }
    }
}

impl Kind {
    fn of_event(event: &Event<'_>) -> Option<Self> {
        Self::from_wire(event.name).or_else(|| Self::of_data(&event.data))
    }

    /// Almost every server writes `type` first. What stands elsewhere is parsed for it.
    fn of_data(data: &[u8]) -> Option<Self> {
        if let Some(rest) = data.strip_prefix(b"{\"type\":\"") {
            return Self::from_wire(&rest[..memchr(b'"', rest).unwrap_or(rest.len())]);
        }
        let kind = serde_json::from_slice::<Typed<'_>>(data).ok()?.kind?;
        Self::from_wire(kind.get().trim_matches('"').as_bytes())
    }

    const fn from_wire(word: &[u8]) -> Option<Self> {
        match word {
            b"content_block_delta" => Some(Self::BlockDelta),
            b"content_block_start" => Some(Self::BlockStart),
            b"message_start" => Some(Self::MessageStart),
            b"message_delta" => Some(Self::MessageDelta),
            b"message_stop" => Some(Self::MessageStop),
            b"error" => Some(Self::Error),
            _ => None,
        }
    }
}

impl Payload<'_> {
    fn found(&self, kind: Kind) -> Found {
        let part = match kind {
            Kind::BlockStart => self.content_block.as_ref(),
            _ => self.delta.as_ref(),
        };
        let usage = self.usage.or_else(|| self.message.as_ref()?.usage);
        let stop_reason = part.and_then(|part| part.stop_reason);
        Found {
            content: part.is_some_and(Part::has_content),
            usage: usage.and_then(|raw| keys::read_usage(raw.get().as_bytes()).value()),
            finish: stop_reason.and_then(|raw| keys::read_finish(raw.get().as_bytes()).value()),
            ending: None,
        }
    }
}

impl Part<'_> {
    /// A block of tool use or hidden reasoning is content by its beginning, a delta by what it brings.
    fn has_content(&self) -> bool {
        let begins = self.kind.is_some_and(|kind| {
            let kind = kind.get().trim_matches('"');
            kind.ends_with("tool_use") || kind == "redacted_thinking"
        });
        begins || [self.text, self.thinking, self.partial_json].into_iter().any(is_filled)
    }
}
