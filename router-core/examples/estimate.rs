//! Estimates the tokens of request bodies, one a line on stdin: of the whole, and by samples as a call's way does it.
//! `loadtest/tokens/measure.mjs` holds both against a real tokenizer.

use std::io::{self, BufRead, Write};

use router_core::overload::estimate::{Estimator, sampled};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for body in io::stdin().lock().lines() {
        let body = body?;
        let mut whole = Estimator::default();
        whole.feed(body.as_bytes());
        writeln!(out, "{} {}", whole.tokens(), sampled(body.as_bytes()))?;
    }
    Ok(())
}
