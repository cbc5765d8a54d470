//! Where does an event end? Cuts a body into blocks: the bytes between two blank lines. A line ends with LF,
//! CR or CRLF, in any mixture, and the body may be cut between any two bytes.
//!
//! A block that lies within one piece is passed on as it lies there. Only one that is cut is copied, at most
//! [`BLOCK_MAX`] bytes of it (or as many as whoever reads it wants): of a longer block the head is passed on and its
//! end still found. A block is shortened in the same way when it lies within one piece, so that cuts never change what
//! is seen.

use std::fmt;
use std::ops::Range;

use memchr::memchr2;

/// The longest block that is passed on whole: 16 KiB, hundreds of times a usual event.
pub(super) const BLOCK_MAX: usize = 16 * 1024;

/// A buffer up to this size stays with the stream for its next cut block; a larger one is given back, since
/// one long event among tens of thousands of open streams must not hold its memory for minutes.
const BUFFER_KEPT: usize = 4 * 1024;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The lines of one event, line ends included, the blank line that ends it not.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether `bytes` are only the beginning of a block that is longer than its reader wants.
    pub(super) shortened: bool,
}

/// Cuts a body into blocks.
pub(super) struct Framer {
    /// The unfinished block, as far as earlier pieces brought it.
    kept: Vec<u8>,
    /// Whether `kept` is only the head of the unfinished block.
    shortened: bool,
    place: Place,
    /// Whether no blank line came yet: only the body's first line may begin with a byte order mark.
    at_body_start: bool,
    /// The longest block that is passed on whole.
    block_max: usize,
}

/// Where the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    InLine,
    /// At the start of a line, but an LF still belongs to the line end before it.
    AfterCr,
}

impl Framer {
    pub(super) const fn new() -> Self {
        Self::with_block_max(BLOCK_MAX)
    }

    /// A framer that passes blocks of up to `block_max` bytes on whole.
    pub(super) const fn with_block_max(block_max: usize) -> Self {
        Self { kept: Vec::new(), shortened: false, place: Place::LineStart, at_body_start: true, block_max }
    }

    /// Takes the next piece and hands out each block that ends in it.
    pub(super) fn feed(&mut self, piece: &[u8], mut on_block: impl FnMut(Block<'_>)) {
        self.split(piece, |block, _| on_block(block));
    }

    /// The same, with the place that each block and its blank line have in the piece; of one that began in an
    /// earlier piece, what this one brought. Says where the unfinished block begins in it.
    pub(super) fn split(&mut self, piece: &[u8], mut on_block: impl FnMut(Block<'_>, Range<usize>)) -> usize {
        if piece.is_empty() {
            return 0;
        }
        let mut line = usize::from(self.place == Place::AfterCr && piece[0] == b'\n');
        // The LF of a cut CRLF ends a line of the unfinished block or, if there is none, a past blank line.
        let mut block = if self.is_mid_block() { 0 } else { line };
        let mut at_line_start = self.place != Place::InLine;
        while let Some(length) = memchr2(b'\n', b'\r', &piece[line..]) {
            let end = line + length;
            let is_crlf = piece[end] == b'\r' && piece.get(end + 1) == Some(&b'\n');
            line = end + 1 + usize::from(is_crlf);
            if length == 0 && at_line_start {
                self.close(&piece[block..end], |closed| on_block(closed, block..line));
                block = line;
            }
            at_line_start = true;
        }
        self.place = match piece[line..].is_empty() {
            false => Place::InLine,
            true if piece.ends_with(b"\r") => Place::AfterCr,
            true => Place::LineStart,
        };
        self.keep(&piece[block..]);
        block
    }

    /// Whether a block has begun and no blank line has ended it.
    pub(super) const fn is_mid_block(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The unfinished block.
    pub(super) fn unfinished(&self) -> Block<'_> {
        Block { bytes: self.without_bom(&self.kept), shortened: self.shortened }
    }

    /// A blank line came; `rest` is what this piece brought of the block that it ends.
    fn close(&mut self, rest: &[u8], mut on_block: impl FnMut(Block<'_>)) {
        if self.is_mid_block() {
            self.keep(rest);
            on_block(self.unfinished());
            self.forget();
        } else if !rest.is_empty() {
            let (bytes, shortened) = shorten(rest, self.block_max);
            on_block(Block { bytes: self.without_bom(bytes), shortened });
        }
        self.at_body_start = false;
    }

    fn forget(&mut self) {
        self.shortened = false;
        if self.kept.capacity() > BUFFER_KEPT {
            self.kept = Vec::new();
        } else {
            self.kept.clear();
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let (bytes, shortened) = shorten(bytes, self.block_max - self.kept.len());
        self.kept.extend_from_slice(bytes);
        self.shortened |= shortened;
    }

    fn without_bom<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        if self.at_body_start { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes }
    }
}

impl fmt::Debug for Framer {
    /// Without the text: answers do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framer").field("kept_bytes", &self.kept.len()).finish_non_exhaustive()
    }
}

/// The first `length_max` bytes, and whether there were more.
fn shorten(bytes: &[u8], length_max: usize) -> (&[u8], bool) {
    bytes.get(..length_max).map_or((bytes, false), |head| (head, bytes.len() > length_max))
}
