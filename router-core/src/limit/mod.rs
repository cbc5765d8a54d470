//! Is the caller inside its rates? Counts requests, tokens and calls at a time against a quota. Holds no lock and reads
//! no clock: a decision is a compare-exchange on one number, and the time is passed in. The gateway's half, which keeps
//! the meters and tells the callers, is `gateway/src/path/limit/`.
//!
//! Requests and tokens follow one rule, the generic cell rate algorithm (ITU-T I.371): a [`Cell`] is one time, that at
//! which its bucket is full again. One rule of our own for both, in place of a library for requests, because a charge
//! must be given back (a call that Weir itself refuses costs nothing), tokens are reserved before they are known and
//! settled when they are, time must be compressible in tests, and a share of a quota that several processes divide
//! among them must be able to feed a cell.
//!
//! A [`Meter`] is what one class of callers (or one key) has used, [`Terms`] are what it may use, and a [`Hold`] is
//! what one call has taken and not yet paid for. [`Outputs`] tell how much to reserve for an answer.

mod cell;
mod meter;
mod outputs;
mod terms;

#[cfg(test)]
mod tests;

pub use cell::{Cell, Level};
pub use meter::{Hold, Meter, Spent};
pub use outputs::Outputs;
pub use terms::{Kind, Rate, Terms};
