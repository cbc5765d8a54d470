//! All keys that are known, and what they say of one that is presented.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Digest;

/// Keys by their digests, each with what it makes of its caller. Looked up in one step, however many there are; what
/// the time of a look-up tells is a part of a digest at most, from which no key can be made.
#[derive(Clone, Debug)]
pub struct KeyTable<C> {
    entries: HashMap<Digest, Entry<C>, BuildHasherDefault<AsItIs>>,
}

#[derive(Clone, Debug)]
struct Entry<C> {
    /// Seconds of Unix time; [`NEVER`] where there is no end.
    ends: u64,
    caller: C,
}

/// What a presented key is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'t, C> {
    /// It is this caller's.
    Known(&'t C),
    /// It was this caller's.
    Expired(&'t C),
    /// It is nobody's.
    Unknown,
}

impl<C> KeyTable<C> {
    /// A table with room for so many keys.
    #[must_use]
    pub fn with_capacity(keys: usize) -> Self {
        Self { entries: HashMap::with_capacity_and_hasher(keys, BuildHasherDefault::default()) }
    }

    /// Adds a key that ends at `expires`, in seconds of Unix time, if it ever does. One digest has one entry: a second
    /// one takes the first one's place.
    pub fn insert(&mut self, digest: Digest, expires: Option<u64>, caller: C) {
        self.entries.insert(digest, Entry { ends: expires.unwrap_or(NEVER), caller });
    }

    /// What the key with this digest is worth at `now`, in seconds of Unix time. A key is good until the second at
    /// which it expires has begun.
    #[must_use]
    pub fn judge(&self, digest: &Digest, now: u64) -> Verdict<'_, C> {
        match self.entries.get(digest) {
            Some(Entry { ends, caller }) if now < *ends => Verdict::Known(caller),
            Some(Entry { caller, .. }) => Verdict::Expired(caller),
            None => Verdict::Unknown,
        }
    }

    /// How many keys there are, those that have expired among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<C> Default for KeyTable<C> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

/// After everything.
const NEVER: u64 = u64::MAX;

/// Takes the one number that a digest hashes as for the hash: nobody who chooses keys chooses what stands in the table,
/// so nobody can crowd it.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(false, "a digest hashes as one number, not as {} bytes", bytes.len());
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
