//! One replica of a continuous-batching model server, as arithmetic: no clock, no I/O, no randomness.
//!
//! The engine works in steps. A step gives every decoding sequence one token and reads prompts in chunks with what
//! is left of its token budget; a prompt that is read completely yields the first token in the same step. Between
//! two steps the youngest sequences are preempted while the KV cache would overflow (they lose their cache and read
//! prompt and answer so far again), then waiting jobs are admitted in order of arrival. A step lasts longer the more
//! it carries ([`EngineSettings`]): latency rises with load although nothing sleeps on purpose.
//!
//! Time is an argument, counted from an arbitrary start. The caller submits, asks when to come back
//! ([`Engine::next_event`]) and collects ([`Engine::advance`]). It may come late: steps follow each other without
//! the caller's delay.
//!
//! What it leaves out: paged memory (fragmentation), prefix caching, swapping, speculative decoding.

mod seq;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::{EngineSettings, SettingsError};

use seq::Seq;
use settings::StepLoad;
use std::collections::VecDeque;
use std::time::Duration;

/// Names a job; the caller keeps it unique among the unfinished ones.
pub type JobId = u64;

/// One answer to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// The caller's name for it.
    pub id: JobId,
    /// Tokens to read before the first token; 0 counts as 1.
    pub prompt_tokens: u32,
    /// Tokens to produce; 0 counts as 1.
    pub output_tokens: u32,
}

/// What happened to a job, at `at` on the caller's time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The job has one more token; `index` counts from 0.
    Token {
        /// Which job.
        id: JobId,
        /// Position of the token in the answer.
        index: u32,
        /// True for the first token of the answer.
        first: bool,
        /// End of the step that made it.
        at: Duration,
    },
    /// The job has all its tokens and is gone. Follows its last token.
    Finished {
        /// Which job.
        id: JobId,
        /// End of the step that finished it.
        at: Duration,
    },
    /// The job lost its cache for want of memory and waits at the head of the queue. It repeats no token.
    Preempted {
        /// Which job.
        id: JobId,
        /// When it happened.
        at: Duration,
    },
}

impl Event {
    /// The job that it is about.
    pub fn id(&self) -> JobId {
        match *self {
            Self::Token { id, .. } | Self::Finished { id, .. } | Self::Preempted { id, .. } => id,
        }
    }
}

/// A job that could never run: prompt and answer exceed [`EngineSettings::job_tokens_max`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job needs {needed} tokens of KV cache, the engine admits {admitted}")]
pub struct TooLarge {
    /// Prompt and answer together.
    pub needed: u64,
    /// The most that is admitted.
    pub admitted: u64,
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Jobs taken in.
    pub submitted: u64,
    /// Jobs that got all their tokens.
    pub finished: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Times that a job lost its cache.
    pub preemptions: u64,
    /// Tokens produced.
    pub output_tokens: u64,
    /// Prompt tokens read, recomputed ones again.
    pub prefill_tokens: u64,
}

/// The state of one replica.
#[derive(Debug, Clone)]
pub struct Engine {
    settings: EngineSettings,
    /// In order of admission: the youngest is last.
    running: Vec<Seq>,
    waiting: VecDeque<Seq>,
    kv_used: u64,
    step_end: Option<Duration>,
    /// Latest moment that the engine was told of.
    now: Duration,
    events: Vec<Event>,
    counters: Counters,
}

