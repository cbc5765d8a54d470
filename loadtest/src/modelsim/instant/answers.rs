//! The prepared buffers.

use super::Burst;
use std::time::Duration;

/// Everything that is ever written.
#[derive(Debug)]
pub(super) struct Answers {
    /// A whole response with one JSON document.
    pub(super) document: Vec<u8>,
    /// A whole streamed response.
    pub(super) burst: Vec<u8>,
    /// The streamed response in parts, for when there is time between events.
    pub(super) head: Vec<u8>,
    pub(super) event: Vec<u8>,
    pub(super) end: Vec<u8>,
    pub(super) events: usize,
    pub(super) gap: Duration,
}

impl Answers {
    pub(super) fn new(Burst { events, gap }: Burst) -> Self {
        let document = document();
        let length = document.len();
        let document = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{document}"
        );
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        // One chunk an event, as every model server writes them: what a proxy pays for in a burst is the chunk.
        let event = chunk(&event("{\"content\":\" letters\"}", "null"));
        let end = [&chunk(&self::event("{}", "\"stop\"")), &chunk("data: [DONE]\n\n"), LAST_CHUNK].concat();
        let burst = [head, &event.repeat(events), &end].concat();
        Self {
            document: document.into_bytes(),
            burst: burst.into_bytes(),
            head: head.into(),
            event: event.into_bytes(),
            end: end.into_bytes(),
            events,
            gap,
        }
    }
}

fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
}

fn event(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-00000000000000000000000000000001\",\"object\":\"chat.completion.chunk\",\
         \"created\":1735689600,\"model\":\"modelsim-instant\",\"choices\":[{{\"index\":0,\"delta\":{delta},\
         \"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn document() -> String {
    format!(
        "{{\"id\":\"chatcmpl-00000000000000000000000000000001\",\"object\":\"chat.completion\",\
         \"created\":1735689600,\"model\":\"modelsim-instant\",\"choices\":[{{\"index\":0,\"message\":\
         {{\"role\":\"assistant\",\"content\":\"{TEXT}\",\"refusal\":null}},\"logprobs\":null,\
         \"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":25,\"completion_tokens\":70,\
         \"total_tokens\":95}}}}"
    )
}

const LAST_CHUNK: &str = "0\r\n\r\n";

const TEXT: &str = "Thank you for opening this letter today. We wrote it for readers who like their news short and \
                    warm. The new edition arrives on Thursday morning, before the first coffee, and every link in it \
                    leads to something we have read ourselves. If you would rather hear from us once a month, tell us \
                    and we will listen. Short sentences travel well. With kind regards from everyone at the desk.";
