//! HTTP/2 frames by hand (RFC 9113 section 4, RFC 7541), because a library would not send these.

/// What a connection begins with: the preface and empty SETTINGS.
pub(crate) fn hello() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, Kind::Settings, 0, 0, &[]);
    bytes
}

/// Adds a frame.
pub(crate) fn frame(bytes: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind as u8, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A request's head, of literals and of what every table has.
pub(crate) fn head(method: Method, path: &str) -> Vec<u8> {
    let mut block = vec![method as u8, SCHEME_HTTP];
    for (name, value) in [(AUTHORITY, "weir"), (PATH, path)] {
        block.push(name);
        string(&mut block, value.as_bytes());
    }
    if method == Method::Post {
        field(&mut block, b"content-type", b"application/json");
    }
    field(&mut block, b"authorization", b"Bearer test");
    block
}

/// Adds a header that nobody is to remember.
pub(crate) fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    string(block, name);
    string(block, value);
}

/// Adds a header that becomes entry 62, the newest of the dynamic table.
pub(crate) fn remembered(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0x40);
    string(block, name);
    string(block, value);
}

/// A string without Huffman coding: its length with a prefix of seven bits, then its bytes.
fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut left = text.len();
    if left < 0x7f {
        block.extend(u8::try_from(left));
    } else {
        block.push(0x7f);
        left -= 0x7f;
        while left >= 0x80 {
            block.extend(u8::try_from(left % 0x80 + 0x80));
            left /= 0x80;
        }
        block.extend(u8::try_from(left));
    }
    block.extend_from_slice(text);
}

/// Takes whole frames off the front: kind, flags, stream, payload.
pub(crate) fn next(bytes: &mut Vec<u8>) -> Option<(u8, u8, u32, Vec<u8>)> {
    let (head, rest) = bytes.split_first_chunk::<9>()?;
    let [a, b, c, kind, flags, stream @ ..] = *head;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    let payload = rest.get(..length)?.to_vec();
    bytes.drain(..9 + length);
    Some((kind, flags, u32::from_be_bytes(stream) & 0x7fff_ffff, payload))
}

/// The kinds that are sent or looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Data = 0,
    Headers = 1,
    RstStream = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
}

/// Entries 2 and 3 of the static table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Method {
    Get = 0x82,
    Post = 0x83,
}

/// Flags of HEADERS and DATA; that of SETTINGS and PING.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;
/// A reference to entry 62.
pub(crate) const NEWEST: u8 = 0xbe;
const SCHEME_HTTP: u8 = 0x86;
/// Literals whose names are entries 1 and 4 of the static table.
const AUTHORITY: u8 = 0x01;
const PATH: u8 = 0x04;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_are_written() {
        let mut bytes = Vec::new();
        frame(&mut bytes, Kind::Ping, ACK, 0, b"12345678");
        frame(&mut bytes, Kind::GoAway, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11]);
        let half = bytes.split_off(20);
        assert_eq!(next(&mut bytes), Some((6, 1, 0, b"12345678".to_vec())));
        assert_eq!(next(&mut bytes), None);
        bytes.extend(half);
        assert_eq!(next(&mut bytes).map(|frame| frame.0), Some(7));
        assert!(bytes.is_empty());
    }

    #[test]
    fn long_strings_have_their_length_as_the_standard_says() {
        let mut block = Vec::new();
        string(&mut block, &[b'a'; 1337]);
        // 1337 - 127 = 1210 = 9 × 128 + 58.
        assert_eq!(&block[..4], &[0x7f, 0x80 + 58, 9, b'a']);
        assert_eq!(block.len(), 3 + 1337);
    }
}
