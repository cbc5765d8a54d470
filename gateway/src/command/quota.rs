//! `weir quota`: shows what the segments of running Weirs may use, and changes it on all replicas that are named or
//! none.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Map, Value, json};

use super::admin_client::{self, Admin, Asked, Failure, escape};
use super::router::columns;
use super::{Stop, print};
use crate::cli::{QuotaAction, QuotaSet, RouterOperate};

const SEGMENTS: &str = "/admin/v1/segments";
/// The parts of a quota that may be left out.
const LIMITS: [&str; 4] = ["requests_per_second", "burst", "tokens_per_minute", "concurrent"];
const HEAD: [&str; 10] = [
    "SEGMENT",
    "REQUESTS/S",
    "BURST",
    "LEFT",
    "TOKENS/MIN",
    "LEFT",
    "CONCURRENT",
    "LEFT",
    "ENFORCED",
    "SOURCE",
];

/// One replica, and what it says of the segments.
struct Replica {
    admin: Admin,
    segments: Value,
}

pub(crate) fn quota(action: &QuotaAction) -> Result<(), Stop> {
    admin_client::run(async {
        match action {
            QuotaAction::Show(asked) => {
                let replicas = replicas(asked).await?;
                let described = replicas.iter().map(|replica| {
                    json!({ "admin": replica.admin.name, "segments": replica.segments["segments"] })
                });
                let described: Vec<Value> = described.collect();
                show(asked.json, &json!({ "replicas": described }), || shown(&replicas))
            }
            QuotaAction::Set(asked) => set(asked).await,
        }
    })
}

/// All of them, or a failure if one does not answer.
async fn replicas(asked: &RouterOperate) -> Result<Vec<Replica>, Stop> {
    let (mut replicas, mut failed) = (Vec::new(), Vec::new());
    for admin in Admin::all(asked)? {
        match admin.ask(&Asked::get(SEGMENTS)).await {
            Ok(segments) => replicas.push(Replica { admin, segments }),
            Err(failure) => failed.push(format!("{}: {failure}", admin.name)),
        }
    }
    if failed.is_empty() { Ok(replicas) } else { Err(Stop::Failed(failed.join("\n"))) }
}

async fn set(asked: &QuotaSet) -> Result<(), Stop> {
    let named = LIMITS.iter().zip(limits(asked)).any(|(_, limit)| limit.is_some());
    if !named && asked.enforce.is_none() && !asked.reset {
        return Err(Stop::Usage("nothing is to be set: name a limit, or --reset".into()));
    }
    let replicas = replicas(&asked.operate).await?;
    for replica in &replicas {
        if replica.of(&asked.segment).is_none() {
            let message =
                format!("{}: there is no segment of the name {:?}", replica.admin.name, asked.segment);
            return Err(Stop::Failed(message));
        }
    }
    let mut done = Vec::new();
    for (index, replica) in replicas.iter().enumerate() {
        match replica.admin.ask(&replica.change(asked)).await {
            Ok(after) => done.push(after),
            Err(failure) => return Err(put_back(&replicas[..=index], &done, &failure, &asked.segment).await),
        }
    }
    let outcome = replicas.iter().zip(&done).map(|(replica, after)| {
        json!({ "admin": replica.admin.name, "before": after["before"], "after": after["quota"], "source": after["source"] })
    });
    let outcome = json!({ "segment": asked.segment, "replicas": outcome.collect::<Vec<_>>() });
    show(asked.operate.json, &outcome, || changed(&replicas, &done))
}

impl Replica {
    fn of(&self, segment: &str) -> Option<&Value> {
        in_answer(&self.segments, segment)
    }

    /// The tag of what it said of a segment.
    fn tag(&self, segment: &str) -> Option<&str> {
        self.of(segment)?["etag"].as_str()
    }

    /// What it is asked for: what is in force there, with what the command names in its place; unless that is something
    /// else by now.
    fn change(&self, asked: &QuotaSet) -> Asked {
        let (path, tag) = (path(&asked.segment), self.tag(&asked.segment));
        if asked.reset {
            return Asked::new(Method::DELETE, path).of(tag);
        }
        let now = self.of(&asked.segment).and_then(|segment| segment["quota"].as_object());
        let mut quota = now.cloned().unwrap_or_default();
        let new_rate = asked.requests_per_second.is_some();
        if new_rate && asked.burst.is_none() && is_usual_burst(&quota) {
            quota.remove("burst");
        }
        for (key, limit) in LIMITS.iter().zip(limits(asked)) {
            match limit.as_deref() {
                None => {}
                Some("none") => drop(quota.remove(*key)),
                Some(text) => drop(quota.insert((*key).to_owned(), number(text))),
            }
        }
        if asked.requests_per_second.as_deref() == Some("none") {
            quota.remove("burst");
        }
        if let Some(enforce) = asked.enforce {
            quota.insert("enforce".to_owned(), enforce.into());
        }
        Asked::new(Method::PUT, path).with(Value::Object(quota)).of(tag)
    }

