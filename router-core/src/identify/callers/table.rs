//! All keys that are known, and what they say of one that is presented.

use super::Digest;

/// Keys by their digests, each with what it makes of its caller. Digests are evenly spread, so their first bits say
/// where in the sorted list one stands, to one or two entries: a look-up costs the same however many keys there are,
/// and the table takes 36 bytes for each beside the end and the caller. What the time of a look-up tells is a few bits
/// of a digest at most, from which no key can be made; whole digests are compared in constant time.
#[derive(Clone, Debug)]
pub struct KeyTable<C> {
    /// Sorted by digest, each once.
    entries: Vec<Entry<C>>,
    /// Where in `entries` the digests begin that start with these bits, and behind the last where they end.
    starts: Vec<u32>,
    /// How many bits that is.
    bits: u32,
}

#[derive(Clone, Debug)]
struct Entry<C> {
    digest: Digest,
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
    /// What the key with this digest is worth at `now`, in seconds of Unix time. A key is good until the second at
    /// which it expires has begun.
    #[must_use]
    pub fn judge(&self, digest: &Digest, now: u64) -> Verdict<'_, C> {
        let place = first_bits(digest, self.bits);
        let span = match self.starts.get(place..place + 2) {
            Some(&[start, end]) => start as usize..end as usize,
            _ => 0..0,
        };
        let found = self.entries.get(span).unwrap_or_default().iter().find(|entry| entry.digest == *digest);
        match found {
            Some(Entry { ends, caller, .. }) if now < *ends => Verdict::Known(caller),
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
        Self { entries: Vec::new(), starts: Vec::new(), bits: 0 }
    }
}

impl<C> FromIterator<(Digest, Option<u64>, C)> for KeyTable<C> {
    /// Of keys that end at a moment, in seconds of Unix time, or never. Of two with one digest the later counts.
    fn from_iter<I: IntoIterator<Item = (Digest, Option<u64>, C)>>(keys: I) -> Self {
        let keys = keys.into_iter();
        let mut entries: Vec<_> = keys
            .map(|(digest, expires, caller)| Entry { digest, ends: expires.unwrap_or(NEVER), caller })
            .collect();
        // Equal ones stay in their order.
        entries.sort_by_key(|entry| entry.digest.0);
        entries.dedup_by(|later, earlier| {
            let same = later.digest == earlier.digest;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        entries.shrink_to_fit();
        // About as many beginnings as there are entries; 2^32 entries fit no memory.
        let bits = entries.len().max(1).ilog2().min(BITS_MAX);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (index, entry) in entries.iter().enumerate() {
            let upto = first_bits(&entry.digest, bits) + 1;
            starts.resize(upto.max(starts.len()), u32::try_from(index).unwrap_or(u32::MAX));
        }
        starts.resize((1 << bits) + 1, u32::try_from(entries.len()).unwrap_or(u32::MAX));
        Self { entries, starts, bits }
    }
}

/// The number that the first bits of a digest make.
fn first_bits(digest: &Digest, bits: u32) -> usize {
    let [a, b, c, d, ..] = digest.0;
    let first = u64::from(u32::from_be_bytes([a, b, c, d]));
    usize::try_from(first >> (u32::BITS - bits)).unwrap_or(0)
}

/// After everything.
const NEVER: u64 = u64::MAX;
/// Sixteen million beginnings take 64 MB.
const BITS_MAX: u32 = 24;
