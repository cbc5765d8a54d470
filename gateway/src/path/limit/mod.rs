//! Is the caller inside its rates? Takes a request and a place of its quota by the head alone, before a body is read,
//! reserves tokens once the body is known, and settles when the call's account closes, on whatever way that happens.
//! Tells callers what they have left. What is within a quota is decided in `router_core::limit`.
//!
//! | how a call ends | request | tokens |
//! |---|---|---|
//! | Weir refuses it: no room, another quota, a bad body, no endpoint's answer | given back | given back |
//! | its caller leaves before it was sent on | counted | given back |
//! | the upstream answers with an error | counted | what it says it used |
//! | it is answered, in part or whole | counted | as the upstream counts; else the estimated prompt and what was seen |

mod allowance;
mod charge;
mod headers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use router_core::dialect::{Operation, Reason};

pub(crate) use allowance::{Allowance, Origin};
pub(crate) use charge::{ALLOWANCES_MAX, Charge};
pub(crate) use headers::tell;

use super::identify::Call;
use super::telemetry::Account;

/// A call comes, of which only the head is known.
pub(crate) fn enter(
    account: &Account,
    allowances: [Option<&Arc<Allowance>>; ALLOWANCES_MAX],
) -> Result<(), Reason> {
    let Some((charge, outcome)) = Charge::enter(allowances) else { return Ok(()) };
    account.facts().charge = Some(charge);
    outcome
}

/// Its body is known too.
pub(crate) fn reserve(call: &mut Call) -> Result<(), Reason> {
    let mut facts = call.account.facts();
    let Some(charge) = &mut facts.charge else { return Ok(()) };
    let makes = match call.intent.operation {
        Operation::Embeddings => Makes::Nothing,
        // Nothing is made of a count, and of what goes through as it is nothing is known.
        Operation::CountTokens | Operation::Models | Operation::Model | Operation::Passthrough => {
            return Ok(());
        }
        Operation::ChatCompletions | Operation::Completions | Operation::Responses | Operation::Messages => {
            Makes::AtMost(call.output_tokens_max.unwrap_or(u32::MAX))
        }
    };
    charge.reserve(call.prompt_tokens, makes)?;
    call.counts_tokens = charge.counts_tokens();
    Ok(())
}

/// What a model makes of a call.
#[derive(Clone, Copy, Debug)]
enum Makes {
    /// It only reads.
    Nothing,
    /// As many tokens as the caller lets it.
    AtMost(u32),
}
