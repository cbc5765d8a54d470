//! A JSON object that comes in pieces: fields in the order in which they first came, each in the form in which it can
//! take more. Values that only wait to be passed on are kept as they stand.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::fields::{FIELDS_MAX, is_null, items, text};
use super::{Budget, Unassembled};

/// What a field, an item of a list or a block costs beside its text.
pub(super) const OVERHEAD_BYTES: usize = 64;

/// An object that grows.
#[derive(Default)]
pub(super) struct Grown(Vec<(String, Part)>);

/// The value of a field so far.
enum Part {
    Text(String),
    Number(u64),
    List(Vec<Box<RawValue>>),
    Object(Grown),
    /// Parts that were put together apart.
    Objects(Vec<Grown>),
    /// What does not grow, as it stood.
    Value(Box<RawValue>),
}

impl Grown {
    /// Adds a piece of a field: text to text, items to a list; of everything else the last one stays. Null adds
    /// nothing.
    pub(super) fn grow(
        &mut self,
        name: &str,
        piece: &RawValue,
        budget: &mut Budget,
    ) -> Result<(), Unassembled> {
        let old = self.part(name, budget)?;
        match piece.get().as_bytes() {
            b"null" => return Ok(()),
            [b'"', ..] => {
                let piece = text(piece)?;
                budget.take(piece.len())?;
                match old {
                    Part::Text(text) => text.push_str(&piece),
                    Part::Value(_) => *old = Part::Text(piece),
                    _ => return Err(MIXED),
                }
            }
            [b'[', ..] => {
                let items = items(piece)?;
                budget.take(piece.get().len() + items.len() * OVERHEAD_BYTES)?;
                let items = items.into_iter().map(ToOwned::to_owned);
                match old {
                    Part::List(list) => list.extend(items),
                    Part::Text(text) if !text.is_empty() => return Err(MIXED),
                    Part::Text(_) | Part::Value(_) => *old = Part::List(items.collect()),
                    _ => return Err(MIXED),
                }
            }
            _ => return replace(old, piece, budget),
        }
        Ok(())
    }

    /// The same for what some servers say once and others in every event, such as a name: it is not added to itself.
    pub(super) fn grow_once(
        &mut self,
        name: &str,
        piece: &RawValue,
        budget: &mut Budget,
    ) -> Result<(), Unassembled> {
        let old = self.part(name, budget)?;
        let repeated = matches!(old, Part::Text(known) if text(piece).is_ok_and(|piece| piece == *known));
        if repeated { Ok(()) } else { self.grow(name, piece, budget) }
    }

    /// Puts a value in the place of the last one, unless it says nothing: null or an empty string.
    pub(super) fn renew(
        &mut self,
        name: &str,
        value: &RawValue,
        budget: &mut Budget,
    ) -> Result<(), Unassembled> {
        let old = self.part(name, budget)?;
        if is_null(value) || value.get() == "\"\"" && !matches!(old, Part::Value(old) if is_null(old)) {
            return Ok(());
        }
        replace(old, value, budget)
    }

    /// Adds an item to a list.
    pub(super) fn push(
        &mut self,
        name: &str,
        item: &RawValue,
        budget: &mut Budget,
    ) -> Result<(), Unassembled> {
        budget.take(item.get().len() + OVERHEAD_BYTES)?;
        let old = self.part(name, budget)?;
        match old {
            Part::List(list) => list.push(item.to_owned()),
            Part::Value(value) if is_null(value) => *old = Part::List(vec![item.to_owned()]),
            _ => return Err(MIXED),
        }
        Ok(())
    }

    /// An object that grows in its turn.
    pub(super) fn object(&mut self, name: &str, budget: &mut Budget) -> Result<&mut Self, Unassembled> {
        let old = self.part(name, budget)?;
        if matches!(old, Part::Value(value) if is_null(value)) {
            *old = Part::Object(Self::default());
        }
        match old {
            Part::Object(object) => Ok(object),
            _ => Err(MIXED),
        }
    }

