use super::Burst;
use super::answers::Answers;
use super::request::{Asked, Reader};
use std::time::Duration;

/// Reads one request of which the peer writes `sizes` bytes at a time.
async fn asked(request: &str, size: usize) -> Option<Asked> {
    let mut reader = Reader::new(cut_source(request, size));
    let head = reader.head().await.unwrap()?;
    let asked = reader.body(&head).await.unwrap();
    assert!(reader.head().await.unwrap().is_none(), "the request was read to its end, not further");
    Some(asked)
}

/// A source that yields at most `size` bytes per read.
fn cut_source(text: &str, size: usize) -> impl tokio::io::AsyncRead + Unpin {
    let mut slices: Vec<Vec<u8>> = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
    slices.reverse();
    Slices(slices)
}

struct Slices(Vec<Vec<u8>>);

impl tokio::io::AsyncRead for Slices {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if let Some(slice) = self.0.pop() {
            buffer.put_slice(&slice);
        }
        std::task::Poll::Ready(Ok(()))
    }
}

fn sized(body: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_request_that_streams_is_told_from_others_however_it_is_cut() {
    let pad = "x".repeat(100);
    let streams = format!("{{\"messages\":[{{\"content\":\"{pad}\"}}],\"stream\" : true,\"n\":1}}");
    let no = format!("{{\"messages\":[{{\"content\":\"{pad} \\\"stream\\\": true\"}}],\"stream\":false}}");
    for size in [1, 7, 50, 1000] {
        assert_eq!(asked(&sized(&streams), size).await, Some(Asked::Events), "{size}");
        assert_eq!(asked(&sized(&no), size).await, Some(Asked::Document), "{size}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_read_to_its_end() {
    let request = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"str\r\nc;x=y\r\neam\": true  }\r\n0\r\n\r\n";
    for size in [1, 3, 1000] {
        assert_eq!(asked(request, size).await, Some(Asked::Events), "{size}");
    }
}

#[test]
fn answers_have_the_sizes_that_they_are_chosen_for() {
    let answers = Answers::new(Burst { events: 10, gap: Duration::ZERO });
    let body = |response: &[u8]| {
        String::from_utf8(response.to_vec()).unwrap().split_once("\r\n\r\n").unwrap().1.len()
    };
    assert!((680..=720).contains(&body(&answers.document)), "{}", body(&answers.document));
    let event = body(&[b"\r\n\r\n", &answers.event[..]].concat());
    assert!((236..=246).contains(&event), "{event}");
}

#[test]
fn a_burst_has_a_chunk_for_every_event() {
    let answers = Answers::new(Burst { events: 10, gap: Duration::ZERO });
    let burst = String::from_utf8(answers.burst).unwrap();
    let mut rest = burst.split_once("\r\n\r\n").unwrap().1;
    let mut events = Vec::new();
    loop {
        let (size, chunk) = rest.split_once("\r\n").unwrap();
        let (event, after) = chunk.split_at(usize::from_str_radix(size, 16).unwrap());
        rest = after.strip_prefix("\r\n").unwrap();
        if event.is_empty() {
            break;
        }
        assert!(event.starts_with("data: ") && event.find("\n\n") == Some(event.len() - 2), "{event}");
        events.push(event);
    }
    assert_eq!((events.len(), events.last(), rest), (12, Some(&"data: [DONE]\n\n"), ""));
}
