//! Why a change of weights is refused, as operators are told.

/// Why a change of weights is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such route.
    #[error("there is no route {route:?}; the routes are {}", .known.join(", "))]
    UnknownRoute {
        /// What was asked for.
        route: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The route has no such target.
    #[error("route {route:?} has no target {target:?}; its targets are {}", .known.join(", "))]
    UnknownTarget {
        /// The route.
        route: String,
        /// What was asked for.
        target: String,
        /// What there is.
        known: Vec<String>,
    },
    /// All calls go to the only target there is.
    #[error("route {route:?} has one target: its weight is 1")]
    SingleTarget {
        /// The route.
        route: String,
    },
    /// All the others have weight 0, so there is no proportion in which they could share the rest.
    #[error("the other targets of route {route:?} all have weight 0, so it is open how they share the rest: give one of {} a weight instead", .others.join(", "))]
    NoProportion {
        /// The route.
        route: String,
        /// The others.
        others: Vec<String>,
    },
    /// The weights do not sum to 1.
    #[error("the weights of route {route:?} do not sum to 1")]
    Sum {
        /// The route.
        route: String,
    },
    /// There is nothing to deploy or to discard.
    #[error("nothing is staged")]
    NothingStaged,
    /// There is nothing to go back to.
    #[error("there is no earlier revision of the weights to go back to")]
    NothingEarlier,
    /// Somebody else has changed something since.
    #[error(
        "stale revision: this was asked of {given}, but {current} is current: somebody else has changed something since"
    )]
    Stale {
        /// What the change was asked of.
        given: String,
        /// What there is.
        current: String,
    },
}
