//! Reads one HTTP/1.1 answer from bytes as they come, just far enough to know that it is right: status line,
//! headers that frame the body, and the body's length, first and last bytes and number of events.
//!
//! Written for a load generator: what it does not know it calls malformed, and it never keeps the body.

/// One answer in the making.
#[derive(Debug)]
pub(crate) struct Answer {
    state: State,
    status: u16,
    framing: Framing,
    body_bytes: u64,
    first: Option<u8>,
    tail: Vec<u8>,
    events: u64,
    closes: bool,
    target: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    StatusLine,
    Headers,
    /// Bytes of a body of known length that are still to come.
    Body(u64),
    ChunkSize,
    /// Bytes of the chunk that are still to come.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Unknown,
    Length(u64),
    Chunked,
}

/// What is not an HTTP/1.1 answer with a framed body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed answer: {0}")]
pub(crate) struct Malformed(&'static str);

impl Answer {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::StatusLine,
            status: 0,
            framing: Framing::Unknown,
            body_bytes: 0,
            first: None,
            tail: Vec::new(),
            events: 0,
            closes: false,
            target: None,
        }
    }

    /// Takes what it can of `bytes` and says how much; the rest is to come again, with more behind it.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the answer.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut taken = 0;
        while self.state != State::Done {
            let step = self.step(&bytes[taken..])?;
            if step == 0 {
                break;
            }
            taken += step;
        }
        Ok(taken)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// Events of the stream so far: blank lines of the body.
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    /// Whether the server closes the connection after this answer.
    pub(crate) const fn closes(&self) -> bool {
        self.closes
    }

    /// Who answered, if the gateway says so.
    pub(crate) fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Whether the body is a whole JSON object, by its first and last byte.
    pub(crate) fn is_whole_object(&self) -> bool {
        self.first == Some(b'{') && self.tail.trim_ascii_end().last() == Some(&b'}')
    }

    /// Whether the body is an event stream that came to its end.
    pub(crate) fn is_whole_stream(&self) -> bool {
        self.tail.ends_with(STREAM_END)
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self.state {
            State::Body(left) => {
                let taken = self.body(bytes, left);
                self.state = match left - taken as u64 {
                    0 => State::Done,
                    left => State::Body(left),
                };
                Ok(taken)
            }
            State::Chunk(left) => {
                let taken = self.body(bytes, left);
                self.state = match left - taken as u64 {
                    0 => State::ChunkEnd,
                    left => State::Chunk(left),
                };
                Ok(taken)
            }
            _ => {
                let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(0) };
                let line = &bytes[..end];
                self.line(line.strip_suffix(b"\r").unwrap_or(line))?;
                Ok(end + 1)
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        match self.state {
            State::StatusLine => {
                self.status = status(line)?;
                self.state = State::Headers;
            }
            State::Headers if line.is_empty() => self.state = self.body_start()?,
            State::Headers => self.header(line)?,
            State::ChunkSize => {
                self.state = match chunk_size(line)? {
                    0 => State::Trailers,
                    size => State::Chunk(size),
                }
            }
            State::ChunkEnd if line.is_empty() => self.state = State::ChunkSize,
            State::ChunkEnd => return Err(Malformed("a chunk is longer than it said")),
            State::Trailers if line.is_empty() => self.state = State::Done,
            State::Trailers | State::Body(_) | State::Chunk(_) | State::Done => {}
        }
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let colon =
            line.iter().position(|byte| *byte == b':').ok_or(Malformed("a header without a colon"))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            self.framing = Framing::Length(length.ok_or(Malformed("content-length is not a number"))?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.closes = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"x-weir-target") {
            self.target = std::str::from_utf8(value).ok().map(ToOwned::to_owned);
        }
        Ok(())
    }

    fn body_start(&self) -> Result<State, Malformed> {
        match self.framing {
            // An interim answer; the real one follows.
            _ if (100..200).contains(&self.status) => Ok(State::StatusLine),
            Framing::Length(0) => Ok(State::Done),
            Framing::Length(length) => Ok(State::Body(length)),
            Framing::Chunked => Ok(State::ChunkSize),
            Framing::Unknown => Err(Malformed("neither content-length nor transfer-encoding")),
        }
    }

    /// Looks at what of `bytes` belongs to the `left` bytes of the body and says how much that is.
    fn body(&mut self, bytes: &[u8], left: u64) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = &bytes[..taken];
        self.first = self.first.or_else(|| bytes.first().copied());
        self.body_bytes += taken as u64;
        let mut before = self.tail.last().copied();
        for byte in bytes {
            self.events += u64::from(*byte == b'\n' && before == Some(b'\n'));
            before = Some(*byte);
        }
        if taken < STREAM_END.len() {
            self.tail.extend_from_slice(bytes);
            let surplus = self.tail.len().saturating_sub(STREAM_END.len());
            self.tail.drain(..surplus);
        } else {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[taken - STREAM_END.len()..]);
        }
        taken
    }
}

