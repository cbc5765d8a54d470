//! Walks through JSON text once, strictly, without building anything: where strings begin and end, that
//! everything between is valid, and that nothing nests too deep.
//!
//! In place of a parser because most of a prompt is one long string that nobody here wants to see: eight of its
//! bytes are judged at a time, and it costs a third of what skipping it with `serde_json` does. The two must
//! agree on what is valid; the tests hold them against each other.

use std::ops::Range;

use super::DEPTH_MAX;

/// Why a text is refused, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Invalid { at: usize },
    TooDeep,
}

/// A place in a JSON text.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The containers around a place.
struct Nest {
    /// Those around the value that is taken.
    base: usize,
    open: usize,
    /// A bit for each of the innermost: whether it is an object.
    objects: u128,
}

/// A string of the text.
pub(super) struct Text {
    /// Quotes included.
    pub(super) span: Range<usize>,
    /// Whether it has escapes, so that its bytes are not its value.
    pub(super) escaped: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte that is not white space, left where it is.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `byte`, which must come next.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.invalid());
        }
        self.at += 1;
        Ok(())
    }

    /// Takes `byte` if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Refuses the text at this place.
    pub(super) fn invalid(&self) -> Fault {
        Fault::Invalid { at: self.at }
    }

    /// Takes a string.
    pub(super) fn string(&mut self) -> Result<Text, Fault> {
        self.expect(b'"')?;
        let start = self.at - 1;
        let mut escaped = false;
        loop {
            self.at += plain(self.bytes.get(self.at..).unwrap_or_default());
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                // The end of the text, or a control character, which must be escaped.
                _ => return Err(self.invalid()),
            }
            escaped = true;
        }
        self.at += 1;
        Ok(Text { span: start..self.at, escaped })
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5).ok_or_else(|| self.invalid())?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.invalid());
                }
                self.at += 5;
            }
            _ => return Err(self.invalid()),
        }
        Ok(())
    }

    /// Takes a value of any kind, and gives the place where it stood. `depth` is how deep that place is.
    pub(super) fn value(&mut self, depth: usize) -> Result<Range<usize>, Fault> {
        self.peek();
        let start = self.at;
        let mut nest = Nest { base: depth, open: depth, objects: 0 };
        loop {
            let entered = self.enter(&mut nest)?;
            if !entered && self.leave(&mut nest)? {
                return Ok(start..self.at);
            }
        }
    }

    /// Takes a value, or the beginning of a container that is not empty: whether it was the latter.
    fn enter(&mut self, nest: &mut Nest) -> Result<bool, Fault> {
        let object = match self.peek() {
            Some(b'{') => true,
            Some(b'[') => false,
            Some(b'"') => return self.string().map(|_| false),
            _ => return self.scalar().map(|()| false),
        };
        self.at += 1;
        if nest.open == DEPTH_MAX {
            return Err(Fault::TooDeep);
        }
        if self.take(closing(object)) {
            return Ok(false);
        }
        nest.open += 1;
        nest.objects = nest.objects << 1 | u128::from(object);
        self.key(object)?;
        Ok(true)
    }

    /// Behind a value: takes the ends of the containers that end there too. Whether all have ended.
    fn leave(&mut self, nest: &mut Nest) -> Result<bool, Fault> {
        while nest.open > nest.base {
            let object = nest.objects & 1 == 1;
            if self.take(b',') {
                return self.key(object).map(|()| false);
            }
            self.expect(closing(object))?;
            nest.open -= 1;
            nest.objects >>= 1;
        }
        Ok(true)
    }

    /// Takes a key and its colon, in an object.
    fn key(&mut self, object: bool) -> Result<(), Fault> {
        if object {
            self.string()?;
            self.expect(b':')?;
        }
        Ok(())
    }

    /// Takes a number or one of the three words.
    fn scalar(&mut self) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for word in [&b"true"[..], b"false", b"null"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// Takes one digit or more.
    fn digits(&mut self) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.invalid()) } else { Ok(()) }
    }
}

const fn closing(object: bool) -> u8 {
    if object { b'}' } else { b']' }
}

/// How many bytes at the beginning of `rest` are plain string: no quote, backslash or control character.
///
/// Eight at a time, by the classic tricks on words ("Bit Twiddling Hacks", S. E. Anderson): `(x - ones * n) & !x`
/// has the high bit of each byte below `n` set, up to the first such byte. Borrows spoil only what comes after it.
fn plain(rest: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let (words, tail) = rest.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = |x: u64, n: u64| x.wrapping_sub(ONES * n) & !x;
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = (quote | backslash | below(word, 0x20)) & HIGHS;
        if special != 0 {
            return index * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    rest.len() - tail.len() + tail.iter().position(special).unwrap_or(tail.len())
}
