//! What is ready now, as one piece: a burst of a hundred events then leaves as one chunk in one write. A single
//! frame is passed on as it is.

use bytes::{Bytes, BytesMut};

/// From this size on a frame goes alone, and what has been gathered goes: copying more costs more than another
/// write.
const ENOUGH_BYTES: usize = 16 * 1024;
/// A first frame of this size goes alone.
const ALONE_BYTES: usize = 4 * 1024;
/// Most frames that are gathered: a millisecond's work would be too long for those beside it.
const FRAMES_MAX: usize = 64;
/// Frames, and bytes, that a stream hands on before others get their turn. An endpoint that answers faster than it is
/// read from would otherwise keep a thread for as long as the caller's socket takes, which is a thousand events.
const TURN_FRAMES: usize = 128;
const TURN_BYTES: usize = 128 * 1024;

/// Frames that were ready.
#[derive(Default)]
pub(super) struct Gathered {
    first: Bytes,
    joined: BytesMut,
    frames: usize,
}

/// What a stream has handed on without a pause.
#[derive(Default)]
pub(super) struct Turn {
    frames: usize,
    bytes: usize,
}

impl Turn {
    /// Whether others should be let go on first; if so, it is this stream's turn again after that.
    pub(super) fn is_over(&mut self) -> bool {
        let over = self.frames >= TURN_FRAMES || self.bytes >= TURN_BYTES;
        if over {
            self.pause();
        }
        over
    }

    pub(super) fn handed(&mut self, gathered: &Gathered) {
        self.frames += gathered.frames;
        self.bytes += gathered.first.len() + gathered.joined.len();
    }

    /// Nothing more was ready.
    pub(super) fn pause(&mut self) {
        *self = Self::default();
    }
}

impl Gathered {
    pub(super) fn add(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.frames += 1;
        if self.frames == 1 {
            self.first = data;
            return;
        }
        if self.frames == 2 {
            self.joined.reserve(ALONE_BYTES.max(self.first.len() + data.len()));
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&data);
    }

    /// Whether it should leave before more is looked for.
    pub(super) fn is_enough(&self) -> bool {
        self.first.len() >= ALONE_BYTES || self.joined.len() >= ENOUGH_BYTES || self.frames >= FRAMES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_joined_in_order_and_one_alone_is_not_copied() {
        let mut gathered = Gathered::default();
        assert!(gathered.is_empty());
        let one = Bytes::from_static(b"one ");
        gathered.add(one.clone());
        assert_eq!(gathered.first.as_ptr(), one.as_ptr());
        gathered.add(Bytes::new());
        for part in ["two ", "three"] {
            gathered.add(part.into());
        }
        assert_eq!(gathered.into_bytes(), "one two three");
    }

    #[test]
    fn there_is_an_end_to_gathering() {
        let mut large = Gathered::default();
        large.add(vec![0; ALONE_BYTES].into());
        assert!(large.is_enough());
        let mut small = Gathered::default();
        for _ in 0..FRAMES_MAX {
            assert!(!small.is_enough());
            small.add("x".into());
        }
        assert!(small.is_enough());
    }

    #[test]
    fn a_stream_that_is_always_ready_lets_others_go_on() {
        let mut turn = Turn::default();
        let mut piece = Gathered::default();
        (0..FRAMES_MAX).for_each(|_| piece.add("x".into()));
        for _ in 0..TURN_FRAMES / FRAMES_MAX {
            assert!(!turn.is_over());
            turn.handed(&piece);
        }
        assert!(turn.is_over());
        assert!(!turn.is_over(), "then it is its turn again");
        let mut large = Gathered::default();
        large.add(vec![0; TURN_BYTES].into());
        turn.handed(&large);
        turn.pause();
        assert!(!turn.is_over(), "it has waited by itself");
    }
}
