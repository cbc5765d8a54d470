use super::watch;
use crate::dialect::Dialect;
use crate::stream::frame::BLOCK_MAX;
use crate::stream::{SseWatch, StreamEnd};

const CONTENT: &str = r#"data: {"choices":[{"delta":{"content":"x"}}]}"#;

/// Events, content events and outcome of a stream in OpenAI's dialect, whole and byte by byte.
fn counts(stream: impl AsRef<[u8]>) -> (u64, u64, StreamEnd) {
    let stream = stream.as_ref();
    let state = watch(Dialect::OpenAi, [stream]);
    assert_eq!(state, watch(Dialect::OpenAi, stream.chunks(1)));
    (state.events, state.content_events, state.outcome)
}

#[test]
fn every_boundary_ends_an_event() {
    for boundary in ["\n\n", "\r\n\r\n", "\r\r", "\n\r\n", "\r\n\n", "\n\r", "\r\n\r"] {
        let stream = format!("{CONTENT}{boundary}{CONTENT}{boundary}data: [DONE]{boundary}");
        assert_eq!(counts(&stream), (3, 2, StreamEnd::Complete), "{boundary:?}");
    }
    assert_eq!(
        counts(format!("{CONTENT}\r\n{CONTENT}\n")),
        (0, 0, StreamEnd::Open),
        "one CRLF is one line end"
    );
}

#[test]
fn fields_are_read_by_the_standard() {
    let json = CONTENT.strip_prefix("data: ").unwrap();
    let (head, tail) = json.split_at(12);
    let cases = [
        (format!("data:{json}\n\n"), (1, 1, StreamEnd::Open), "no space"),
        (format!("\u{feff}data: {json}\n\n"), (1, 1, StreamEnd::Open), "byte order mark"),
        (format!("\u{feff}\ndata: {json}\n\n"), (1, 1, StreamEnd::Open), "mark on a line of its own"),
        (format!("data: x\n\n\u{feff}data: {json}\n\n"), (1, 0, StreamEnd::Open), "mark in the middle"),
        (format!("\n\u{feff}data: {json}\n\n"), (0, 0, StreamEnd::Open), "mark after a blank line"),
        (format!("data: {head}\ndata: {tail}\n\n"), (1, 1, StreamEnd::Open), "two data lines"),
        (format!("id: 7\nretry: 3\n: hm\ndata: {json}\nfoo\n\n"), (1, 1, StreamEnd::Open), "other fields"),
        (format!("data: {json}\nevent: error\n\n"), (1, 0, StreamEnd::Failed), "name after data"),
        (format!("event: error\nevent:\ndata: {json}\n\n"), (1, 1, StreamEnd::Open), "last name counts"),
        (format!(" data: {json}\n\n"), (0, 0, StreamEnd::Open), "an indented line is another field"),
        ("data: [DO\ndata: NE]\n\n".into(), (1, 0, StreamEnd::Open), "lines are joined with a line end"),
        ("data\n\n".into(), (1, 0, StreamEnd::Open), "data without colon"),
        ("event: error\n\n".into(), (0, 0, StreamEnd::Open), "no data, no event"),
        (": ping\n\n\n\n: ping\n\n".into(), (0, 0, StreamEnd::Open), "comments and blank lines"),
        ("data:  [DONE] \n\n".into(), (1, 0, StreamEnd::Complete), "spaces around the terminator"),
    ];
    for (stream, expected, what) in cases {
        assert_eq!(counts(&stream), expected, "{what}");
    }
}

#[test]
fn whoever_appends_knows_whether_an_event_has_begun() {
    let cases = [
        ("", false),
        ("d", true),
        ("data: x", true),
        ("data: x\n", true),
        ("data: x\r", true),
        ("data: x\r\n", true),
        ("data: x\n\n", false),
        ("data: x\r\n\r", false),
        ("data: x\n\nd", true),
        (": ping", true),
    ];
    for (stream, expected) in cases {
        assert_eq!(watch(Dialect::OpenAi, [stream.as_bytes()]).is_mid_event, expected, "{stream:?}");
        // A blank line before the appended event ends what had begun, however it was cut.
        let mut appended = SseWatch::new(Dialect::OpenAi);
        appended.feed(stream.as_bytes());
        if expected {
            appended.feed(b"\n\n");
        }
        appended.feed(Dialect::OpenAi.error_event("gone", "upstream_error", "gone").as_bytes());
        assert_eq!(appended.outcome(), StreamEnd::Failed, "{stream:?}");
    }
}

#[test]
fn an_event_of_any_length_is_counted_and_the_next_one_read() {
    for line_end in ["\n", "\r\n"] {
        for length in [BLOCK_MAX - 1, BLOCK_MAX, BLOCK_MAX + 1, 3 * BLOCK_MAX] {
            let tail = format!("\"}},\"finish_reason\":\"stop\"}}]}}{line_end}");
            let head = format!("id: 1{line_end}data: {{\"choices\":[{{\"delta\":{{\"content\":\"");
            let text = "y".repeat(length - head.len() - tail.len());
            let stream = format!("{head}{text}{tail}{line_end}data: {{}}{line_end}{line_end}");
            for piece_length in [1, 1000, BLOCK_MAX, BLOCK_MAX + 1, stream.len()] {
                let state = watch(Dialect::OpenAi, stream.as_bytes().chunks(piece_length));
                let what = format!("{length} in {piece_length} with {line_end:?}");
                // After the first token every unremarkable event counts.
                assert_eq!((state.events, state.content_events), (2, 2), "{what}");
                assert_eq!(state.summary.finish.is_some(), length <= BLOCK_MAX, "{what}");
            }
        }
    }
}

#[test]
fn a_too_long_event_is_content_or_not_by_its_type() {
    let long = "y".repeat(BLOCK_MAX);
    for (name, expected) in [("content_block_delta", 1), ("content_block_start", 0), ("x", 0)] {
        let stream = format!("event: {name}\ndata: {{\"text\":\"{long}\"}}\n\n");
        let state = watch(Dialect::Anthropic, [stream.as_bytes()]);
        assert_eq!((state.events, state.content_events), (1, expected), "{name}");
    }
}

#[test]
fn a_watch_is_small_and_prints_no_text() {
    assert!(size_of::<SseWatch>() <= 200, "one lives as long as each open stream");
    let mut watch = SseWatch::new(Dialect::OpenAi);
    watch.feed(b"data: secret");
    let printed = format!("{watch:?}");
    assert!(!printed.contains("secret") && !printed.contains("115"), "{printed}");
}
