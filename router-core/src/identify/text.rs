//! Where does a JSON string end? Sixty-four bytes at a time: a prompt is mostly one long string that nobody here
//! wants to see, with an escape every few words.
//!
//! Each block becomes masks with a bit for each byte, and which bytes are escaped follows from the mask of
//! backslashes by arithmetic, without a branch for each: "Parsing Gigabytes of JSON per Second" (Langdale and
//! Lemire, 2019), section 3.1.1, in the form that simdjson has now.

use wide::u8x16;

const BLOCK: usize = 64;

/// The end of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Where the closing quote stands.
    pub(super) at: usize,
    /// Whether there are escapes before it.
    pub(super) escaped: bool,
}

/// Finds the quote that ends the string whose first byte is at `from`.
///
/// # Errors
///
/// The place of the first byte that cannot stand there: a control character, a wrong escape, the end of the text.
pub(super) fn end(text: &[u8], from: usize) -> Result<End, usize> {
    let rest = text.get(from..).unwrap_or_default();
    let (blocks, tail) = rest.as_chunks::<BLOCK>();
    let mut walk = Walk { text, at: from, carry: 0, escaped: false };
    for block in blocks {
        if let Some(end) = walk.block(block)? {
            return Ok(end);
        }
    }
    // Behind the text stands what cannot stand in a string.
    let mut last = [0; BLOCK];
    last[..tail.len()].copy_from_slice(tail);
    walk.last_block(&last)
}

struct Walk<'a> {
    text: &'a [u8],
    /// Where the block begins.
    at: usize,
    /// 1 if the block before ended in a backslash that escapes this one's first byte.
    carry: u64,
    escaped: bool,
}

impl Walk<'_> {
    #[inline(never)] // So that the loop over the others has all it needs in registers.
    fn last_block(mut self, block: &[u8; BLOCK]) -> Result<End, usize> {
        let end = self.block(block)?;
        end.ok_or(self.text.len())
    }

    #[inline]
    fn block(&mut self, block: &[u8; BLOCK]) -> Result<Option<End>, usize> {
        let Masks { quotes, backslashes, controls } = Masks::of(block);
        let escaped = self.escaped_bytes(backslashes);
        let stops = (quotes & !escaped) | controls;
        // All bits below the first stop.
        let inside = stops.wrapping_sub(1) & !stops;
        let escapes = escaped & (inside | stops & stops.wrapping_neg());
        if escapes != 0 {
            self.escaped = true;
            // Nearly all are of these. To look at each in turn would be a branch that nobody can foresee.
            let usual = quotes | backslashes | newlines(block);
            self.check(block, escapes & !usual)?;
        }
        if stops == 0 {
            self.at += BLOCK;
            return Ok(None);
        }
        let at = self.at + stops.trailing_zeros() as usize;
        match self.text.get(at) {
            Some(b'"') => Ok(Some(End { at, escaped: self.escaped })),
            _ => Err(at),
        }
    }

    /// The bytes that a backslash before them escapes.
    fn escaped_bytes(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = u64::MAX / 3;
        if backslashes == 0 {
            return std::mem::take(&mut self.carry);
        }
        // A backslash that is escaped itself escapes nothing.
        let backslashes = backslashes & !self.carry;
        let follows = backslashes << 1 | self.carry;
        // Runs of backslashes that begin at an odd place end with the opposite parity: adding the place of their
        // beginning carries through them.
        let odd_starts = backslashes & !EVEN & !follows;
        let (sequences, overflow) = odd_starts.overflowing_add(backslashes);
        self.carry = u64::from(overflow);
        (EVEN ^ sequences << 1) & follows
    }

    /// Whether every one of these escaped bytes may be escaped.
    #[inline]
    fn check(&self, block: &[u8; BLOCK], mut escapes: u64) -> Result<(), usize> {
        while escapes != 0 {
            // The first of them.
            let index = escapes.trailing_zeros() as usize % BLOCK;
            let at = self.at + index;
            let digits =
                || self.text.get(at + 1..at + 5).is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit));
            match block[index] {
                b'/' | b'b' | b'f' | b'r' | b't' => {}
                b'u' if digits() => {}
                _ => return Err(at),
            }
            escapes &= escapes - 1;
        }
        Ok(())
    }
}

/// The bytes that stand for a new line where they are escaped.
fn newlines(block: &[u8; BLOCK]) -> u64 {
    let n = u8x16::splat(b'n');
    let (lanes, _) = block.as_chunks::<16>();
    let masks = lanes.iter().map(|lane| u64::from(u8x16::from(*lane).simd_eq(n).to_bitmask() & 0xffff));
    masks.rev().fold(0, |masks, mask| masks << 16 | mask)
}

/// The control characters of a block.
#[cold]
fn controls(block: &[u8; BLOCK]) -> u64 {
    let (lanes, _) = block.as_chunks::<16>();
    let masks = lanes.iter().map(|lane| u64::from(controls_of(u8x16::from(*lane)) & 0xffff));
    masks.rev().fold(0, |masks, mask| masks << 16 | mask)
}

fn controls_of(bytes: u8x16) -> u32 {
    bytes.min(u8x16::splat(0x1f)).simd_eq(bytes).to_bitmask()
}

/// The bytes of a block that matter, a bit for each.
struct Masks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
}

impl Masks {
    fn of(block: &[u8; BLOCK]) -> Self {
        let (quote, backslash) = (u8x16::splat(b'"'), u8x16::splat(b'\\'));
        let mut masks = Self { quotes: 0, backslashes: 0, controls: 0 };
        let mut least = quote;
        let (lanes, _) = block.as_chunks::<16>();
        for (index, lane) in lanes.iter().enumerate() {
            let bytes = u8x16::from(*lane);
            let bits = |found: u8x16| u64::from(found.to_bitmask() & 0xffff) << (index * 16);
            masks.quotes |= bits(bytes.simd_eq(quote));
            masks.backslashes |= bits(bytes.simd_eq(backslash));
            least = least.min(bytes);
        }
        // There are none in a string, so where they stand is asked for only once there are any.
        if controls_of(least) != 0 {
            masks.controls = controls(block);
        }
        masks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{End, end};

    /// The same, byte by byte, as the grammar says it.
    fn plainly(text: &[u8], mut at: usize) -> Result<End, usize> {
        let mut escaped = false;
        loop {
            match text.get(at).copied() {
                Some(b'"') => return Ok(End { at, escaped }),
                Some(b'\\') => {
                    escaped = true;
                    at += 1;
                    match text.get(at) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 1,
                        Some(b'u') => match text.get(at + 1..at + 5) {
                            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => at += 5,
                            _ => return Err(at),
                        },
                        _ => return Err(at),
                    }
                }
                None | Some(0..0x20) => return Err(at),
                Some(_) => at += 1,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn blocks_and_bytes_agree(
            pieces in prop::collection::vec(
                prop_oneof![
                    8 => "[a-z ]{0,40}".prop_map(String::into_bytes),
                    8 => prop::collection::vec(Just(b'\\'), 1..70),
                    4 => Just(b"\\\"".to_vec()),
                    4 => Just(b"\\n".to_vec()),
                    4 => "\\\\[bfrtx/]".prop_map(String::into_bytes),
                    4 => "\\\\u[0-9a-fA-F]{3,4}".prop_map(String::into_bytes),
                    2 => Just(b"\"".to_vec()),
                    1 => prop::collection::vec(any::<u8>(), 1..4),
                ],
                0..30,
            ),
            from in 0usize..70,
        ) {
            let text = pieces.concat();
            prop_assert_eq!(end(&text, from), plainly(&text, from));
        }
    }
}
