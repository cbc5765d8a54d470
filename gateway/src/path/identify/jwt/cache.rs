//! Tokens that were found good, by their SHA-256 digests: a table of fixed size, each place of which holds the few that
//! were used last of those whose digest leads there. Only what was found good comes in, so callers without good tokens
//! cannot drive others' out.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use parking_lot::Mutex;
use router_core::identify::jwt::Bearer;

use super::keys::Keys;

/// Places of the table, a power of two.
const PLACES: usize = 4096;
/// Tokens for each: 16,384 in all, in about 0.9 MB without what the claims say.
const WAYS: usize = 4;

/// The table.
pub(super) struct Cache(Box<[Mutex<[Option<Entry>; WAYS]>]>);

struct Entry {
    fingerprint: Fingerprint,
    bearer: Arc<Bearer>,
}

/// A token and the keys by which it was checked: with others it would have to be checked again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    digest: [u8; SHA256_OUTPUT_LEN],
    keys: u64,
}

impl Fingerprint {
    pub(super) fn of(token: &[u8], keys: &Keys) -> Self {
        let mut own = [0; SHA256_OUTPUT_LEN];
        own.copy_from_slice(digest(&SHA256, token).as_ref());
        Self { digest: own, keys: keys.number }
    }

    fn place(&self) -> usize {
        usize::from(u16::from_le_bytes([self.digest[0], self.digest[1]])) % PLACES
    }
}

impl Cache {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| Mutex::default()).collect())
    }

    /// What a token was found to say.
    pub(super) fn find(&self, fingerprint: &Fingerprint) -> Option<Arc<Bearer>> {
        let mut ways = self.0.get(fingerprint.place())?.lock();
        let is_it = |way: &Option<Entry>| way.as_ref().is_some_and(|entry| entry.fingerprint == *fingerprint);
        let way = ways.iter().position(is_it)?;
        // The one used last stands first.
        ways.get_mut(..=way)?.rotate_right(1);
        ways[0].as_ref().map(|entry| entry.bearer.clone())
    }

    /// Keeps what a token says, in the place of the one that was not used for longest.
    pub(super) fn keep(&self, fingerprint: Fingerprint, bearer: Arc<Bearer>) {
        let Some(ways) = self.0.get(fingerprint.place()) else { return };
        let mut ways = ways.lock();
        ways.rotate_right(1);
        ways[0] = Some(Entry { fingerprint, bearer });
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for place in &self.0 {
            *place.lock() = Default::default();
        }
    }
}
