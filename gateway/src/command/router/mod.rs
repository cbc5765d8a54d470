//! `weir router`: shows the routes of running Weirs and shifts their weights, on all replicas that are named or none.

mod adjust;
mod fleet;
mod state;
mod swap;
mod table;

use serde_json::{Value, json};

pub(super) use table::columns;

use super::admin_client::{self, Admin};
use super::{Stop, print};
use crate::cli::{Router, RouterAction};
use fleet::Fleet;
use state::State;

pub(crate) fn router(arguments: &Router) -> Result<(), Stop> {
    admin_client::run(async {
        match &arguments.action {
            RouterAction::Status(asked) => {
                let fleet = Fleet::of(Admin::all(asked)?).await?;
                show(asked.json, &fleet.described(), || table::status(&fleet))
            }
            RouterAction::Adjust(asked) => adjust::adjust(asked).await,
            RouterAction::Discard(asked) => adjust::discard(asked).await,
            RouterAction::Deploy(asked) => swap::deploy(asked).await,
            RouterAction::Rollback(asked) => swap::rollback(asked).await,
        }
    })
}

/// Prints for machines or for people.
fn show(json: bool, value: &Value, text: impl FnOnce() -> String) -> Result<(), Stop> {
    if json {
        return print(format!("{value:#}\n").as_bytes());
    }
    print(text().as_bytes())
}

/// What a change has come to on every replica, for machines.
fn outcome(fleet: &Fleet, after: &[State]) -> Value {
    let replicas = fleet.replicas.iter().zip(after).map(
        |(replica, after)| json!({ "admin": replica.admin.name, "before": replica.state, "after": after }),
    );
    json!({ "replicas": replicas.collect::<Vec<_>>() })
}
