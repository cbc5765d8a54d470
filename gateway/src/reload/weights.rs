//! Changes of weights by operators: staged, deployed, rolled back. One at a time, and not beside a reload; each is in
//! the audit log, if there is one, before it counts.

use std::sync::Arc;

use router_core::route::staging::{Refusal, Staging, TargetWeight};
use serde_json::{Map, Value, json};

use super::Reloader;
use crate::audit::{Action, By, Change, Problem};
use crate::path::telemetry::Level;
use crate::snapshot::Snapshot;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// This weight for one target, the others rescaled.
    Adjust {
        route: String,
        target: String,
        weight: u32,
    },
    /// These weights for a route.
    Put {
        route: String,
        weights: Vec<TargetWeight>,
    },
    /// What is staged on a route is forgotten.
    Discard {
        route: String,
    },
    Deploy,
    Rollback,
}

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WeightsRefused {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the change is not made, since it cannot be written down: {0}")]
    Audit(#[from] Problem),
    #[error("{0}")]
    Unbuildable(String),
    #[error("Weir is about to stop")]
    Draining,
}

impl Asked {
    const fn action(&self) -> Action {
        match self {
            Self::Adjust { .. } | Self::Put { .. } => Action::Adjust,
            Self::Discard { .. } => Action::Discard,
            Self::Deploy => Action::Deploy,
            Self::Rollback => Action::Rollback,
        }
    }

    /// The route that it is about, if it is about one.
    pub(crate) fn route(&self) -> Option<&str> {
        match self {
            Self::Adjust { route, .. } | Self::Put { route, .. } | Self::Discard { route } => Some(route),
            Self::Deploy | Self::Rollback => None,
        }
    }

    /// Does it to weights that are not in force yet; the earlier revision that is restored, if one is.
    fn apply(&self, weights: &mut Staging) -> Result<Option<u64>, Refusal> {
        match self {
            Self::Adjust { route, target, weight } => weights.stage(route, target, *weight).map(|()| None),
            Self::Put { route, weights: given } => weights.stage_all(route, given).map(|()| None),
            Self::Discard { route } => weights.discard(route).map(|()| None),
            Self::Deploy => weights.deploy().map(|()| None),
            Self::Rollback => weights.rollback().map(Some),
        }
    }
}

impl Reloader {
    /// Does what an operator asks for, unless it was asked of something older than `expected`. The weights then, and
    /// the earlier revision that was restored.
    pub(crate) async fn change_weights(
        &self,
        asked: Asked,
        expected: Option<&str>,
        by: By,
    ) -> Result<(Arc<Staging>, Option<u64>), WeightsRefused> {
        let _turn = self.turn.lock().await;
        let gateway = &self.gateway;
        if gateway.is_draining() {
            return Err(WeightsRefused::Draining);
        }
        let before = gateway.weights.load_full();
        if let Some(expected) = expected {
            before.expect(expected)?;
        }
        let mut after = Staging::clone(&before);
        let restored = asked.apply(&mut after)?;
        let in_force = after.revision() != before.revision();
        let snapshot = if in_force { Some(self.with(&after).await?) } else { None };
        let told = format!("{} by {} from {}", asked.action().name(), by.actor, by.from);
        if let Err(problem) = gateway.audit.record(change(&asked, by, (&before, &after), restored)).await {
            gateway.telemetry.event(Level::Error, format!("not done ({told}): {problem}"));
            return Err(problem.into());
        }
        match snapshot {
            Some(snapshot) => {
                let revision = gateway.replace(snapshot, after);
                gateway
                    .telemetry
                    .event(Level::Info, format!("weights revision {revision} is in force ({told})"));
            }
            None => gateway.stage(after),
        }
        Ok((gateway.weights.load_full(), restored))
    }

    /// The tables with these weights, everything else as it is.
    async fn with(&self, weights: &Staging) -> Result<Snapshot, WeightsRefused> {
        let gateway = self.gateway.clone();
        let mut config = gateway.snapshot().config.clone();
        weights.overlay(&mut config);
        // Secrets and certificates are read anew, off the threads that serve.
        let built = tokio::task::spawn_blocking(move || {
            let previous = gateway.snapshot();
            Snapshot::build(config, &gateway.telemetry.metrics, Some(&previous))
        });
        let built = built.await.map_err(|error| WeightsRefused::Unbuildable(error.to_string()))?;
        built.map_err(|error| WeightsRefused::Unbuildable(error.to_string()))
    }
}

/// A change as it is written down: the routes that it is about, before and after.
fn change(asked: &Asked, by: By, (before, after): (&Staging, &Staging), restored: Option<u64>) -> Change {
    let action = asked.action();
    let describe = |weights: &Staging| {
        let staged = matches!(action, Action::Adjust | Action::Discard);
        let routes: Vec<&str> = match asked.route() {
            Some(route) => vec![route],
            None => before.routes().filter(|route| differs(before, after, route)).collect(),
        };
        let shown = routes.into_iter().map(|route| {
            let next = if staged { weights.staged(route) } else { None };
            let shown = next.or_else(|| weights.in_force(route).map(|(weights, _)| weights));
            (route.to_owned(), describe(shown.unwrap_or_default()))
        });
        json!({ "revision": weights.revision(), "weights": shown.collect::<Map<_, _>>() })
    };
    let mut described = [describe(before), describe(after)];
    if let Some(restored) = restored {
        described[1]["restored"] = restored.into();
    }
    let [before, after] = described;
    let target = match asked {
        Asked::Adjust { route, target, .. } => format!("routes/{route}/targets/{target}"),
        Asked::Put { route, .. } | Asked::Discard { route } => format!("routes/{route}"),
        Asked::Deploy | Asked::Rollback => "routes".into(),
    };
    Change { by, action, target, before, after }
}

fn differs(before: &Staging, after: &Staging, route: &str) -> bool {
    let weights = |of: &Staging| of.in_force(route).map(|(weights, _)| weights.to_vec());
    weights(before) != weights(after)
}

fn describe(weights: &[TargetWeight]) -> Value {
    let weights = weights.iter().map(|one| (one.label.clone(), crate::admin::ratio(one.weight).into()));
    Value::Object(weights.collect())
}
