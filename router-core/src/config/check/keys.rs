//! What to tell about a key that stands where it should not. Which keys there are, and which a later version
//! gives a meaning, is described in `reference`; whatever is neither is a mistake, and the description helps to
//! say which.

use crate::config::problem::{Complaint, shown};
use crate::config::reference::{Section, TOP};
use crate::config::suggest::nearest;

impl Section {
    pub(super) fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key)
    }

    /// The key that a mistyped one was most likely meant to be.
    pub(super) fn meant(&self, key: &str) -> Option<&'static str> {
        if self.later.contains(&key) { None } else { nearest(key, self.names()) }
    }

    /// What to tell about a key that this mapping does not have: a later version's key, a slip of the hand,
    /// a key of another mapping, or none of these.
    pub(super) fn unknown(&self, key: &str) -> Complaint {
        let name = shown(key);
        if let Some((_, why)) = NEVER.iter().find(|(never, _)| *never == key) {
            return Complaint::new(format!("{name} is not read")).help(*why);
        }
        if self.later.contains(&key) {
            return not_supported(&name);
        }
        if let Some(known) = self.meant(key) {
            return Complaint::new(format!("unknown key {name}, did you mean `{known}`?"));
        }
        let all = TOP.all();
        let homes: Vec<_> =
            all.iter().filter(|section| section.knows(key)).map(|section| section.told()).collect();
        if !homes.is_empty() {
            return Complaint::new(format!("unknown key {name} here"))
                .help(format!("it belongs to {}", homes.join(" or ")));
        }
        if all.iter().any(|section| section.later.contains(&key)) {
            return not_supported(&name);
        }
        let names: Vec<_> = self.names().collect();
        Complaint::new(format!("unknown key {name}")).help(format!(
            "{} has {}",
            self.told(),
            names.join(", ")
        ))
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }

    /// Where such a mapping stands.
    fn told(&self) -> String {
        if self.place.is_empty() { "the top level".to_owned() } else { format!("`{}`", self.place) }
    }
}

/// Keys that are in circulation and have no meaning anywhere, and why not.
const NEVER: [(&str, &str); 1] = [(
    "concurrency_limit_fractional_percent",
    "Envoy, whose names these are, has no such field and refuses it, too; `max_concurrency_limit` bounds the limit",
)];

/// What to tell about something that a later version may have.
pub(super) fn not_supported(name: &str) -> Complaint {
    Complaint::new(format!("{name} is not supported by this version"))
}
