//! A connection that answers are read from.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Answer;

/// A connection and what was read from it and not yet understood.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// The part of the buffer that waits.
    waiting: std::ops::Range<usize>,
}

impl Wire {
    /// Opens a connection. A line of an answer must fit into `buffer_bytes`.
    ///
    /// # Errors
    ///
    /// Says why it could not be opened.
    pub(crate) async fn connect(address: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; buffer_bytes], waiting: 0..0 })
    }

    /// Whether a connection on which nothing is expected has ended, or says something unasked.
    pub(crate) fn is_closed(&self) -> bool {
        let mut byte = [0];
        !matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads once and feeds what is there to `answer`.
    ///
    /// # Errors
    ///
    /// Says what broke, or what is wrong with the answer.
    pub(crate) async fn feed(&mut self, answer: &mut Answer) -> io::Result<()> {
        self.buffer.copy_within(self.waiting.clone(), 0);
        self.waiting = 0..self.waiting.len();
        let read = self.stream.read(&mut self.buffer[self.waiting.end..]).await?;
        if read == 0 {
            let what = "the connection ended, or a line has no end, in the middle of an answer";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.waiting.end += read;
        let taken = answer.feed(&self.buffer[self.waiting.clone()]).map_err(io::Error::other)?;
        self.waiting.start += taken;
        if answer.is_done() && !self.waiting.is_empty() {
            return Err(io::Error::other("bytes after the end of an answer"));
        }
        Ok(())
    }
}
