//! What does an event of OpenAI's dialect bring? Until the first token every event is parsed, as far as it
//! matters. After it an event is only searched, and counts as content unless one of these is found in it:
//!
//! - a finish reason that is not null, or `"error"`: then it is parsed as before;
//! - a usage object beside no or empty `choices`: then it is not content.
//!
//! So after the first token an empty or malformed event, or the role event of a second choice, counts as
//! content: such events are few, and content events are counted to measure pace.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Finish;
use super::event::Event;
use super::keys::{self, CHOICES, ERROR, FINISH_REASON, USAGE, is_filled};
use super::responses;
use super::sse::{Ending, Found};

/// A chunk, with `choices[].text` for legacy completions. The values are kept as they stand: no server's odd
/// type makes the rest unreadable.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

/// Reads an event.
pub(super) fn read(event: &Event<'_>, first_token_seen: bool) -> Found {
    if event.name == b"error" {
        return Found { ending: Some(Ending::Failed), ..Found::default() };
    }
    if let Some(kind) = event.name.strip_prefix(responses::PREFIX) {
        return responses::read(event, kind);
    }
    if event.shortened {
        // No protocol event is that long: it is an answer in one event.
        return Found { content: true, ..Found::default() };
    }
    if event.is_done_mark() {
        return Found { ending: Some(Ending::Complete), ..Found::default() };
    }
    let data = &*event.data;
    if !first_token_seen || FINISH_REASON.last(data, keys::read_finish).is_some() || ERROR.is_in(data) {
        return parse(data);
    }
    let usage = USAGE.last(data, keys::read_usage);
    let content = usage.is_none() || CHOICES.last(data, keys::read_is_filled) == Some(true);
    Found { content, usage, ..Found::default() }
}

/// Reads an event exactly. What is not JSON of a chunk's shape brings nothing.
fn parse(data: &[u8]) -> Found {
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else { return Found::default() };
    let choices = chunk.choices.as_deref().unwrap_or_default();
    let is_error = chunk.error.is_some() || chunk.object.is_some_and(|object| object.get() == "\"error\"");
    Found {
        content: choices.iter().any(Choice::has_content),
        usage: USAGE.last(data, keys::read_usage),
        finish: choices.iter().filter_map(Choice::finish).next_back(),
        ending: is_error.then_some(Ending::Failed),
    }
}

impl Choice<'_> {
    fn has_content(&self) -> bool {
        is_filled(self.text) || self.delta.as_ref().is_some_and(Delta::has_content)
    }

    fn finish(&self) -> Option<Finish> {
        keys::read_finish(self.finish_reason?.get().as_bytes()).value()
    }
}

impl Delta<'_> {
    fn has_content(&self) -> bool {
        let reasoning = [self.reasoning_content, self.reasoning];
        let spoken = [self.content, self.refusal, self.audio];
        let called = [self.tool_calls, self.function_call];
        spoken.into_iter().chain(reasoning).chain(called).any(is_filled)
    }
}
