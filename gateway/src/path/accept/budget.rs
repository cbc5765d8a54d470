//! What a caller may do on an HTTP/2 connection that serves no call.
//!
//! h2 bounds resets of streams that it had not handed out yet, frames of a head, small DATA frames and resets
//! that the caller provokes. It answers any number of PING, SETTINGS, PRIORITY, WINDOW_UPDATE and unknown frames,
//! and any number of calls that are reset just after they began. Each of these spends from a budget here; calls
//! that are answered, and what is sent of answers, fill it again, since a caller that reads a stream sends
//! WINDOW_UPDATE and PING in proportion. So does time, slowly. A caller whose budget is spent is cut: a flood is
//! within 10,000 frames or 1 MiB, while one that reads, however clumsily, never is.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;

/// What a connection has at first: a frame that serves no call costs 1.
const FIRST: i64 = 2_000;
/// What it has at most. A caller's frames come later than what they are for: as much later as there is room in
/// its windows and in the sockets, some megabytes, of which callers tell in steps of 4 KiB and more.
const FULL: i64 = 8_000;
/// How much comes back each second: keep-alive pings of any sane interval.
const PER_SECOND: i64 = 20;
/// What an answered call gives back: frames that open, rank, widen and end its stream.
const PER_ANSWER: i64 = 20;
/// What each sent piece of an answer gives back, and each so many bytes of it: narrow windows cut a piece up into
/// many frames, for each of which the clumsiest caller widens two windows and pings.
const PER_DATA: i64 = 16;
const DATA_BYTES: usize = 128;
/// What a call costs that its caller gives up at once: the upstream was asked for nothing.
const PREMATURE_END: i64 = 40;
/// So many bytes of a frame that serves no call cost 1 more.
const WASTE_BYTES: u32 = 128;

/// A budget that is spent by frames and filled by answers.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicI64,
    opened: Instant,
    /// Seconds from `opened` for which time has given back.
    paid: AtomicI64,
    spent: AtomicBool,
}

/// Reads the frame headers of what a caller sends.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    filled: usize,
    /// Bytes until the next header: at first the preface.
    skip: usize,
}

const HEADER_BYTES: usize = 9;
const PREFACE_BYTES: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: AtomicI64::new(FIRST),
            opened: now,
            paid: AtomicI64::new(0),
            spent: AtomicBool::new(false),
        }
    }

    pub(super) fn refill_for_answer(&self) {
        self.refill(PER_ANSWER);
    }

    pub(super) fn refill_for_data(&self, bytes: usize) {
        self.refill(PER_DATA + i64::try_from(bytes / DATA_BYTES).unwrap_or(FULL));
    }

    pub(super) fn spend_for_premature_end(&self) {
        self.left.fetch_sub(PREMATURE_END, Ordering::Relaxed);
    }

    /// Whether the caller was cut for having spent everything.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    fn refill(&self, amount: i64) {
        // Two at once may fill a little less than both: the bounds hold either way.
        let left = self.left.load(Ordering::Relaxed);
        if left < FULL {
            self.left.store((left + amount).min(FULL), Ordering::Relaxed);
        }
    }

    /// Takes `cost`; `false` once everything is spent. The time is only asked for then.
    fn spend(&self, cost: i64) -> bool {
        if cost == 0 || self.left.fetch_sub(cost, Ordering::Relaxed) > cost {
            return true;
        }
        let seconds = i64::try_from(self.opened.elapsed().as_secs()).unwrap_or(i64::MAX);
        let since = seconds - self.paid.swap(seconds, Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed) + since.saturating_mul(PER_SECOND);
        self.left.store(left.min(FULL), Ordering::Relaxed);
        let rich = left > 0;
        self.spent.store(!rich, Ordering::Relaxed);
        rich
    }
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { skip: PREFACE_BYTES, ..Self::default() }
    }

    /// Takes in what has come; `false` once `budget` is spent.
    pub(super) fn pass(&mut self, mut bytes: &[u8], budget: &Budget) -> bool {
        let mut cost = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else { break };
            self.header[self.filled] = *byte;
            self.filled += 1;
            bytes = rest;
            if self.filled == HEADER_BYTES {
                self.filled = 0;
                let (length, kind, flags) = self.read();
                self.skip = length as usize;
                cost += cost_of(length, kind, flags);
            }
        }
        budget.spend(cost)
    }

    fn read(&self) -> (u32, u8, u8) {
        let [high, middle, low, kind, flags, ..] = self.header;
        (u32::from_be_bytes([0, high, middle, low]), kind, flags)
    }
}

