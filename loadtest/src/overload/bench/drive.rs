//! Open loop: callers come when they come, whatever became of those before them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use loadtest::overload::sim::{Call, Ending, Life, Outcome, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::caller::{Crowd, Wishes};
use crate::rig::RigError;

/// Whom the callers ask, and where the model server itself is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) gateway: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) wishes: Wishes,
}

/// What became of the calls, and why some failed.
#[derive(Debug)]
pub(super) struct Drive {
    pub(super) outcome: Outcome,
    pub(super) flaws: BTreeMap<String, usize>,
}

/// Makes the calls, until every one that counts has ended.
///
/// # Errors
///
/// Says why the model server did not do what the scenario wants of it.
pub(super) async fn drive(target: Target, scenario: &Scenario, calls: &[Call]) -> Result<Drive, RigError> {
    let crowd = Arc::new(Crowd::new(target.gateway, scenario, target.wishes));
    let outage = tokio::spawn(outage(target.server, scenario.clone(), crowd.start()));
    let window = scenario.warm_up.0..scenario.measured_until();
    let mut open = calls.iter().filter(|call| window.contains(&call.at)).count();
    let mut lives = vec![Life::default(); calls.len()];
    let mut tasks = JoinSet::new();
    let mut arrivals = calls.iter().peekable();
    while open > 0 {
        let next = arrivals.peek().map(|call| crowd.start() + call.at);
        tokio::select! {
            () = sleep_until(next.unwrap_or_else(|| crowd.start() + FOREVER)), if next.is_some() => {
                if let Some(&call) = arrivals.next() {
                    let crowd = Arc::clone(&crowd);
                    tasks.spawn(async move { (call, crowd.call(&call).await) });
                }
            }
            Some(ended) = tasks.join_next() => {
                let (call, life) = ended.map_err(|error| RigError::Missing(error.to_string()))?;
                open -= usize::from(window.contains(&call.at));
                if let Some(slot) = usize::try_from(call.id).ok().and_then(|at| lives.get_mut(at)) {
                    *slot = life;
                }
            }
            else => break,
        }
    }
    outage.abort();
    if let Ok(Err(error)) = outage.await {
        return Err(RigError::io("telling the model server")(error));
    }
    Ok(Drive { outcome: Outcome::new(scenario, calls, lives), flaws: crowd.flaws() })
}

/// Takes replicas away and brings them back.
async fn outage(server: SocketAddr, scenario: Scenario, start: Instant) -> std::io::Result<()> {
    let Some(outage) = scenario.outage else { return Ok(()) };
    for (at, lost) in [(outage.at.0, outage.replicas), (outage.until.0, 0)] {
        sleep_until(start + at).await;
        let body = lost.to_string();
        let mut stream = TcpStream::connect(server).await?;
        let request = format!(
            "PUT /sim/lost HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if !answer.starts_with("HTTP/1.1 204") {
            return Err(std::io::Error::other(answer));
        }
    }
    Ok(())
}

/// Whether the server, not whoever is in front of it, ended the call.
pub(super) fn lost_by_server(scenario: &Scenario, life: &Life) -> bool {
    scenario.outage.is_some() && matches!(life.ended, Some((_, Ending::Failed)))
}

/// A time that never comes.
const FOREVER: std::time::Duration = std::time::Duration::from_secs(86_400);
