//! The section about how callers are known.

use super::{JWT, Key, Kind, Section, Without};

pub(in crate::config) static IDENTITY: Section = Section {
    place: "identity",
    about: "",
    keys: &[Key {
        name: "jwt",
        kind: Kind::Section(&JWT),
        without: Without::Told("no tokens are taken"),
        about: "Bearer tokens (JSON Web Tokens) of one issuer, signed with RS256, ES256 or EdDSA (Ed25519). A credential of three parts with dots between them is taken for one; any other is an API key. Calls with a token that is not good are answered 401; the log says why (`cause`), and `weir_jwt_refused_total` counts them.",
    }],
    later: &["keys_file"],
};
