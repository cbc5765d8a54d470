//! Walks through JSON text once, strictly, without building anything: where strings begin and end, that
//! everything between is valid, and that nothing nests too deep.
//!
//! In place of a parser because most of a prompt is one long string that nobody here wants to see: the module
//! `text` skips it at a tenth of what it costs `serde_json`. The two must agree on what is valid; the tests hold
//! them against each other.

use std::ops::Range;

use super::{DEPTH_MAX, text};

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
        let end = text::end(self.bytes, self.at).map_err(|at| Fault::Invalid { at })?;
        self.at = end.at + 1;
        Ok(Text { span: start..self.at, escaped: end.escaped })
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
