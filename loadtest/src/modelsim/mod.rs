//! A model server without a model: the OpenAI and Anthropic APIs with the timing of a continuous-batching engine.
//!
//! Latency is not a sleep. Requests share slots, KV memory and steps of one engine ([`engine`]), so that first-token
//! time, token time and queues react to load as those of a real server do. The engine is pure arithmetic: the server
//! ([`serve`]) drives it with the clock, a simulation in a test drives it with numbers.
//!
//! Answers are readable, the same for the same seed and prompt, and have the usage that they claim. On request the
//! server misbehaves ([`Fault`]). [`instant`] leaves the engine out: an upstream that costs next to nothing, to
//! measure what stands in front of it.
//!
//! Not simulated: the meaning of the prompt, sampling parameters, log probabilities, embeddings, HTTP/2 and TLS.

pub mod cluster;
pub mod engine;
pub mod instant;
pub mod rng;

mod ask;
mod desk;
mod fault;
mod metrics;
mod port;
mod problem;
mod reply;
mod server;
mod settings;
mod text;

pub use desk::Stats;
pub use fault::{Fault, FaultError};
pub use port::Port;
pub use server::{Handle, serve};
pub use settings::Settings;