    /// Sets a field to a text of the API's.
    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        self.put(name, Part::Text(text.to_owned()));
    }

    /// Sets a field to a number of the API's.
    pub(super) fn set_number(&mut self, name: &str, number: u64) {
        self.put(name, Part::Number(number));
    }

    /// Sets a field to a value as it stands.
    pub(super) fn set_value(&mut self, name: &str, value: Box<RawValue>) {
        self.put(name, Part::Value(value));
    }

    /// Sets a field to null.
    pub(super) fn set_null(&mut self, name: &str) {
        self.put(name, Part::Value(RawValue::NULL.to_owned()));
    }

    /// Sets a field to an object that was put together apart.
    pub(super) fn set_object(&mut self, name: &str, object: Self) {
        self.put(name, Part::Object(object));
    }

    /// Sets a field to a list of them.
    pub(super) fn set_objects(&mut self, name: &str, objects: Vec<Self>) {
        self.put(name, Part::Objects(objects));
    }

    /// Takes over the fields of another, in the place of its own of that name.
    pub(super) fn take_over(&mut self, other: Self) {
        other.0.into_iter().for_each(|(name, part)| self.put(&name, part));
    }

    fn put(&mut self, name: &str, part: Part) {
        match self.0.iter_mut().find(|field| field.0 == name) {
            Some(field) => field.1 = part,
            None => self.0.push((name.to_owned(), part)),
        }
    }

    /// Puts these fields first, in this order.
    pub(super) fn order(&mut self, first: &[&str]) {
        self.0.sort_by_key(|field| first.iter().position(|name| *name == field.0).unwrap_or(first.len()));
    }

    /// As JSON. Texts, and values that were JSON, cannot fail to be.
    pub(super) fn json(&self) -> Result<String, Unassembled> {
        serde_json::to_string(self).map_err(|_| Unassembled::Unreadable("not JSON in the end"))
    }

    /// Takes a field out if it says nothing.
    pub(super) fn drop_null(&mut self, name: &str) {
        self.0.retain(|(known, part)| known != name || !matches!(part, Part::Value(value) if is_null(value)));
    }

    /// Whether a field is there and says something.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some_and(|part| match part {
            Part::Text(text) => !text.is_empty(),
            Part::Value(value) => !is_null(value) && value.get() != "\"\"",
            Part::Number(_) | Part::List(_) | Part::Object(_) | Part::Objects(_) => true,
        })
    }

    /// The JSON of a field that does not grow.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        match self.find(name)? {
            Part::Value(value) => Some(value.get()),
            _ => None,
        }
    }

    fn find(&self, name: &str) -> Option<&Part> {
        self.0.iter().find(|field| field.0 == name).map(|field| &field.1)
    }

    /// The field, null if it is new.
    fn part(&mut self, name: &str, budget: &mut Budget) -> Result<&mut Part, Unassembled> {
        let place = self.0.iter().position(|field| field.0 == name);
        let place = match place {
            Some(place) => place,
            None => {
                if self.0.len() >= FIELDS_MAX {
                    return Err(Unassembled::Unreadable("too many fields"));
                }
                budget.take(name.len() + OVERHEAD_BYTES)?;
                self.0.push((name.to_owned(), Part::Value(RawValue::NULL.to_owned())));
                self.0.len() - 1
            }
        };
        Ok(&mut self.0[place].1)
    }
}

const MIXED: Unassembled = Unassembled::Unreadable("a field is of another kind than before");

/// Only what a value is longer than the one before costs anything: most are said again in every event.
fn replace(old: &mut Part, value: &RawValue, budget: &mut Budget) -> Result<(), Unassembled> {
    let known = match old {
        Part::Value(old) => old.get().len(),
        _ => 0,
    };
    budget.take(value.get().len().saturating_sub(known))?;
    *old = Part::Value(value.to_owned());
    Ok(())
}

impl Serialize for Grown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, part) in &self.0 {
            map.serialize_entry(name, part)?;
        }
        map.end()
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::Objects(objects) => objects.serialize(serializer),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}
