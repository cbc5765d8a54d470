//! Golden answers in the shapes that real servers send, and properties: how a body is cut into pieces never
//! changes what is seen of it.

mod anthropic;
mod frames;
mod openai;
mod splits;
mod whole;
mod withhold;

use super::{Finish, SseWatch, StreamEnd, Summary, Usage};
use crate::dialect::Dialect;

/// All that a watch says at the end of a stream.
#[derive(Debug, PartialEq)]
struct State {
    events: u64,
    content_events: u64,
    outcome: StreamEnd,
    summary: Summary,
    is_mid_event: bool,
}

/// Watches a stream that comes in `pieces`.
fn watch<'a>(dialect: Dialect, pieces: impl IntoIterator<Item = &'a [u8]>) -> State {
    let mut watch = SseWatch::new(dialect);
    let mut content_events = 0;
    let mut first_tokens = 0;
    for piece in pieces {
        let seen = watch.feed(piece);
        content_events += u64::from(seen.content_events);
        first_tokens += u32::from(seen.first_token);
        assert!(!seen.first_token || seen.content_events > 0, "a first token without content");
    }
    watch.end();
    assert_eq!(content_events, watch.content_events(), "the pieces' counts add up");
    assert_eq!(first_tokens, u32::from(watch.first_token_seen()), "the first token is told once");
    State {
        events: watch.events(),
        content_events: watch.content_events(),
        outcome: watch.outcome(),
        summary: watch.summary(),
        is_mid_event: watch.is_mid_event(),
    }
}

/// Which event (from 0) brings the first token, when each comes as a piece of its own.
fn first_token_at(dialect: Dialect, stream: &str) -> Option<usize> {
    let mut watch = SseWatch::new(dialect);
    stream.split_inclusive("\n\n").position(|piece| watch.feed(piece.as_bytes()).first_token)
}

/// The part of a stream that stands before `mark`.
fn before<'a>(stream: &'a str, mark: &str) -> &'a str {
    stream.split_once(mark).unwrap().0
}

fn summary(prompt_tokens: u64, completion_tokens: u64, finish: Finish) -> Summary {
    Summary { usage: Some(Usage { prompt_tokens, completion_tokens }), finish: Some(finish) }
}
