//! `weir router deploy` and `rollback`: what changes the weights in force.

use http::Method;

use super::fleet::{Fleet, Undo};
use super::state::RouteState;
use super::{Stop, outcome, show, table};
use crate::cli::RouterOperate;
use crate::command::admin_client::{Admin, Asked};

/// Puts what is staged into force.
pub(super) async fn deploy(asked: &RouterOperate) -> Result<(), Stop> {
    let fleet = Fleet::of(Admin::all(asked)?).await?;
    fleet.agree("staged weights", |state| {
        let staged = state.staged().into_iter();
        staged.map(|(route, weights)| (route.to_owned(), weights)).collect::<Vec<_>>()
    })?;
    if fleet.first().staged().is_empty() {
        return Err(Stop::Failed("nothing is staged: `weir router adjust` stages a weight".into()));
    }
    let change = Asked::new(Method::POST, "/admin/v1/deploy".into());
    let after = fleet.change(Undo::Rollback, |_| change.clone()).await?;
    show(asked.json, &outcome(&fleet, &after), || {
        let changed = table::change(fleet.first(), &after[0], RouteState::in_force);
        format!("{}{changed}In force as revision {}.\n", table::on(&fleet), after[0].revision)
    })
}

/// Puts the weights of before the last deployment into force.
pub(super) async fn rollback(asked: &RouterOperate) -> Result<(), Stop> {
    let fleet = Fleet::of(Admin::all(asked)?).await?;
    fleet.agree("weights", |state| state.routes.iter().map(RouteState::in_force).collect::<Vec<_>>())?;
    fleet.agree("earlier weights", |state| {
        let earlier = state.rollback.as_ref();
        earlier.map(|earlier| earlier.routes.iter().map(RouteState::in_force).collect::<Vec<_>>())
    })?;
    let change = Asked::new(Method::POST, "/admin/v1/rollback".into());
    let after = fleet.change(Undo::Deploy, |_| change.clone()).await?;
    show(asked.json, &outcome(&fleet, &after), || {
        let changed = table::change(fleet.first(), &after[0], RouteState::in_force);
        let restored = after[0].restored.unwrap_or_default();
        let revision = after[0].revision;
        format!(
            "{}{changed}The weights of revision {restored} are in force, as revision {revision}.\n",
            table::on(&fleet)
        )
    })
}