fn status(line: &[u8]) -> Result<u16, Malformed> {
    let code = line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()).and_then(|code| code.parse().ok());
    code.ok_or(Malformed("not an HTTP/1.1 status line"))
}

fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    size.ok_or(Malformed("not a chunk size"))
}

/// How OpenAI's streams end.
const STREAM_END: &[u8] = b"data: [DONE]\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        c\r\ndata: {}\n\nda\r\n10;x=y\r\nta: 1\n\ndata: [DO\r\n5\r\nNE]\n\n\r\n0\r\n\r\n";

    /// Feeds `wire` in pieces of `size`, as a socket would.
    fn read(wire: &[u8], size: usize) -> Result<(Answer, usize), Malformed> {
        let mut answer = Answer::new();
        let mut waiting = Vec::new();
        let mut taken = 0;
        for piece in wire.chunks(size) {
            waiting.extend_from_slice(piece);
            let step = answer.feed(&waiting)?;
            waiting.drain(..step);
            taken += step;
        }
        Ok((answer, taken))
    }

    #[test]
    fn answers_are_the_same_however_they_are_cut() {
        for size in [1, 2, 3, 7, 64, 4096] {
            let (whole, taken) = read(WHOLE, size).unwrap();
            assert!(whole.is_done() && whole.is_whole_object() && taken == WHOLE.len(), "{whole:?}");
            let (stream, taken) = read(STREAM, size).unwrap();
            assert!(stream.is_done() && stream.is_whole_stream() && taken == STREAM.len(), "{stream:?}");
            assert_eq!((stream.status(), stream.events(), stream.body_bytes), (200, 3, 33));
        }
    }

    #[test]
    fn the_next_answer_is_left_alone() {
        let (answer, taken) = read(&[WHOLE, WHOLE].concat(), 4096).unwrap();
        assert!(answer.is_done());
        assert_eq!(taken, WHOLE.len());
    }

    #[test]
    fn a_cut_answer_is_not_done_and_a_stream_without_its_end_is_not_whole() {
        assert!(!read(&WHOLE[..WHOLE.len() - 1], 4096).unwrap().0.is_done());
        assert!(!read(&STREAM[..STREAM.len() - 2], 4096).unwrap().0.is_done());
        let cut = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n0\r\n\r\n";
        let (answer, _) = read(cut, 4096).unwrap();
        assert!(answer.is_done() && !answer.is_whole_stream());
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let wire = [b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE].concat();
        assert_eq!(read(&wire, 4096).unwrap().0.status(), 200);
    }

    #[test]
    fn nonsense_is_named() {
        for (wire, what) in [
            (&b"SSH-2.0-x\r\n"[..], "not an HTTP/1.1 status line"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "neither content-length nor transfer-encoding"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n", "content-length is not a number"),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
                "a chunk is longer than it said",
            ),
        ] {
            assert_eq!(read(wire, 4096).unwrap_err(), Malformed(what));
        }
    }
}
