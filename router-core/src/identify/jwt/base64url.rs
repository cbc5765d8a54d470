//! Base64 as tokens and keys have it: the URL's alphabet, no padding (RFC 7515, 2). Strict: one text for each value, so
//! that a token cannot be written in two ways.

/// The bytes of a text; `None` if it is not such a text.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for &letter in group {
            bits = bits << 6 | u32::from(value(letter)?);
        }
        let [_, first, second, third] = match group.len() {
            4 => bits,
            3 => bits << 6,
            2 => bits << 12,
            _ => return None,
        }
        .to_be_bytes();
        // Bits that are left over must be nothing.
        let (whole, rest): (&[u8], &[u8]) = match group.len() {
            4 => (&[first, second, third], &[]),
            3 => (&[first, second], &[third]),
            _ => (&[first], &[second, third]),
        };
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(whole);
    }
    Some(out)
}

/// Whether a letter is of the alphabet.
pub(super) const fn is_letter(letter: u8) -> bool {
    value(letter).is_some()
}

const fn value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}
