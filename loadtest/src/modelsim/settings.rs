//! What a simulated server is: its models, its engine, its mood.

use super::cluster::Caps;
use super::engine::EngineSettings;
use super::fault::Fault;
use super::rng::Lengths;
use std::time::Duration;

/// Settings of one simulated server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Model names that it serves; any name when empty.
    pub models: Vec<String>,
    /// Size and speed of a replica.
    pub engine: EngineSettings,
    /// Replicas behind the address; a request goes to the least busy one.
    pub replicas: usize,
    /// Above these the answer is 429.
    pub caps: Caps,
    /// Texts and lengths follow from it and from the prompt.
    pub seed: u64,
    /// Engine time per wall time: 10 answers ten times as fast.
    pub speed: f64,
    /// Engine time between the arrival of a request and its place in the queue.
    pub extra_delay: Duration,
    /// Answer lengths of requests that name none.
    pub output: Lengths,
    /// Applies to every request that names none of its own.
    pub fault: Option<Fault>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            engine: EngineSettings::A,
            replicas: 1,
            caps: Caps::default(),
            seed: 1,
            speed: 1.0,
            extra_delay: Duration::ZERO,
            output: Lengths::OUTPUTS,
            fault: None,
        }
    }
}

impl Settings {
    /// The name for metrics and for `/v1/models`.
    pub(super) fn model_name(&self) -> &str {
        self.models.first().map_or(ANY_MODEL, String::as_str)
    }

    pub(super) fn serves(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|served| served == model)
    }

    /// Refuses settings that no server can have.
    pub(super) fn check(&self) -> Result<(), String> {
        self.engine.check().map_err(|error| error.to_string())?;
        if !(SPEED_MIN..=SPEED_MAX).contains(&self.speed) {
            return Err(format!("speed is {}, it must be from {SPEED_MIN} to {SPEED_MAX}", self.speed));
        }
        if self.replicas == 0 {
            return Err("replicas is 0, at least one is needed".to_owned());
        }
        Ok(())
    }
}

/// How a server that serves any model calls itself.
const ANY_MODEL: &str = "modelsim";

/// Beyond these the timers' millisecond is longer than every step, or an answer takes days.
const SPEED_MIN: f64 = 0.001;
const SPEED_MAX: f64 = 10_000.0;
