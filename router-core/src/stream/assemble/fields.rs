//! One event's JSON, read no further than somebody asks for: values are left as they stand.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Unassembled;

/// Most fields of one object: no API has a tenth, and they are searched one by one.
pub(super) const FIELDS_MAX: usize = 256;
/// Most items that an array in one event may have.
const ITEMS_MAX: usize = 4096;

/// An object.
pub(super) struct Fields<'a>(pub(super) Vec<(String, &'a RawValue)>);

/// An array.
struct Items<'a>(Vec<&'a RawValue>);

impl<'a> Fields<'a> {
    /// Reads an object.
    pub(super) fn read(text: &'a str) -> Result<Self, Unassembled> {
        serde_json::from_str(text)
            .map_err(|_| Unassembled::Unreadable("not the JSON object that it should be"))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|field| field.0 == name).map(|field| field.1)
    }

    /// The text of a field that is a string.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Whether there is such a field, and it is not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !is_null(value))
    }
}

pub(super) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// The text of a JSON string.
pub(super) fn text(value: &RawValue) -> Result<String, Unassembled> {
    serde_json::from_str(value.get()).map_err(|_| Unassembled::Unreadable("not the string that it should be"))
}

/// The items of a JSON array.
pub(super) fn items(value: &RawValue) -> Result<Vec<&RawValue>, Unassembled> {
    serde_json::from_str::<Items<'_>>(value.get())
        .map(|items| items.0)
        .map_err(|_| Unassembled::Unreadable("not the array that it should be"))
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsInOrder)
    }
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsInOrder)
    }
}

struct FieldsInOrder;

struct ItemsInOrder;

impl<'de> Visitor<'de> for FieldsInOrder {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            if fields.len() == FIELDS_MAX {
                return Err(A::Error::custom("too many fields"));
            }
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

impl<'de> Visitor<'de> for ItemsInOrder {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Items<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            if items.len() == ITEMS_MAX {
                return Err(A::Error::custom("too many items"));
            }
            items.push(item);
        }
        Ok(Items(items))
    }
}