/// What a frame costs. Heads and bodies are what connections are for, and h2 bounds how they may be cut up.
fn cost_of(length: u32, kind: u8, flags: u8) -> i64 {
    match kind {
        DATA if length > 0 || flags & END_STREAM != 0 => 0,
        HEADERS => 0,
        DATA | CONTINUATION => 1,
        _ => 1 + i64::from(length / WASTE_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn preface() -> Vec<u8> {
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
    }

    #[test]
    fn every_flood_is_cut_within_its_bounds() {
        let floods = [
            ("PING", frame(6, 0, &[0; 8])),
            ("SETTINGS", frame(4, 0, &[])),
            ("PRIORITY", frame(2, 0, &[0; 5])),
            ("RST_STREAM", frame(3, 0, &[0; 4])),
            ("WINDOW_UPDATE", frame(8, 0, &[0; 4])),
            ("CONTINUATION", frame(9, 0, &[])),
            ("empty DATA", frame(0, 0, &[])),
            ("unknown", frame(200, 0, &[0; 16_000])),
        ];
        for (name, bytes) in floods {
            let budget = Budget::new(Instant::now());
            let mut frames = Frames::new();
            assert!(frames.pass(&preface(), &budget));
            let count = (1..10_000).find(|_| !frames.pass(&bytes, &budget));
            let count = count.unwrap_or_else(|| panic!("{name} goes on"));
            assert!(count * bytes.len() <= 1 << 20, "{name}: {count} frames");
            assert!(budget.is_spent());
        }
    }

    #[test]
    fn a_split_anywhere_counts_the_same() {
        let all = [preface(), frame(0, 0, &[7; 300]), frame(6, 0, &[0; 8]), frame(4, 0, &[])].concat();
        for size in 1..all.len() {
            let budget = Budget::new(Instant::now());
            let mut frames = Frames::new();
            assert!(all.chunks(size).all(|piece| frames.pass(piece, &budget)));
            assert_eq!(budget.left.load(Ordering::Relaxed), FIRST - 2, "pieces of {size}");
        }
    }

    #[test]
    fn a_caller_that_reads_is_never_cut() {
        let budget = Budget::new(Instant::now());
        let mut frames = Frames::new();
        assert!(frames.pass(&preface(), &budget));
        let (update, ping) = (frame(8, 0, &[0; 4]), frame(6, 0, &[0; 8]));
        for _ in 0..100_000 {
            // An event, for which the clumsiest caller widens two windows and pings.
            budget.refill_for_data(100);
            // Twice, since its window was too narrow for it.
            assert!(frames.pass(&[&update[..], &update, &ping].concat().repeat(2), &budget));
        }
        for _ in 0..1_000 {
            // A large piece, for which windows are widened by 256 bytes at a time.
            budget.refill_for_data(16 * 1024);
            assert!(frames.pass(&update.repeat(128), &budget));
        }
    }

    #[test]
    fn calls_that_are_given_up_at_once_spend_the_budget() {
        let budget = Budget::new(Instant::now());
        let mut frames = Frames::new();
        assert!(frames.pass(&preface(), &budget));
        let reset = frame(3, 0, &[0; 4]);
        let cut = (0..200).find(|_| {
            budget.spend_for_premature_end();
            !frames.pass(&reset, &budget)
        });
        assert!(cut.is_some_and(|count| count > 20), "{cut:?}");
    }
}
