//! Holds for any bytes as a stream: how they are cut into pieces changes nothing of the document that they are put
//! together to; a document is JSON of the API's shape, and not larger than what is allowed; what is no document stays
//! none.
//!
//! An input is a line that says how to read, then the stream. The line's first byte is `o` or `a` for the dialect, `O`
//! or `A` for the same with no more than 256 bytes allowed. The line's other bytes are the lengths of the pieces, in
//! turn.

use router_core::dialect::Operation;
use router_core::stream::{Assembly, Unassembled};
use serde::de::IgnoredAny;
use serde_json::Value;

/// What is allowed.
const BYTES_MAX: usize = 64 * 1024;
const BYTES_MAX_SMALL: usize = 256;

/// The bytes are the line and the stream, as the module says.
pub(crate) fn check(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, stream) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Some((&mode, lengths)) = line.split_first() else { return };
    let is_anthropic = mode.eq_ignore_ascii_case(&b'a');
    let operation = if is_anthropic { Operation::Messages } else { Operation::ChatCompletions };
    let bytes_max = if mode.is_ascii_uppercase() { BYTES_MAX_SMALL } else { BYTES_MAX };

    let once = assemble(operation, bytes_max, [stream].into_iter());
    assert_eq!(assemble(operation, bytes_max, stream.chunks(1)), once, "byte by byte");
    assert_eq!(assemble(operation, bytes_max, pieces(stream, lengths).into_iter()), once, "in pieces");
    let Ok(document) = once else { return };
    serde_json::from_str::<IgnoredAny>(&document).expect("a document is JSON");
    // Escapes make six bytes of one.
    assert!(document.len() <= 6 * bytes_max + 256, "{} bytes of {bytes_max}", document.len());
    // What is only passed on may be JSON that has no value here, such as half a character or 1e999.
    let Ok(answer) = serde_json::from_str::<Value>(&document) else { return };
    if is_anthropic {
        assert!(answer["content"].is_array() && !answer["stop_reason"].is_null(), "{document}");
    } else {
        assert_eq!(answer["object"], "chat.completion", "{document}");
        let choice = &answer["choices"][0];
        assert!(choice["message"]["role"].is_string() && !choice["finish_reason"].is_null(), "{document}");
    }
}

fn assemble<'a>(
    operation: Operation,
    bytes_max: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<String, Unassembled> {
    let mut assembly = Assembly::of(operation, bytes_max).expect("both are put together");
    let mut fault = Ok(());
    for piece in pieces {
        let fed = assembly.feed(piece);
        assert!(fault.is_ok() || fed == fault, "a fault stays");
        fault = fed;
    }
    let document = assembly.finish();
    assert!(fault.is_ok() || document.as_ref().err() == fault.as_ref().err(), "a fault stays to the end");
    document
}

/// Cuts `stream` into pieces whose lengths are `lengths` in turn; empty ones happen.
fn pieces<'a>(stream: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    // Lengths that are all zero would never come to an end.
    let lengths = if lengths.iter().any(|length| *length > 0) { lengths } else { &[u8::MAX] };
    for length in lengths.iter().cycle() {
        let Some((piece, more)) = rest.split_at_checked(usize::from(*length)) else { break };
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}
