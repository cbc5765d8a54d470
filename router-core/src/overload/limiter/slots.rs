//! A slab: what a limiter remembers of each attempt under way, found by its [`Place`] without hashing. It
//! grows to the most attempts that were ever under way at once and allocates nothing after that.

use super::Place;

/// Values by the place that was given out for them.
#[derive(Debug)]
pub(super) struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    used: u32,
}

#[derive(Debug)]
struct Entry<T> {
    /// Counts the entry's uses, so that the number of an attempt that has ended finds nothing.
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), used: 0 }
    }
}

impl<T> Slots<T> {
    pub(super) fn insert(&mut self, value: T) -> Place {
        self.used += 1;
        if let Some(index) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            entry.generation = entry.generation.wrapping_add(1);
            entry.value = Some(value);
            return Place(u64::from(entry.generation) << 32 | u64::from(index));
        }
        let index = self.entries.len() as u64;
        self.entries.push(Entry { generation: 0, value: Some(value) });
        Place(index)
    }

    /// The value behind a place's number, if its attempt has not ended.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let entry = self.entries.get_mut(index(number))?;
        (u64::from(entry.generation) == number >> 32).then_some(entry.value.as_mut()).flatten()
    }

    pub(super) fn remove(&mut self, place: &Place) -> Option<T> {
        self.get_mut(place.0)?;
        let value = self.entries.get_mut(index(place.0))?.value.take();
        self.free.push((place.0 & INDEX) as u32);
        self.used -= 1;
        value
    }

    /// How many attempts are under way.
    pub(super) fn used(&self) -> u32 {
        self.used
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().filter_map(|entry| entry.value.as_mut())
    }
}

/// The bits of a place's number that are its index.
const INDEX: u64 = 0xffff_ffff;

fn index(number: u64) -> usize {
    (number & INDEX) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_given_back_finds_nothing_even_when_its_slot_is_used_again() {
        let mut slots = Slots::default();
        let first = slots.insert('a');
        assert_eq!(slots.remove(&first), Some('a'));
        let second = slots.insert('b');
        assert_ne!(first, second);
        assert_eq!(slots.get_mut(first.0), None);
        assert_eq!(slots.remove(&first), None);
        assert_eq!(slots.get_mut(second.0), Some(&mut 'b'));
        assert_eq!((slots.used(), slots.entries.len()), (1, 1));
    }

    #[test]
    fn as_many_slots_as_were_ever_used_at_once() {
        let mut slots = Slots::default();
        for _ in 0..100 {
            let places: Vec<_> = (0..10).map(|value| slots.insert(value)).collect();
            assert_eq!(slots.values_mut().count(), 10);
            places.iter().for_each(|place| assert!(slots.remove(place).is_some()));
        }
        assert_eq!((slots.used(), slots.entries.len()), (0, 10));
    }
}
