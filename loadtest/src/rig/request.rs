//! The request that is sent over and over: a chat completion as SDKs write it, of exactly the size asked for.

use std::net::SocketAddr;

/// Head and body, ready for the wire. `body_bytes` is at least [`BODY_BYTES_MIN`].
pub(crate) fn render(address: SocketAddr, body_bytes: usize, stream: bool) -> Vec<u8> {
    let body = body(body_bytes, stream);
    let mut request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\n\
         content-type: application/json\r\nuser-agent: weir-loadtest\r\nauthorization: Bearer test\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    request
}

/// The prompt is filled up with prose that has quotes, line breaks and letters of two bytes, as prompts do.
fn body(bytes: usize, stream: bool) -> Vec<u8> {
    let tail = format!(
        "\"}}],\"max_tokens\":256,\"temperature\":0.2,\"stream\":{stream},\"user\":\"customer-4711\"}}"
    );
    let mut body = HEAD.as_bytes().to_vec();
    while body.len() + PROSE.len() + tail.len() <= bytes {
        body.extend_from_slice(PROSE.as_bytes());
    }
    body.resize(bytes.saturating_sub(tail.len()), b'.');
    body.extend_from_slice(tail.as_bytes());
    body
}

/// Room for everything but the prompt.
pub(crate) const BODY_BYTES_MIN: usize = 256;

const HEAD: &str = r#"{"model":"m","messages":[{"role":"system","content":"You answer letters."},{"role":"user","content":""#;
const PROSE: &str = r#"He wrote: \"The order of 3\/14 came late;\nI was told \"soon\" twice.\" Tell him, with regards from Zoë, that we are sorry. "#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_the_size_asked_for_and_is_json() {
        for (bytes, stream) in [(BODY_BYTES_MIN, true), (1024, false), (65_536, true), (1_048_576, false)] {
            let body = body(bytes, stream);
            assert_eq!(body.len(), bytes);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["model"], "m");
            assert_eq!(json["stream"], stream);
        }
    }

    #[test]
    fn head_announces_the_body() {
        let request = String::from_utf8(render("127.0.0.1:80".parse().unwrap(), 1024, false)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    }
}
