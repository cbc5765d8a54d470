//! Values under numbers that are found without hashing and never mistaken: a number that was given back finds
//! nothing, even when its place is used again.

/// Where a value is, and which of the values that were ever there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) index: u32,
    generation: u32,
}

/// Grows to the most values that were ever there at once and allocates nothing after that.
#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl Key {
    /// The number of a value whose index has grown.
    pub(super) const fn moved(self, by: u32) -> Self {
        Self { index: self.index.wrapping_add(by), ..self }
    }
}

/// No index.
pub(super) const NONE: u32 = u32::MAX;

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            entry.value = Some(value);
            return Key { index, generation: entry.generation };
        }
        // 2^32 calls at once do not fit into any memory.
        let index = u32::try_from(self.entries.len()).unwrap_or(NONE);
        self.entries.push(Entry { generation: 0, value: Some(value) });
        Key { index, generation: 0 }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    pub(super) fn find(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    /// How far the indices of another one's values move if they are taken over.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(NONE)
    }

    /// Takes over all of another one's values: each keeps its number, but for the index.
    pub(super) fn absorb(&mut self, other: Self) {
        let end = self.end();
        self.entries.extend(other.entries);
        self.free.extend(other.free.into_iter().map(|index| index + end));
    }

    /// The value at an index that is known to be in use.
    pub(super) fn at(&self, index: u32) -> Option<&T> {
        self.entries.get(index as usize)?.value.as_ref()
    }

    pub(super) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entries.get_mut(index as usize)?.value.as_mut()
    }

    /// The whole number of what is at an index.
    pub(super) fn key(&self, index: u32) -> Option<Key> {
        let entry = self.entries.get(index as usize)?;
        entry.value.as_ref().map(|_| Key { index, generation: entry.generation })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0_u32..).zip(&self.entries).filter_map(|(index, entry)| Some((index, entry.value.as_ref()?)))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().filter_map(|entry| entry.value.as_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_back_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!((first.index, slab.find(first).copied()), (second.index, None));
        assert_eq!(slab.remove(first), None);
        assert_eq!((slab.find(second).copied(), slab.key(second.index)), (Some('b'), Some(second)));
        assert_eq!((slab.len(), slab.entries.len()), (1, 1));
    }

    #[test]
    fn what_is_taken_over_is_found_behind_what_was_there() {
        let (mut slab, mut other) = (Slab::new(), Slab::new());
        let first = slab.insert('a');
        let (gone, there) = (other.insert('b'), other.insert('c'));
        other.remove(gone);
        let end = slab.end();
        slab.absorb(other);
        assert_eq!((slab.find(first).copied(), slab.find(there.moved(end)).copied()), (Some('a'), Some('c')));
        assert_eq!((slab.find(gone.moved(end)).copied(), slab.len()), (None, 2));
        // The place that was free is used again, under another number.
        let next = slab.insert('d');
        assert_eq!((next.index, slab.find(gone.moved(end)).copied()), (gone.moved(end).index, None));
    }
}
