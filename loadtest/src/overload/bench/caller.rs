//! A caller: one streamed call, read until it ends or the caller has had enough.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loadtest::overload::sim::{Call, Ending, Life, Scenario};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::SEGMENTS;
use crate::rig::{Answer, Wire};

/// What all callers have in common.
#[derive(Debug)]
pub(super) struct Crowd {
    address: SocketAddr,
    /// When the first second began.
    start: Instant,
    patience: Duration,
    whole: Duration,
    wishes: Wishes,
    /// Connections that wait for their next call.
    idle: Mutex<Vec<Wire>>,
    /// Why calls failed.
    flaws: Mutex<BTreeMap<String, usize>>,
}

/// How the model server is told how long an answer is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wishes {
    /// In modelsim's header.
    Header,
    /// By a limit, and the end of the text ignored.
    Limit,
}

impl Crowd {
    pub(super) fn new(address: SocketAddr, scenario: &Scenario, wishes: Wishes) -> Self {
        Self {
            address,
            start: Instant::now(),
            patience: scenario.patience.0,
            whole: scenario.objective.whole.0,
            wishes,
            idle: Mutex::default(),
            flaws: Mutex::default(),
        }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// Why calls failed, and how many each.
    pub(super) fn flaws(&self) -> BTreeMap<String, usize> {
        locked(&self.flaws).clone()
    }

    /// Makes the call. Its times count from its place in time, however late it was made.
    pub(super) async fn call(&self, call: &Call) -> Life {
        let mut life = Life::default();
        let asked = timeout_at(self.start + call.at + self.whole, self.ask(call, &mut life)).await;
        let ending = match asked {
            Ok(Ok(ending)) => ending,
            Ok(Err(error)) => {
                let when =
                    if life.first_token.is_some() { "in the middle" } else { "before the first event" };
                *locked(&self.flaws).entry(format!("{when}: {error}")).or_default() += 1;
                Ending::Failed
            }
            Err(_) => Ending::Left,
        };
        life.ended = Some((self.start.elapsed(), ending));
        life
    }

    async fn ask(&self, call: &Call, life: &mut Life) -> io::Result<Ending> {
        let mut wire = self.connection().await?;
        life.started = Some(self.start.elapsed());
        wire.stream.write_all(&self.request(call)).await?;
        let mut answer = Answer::new();
        let first = async {
            while answer.events() == 0 && !answer.is_done() {
                wire.feed(&mut answer).await?;
            }
            Ok::<(), io::Error>(())
        };
        match timeout_at(self.start + call.at + self.patience, first).await {
            Ok(read) => read?,
            Err(_) => return Ok(Ending::Left),
        }
        if answer.status() == 200 {
            life.first_token = Some(self.start.elapsed());
        }
        while !answer.is_done() {
            wire.feed(&mut answer).await?;
        }
        if !answer.closes() {
            locked(&self.idle).push(wire);
        }
        match answer.status() {
            200 if answer.is_whole_stream() => Ok(Ending::Whole),
            200 => Err(io::Error::other("no [DONE]")),
            429 | 503 => Ok(Ending::Refused),
            status => Err(io::Error::other(format!("status {status}"))),
        }
    }

    async fn connection(&self) -> io::Result<Wire> {
        loop {
            let kept = locked(&self.idle).pop();
            match kept {
                Some(wire) if wire.is_closed() => {}
                Some(wire) => return Ok(wire),
                None => return Wire::connect(self.address, BUFFER_BYTES).await,
            }
        }
    }

    fn request(&self, call: &Call) -> Vec<u8> {
        let segment = SEGMENTS.get(call.segment).map_or("", |segment| segment.0);
        let tokens = call.output_tokens;
        let (header, limit) = match self.wishes {
            Wishes::Header => (format!("x-sim-output-tokens: {tokens}\r\n"), String::new()),
            Wishes::Limit => {
                (String::new(), format!(r#","max_tokens":{tokens},"ignore_eos":true,"cache_prompt":false"#))
            }
        };
        let body = format!(
            r#"{{"model":"letters","stream":true{limit},"messages":[{{"role":"user","content":"{}"}}]}}"#,
            prompt(call)
        );
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             x-weir-segment: {segment}\r\n{header}content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .into_bytes()
    }
}

/// A text of so many tokens, as modelsim counts them: four bytes each. No two begin alike, so that nobody has read it.
fn prompt(call: &Call) -> String {
    let bytes = call.prompt_tokens as usize * 4;
    let mut text = format!("{} ", call.id);
    text.push_str(&WORDS.repeat(bytes / WORDS.len() + 1));
    text.truncate(bytes.max(4));
    text
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const WORDS: &str = "one two six ten ";
/// An event of one token is some 200 bytes.
const BUFFER_BYTES: usize = 4096;
