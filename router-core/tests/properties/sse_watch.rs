//! Holds for any bytes as an answer: how they are cut into pieces changes nothing of what is seen of them, neither
//! when they are watched as an event stream nor as one JSON document, in either dialect.
//!
//! An input is a line that says how to watch, then the answer. The line's first byte is `o` or `a` for the dialect,
//! `O` or `A` for the same with the first eight `~` of the answer drawn out to 6,000 bytes each, so that a short input
//! reaches what happens to events and values that are too long to be kept. The line's other bytes are the lengths of
//! the pieces, in turn.

use std::iter;

use router_core::dialect::Dialect;
use router_core::stream::{SseWatch, StreamEnd, Summary, WholeWatch};

/// The bytes are the line and the answer, as the module says.
pub(crate) fn check(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, answer) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Some((&mode, lengths)) = line.split_first() else { return };
    let dialect = if mode.eq_ignore_ascii_case(&b'a') { Dialect::Anthropic } else { Dialect::OpenAi };
    let is_long = mode.is_ascii_uppercase();
    let answer = if is_long { drawn_out(answer) } else { answer.to_vec() };

    let once = watch(dialect, iter::once(&*answer));
    let whole = watch_whole(dialect, iter::once(&*answer));
    if !is_long {
        assert_eq!(once.events, events_plainly(&answer));
        assert_eq!(watch(dialect, answer.chunks(1)), once);
        assert_eq!(watch_whole(dialect, answer.chunks(1)), whole);
    }
    let pieces = pieces(&answer, lengths, if is_long { 64 } else { 1 });
    assert_eq!(watch(dialect, pieces.iter().copied()), once);
    assert_eq!(watch_whole(dialect, pieces.into_iter()), whole);
}

/// All that a watch says at the end of a stream.
#[derive(Debug, PartialEq)]
struct State {
    events: u64,
    content_events: u64,
    outcome: StreamEnd,
    summary: Summary,
    is_mid_event: bool,
}

fn watch<'a>(dialect: Dialect, pieces: impl Iterator<Item = &'a [u8]>) -> State {
    let mut watch = SseWatch::new(dialect);
    let (mut content_events, mut first_tokens) = (0, 0);
    for piece in pieces {
        let events = watch.events();
        let seen = watch.feed(piece);
        assert!(!seen.first_token || seen.content_events > 0, "no first token without content");
        assert!(watch.events() - events >= u64::from(seen.content_events), "content events are events");
        content_events += u64::from(seen.content_events);
        first_tokens += u32::from(seen.first_token);
    }
    let is_mid_event = watch.is_mid_event();
    watch.end();
    assert_eq!(content_events, watch.content_events(), "the pieces' counts add up");
    assert_eq!(first_tokens, u32::from(watch.first_token_seen()), "the first token is told once");
    let (outcome, summary) = (watch.outcome(), watch.summary());
    State { events: watch.events(), content_events, outcome, summary, is_mid_event }
}

fn watch_whole<'a>(dialect: Dialect, pieces: impl Iterator<Item = &'a [u8]>) -> Summary {
    let mut watch = WholeWatch::new(dialect);
    pieces.for_each(|piece| watch.feed(piece));
    watch.summary()
}

fn drawn_out(answer: &[u8]) -> Vec<u8> {
    let mut parts = answer.splitn(9, |byte| *byte == b'~');
    let mut out = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        out.resize(out.len() + 6_000, b'~');
        out.extend_from_slice(part);
    }
    out
}

/// Cuts `answer` into pieces whose lengths are `lengths` in turn, times `unit`; empty ones happen.
fn pieces<'a>(answer: &'a [u8], lengths: &[u8], unit: usize) -> Vec<&'a [u8]> {
    let mut rest = answer;
    let mut pieces = Vec::new();
    // Lengths that are all zero would never come to an end.
    let lengths = if lengths.iter().any(|length| *length > 0) { lengths } else { &[u8::MAX] };
    for length in lengths.iter().cycle() {
        let Some((piece, more)) = rest.split_at_checked(usize::from(*length) * unit) else { break };
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}

/// How many events a stream has, told the plain way: all line ends made alike, then line by line.
fn events_plainly(stream: &[u8]) -> u64 {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let text: String = stream.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut has_data) = (0, false);
    // What follows the last line end is an unfinished line.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        events += u64::from(line.is_empty() && has_data);
        has_data = !line.is_empty() && (has_data || line == "data" || line.starts_with("data:"));
    }
    events
}
