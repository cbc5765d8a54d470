//! One job inside the engine: how much of it is read, how much is written, what it holds.

use super::{Job, JobId};

/// A job in the queue or in the batch.
#[derive(Debug, Clone)]
pub(super) struct Seq {
    id: JobId,
    prompt: u64,
    output: u32,
    /// Tokens produced so far; survives preemption.
    produced: u32,
    /// Tokens to read before it decodes: the prompt, after a preemption also the answer so far.
    to_read: u64,
    /// Of those, read so far.
    read: u64,
    /// Share of the running step's budget that reads this sequence.
    chunk: u64,
    kv: u64,
}

impl Seq {
    pub(super) fn new(job: Job) -> Self {
        let prompt = u64::from(job.prompt_tokens.max(1));
        Self {
            id: job.id,
            prompt,
            output: job.output_tokens.max(1),
            produced: 0,
            to_read: prompt,
            read: 0,
            chunk: 0,
            kv: 0,
        }
    }

    pub(super) fn id(&self) -> JobId {
        self.id
    }

    pub(super) fn kv(&self) -> u64 {
        self.kv
    }

    /// The most memory that it will ever hold.
    pub(super) fn kv_peak(&self) -> u64 {
        self.prompt + u64::from(self.output)
    }

    pub(super) fn tokens_to_read(&self) -> u64 {
        self.to_read
    }

    /// Whether it is past its prompt and gets a token in every step.
    pub(super) fn decodes(&self) -> bool {
        self.read >= self.to_read
    }

    pub(super) fn is_finished(&self) -> bool {
        self.produced >= self.output
    }

    /// Takes memory for all that must be read, and says how much.
    pub(super) fn admit(&mut self) -> u64 {
        self.kv = self.to_read;
        self.kv
    }

    pub(super) fn preempt(&mut self) {
        self.to_read = self.prompt + u64::from(self.produced);
        self.read = 0;
        self.chunk = 0;
        self.kv = 0;
    }

    /// Takes what it can use of the step's remaining budget, and says how much.
    pub(super) fn plan_chunk(&mut self, budget: u64) -> u64 {
        self.chunk = (self.to_read - self.read.min(self.to_read)).min(budget);
        self.chunk
    }

    /// The running step ends: the index of its new token, if it has one.
    pub(super) fn end_step(&mut self) -> Option<u32> {
        self.read += std::mem::take(&mut self.chunk);
        if !self.decodes() {
            return None;
        }
        let index = self.produced;
        self.produced += 1;
        self.kv += 1;
        Some(index)
    }
}
