//! All replicas or none: every one is asked for its state before the first is changed, each change is asked of just
//! that state, and when one of them fails the others are put back. What then is not as it was is said by name.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Map, Value, json};

use super::Stop;
use super::state::{RouteState, State};
use crate::command::admin_client::{Admin, Asked, Failure, escape};

/// The Weirs that a command is about.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) replicas: Vec<Replica>,
}

/// One of them, as it was when the command began.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) admin: Admin,
    pub(super) state: State,
}

/// How weights in force are put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// As the last deployment's, which a later rollback must not bring back.
    Rollback,
    /// By deploying those of before.
    Deploy,
}

/// How a replica stands after a change failed somewhere.
enum Fate {
    AsBefore,
    PutBack,
    /// It could not be put back.
    Changed(String),
    Unknown(String),
}

impl Fleet {
    /// Asks every one for its state.
    pub(super) async fn of(admins: Vec<Admin>) -> Result<Self, Stop> {
        let (mut replicas, mut failed) = (Vec::new(), Vec::new());
        for admin in admins {
            match state(&admin).await {
                Ok(state) => replicas.push(Replica { admin, state }),
                Err(why) => failed.push(format!("{}: {why}", admin.name)),
            }
        }
        if failed.is_empty() { Ok(Self { replicas }) } else { Err(Stop::Failed(failed.join("\n"))) }
    }

    pub(super) fn first(&self) -> &State {
        &self.replicas[0].state
    }

    /// What is known of all, for machines.
    pub(super) fn described(&self) -> Value {
        let describe = |replica: &Replica| {
            let mut out = json!(replica.state);
            out["admin"] = replica.admin.name.as_str().into();
            out
        };
        json!({ "replicas": self.replicas.iter().map(describe).collect::<Vec<_>>() })
    }

    /// Refuses unless all have the same of what `of` looks at.
    pub(super) fn agree<T: PartialEq>(&self, what: &str, of: impl Fn(&State) -> T) -> Result<(), Stop> {
        let wanted = of(self.first());
        let differs = |replica: &&Replica| of(&replica.state) != wanted;
        let Some(other) = self.replicas.iter().find(differs) else { return Ok(()) };
        let first = &self.replicas[0].admin.name;
        Err(Stop::Failed(format!(
            "{first} and {} do not have the same {what}; nothing was changed: see `weir router status`",
            other.admin.name
        )))
    }

    /// Asks all for a change, or puts back what was changed.
    pub(super) async fn change(
        &self,
        undo: Undo,
        ask: impl Fn(&Replica) -> Asked,
    ) -> Result<Vec<State>, Stop> {
        let mut done = Vec::new();
        for (index, replica) in self.replicas.iter().enumerate() {
            let asked = ask(replica).of(Some(&replica.state.etag));
            let failure = match replica.admin.ask(&asked).await {
                Ok(body) => match State::read(&body) {
                    Ok(state) => {
                        done.push(state);
                        continue;
                    }
                    Err(why) => Failure::Unknown(why),
                },
                Err(failure) => failure,
            };
            return Err(self.put_back(undo, index, &failure).await);
        }
        Ok(done)
    }

    /// Puts back those before `failed`, and that one if it may have been changed; what is to be told.
    async fn put_back(&self, undo: Undo, failed: usize, failure: &Failure) -> Stop {
        let mut message = format!("{}: {failure}", self.replicas[failed].admin.name);
        if self.replicas.len() == 1 && !matches!(failure, Failure::Unknown(_)) {
            return Stop::Failed(message);
        }
        for (index, replica) in self.replicas.iter().enumerate() {
            let fate = if index > failed || index == failed && !matches!(failure, Failure::Unknown(_)) {
                Fate::AsBefore
            } else {
                replica.restore(undo).await
            };
            let told = match fate {
                Fate::AsBefore => "as before".to_owned(),
                Fate::PutBack => "put back as before".to_owned(),
                Fate::Changed(why) => format!("CHANGED, and could not be put back: {why}"),
                Fate::Unknown(why) => format!("UNKNOWN: {why}"),
            };
            // Writing to a string cannot fail.
            write!(message, "\n  {}: {told}", replica.admin.name).unwrap_or_default();
        }
        Stop::Failed(message)
    }
}

impl Replica {
    /// Brings it back to what it was when the command began: the weights in force, and what was staged.
    async fn restore(&self, undo: Undo) -> Fate {
        let now = match state(&self.admin).await {
            Ok(now) => now,
            Err(failure) => return Fate::Unknown(failure),
        };
        if now.etag == self.state.etag {
            return Fate::AsBefore;
        }
        match self.restored(now, undo).await {
            Ok(()) => Fate::PutBack,
            Err(failure) => Fate::Changed(failure.to_string()),
        }
    }

    async fn restored(&self, now: State, undo: Undo) -> Result<(), Failure> {
        let mut tag = now.etag.clone();
        let mut now = now;
        if undo == Undo::Rollback && !self.differ(&now).is_empty() {
            now = self.ask(Method::POST, "/admin/v1/rollback".into(), None, &mut tag).await?;
        }
        let others = self.differ(&now);
        for route in &others {
            self.stage(&route.route, &route.in_force(), &mut tag).await?;
        }
        if !others.is_empty() {
            self.ask(Method::POST, "/admin/v1/deploy".into(), None, &mut tag).await?;
        }
        let now = state(&self.admin).await.map_err(Failure::Unknown)?;
        for before in &self.state.routes {
            if now.route(&before.route).is_some_and(|now| now.next() == before.next()) {
                continue;
            }
            if before.is_staged() {
                self.stage(&before.route, &before.next(), &mut tag).await?;
            } else {
                self.ask(Method::DELETE, staged(&before.route), None, &mut tag).await?;
            }
        }
        Ok(())
    }

    /// The routes, as they were, whose weights in force are others now.
    fn differ(&self, now: &State) -> Vec<&RouteState> {
        let differs = |before: &&RouteState| {
            now.route(&before.route).is_some_and(|now| now.in_force() != before.in_force())
        };
        self.state.routes.iter().filter(differs).collect()
    }

    async fn stage(&self, route: &str, weights: &[(String, u32)], tag: &mut String) -> Result<(), Failure> {
        let weights =
            weights.iter().map(|(target, weight)| (target.clone(), crate::admin::ratio(*weight).into()));
        let body = json!({ "weights": weights.collect::<Map<_, _>>() });
        self.ask(Method::PUT, staged(route), Some(body), tag).await.map(drop)
    }

    /// Asks for one step of several.
    async fn ask(
        &self,
        method: Method,
        path: String,
        body: Option<Value>,
        tag: &mut String,
    ) -> Result<State, Failure> {
        let mut asked = Asked::new(method, path).of(Some(tag));
        if let Some(body) = body {
            asked = asked.with(body);
        }
        let state = State::read(&self.admin.ask(&asked).await?).map_err(Failure::Unknown)?;
        tag.clone_from(&state.etag);
        Ok(state)
    }
}

/// Where the staged weights of a route are.
pub(super) fn staged(route: &str) -> String {
    format!("/admin/v1/routes/{}/staged", escape(route))
}

/// What a Weir says of its routes.
async fn state(admin: &Admin) -> Result<State, String> {
    let answer = admin.ask(&Asked::get("/admin/v1/routes")).await.map_err(|failure| failure.to_string())?;
    State::read(&answer)
}
