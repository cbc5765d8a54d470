//! Just enough HTTP/1.1 to find the end of a request, and to see whether it wants events.

use bytes::{Buf, BytesMut};
use memchr::memmem;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What is known from the head of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    length: u64,
    chunked: bool,
    pub(super) expects_continue: bool,
    pub(super) close: bool,
}

/// The answer that a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Document,
    Events,
}

/// Reads requests off a connection.
#[derive(Debug)]
pub(super) struct Reader<R> {
    source: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: BytesMut::with_capacity(SMALL_READ) }
    }

    /// The next head; `None` when the peer has nothing more to say.
    pub(super) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end])?;
                self.buffer.advance(end + 4);
                return Ok(Some(head));
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.fill(SMALL_READ).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads the body that belongs to `head`, to its end.
    pub(super) async fn body(&mut self, head: &Head) -> io::Result<Asked> {
        let mut scan = Scan::default();
        if !head.chunked {
            self.data(head.length, &mut scan).await?;
            return Ok(scan.asked());
        }
        loop {
            let line = self.line().await?;
            let size = std::str::from_utf8(&line).ok().and_then(|line| line.split(';').next());
            let size = size.and_then(|size| u64::from_str_radix(size.trim(), 16).ok());
            let size = size.ok_or(io::ErrorKind::InvalidData)?;
            if size == 0 {
                break;
            }
            self.data(size, &mut scan).await?;
            self.line().await?;
        }
        // Trailers, if any, up to the empty line.
        while !self.line().await?.is_empty() {}
        Ok(scan.asked())
    }

    async fn data(&mut self, mut left: u64, scan: &mut Scan) -> io::Result<()> {
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            scan.feed(&self.buffer[..here]);
            self.buffer.advance(here);
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            let size = if left > SMALL_READ as u64 { LARGE_READ } else { SMALL_READ };
            if self.fill(size).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn line(&mut self) -> io::Result<BytesMut> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(end);
                self.buffer.advance(2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD_BYTES_MAX || self.fill(SMALL_READ).await? == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    async fn fill(&mut self, size: usize) -> io::Result<usize> {
        self.buffer.reserve(size);
        self.source.read_buf(&mut self.buffer).await
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let mut head = Self::default();
        let text = std::str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        for line in text.split("\r\n").skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = value.eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("expect") {
                head.expects_continue = value.eq_ignore_ascii_case("100-continue");
            } else if name.eq_ignore_ascii_case("connection") {
                head.close = value.eq_ignore_ascii_case("close");
            }
        }
        Ok(head)
    }
}

/// Looks for `"stream": true` in a body that arrives in slices. Inside a JSON string the quotes would be escaped,
/// so that no message text is mistaken for the field.
#[derive(Debug, Default)]
struct Scan {
    found: bool,
    /// The end of what was seen, in which a match may have begun.
    tail: Vec<u8>,
}

impl Scan {
    fn feed(&mut self, data: &[u8]) {
        if self.found || data.is_empty() {
            return;
        }
        self.tail.extend_from_slice(&data[..data.len().min(FIELD_BYTES_MAX)]);
        self.found = wants_events(&self.tail) || wants_events(data);
        if data.len() > FIELD_BYTES_MAX {
            self.tail.clear();
            self.tail.extend_from_slice(&data[data.len() - FIELD_BYTES_MAX..]);
        }
        self.tail.drain(..self.tail.len().saturating_sub(FIELD_BYTES_MAX));
    }

    fn asked(&self) -> Asked {
        if self.found { Asked::Events } else { Asked::Document }
    }
}

fn wants_events(data: &[u8]) -> bool {
    memmem::find_iter(data, FIELD).any(|at| {
        let rest = data[at + FIELD.len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"true"))
    })
}

const FIELD: &[u8] = b"\"stream\"";
/// The field with its value and some white space.
const FIELD_BYTES_MAX: usize = 32;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const SMALL_READ: usize = 8 * 1024;
const LARGE_READ: usize = 64 * 1024;
