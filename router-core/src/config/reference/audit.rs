//! The section about the log of changes.

use super::{Key, Kind, Section, Without, texts};

pub(in crate::config) static AUDIT: Section = Section {
    place: "audit",
    about: "A change of this section needs a restart.",
    keys: &[
        Key {
            name: "path",
            kind: Kind::Text(&texts::FILE),
            without: Without::Refused,
            about: "The log: JSON lines, each with the hash of the one before, on the disk before the change is in force; while it cannot be written, changes are refused. It is made with mode 0600 and only ever appended to, by one Weir. Give each replica one of its own, on a disk that outlives it.",
        },
        Key {
            name: "key",
            kind: Kind::Secret(&KEY),
            without: Without::Told("no signatures"),
            about: "An Ed25519 private key by which each line is signed, so that whoever can write the file still cannot write it anew.",
        },
    ],
    later: &[],
};

static KEY: Section = Section {
    place: "audit.key",
    about: "",
    keys: &[
        Key {
            name: "env",
            kind: Kind::Text(&texts::VARIABLE),
            without: Without::Told("either this or `file`"),
            about: "The key is in this environment variable, as PEM (PKCS#8).",
        },
        Key {
            name: "file",
            kind: Kind::Text(&texts::FILE),
            without: Without::Told("either this or `env`"),
            about: "It is in this file, as `openssl genpkey -algorithm ed25519` writes it.",
        },
    ],
    later: &[],
};
