//! What `GET /admin/v1/routes` and changes of weights answer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a Weir says of its routes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct State {
    pub(super) revision: u64,
    /// What the next change may be asked of.
    pub(super) etag: String,
    /// The earlier revision that a rollback restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) restored: Option<u64>,
    pub(super) routes: Vec<RouteState>,
    /// What a rollback would restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rollback: Option<Earlier>,
}

/// Weights that were in force before.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Earlier {
    pub(super) revision: u64,
    pub(super) routes: Vec<RouteState>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct RouteState {
    pub(super) route: String,
    /// `file` or `run_time`.
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source_revision: Option<u64>,
    pub(super) targets: Vec<TargetState>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TargetState {
    pub(super) target: String,
    pub(super) weight: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) staged_weight: Option<f64>,
    /// What only the whole state has.
    #[serde(flatten)]
    pub(super) more: Map<String, Value>,
}

impl State {
    pub(super) fn read(body: &Value) -> Result<Self, String> {
        Self::deserialize(body)
            .map_err(|error| format!("its answer is not understood ({error}): is it another version?"))
    }

    pub(super) fn route(&self, name: &str) -> Option<&RouteState> {
        self.routes.iter().find(|route| route.route == name)
    }

    /// What is staged, by route.
    pub(super) fn staged(&self) -> Vec<(&str, Vec<(String, u32)>)> {
        let staged = |route: &RouteState| route.is_staged();
        self.routes.iter().filter(|route| staged(route)).map(|route| (&*route.route, route.next())).collect()
    }
}

impl RouteState {
    pub(super) fn is_staged(&self) -> bool {
        self.targets.iter().any(|target| target.staged_weight.is_some())
    }

    /// The weights in force, in millionths, by target.
    pub(super) fn in_force(&self) -> Vec<(String, u32)> {
        self.weights(|target| target.weight)
    }

    /// Those that the next deployment puts into force.
    pub(super) fn next(&self) -> Vec<(String, u32)> {
        self.weights(|target| target.staged_weight.unwrap_or(target.weight))
    }

    fn weights(&self, weight: impl Fn(&TargetState) -> f64) -> Vec<(String, u32)> {
        self.targets.iter().map(|target| (target.target.clone(), millionths(weight(target)))).collect()
    }

    /// Where its weights come from.
    pub(super) fn origin(&self) -> String {
        match self.source_revision {
            Some(revision) => format!("weights deployed as revision {revision}"),
            None => "weights of the file".to_owned(),
        }
    }
}

impl TargetState {
    /// The model that its pool knows, if it is another than the caller's.
    pub(super) fn model(&self) -> Option<&str> {
        self.more.get("model").and_then(Value::as_str)
    }
}

/// A weight as Weir counts it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1 before")]
fn millionths(weight: f64) -> u32 {
    (weight.clamp(0.0, 1.0) * 1e6).round() as u32
}
