//! What one replica can do: slots, memory, and the time of a step.

use std::time::Duration;

/// Size and speed of one replica of a continuous-batching model server.
///
/// A step lasts `step_base + step_per_decode × decoding sequences + step_per_prefill_token × prompt tokens in the
/// step + step_per_kv_token × tokens held in the KV cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Sequences that may run at once.
    pub slots: usize,
    /// Tokens that the KV cache holds.
    pub kv_tokens: u64,
    /// Tokens that one step may process; decoding sequences take one each, prompts share the rest.
    pub chunk_tokens: u64,
    /// Fixed part of a step.
    pub step_base: Duration,
    /// Part of a step per sequence that decodes.
    pub step_per_decode: Duration,
    /// Part of a step per prompt token that it reads.
    pub step_per_prefill_token: Duration,
    /// Part of a step per token in the KV cache (attention reads all of it).
    pub step_per_kv_token: Duration,
}

impl EngineSettings {
    /// Server A of the overload research: the slots are the limit. 4 replicas answer about 27.8 requests/s.
    pub const A: Self = Self {
        slots: 32,
        kv_tokens: 32_000,
        chunk_tokens: 2048,
        step_base: Duration::from_millis(12),
        step_per_decode: Duration::from_micros(250),
        step_per_prefill_token: Duration::from_micros(30),
        step_per_kv_token: Duration::from_nanos(100),
    };

    /// Server B: many slots, the KV cache is the limit, so that long answers are preempted and recomputed.
    pub const B: Self = Self { slots: 128, kv_tokens: 36_000, ..Self::A };

    /// Server C: slots and KV cache far above what the token latency allows, so that nothing queues before
    /// every answer has become slow.
    pub const C: Self = Self { slots: 256, kv_tokens: 400_000, ..Self::A };

    /// Tokens (prompt and answer together) that one job may need: what a lone job is admitted with.
    pub fn job_tokens_max(&self) -> u64 {
        self.kv_tokens.saturating_mul(ADMIT_PERCENT) / 100
    }

    /// Refuses sizes with which no job could ever run.
    ///
    /// # Errors
    ///
    /// Names the first size that is out of range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let sizes = [
            ("slots", self.slots as u64, 1),
            ("kv_tokens", self.kv_tokens, KV_TOKENS_MIN),
            ("chunk_tokens", self.chunk_tokens, self.slots as u64 + 1),
        ];
        for (name, value, min) in sizes {
            if value < min {
                return Err(SettingsError { name, value, min });
            }
        }
        Ok(())
    }

    pub(super) fn admits(&self, kv_tokens: u64) -> bool {
        kv_tokens <= self.job_tokens_max()
    }

    pub(super) fn step(&self, load: StepLoad) -> Duration {
        let per = |each: Duration, count: u64| each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        self.step_base
            + per(self.step_per_decode, load.decodes)
            + per(self.step_per_prefill_token, load.prefill_tokens)
            + per(self.step_per_kv_token, load.kv_tokens)
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self::A
    }
}

/// A size with which no job could run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, the least that works is {min}")]
pub struct SettingsError {
    name: &'static str,
    value: u64,
    min: u64,
}

/// What one step has to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepLoad {
    pub(super) decodes: u64,
    pub(super) prefill_tokens: u64,
    pub(super) kv_tokens: u64,
}

/// New sequences are admitted up to this share of the KV cache; the rest is kept for those that grow.
const ADMIT_PERCENT: u64 = 98;

/// Below this a prompt and a few tokens of answer do not fit.
const KV_TOKENS_MIN: u64 = 64;
