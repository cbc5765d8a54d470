//! The words for callers that are not known.

/// Why a caller is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unidentified {
    /// It came without a key, and needs one.
    NoKey,
    /// Its key is nobody's.
    UnknownKey,
    /// Its key has ended.
    ExpiredKey,
    /// Two headers carry two different keys: which one counts is anybody's guess.
    TwoKeys,
    /// What it sent in `authorization` is no bearer's key.
    OtherScheme,
    /// One caller's address has sent too many keys that are nobody's.
    TooMany,
}

impl Unidentified {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::NoKey, Self::UnknownKey, Self::ExpiredKey, Self::TwoKeys, Self::OtherScheme, Self::TooMany];

    /// The word for it in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoKey => "no key",
            Self::UnknownKey => "unknown key",
            Self::ExpiredKey => "expired key",
            Self::TwoKeys => "two keys",
            Self::OtherScheme => "no bearer's key",
            Self::TooMany => "too many unknown keys",
        }
    }

    /// What its caller is told.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoKey => "A key is needed: send it as `authorization: Bearer KEY` or as `x-api-key: KEY`.",
            Self::UnknownKey => "The key is not known.",
            Self::ExpiredKey => "The key has expired.",
            Self::TwoKeys => "The headers `authorization` and `x-api-key` carry different keys: send one.",
            Self::OtherScheme => {
                "The header `authorization` carries no key: send `authorization: Bearer KEY` or `x-api-key: KEY`."
            }
            Self::TooMany => "Too many unknown keys have come from this address. The key is not known.",
        }
    }
}