    /// Has a segment as it was, if it still is as it was when it had this tag.
    async fn undo(&self, segment: &str, tag: Option<&str>) -> Result<(), Failure> {
        let was = self.of(segment).unwrap_or(&Value::Null);
        let asked = match was["source"].as_str() {
            Some("run_time") => Asked::new(Method::PUT, path(segment)).with(was["quota"].clone()),
            _ => Asked::new(Method::DELETE, path(segment)),
        };
        self.admin.ask(&asked.of(tag)).await.map(drop)
    }

    /// The same where it is not known whether it was changed.
    async fn undo_if_changed(&self, segment: &str) -> Result<(), Failure> {
        let segments = self.admin.ask(&Asked::get(SEGMENTS)).await?;
        let tag = in_answer(&segments, segment).and_then(|segment| segment["etag"].as_str());
        if tag.is_some() && tag == self.tag(segment) {
            return Ok(());
        }
        self.undo(segment, tag).await
    }
}

/// What an answer says of a segment.
fn in_answer<'a>(segments: &'a Value, segment: &str) -> Option<&'a Value> {
    segments["segments"].as_array()?.iter().find(|one| one["segment"] == segment)
}

/// Puts back what was done, and the last of these replicas too, which failed, if it may have been changed; what is to
/// be told. What somebody else has changed since stays.
async fn put_back(replicas: &[Replica], done: &[Value], failure: &Failure, segment: &str) -> Stop {
    let mut stuck = Vec::new();
    let mut note = |replica: &Replica, outcome: Result<(), Failure>| {
        stuck.extend(outcome.err().map(|failure| format!("{}: {failure}", replica.admin.name)));
    };
    for (replica, after) in replicas.iter().zip(done) {
        note(replica, replica.undo(segment, after["etag"].as_str()).await);
    }
    let failed = replicas.last();
    let doubtful = failed.filter(|_| matches!(failure, Failure::Unknown(_)));
    if let Some(replica) = doubtful {
        note(replica, replica.undo_if_changed(segment).await);
    }
    let name = failed.map_or("", |replica| replica.admin.name.as_str());
    let mut message = format!("{name}: {failure}");
    message += match (stuck.is_empty(), done.is_empty() && doubtful.is_none()) {
        (true, true) => "\nnothing was changed",
        (true, false) => "\neverything is as it was",
        (false, _) => "\nthese could not be put back, and may have the new quota:",
    };
    for one in stuck {
        message = message + "\n  " + &one;
    }
    Stop::Failed(message)
}

/// In the order of [`LIMITS`].
fn limits(asked: &QuotaSet) -> [&Option<String>; LIMITS.len()] {
    [&asked.requests_per_second, &asked.burst, &asked.tokens_per_minute, &asked.concurrent]
}

/// Whether a burst is what it would be if nobody had said so, so that it goes with the rate.
fn is_usual_burst(quota: &Map<String, Value>) -> bool {
    let number = |key: &str| quota.get(key).and_then(Value::as_f64);
    let (Some(rate), Some(burst)) = (number("requests_per_second"), number("burst")) else { return false };
    (burst - (2.0 * rate).ceil().max(1.0)).abs() < 0.5
}

/// What is no number the server refuses, in the words of the configuration.
fn number(text: &str) -> Value {
    let number = serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
    number.unwrap_or_else(|| text.into())
}

fn path(segment: &str) -> String {
    format!("{SEGMENTS}/{}/quota", escape(segment))
}

/// Prints for machines or for people.
fn show(json: bool, value: &Value, text: impl FnOnce() -> String) -> Result<(), Stop> {
    match json {
        true => print(format!("{value:#}\n").as_bytes()),
        false => print(text().as_bytes()),
    }
}

fn shown(replicas: &[Replica]) -> String {
    let mut out = String::new();
    for replica in replicas {
        // Writing to a string cannot fail.
        writeln!(out, "{}", replica.admin.name).unwrap_or_default();
        let segments = replica.segments["segments"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows = [HEAD.map(str::to_owned)].into_iter().chain(segments.iter().map(row));
        out += &columns(&rows.collect::<Vec<_>>());
    }
    out
}

fn row(segment: &Value) -> [String; HEAD.len()] {
    let (quota, left) = (&segment["quota"], &segment["remaining"]);
    [
        cell(&segment["segment"]),
        cell(&quota["requests_per_second"]),
        cell(&quota["burst"]),
        cell(&left["requests"]),
        cell(&quota["tokens_per_minute"]),
        cell(&left["tokens"]),
        cell(&quota["concurrent"]),
        cell(&left["concurrent"]),
        cell(&quota["enforce"]),
        cell(&segment["source"]),
    ]
}

fn changed(replicas: &[Replica], done: &[Value]) -> String {
    let mut out = String::new();
    for (replica, after) in replicas.iter().zip(done) {
        // Writing to a string cannot fail.
        writeln!(out, "{}: segment {}", replica.admin.name, cell(&after["segment"])).unwrap_or_default();
        let mut rows = vec![["LIMIT", "BEFORE", "AFTER"].map(str::to_owned)];
        for key in LIMITS.iter().chain(&["enforce"]) {
            let (was, is) = (&after["before"][key], &after["quota"][key]);
            if !was.is_null() || !is.is_null() {
                rows.push([(*key).to_owned(), cell(was), cell(is)]);
            }
        }
        out += &columns(&rows);
    }
    out
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
