//! What does an event of OpenAI's Responses API bring? Its events have names, which say nearly all; the last
//! one repeats the whole answer and is too long to be kept, so the name has to do where the data was shortened.

use super::Finish;
use super::event::Event;
use super::keys::{self, USAGE};
use super::sse::{Ending, Found};

/// What the name of every event of that API begins with.
pub(super) const PREFIX: &[u8] = b"response.";

/// Reads an event whose name is `response.` and then `kind`.
pub(super) fn read(event: &Event<'_>, kind: &[u8]) -> Found {
    let (finish, ending) = match kind {
        b"completed" => (Some(Finish::Stop), Some(Ending::Complete)),
        b"incomplete" => (Some(Finish::Length), Some(Ending::Complete)),
        b"failed" => (None, Some(Ending::Failed)),
        _ => return Found { content: kind.ends_with(b".delta"), ..Found::default() },
    };
    Found { usage: USAGE.last(&event.data, keys::read_usage), finish, ending, ..Found::default() }
}

#[cfg(test)]
mod tests {
    use crate::dialect::Dialect;
    use crate::stream::{Finish, SseWatch, StreamEnd, Usage};

    fn watch(end: &str) -> SseWatch {
        let mut watch = SseWatch::new(Dialect::OpenAi);
        let begin =
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"instructions\":\"";
        watch.feed(format!("{begin}{}\"}}}}\n\n", "x".repeat(100_000)).as_bytes());
        assert!(!watch.first_token_seen());
        let delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n";
        assert!(watch.feed(delta.as_bytes()).first_token);
        watch.feed(end.as_bytes());
        watch.end();
        watch
    }

    #[test]
    fn a_stream_ends_with_its_last_event_however_long() {
        let usage = "\"usage\":{\"input_tokens\":9,\"output_tokens\":2,\"total_tokens\":11}";
        let short = format!("event: response.completed\ndata: {{\"response\":{{{usage}}}}}\n\n");
        let watched = watch(&short);
        assert_eq!(watched.outcome(), StreamEnd::Complete);
        assert_eq!(watched.summary().finish, Some(Finish::Stop));
        assert_eq!(watched.summary().usage, Some(Usage { prompt_tokens: 9, completion_tokens: 2 }));
        let long =
            format!("event: response.completed\ndata: {{\"text\":\"{}\",{usage}}}\n\n", "y".repeat(100_000));
        assert_eq!(watch(&long).outcome(), StreamEnd::Complete);
    }

    #[test]
    fn a_cut_or_failed_stream_is_not_complete() {
        assert_eq!(watch("").outcome(), StreamEnd::Open);
        assert_eq!(watch("event: response.failed\ndata: {}\n\n").outcome(), StreamEnd::Failed);
        assert_eq!(watch("event: response.incomplete\ndata: {}\n\n").summary().finish, Some(Finish::Length));
    }
}
