use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;

use super::splits::{cuts, pieces};
use crate::stream::UsageFilter;

const CONTENT: &str = r#"data: {"choices":[{"delta":{"content":"\"usage\":{} choices:[]"}}],"usage":null}"#;
const WITH_USAGE: &str = r#"data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":7}}"#;
const ONLY_USAGE: &str = r#"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
const AZURE: &str = r#"data: {"choices":[],"prompt_filter_results":[],"usage":null}"#;

/// What goes on of a stream that comes in `pieces`.
fn filtered<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut filter = UsageFilter::new();
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&filter.feed(Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&filter.end());
    String::from_utf8_lossy(&out).into_owned()
}

fn stream(events: &[&str], end: &str) -> String {
    events.iter().map(|event| format!("{event}{end}{end}")).collect()
}

#[test]
fn only_the_chunk_that_says_nothing_else_is_taken_out() {
    for end in ["\n", "\r", "\r\n"] {
        let events = [CONTENT, AZURE, ": wait", WITH_USAGE, ONLY_USAGE, "data: [DONE]"];
        let without = [CONTENT, AZURE, ": wait", WITH_USAGE, "data: [DONE]"];
        assert_eq!(filtered([stream(&events, end).as_bytes()]), stream(&without, end));
    }
}

#[test]
fn what_is_not_cut_is_not_copied() {
    let piece = Bytes::from(stream(&[CONTENT, WITH_USAGE], "\n"));
    let kept = UsageFilter::new().feed(piece.clone());
    assert_eq!(kept.as_ptr(), piece.as_ptr());
    assert_eq!(kept, piece);
}

#[test]
fn an_event_goes_on_as_soon_as_it_ends() {
    let mut filter = UsageFilter::new();
    let event = stream(&[CONTENT], "\n");
    let (head, tail) = event.split_at(20);
    assert_eq!(filter.feed(Bytes::copy_from_slice(head.as_bytes())), "");
    assert_eq!(filter.feed(Bytes::copy_from_slice(tail.as_bytes())), event);
}

#[test]
fn a_long_event_is_not_held() {
    let mut filter = UsageFilter::new();
    let mut out = 0;
    for _ in 0..100 {
        out += filter.feed(vec![b'x'; 1024].into()).len();
    }
    assert!(out > 80 * 1024, "{out}");
    out += filter.feed("\n\n".into()).len();
    assert_eq!(out, 100 * 1024 + 2);
    assert_eq!(filter.feed(stream(&[ONLY_USAGE], "\n").into()), "");
}

#[test]
fn an_unfinished_event_goes_on_at_the_end() {
    assert_eq!(filtered([&b"data: {\"choi"[..]]), "data: {\"choi");
    assert_eq!(filtered([ONLY_USAGE.as_bytes()]), "", "the chunk without its blank line");
}

proptest! {
    #[test]
    fn cuts_never_change_what_goes_on(
        events in prop::collection::vec(
            select(vec![CONTENT, WITH_USAGE, ONLY_USAGE, AZURE, ": wait", "data: [DONE]", "", "event: x\ndata: 1"]),
            0..12,
        ),
        ends in prop::collection::vec(select(vec!["\n", "\r", "\r\n"]), 1..5),
        long in any::<bool>(),
        cuts in cuts(),
    ) {
        let mut text = String::new();
        for (event, end) in events.iter().zip(ends.iter().cycle()) {
            text += &format!("{event}{end}{end}");
        }
        if long {
            text += &format!("data: {}\n\n{ONLY_USAGE}\n\n", "x".repeat(40_000));
        }
        let whole = filtered([text.as_bytes()]);
        prop_assert!(!whole.contains(ONLY_USAGE));
        prop_assert_eq!(filtered(pieces(text.as_bytes(), &cuts)), whole);
    }
}
