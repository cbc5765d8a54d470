//! Why an answer breaks off after its head: what callers, logs and metrics hear of it.

use router_core::dialect::Source;

use crate::path::telemetry::{Ending, Limit};

/// One way of breaking off.
#[derive(Debug)]
pub(super) struct Breach {
    pub(super) ending: Ending,
    pub(super) message: &'static str,
    pub(super) source: Source,
    /// OpenAI's `type`.
    pub(super) kind: &'static str,
    pub(super) code: &'static str,
    /// The bound that was run into, if it was one.
    pub(super) limit: Option<Limit>,
}

/// The upstream broke off.
pub(super) const CUT: Breach = Breach {
    ending: Ending::UpstreamCut,
    message: "The model server broke off its answer.",
    source: Source::Upstream,
    kind: "upstream_error",
    code: "upstream_disconnected",
    limit: None,
};
/// Weir ends before the answer does.
pub(super) const STOPPED: Breach = Breach {
    ending: Ending::Stopped,
    message: "The gateway was stopped before the answer had ended.",
    source: Source::Internal,
    kind: "server_error",
    code: "draining",
    limit: None,
};
/// The first token of a stream did not come.
pub(super) const FIRST_TOKEN: Breach = Breach {
    message: "The model server did not begin its answer in time.",
    code: "first_token_timeout",
    limit: Some(Limit::FirstToken),
    ..CUT
};
/// A stream fell silent.
pub(super) const IDLE: Breach = Breach {
    message: "The model server fell silent in the middle of its answer.",
    code: "idle_timeout",
    limit: Some(Limit::UpstreamIdle),
    ..CUT
};
/// The end of an answer that is no stream did not come.
pub(super) const ANSWER: Breach = Breach {
    message: "The model server did not finish its answer in time.",
    code: "answer_timeout",
    limit: Some(Limit::Answer),
    ..CUT
};
