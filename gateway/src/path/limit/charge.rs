//! What one call has taken of the quotas that it is under, until its account is closed.

use std::sync::Arc;

use router_core::dialect::{Operation, Reason};
use router_core::limit::{Hold, Outputs, Spent};

use super::{Allowance, Makes};
use crate::path::telemetry::{Ending, Facts};

/// Most quotas that a call is under: its segment's, and that of its caller's key.
pub(crate) const ALLOWANCES_MAX: usize = 2;
/// Bytes of a whole answer that are about a token, where nobody counts them.
const BYTES_PER_TOKEN: u64 = 4;

/// What one call has taken. Settled when its account is closed; dropped without that, it gives everything back.
#[derive(Debug)]
pub(crate) struct Charge {
    shares: [Option<Share>; ALLOWANCES_MAX],
    /// As estimated.
    prompt_tokens: u32,
}

/// What it has taken of one quota.
#[derive(Debug)]
struct Share {
    allowance: Arc<Allowance>,
    /// Nothing where the quota refuses the call, or would if it were enforced.
    hold: Option<Hold>,
}

impl Charge {
    /// Takes a request and a place of each, all or nothing; `None` where there is no quota.
    pub(super) fn enter(
        allowances: [Option<&Arc<Allowance>>; ALLOWANCES_MAX],
    ) -> Option<(Box<Self>, Result<(), Reason>)> {
        let mut outcome = Ok(());
        let shares = allowances.map(|allowance| {
            let allowance = allowance?;
            let terms = allowance.terms()?;
            let mut share = Share { allowance: allowance.clone(), hold: None };
            if outcome.is_ok() {
                match allowance.enter(&terms) {
                    Ok(hold) => share.hold = Some(hold),
                    Err(spent) => outcome = share.beyond(spent),
                }
            }
            Some(share)
        });
        if shares.iter().all(Option::is_none) {
            return None;
        }
        let mut charge = Box::new(Self { shares, prompt_tokens: 0 });
        if outcome.is_err() {
            charge.shares_mut().for_each(Share::give_back);
        }
        Some((charge, outcome))
    }

    /// Reserves the tokens of a call that is known as a whole.
    pub(super) fn reserve(&mut self, prompt_tokens: u32, makes: Makes) -> Result<(), Reason> {
        self.prompt_tokens = prompt_tokens;
        self.shares_mut().try_for_each(|share| share.reserve(prompt_tokens, makes))
    }

    /// Whether it matters how many tokens the call has in the end.
    pub(super) fn counts_tokens(&self) -> bool {
        self.shares().any(|share| share.hold.as_ref().is_some_and(|hold| hold.tokens().is_some()))
    }

    /// The call has come to an end, one way or another.
    pub(crate) fn settle(&mut self, facts: &Facts, ending: Ending) {
        let Some(spent) = Spending::of(self.prompt_tokens, facts, ending) else {
            return self.shares_mut().for_each(Share::give_back);
        };
        for share in self.shares_mut() {
            if let Some(hold) = share.hold.take() {
                share.allowance.settle(hold, spent.tokens);
            }
        }
        // All of them are of one segment.
        if let (Some(share), Some(output_tokens)) = (self.shares().next(), spent.answer) {
            share.allowance.outputs().observe(output_tokens, share.allowance.now());
        }
    }

    /// The quotas that the call is under, and that its caller may know of.
    pub(super) fn allowances(&self) -> impl Iterator<Item = &Arc<Allowance>> {
        self.shares().map(|share| &share.allowance)
    }

    fn shares(&self) -> impl Iterator<Item = &Share> {
        self.shares.iter().flatten()
    }

    fn shares_mut(&mut self) -> impl Iterator<Item = &mut Share> {
        self.shares.iter_mut().flatten()
    }
}

impl Share {
    /// The quota would be exceeded. Where it is only tried out, the call goes on without it.
    fn beyond(&mut self, spent: Spent) -> Result<(), Reason> {
        let Some(terms) = self.allowance.terms() else { return Ok(()) };
        self.allowance.note(spent.kind, &terms);
        self.give_back();
        match terms.enforce {
            true => Err(Reason::OverQuota { kind: spent.kind, retry_after: spent.wait }),
            false => Ok(()),
        }
    }

    fn reserve(&mut self, prompt_tokens: u32, makes: Makes) -> Result<(), Reason> {
        let (Some(terms), Some(hold)) = (self.allowance.terms(), &mut self.hold) else { return Ok(()) };
        let meter = self.allowance.meter();
        let output_tokens = match makes {
            Makes::Nothing => 0,
            Makes::AtMost(most) => most.min(self.allowance.outputs().usual_most()),
        };
        let tokens = prompt_tokens.saturating_add(output_tokens);
        match meter.reserve(&terms, hold, tokens, self.allowance.now()) {
            Ok(()) => Ok(()),
            Err(spent) => self.beyond(spent),
        }
    }

    fn give_back(&mut self) {
        if let Some(hold) = self.hold.take() {
            self.allowance.give_back(hold);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// What a call has used.
pub(super) struct Spending {
    /// In all.
    pub(super) tokens: u32,
    /// Those of an answer that came to its own end.
    pub(super) answer: Option<u32>,
}

impl Spending {
    /// `None` if Weir itself refused the call.
    pub(super) fn of(prompt_tokens: u32, facts: &Facts, ending: Ending) -> Option<Self> {
        let sent = facts.attempts > 0;
        if ending == Ending::Refused || (ending == Ending::Stopped && !sent) {
            return None;
        }
        let usage = facts.summary.usage;
        let failed = facts.status >= 400;
        if !sent || (failed && usage.is_none()) {
            return Some(Self { tokens: 0, answer: None });
        }
        let whole = ending == Ending::Complete;
        // Of a stream, also of one that is made a document for a caller who did not ask for one.
        let seen = match facts.content_events {
            0 if !facts.stream && whole && usage.is_none() && generates(facts) => {
                facts.bytes_out / BYTES_PER_TOKEN
            }
            events => events,
        };
        let (prompt, completion) = match usage {
            Some(usage) if whole => (usage.prompt_tokens, usage.completion_tokens),
            // Counted to its end by nobody: what was counted at its beginning is too little.
            Some(usage) => (usage.prompt_tokens, usage.completion_tokens.max(seen)),
            None => (u64::from(prompt_tokens), seen),
        };
        let at_most = |most: u32, tokens: u64| u32::try_from(tokens).map_or(most, |tokens| tokens.min(most));
        let answer = (whole && !failed && generates(facts)).then(|| at_most(Outputs::TOKENS_MAX, completion));
        // An upstream that counts wrongly must not shut a segment for days: nothing is charged beyond the prompt as it
        // was estimated and the longest answer there is. A prompt that is longer than it looks has that much room.
        let most = prompt_tokens.saturating_add(Outputs::TOKENS_MAX);
        Some(Self { tokens: at_most(most, prompt.saturating_add(completion)), answer })
    }
}

fn generates(facts: &Facts) -> bool {
    let operation = facts.intent.map(|intent| intent.operation);
    matches!(
        operation,
        Some(
            Operation::ChatCompletions | Operation::Completions | Operation::Responses | Operation::Messages
        )
    )
}
