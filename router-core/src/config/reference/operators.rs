//! The keys of operators.

use super::{Key, Kind, Section, Without, texts};
use crate::config::Role;

pub(in crate::config) static ADMIN_KEY: Section = Section {
    place: "admin.keys[]",
    about: "",
    keys: &[
        Key {
            name: "id",
            kind: Kind::Text(&texts::CALLER),
            without: Without::Refused,
            about: "The operator's name, in the log and wherever it stands who made a change. Several keys may have the same, so that a new key can be handed out before the old one ends.",
        },
        Key {
            name: "sha256",
            kind: Kind::Text(&texts::DIGEST),
            without: Without::Refused,
            about: "What is known of the key; the key itself is in no file. `weir key new` makes a key and prints this. Each key stands once, and no caller's key is an operator's.",
        },
        Key {
            name: "role",
            kind: Kind::Word(&[Role::ALL[0].name(), Role::ALL[1].name(), Role::ALL[2].name()]),
            without: Without::Refused,
            about: "A `reader` sees everything that there is no secret in, a `writer` also changes what is changed while Weir runs, such as weights and quotas, an `admin` also reloads the configuration.",
        },
        Key {
            name: "expires",
            kind: Kind::Text(&texts::MOMENT),
            without: Without::Told("never"),
            about: "When the key ends: from then on it is answered 401.",
        },
    ],
    later: &[],
};
