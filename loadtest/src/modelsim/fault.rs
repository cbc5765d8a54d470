//! Misbehaviour on request: what a model server does on a bad day.

use http::StatusCode;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One way to misbehave, written `NAME` or `NAME=ARGUMENT`.
///
/// Counts are tokens of the answer; an answer with fewer tokens ends before the fault comes. In an answer that is not
/// streamed, the faults that come after some tokens strike in the middle of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `refuse`: reset the connection instead of answering.
    Refuse,
    /// `hang`: take the request and never answer.
    Hang,
    /// `hang-after=N`: stop after N tokens and keep the connection open.
    HangAfter(u32),
    /// `cut=N`: close the connection after N tokens, in the middle of the body.
    Cut(u32),
    /// `fin=N`: after N tokens end the body as if it were complete, without finish event and `[DONE]`.
    Fin(u32),
    /// `malformed=N`: the Nth event carries broken JSON, the others are fine.
    Malformed(u32),
    /// `status=CODE` or `status=CODE;retry-after=SECONDS`: answer with that error.
    Status {
        /// The status of the answer, 400 to 599.
        code: StatusCode,
        /// Seconds for the `retry-after` header.
        retry_after: Option<u32>,
    },
    /// `drip=MS`: one event in MS milliseconds, in slices that cut events and characters.
    Drip(Duration),
    /// `garbage`: answer with bytes that are not HTTP.
    Garbage,
    /// `delay=MS`: wait before doing anything.
    Delay(Duration),
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, argument) = match text.trim().split_once('=') {
            Some((name, argument)) => (name.trim(), Some(argument.trim())),
            None => (text.trim(), None),
        };
        let count = || number(name, argument);
        let millis = || number(name, argument).map(|ms| Duration::from_millis(u64::from(ms)));
        match name {
            "refuse" => bare(name, argument, Self::Refuse),
            "hang" => bare(name, argument, Self::Hang),
            "garbage" => bare(name, argument, Self::Garbage),
            "hang-after" => count().map(Self::HangAfter),
            "cut" => count().map(Self::Cut),
            "fin" => count().map(Self::Fin),
            "malformed" => count().map(Self::Malformed),
            "drip" => millis().map(Self::Drip),
            "delay" => millis().map(Self::Delay),
            "status" => status(argument.unwrap_or_default()),
            _ => Err(FaultError::Unknown { name: name.to_owned() }),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse => f.write_str("refuse"),
            Self::Hang => f.write_str("hang"),
            Self::Garbage => f.write_str("garbage"),
            Self::HangAfter(n) => write!(f, "hang-after={n}"),
            Self::Cut(n) => write!(f, "cut={n}"),
            Self::Fin(n) => write!(f, "fin={n}"),
            Self::Malformed(n) => write!(f, "malformed={n}"),
            Self::Drip(gap) => write!(f, "drip={}", gap.as_millis()),
            Self::Delay(gap) => write!(f, "delay={}", gap.as_millis()),
            Self::Status { code, retry_after: None } => write!(f, "status={}", code.as_u16()),
            Self::Status { code, retry_after: Some(s) } => {
                write!(f, "status={};retry-after={s}", code.as_u16())
            }
        }
    }
}

/// A fault that nobody can act out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// There is no such fault.
    #[error("unknown fault {name:?}; known: {KNOWN}")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The argument is missing, superfluous or out of range.
    #[error("fault {name:?} {problem}; known: {KNOWN}")]
    Argument {
        /// The fault.
        name: String,
        /// What is wrong with its argument.
        problem: &'static str,
    },
}

fn bare(name: &str, argument: Option<&str>, fault: Fault) -> Result<Fault, FaultError> {
    match argument {
        None => Ok(fault),
        Some(_) => Err(wrong(name, "takes no argument")),
    }
}

fn number(name: &str, argument: Option<&str>) -> Result<u32, FaultError> {
    argument.and_then(|digits| digits.parse().ok()).ok_or_else(|| wrong(name, "needs a number"))
}

fn status(argument: &str) -> Result<Fault, FaultError> {
    let mut parts = argument.split(';').map(str::trim);
    let code = parts.next().and_then(|code| StatusCode::from_str(code).ok());
    let code = code
        .filter(|code| code.is_client_error() || code.is_server_error())
        .ok_or_else(|| wrong("status", "needs a code from 400 to 599"))?;
    let mut retry_after = None;
    for part in parts {
        let seconds = part.strip_prefix("retry-after=").and_then(|seconds| seconds.trim().parse().ok());
        retry_after = Some(seconds.ok_or_else(|| wrong("status", "knows only retry-after=SECONDS"))?);
    }
    Ok(Fault::Status { code, retry_after })
}

fn wrong(name: &str, problem: &'static str) -> FaultError {
    FaultError::Argument { name: name.to_owned(), problem }
}

const KNOWN: &str = "refuse, hang, hang-after=N, cut=N, fin=N, malformed=N, status=CODE[;retry-after=S], drip=MS, \
                     garbage, delay=MS";

#[cfg(test)]
mod tests {
    use super::{Fault, KNOWN};

    #[test]
    fn every_fault_is_written_as_it_is_read() {
        let all = "refuse hang hang-after=0 cut=3 fin=4 malformed=1 status=529 status=429;retry-after=2 drip=20 \
                   garbage delay=100";
        for text in all.split_whitespace() {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_fault_that_does_not_exist_names_those_that_do() {
        for text in ["explode", "cut", "cut=x", "hang=3", "status=200", "status=429;later", "drip=-1", ""] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(KNOWN), "{text}: {error}");
        }
    }
}
