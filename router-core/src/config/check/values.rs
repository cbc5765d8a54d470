//! Fields that hold a single value, read by what they may hold: durations, sizes, counts, switches, words.

use std::time::Duration;

use super::reader::{Fields, Reader};
use crate::config::bounds::Range;
use crate::config::scalar;

impl Reader<'_> {
    /// A duration, if the field is there and right.
    pub(super) fn duration(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        range: Range<Duration>,
    ) -> Option<Duration> {
        self.value(fields.get(key)?, "a duration", |text| scalar::duration(text, range))
    }

    /// A size in bytes, if the field is there and right.
    pub(super) fn size(&mut self, fields: &Fields<'_>, key: &str, range: Range<u64>) -> Option<u64> {
        self.value(fields.get(key)?, "a size", |text| scalar::size(text, range))
    }

    /// A whole number, if the field is there and right.
    pub(super) fn count(&mut self, fields: &Fields<'_>, key: &str, range: Range<u64>) -> Option<u64> {
        self.value(fields.get(key)?, "a whole number", |text| scalar::count(text, range))
    }

    /// A number, if the field is there and right.
    pub(super) fn number(&mut self, fields: &Fields<'_>, key: &str, range: Range<f64>) -> Option<f64> {
        self.value(fields.get(key)?, "a number", |text| scalar::number(text, range))
    }

    /// A whole number that fits its range and so 32 bits, if the field is there and right.
    pub(super) fn small(&mut self, fields: &Fields<'_>, key: &str, range: Range<u64>) -> Option<u32> {
        debug_assert!(range.1 <= u64::from(u32::MAX), "{key} does not fit");
        self.count(fields, key, range).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// `true` or `false`, if the field is there and right.
    pub(super) fn switch(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        self.value(fields.get(key)?, "true or false", scalar::boolean)
    }

    /// One of a few words, if the field is there and right.
    pub(super) fn word<T: Copy>(&mut self, fields: &Fields<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.value(fields.get(key)?, &scalar::choice(words), |text| scalar::word(text, words))
    }
}
