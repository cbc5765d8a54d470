//! Who calls, by the key that came with the call, and what may that caller use? Everything here is a look-up among
//! what an operator configured: no key is ever seen, only its SHA-256 digest, and the time comes in. The gateway's
//! half, which takes the key from the head and hashes it, is `gateway/src/path/identify/credential.rs`.

mod digest;
mod rights;
mod table;
#[cfg(test)]
mod tests;

pub use digest::Digest;
pub use rights::Rights;
pub use table::{KeyTable, Verdict};
