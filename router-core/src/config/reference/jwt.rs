//! The section about bearer tokens.

use super::{Items, Key, Kind, Section, Without, texts};
use crate::config::bounds::{AUDIENCES_MAX, SKEW};

pub(in crate::config) static JWT: Section = Section {
    place: "identity.jwt",
    about: "",
    keys: &[
        Key {
            name: "issuer",
            kind: Kind::Text(&texts::SAID),
            without: Without::Refused,
            about: "The `iss` that tokens have, to the letter: a slash at its end counts.",
        },
        Key {
            name: "audience",
            kind: Kind::Either(&[
                Kind::Text(&texts::SAID),
                Kind::List(
                    &Kind::Text(&texts::SAID),
                    Items { least: 1, most: Some(AUDIENCES_MAX), unique: true },
                ),
            ]),
            without: Without::Refused,
            about: "Whom tokens are for: their `aud` is or has one of these. It keeps out tokens that the same issuer made for other services.",
        },
        Key {
            name: "jwks",
            kind: Kind::Text(&texts::JWKS),
            without: Without::Refused,
            about: "The issuer's public keys (JSON Web Key Set): a URL, most often the `jwks_uri` of its `/.well-known/openid-configuration`, or a file. A URL is asked at the start, then as often as its `cache-control: max-age` says (between 60 s and 24 h; every 10 min without one), and at once for a key id that is not known (at most every 10 s). If that fails, the keys stay as they are and it is tried again: see `weir_jwks_failures_total`. A file is read again when it changes. Redirects are not followed.",
        },
        Key {
            name: "ca",
            kind: Kind::Text(&texts::FILE),
            without: Without::Told("the system's certificate authorities"),
            about: "Certificate authorities (PEM) that the URL's certificate has to be of.",
        },
        Key {
            name: "skew",
            kind: Kind::Duration(SKEW),
            without: Without::Default,
            about: "How far the issuer's clock may be off: a token is taken so long before its `nbf` and after its `exp`. Raise it rather than set no clock by.",
        },
        Key {
            name: "claims",
            kind: Kind::Section(&CLAIMS),
            without: Without::Told("the defaults below"),
            about: "Which claims say what of a caller. A name with dots that no claim has itself leads into objects, as `realm_access.roles` does.",
        },
    ],
    later: &[],
};

pub(in crate::config) static CLAIMS: Section = Section {
    place: "identity.jwt.claims",
    about: "",
    keys: &[
        Key {
            name: "segment",
            kind: Kind::Text(&texts::SAID),
            without: Without::Told("all tokens are of the only segment; needed if there are several"),
            about: "The claim that names the caller's segment. If it has a list, the first segment of the file that it names counts. A token without it, or with none that there is, is refused.",
        },
        Key {
            name: "caller",
            kind: Kind::Text(&texts::SAID),
            without: Without::Default,
            about: "The claim with the caller's id, as the log has it: a text of 1 to 256 printable bytes, or a whole number.",
        },
    ],
    later: &["role"],
};