impl Engine {
    /// An idle replica. See [`EngineSettings::check`] for the sizes that work.
    pub fn new(settings: EngineSettings) -> Self {
        debug_assert!(settings.check().is_ok(), "{settings:?}");
        Self {
            settings,
            running: Vec::new(),
            waiting: VecDeque::new(),
            kv_used: 0,
            step_end: None,
            now: Duration::ZERO,
            events: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Appends a job to the queue; an idle engine starts a step with it at once.
    ///
    /// # Errors
    ///
    /// Refuses a job that could never run.
    pub fn submit(&mut self, now: Duration, job: Job) -> Result<(), TooLarge> {
        self.catch_up(now);
        let seq = Seq::new(job);
        let (needed, admitted) = (seq.kv_peak(), self.settings.job_tokens_max());
        if needed > admitted {
            return Err(TooLarge { needed, admitted });
        }
        self.counters.submitted += 1;
        self.waiting.push_back(seq);
        if self.step_end.is_none() {
            self.start_step();
        }
        self.check_invariants();
        Ok(())
    }

    /// Forgets a job: its slot, its cache and its place in the queue are free from now on. A step that already
    /// runs keeps its end. False if the job is unknown or has ended.
    pub fn cancel(&mut self, now: Duration, id: JobId) -> bool {
        self.catch_up(now);
        let found = self.remove(id);
        if found {
            self.counters.cancelled += 1;
            self.events.retain(|event| event.id() != id);
        }
        self.check_invariants();
        found
    }

    /// When to call [`Engine::advance`] next; `None` while there is nothing to do.
    pub fn next_event(&self) -> Option<Duration> {
        if self.events.is_empty() { self.step_end } else { Some(self.now) }
    }

    /// Runs every step that ends by `now` and returns what happened since the last call, in order.
    pub fn advance(&mut self, now: Duration) -> Vec<Event> {
        self.catch_up(now);
        self.check_invariants();
        std::mem::take(&mut self.events)
    }

    /// Runs every step that ends by `now`; [`Engine::advance`] tells later what happened.
    pub fn catch_up(&mut self, now: Duration) {
        while let Some(end) = self.step_end.filter(|&end| end <= now) {
            self.now = end;
            self.end_step();
            self.start_step();
        }
        self.now = self.now.max(now);
    }

    /// Sequences in the batch.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Jobs in the queue.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Tokens in the KV cache.
    pub fn kv_used(&self) -> u64 {
        self.kv_used
    }

    /// Totals since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The size and speed that it was made with.
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    fn remove(&mut self, id: JobId) -> bool {
        if let Some(at) = self.running.iter().position(|seq| seq.id() == id) {
            self.kv_used -= self.running.remove(at).kv();
            return true;
        }
        let Some(at) = self.waiting.iter().position(|seq| seq.id() == id) else { return false };
        self.waiting.remove(at).is_some()
    }

    fn start_step(&mut self) {
        self.preempt_overflow();
        self.admit_waiting();
        self.step_end = if self.running.is_empty() { None } else { Some(self.now + self.plan_step()) };
    }

    /// The youngest sequences give their memory back while this step's tokens would not fit.
    fn preempt_overflow(&mut self) {
        let mut decodes = self.decodes();
        while self.kv_used + decodes > self.settings.kv_tokens && self.running.len() > 1 {
            let Some(mut seq) = self.running.pop() else { return };
            decodes -= u64::from(seq.decodes());
            self.kv_used -= seq.kv();
            self.counters.preemptions += 1;
            self.events.push(Event::Preempted { id: seq.id(), at: self.now });
            seq.preempt();
            self.waiting.push_front(seq);
        }
    }

    /// First come, first served: nobody passes a job that does not fit yet.
    fn admit_waiting(&mut self) {
        let decodes = self.decodes();
        while self.running.len() < self.settings.slots {
            let Some(next) = self.waiting.front() else { return };
            if !self.settings.admits(self.kv_used + next.tokens_to_read() + decodes) {
                return;
            }
            let Some(mut seq) = self.waiting.pop_front() else { return };
            self.kv_used += seq.admit();
            self.running.push(seq);
        }
    }

    /// Shares the step's token budget and says how long the step takes.
    fn plan_step(&mut self) -> Duration {
        let decodes = self.decodes();
        let mut budget = self.settings.chunk_tokens.saturating_sub(decodes);
        let mut prefill_tokens = 0;
        for seq in &mut self.running {
            let chunk = seq.plan_chunk(budget);
            budget -= chunk;
            prefill_tokens += chunk;
        }
        self.counters.prefill_tokens += prefill_tokens;
        self.settings.step(StepLoad { decodes, prefill_tokens, kv_tokens: self.kv_used })
    }

    /// Hands out the tokens of the step: decoding sequences first, then prompts that are read completely.
    fn end_step(&mut self) {
        let (decoding, reading): (Vec<usize>, Vec<usize>) =
            (0..self.running.len()).partition(|&at| self.running.get(at).is_some_and(Seq::decodes));
        for at in decoding.into_iter().chain(reading) {
            let Some(seq) = self.running.get_mut(at) else { continue };
            let Some(index) = seq.end_step() else { continue };
            self.kv_used += 1;
            self.counters.output_tokens += 1;
            self.events.push(Event::Token { id: seq.id(), index, first: index == 0, at: self.now });
            if seq.is_finished() {
                self.kv_used -= seq.kv();
                self.counters.finished += 1;
                self.events.push(Event::Finished { id: seq.id(), at: self.now });
            }
        }
        self.running.retain(|seq| !seq.is_finished());
    }

    fn decodes(&self) -> u64 {
        self.running.iter().filter(|seq| seq.decodes()).count() as u64
    }

    fn check_invariants(&self) {
        debug_assert!(self.running.len() <= self.settings.slots, "more sequences than slots");
        debug_assert!(self.kv_used <= self.settings.kv_tokens, "KV cache overflows");
        debug_assert_eq!(self.kv_used, self.running.iter().map(Seq::kv).sum::<u64>(), "KV cache leaks");
        debug_assert!(self.step_end.is_some() || self.running.is_empty(), "a batch without a step");
        debug_assert!(self.step_end.is_some() || self.waiting.is_empty(), "idle while jobs wait");
    }
}
