//! The sections about who calls: the keys of the segments, and where else callers are known from.

use super::{Items, JWT, Key, Kind, Section, Without, texts};

pub(in crate::config) static IDENTITY: Section = Section {
    place: "identity",
    about: "",
    keys: &[
        Key {
            name: "keys_file",
            kind: Kind::Text(&texts::FILE),
            without: Without::Told("none"),
            about: "A file of keys, in YAML or JSON: a list of `{ id, segment, sha256, expires, routes, quota }`, as under `segments.NAME.keys` but each with its segment. \
                It is read again whenever it changes, without a reload of the rest; one with a mistake leaves the keys before it in force, and `weir_keys_last_reload_success` says so. \
                At most 64 MiB: about half a million keys.",
        },
        Key {
            name: "jwt",
            kind: Kind::Section(&JWT),
            without: Without::Told("no tokens are taken"),
            about: "Bearer tokens (JSON Web Tokens) of one issuer, signed with RS256, ES256 or EdDSA (Ed25519). A credential of three parts with dots between them is taken for one, any other for a key. Calls with a token that is not good are answered 401; the log says why (`cause`), and `weir_jwt_refused_total` counts them.",
        },
    ],
    later: &[],
};

pub(in crate::config) static SEGMENT_KEY: Section = Section {
    place: "segments.NAME.keys[]",
    about: "",
    keys: &[ID, SHA256, EXPIRES, ROUTES, QUOTA],
    later: &[],
};

/// An item of a file of keys.
pub(in crate::config) static FILE_KEY: Section = Section {
    place: "[]",
    about: "",
    keys: &[
        ID,
        Key {
            name: "segment",
            kind: Kind::Text(&texts::SEGMENT),
            without: Without::Refused,
            about: "The caller's segment.",
        },
        SHA256,
        EXPIRES,
        ROUTES,
        QUOTA,
    ],
    later: &[],
};

const ID: Key = Key {
    name: "id",
    kind: Kind::Text(&texts::CALLER),
    without: Without::Refused,
    about: "The caller's name: the field `caller` of log lines, never a label of a metric. Several keys of one segment may have the same, so that a new key can be handed out before the old one ends.",
};

const SHA256: Key = Key {
    name: "sha256",
    kind: Kind::Text(&texts::DIGEST),
    without: Without::Refused,
    about: "What is known of the key; the key itself is in no file. `weir key new` makes a key and prints this line. Each key stands once in all.",
};

const EXPIRES: Key = Key {
    name: "expires",
    kind: Kind::Text(&texts::MOMENT),
    without: Without::Told("never"),
    about: "When the key ends: from then on it is answered 401. To change a key, add the new one, and let the old one end once the caller has had time to take it up.",
};

const ROUTES: Key = Key {
    name: "routes",
    kind: Kind::List(&Kind::Text(&texts::TOPIC), Items { least: 1, most: None, unique: true }),
    without: Without::Told("all that the segment may use"),
    about: "What the key is for: narrows what `routes.NAME.allow` lets its segment use. Anything else is answered 403, and is in no list of models.",
};

const QUOTA: Key = Key {
    name: "quota",
    kind: Kind::Section(&super::KEY_QUOTA),
    without: Without::Told("as much as the segment"),
    about: "What this caller alone may use, within what all of its segment may. All keys of one `id` share it and have to say the same. What has been used stays used over reloads.",
};
