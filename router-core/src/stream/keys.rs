//! What is the value of a key, without parsing what stands around it? Within a JSON string a quote is always
//! escaped, so the bytes `"usage"` followed by a colon are a key wherever they stand, and finding them is a
//! vectorised search of some nanoseconds where parsing costs hundreds.

use std::iter;
use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Finish, Usage};

/// A key that answers are searched for, quotes included.
pub(super) struct Key(LazyLock<Finder<'static>>);

pub(super) static USAGE: Key = Key(LazyLock::new(|| Finder::new(b"\"usage\"")));
pub(super) static FINISH_REASON: Key = Key(LazyLock::new(|| Finder::new(b"\"finish_reason\"")));
pub(super) static STOP_REASON: Key = Key(LazyLock::new(|| Finder::new(b"\"stop_reason\"")));
pub(super) static CHOICES: Key = Key(LazyLock::new(|| Finder::new(b"\"choices\"")));
pub(super) static ERROR: Key = Key(LazyLock::new(|| Finder::new(b"\"error\"")));

/// What reading a value found.
pub(super) enum Reading<T> {
    /// The value.
    Value(T),
    /// The text ends before the value does.
    Cut,
    /// Something else than was looked for.
    Other,
}

/// Token counts as they came, each if it came.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// The fields of `usage` in both dialects: their names do not collide.
#[derive(Deserialize)]
struct UsageFields {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Key {
    /// Where the key's characters stand in `text`. The quote that ends one may begin the next: not in JSON, but so a
    /// search that begins further behind finds the same.
    pub(super) fn positions<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let mut from = 0;
        iter::from_fn(move || {
            let position = from + self.0.find(text.get(from..)?)?;
            from = position + self.0.needle().len() - 1;
            Some(position)
        })
    }

    /// Whether the key's characters stand in `text`, as a key or as a value.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.0.find(text).is_some()
    }

    /// The last value of the key in `text` that `read` can read.
    pub(super) fn last<T>(&self, text: &[u8], read: fn(&[u8]) -> Reading<T>) -> Option<T> {
        self.positions(text).filter_map(|position| self.read_at(&text[position..], read).value()).last()
    }

    /// Reads the value of the key that `text` begins with.
    pub(super) fn read_at<T>(&self, text: &[u8], read: fn(&[u8]) -> Reading<T>) -> Reading<T> {
        match text[self.0.needle().len()..].trim_ascii_start() {
            [] => Reading::Cut,
            [b':', value @ ..] => match value.trim_ascii_start() {
                [] => Reading::Cut,
                value => read(value),
            },
            _ => Reading::Other,
        }
    }

    /// How many bytes at the end of `text` may be the beginning of the key.
    pub(super) fn begun_at_end(&self, text: &[u8]) -> usize {
        let key = self.0.needle();
        (1..key.len()).rev().find(|length| text.ends_with(&key[..*length])).unwrap_or(0)
    }
}

impl<T> Reading<T> {
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Cut | Self::Other => None,
        }
    }
}

impl Counts {
    /// Brings `usage` up to date. A zero never replaces a known prompt: some servers count it once, and say 0
    /// in later events.
    pub(super) fn merge_into(self, usage: &mut Option<Usage>) {
        let known = usage.unwrap_or_default();
        *usage = Some(Usage {
            prompt_tokens: self.prompt_tokens.filter(|tokens| *tokens > 0).unwrap_or(known.prompt_tokens),
            completion_tokens: self.completion_tokens.unwrap_or(known.completion_tokens),
        });
    }
}

/// Reads a `usage` object; what follows it does not matter.
pub(super) fn read_usage(value: &[u8]) -> Reading<Counts> {
    if value[0] != b'{' {
        return Reading::Other;
    }
    match parse_usage(value) {
        Ok(fields) => fields.counts().map_or(Reading::Other, Reading::Value),
        Err(error) if error.is_eof() || is_cut_in_number(value) => Reading::Cut,
        Err(_) => Reading::Other,
    }
}

fn parse_usage(value: &[u8]) -> serde_json::Result<UsageFields> {
    UsageFields::deserialize(&mut serde_json::Deserializer::from_slice(value))
}

/// Whether the text ends where a number needs one more digit, which the parser calls wrong, not cut. With the digit
/// it is cut like any other.
fn is_cut_in_number(value: &[u8]) -> bool {
    let wants_digit = matches!(value, [.., b'-' | b'+' | b'.' | b'e' | b'E']);
    wants_digit && parse_usage(&[value, b"0"].concat()).is_err_and(|error| error.is_eof())
}

/// Reads a finish reason; what follows it does not matter.
pub(super) fn read_finish(value: &[u8]) -> Reading<Finish> {
    let [b'"', word @ ..] = value else { return Reading::Other };
    let Some(end) = memchr(b'"', word) else { return Reading::Cut };
    Finish::from_wire(&word[..end]).map_or(Reading::Other, Reading::Value)
}

/// Reads an array as whether anything is in it.
pub(super) fn read_is_filled(value: &[u8]) -> Reading<bool> {
    let [b'[', items @ ..] = value else { return Reading::Other };
    items.trim_ascii_start().first().map_or(Reading::Cut, |first| Reading::Value(*first != b']'))
}

/// Whether a value is there and not empty. Servers write `""`, `[]` and `{}` where they mean nothing.
pub(super) fn is_filled(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| match value.get().as_bytes() {
        b"\"\"" | b"false" => false,
        [b'[' | b'{', inner @ ..] => !matches!(inner.trim_ascii_start(), [b']' | b'}', ..]),
        _ => true,
    })
}

impl UsageFields {
    /// `None` if none of the counts came.
    fn counts(&self) -> Option<Counts> {
        let parts = [self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens];
        let input_tokens = parts.into_iter().flatten().reduce(u64::saturating_add);
        let counts = Counts {
            prompt_tokens: self.prompt_tokens.or(input_tokens),
            completion_tokens: self.completion_tokens.or(self.output_tokens),
        };
        (counts.prompt_tokens.is_some() || counts.completion_tokens.is_some()).then_some(counts)
    }
}
