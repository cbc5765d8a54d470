//! What is wrong with a token: in full for the operator's log, in general terms for the caller, as a word for metrics.
//! None of them holds a piece of the token but for its key id, shortened and only if it can be printed, and names of
//! algorithms that are known.

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Longer than [`TOKEN_BYTES_MAX`](super::TOKEN_BYTES_MAX).
    #[error("the token has {bytes} bytes, more than {}", super::TOKEN_BYTES_MAX)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Not a JSON Web Token.
    #[error("the token is malformed: {fault}")]
    Malformed {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Its algorithm is `none`.
    #[error("the token is not signed: its algorithm is `none`")]
    Unsigned,
    /// It is signed with an algorithm that is not taken, HS256 among them.
    #[error("the token is signed with {algorithm}; RS256, ES256 and EdDSA are accepted")]
    Algorithm {
        /// Its name, if it is a known one.
        algorithm: &'static str,
    },
    /// It demands an extension that is not understood.
    #[error("the token demands extensions (`crit`) that are not understood")]
    Critical,
    /// No keys could be loaded yet.
    #[error("there are no keys yet to check tokens with: the JWKS could not be loaded")]
    NoKeys,
    /// None of the keys has its key id.
    #[error("no key of the JWKS has the token's key id{kid}")]
    UnknownKey {
        /// The key id with what leads to it, or nothing if it cannot be shown.
        kid: String,
    },
    /// It has no key id, and there are several keys that could have signed it, or none.
    #[error("the token names no key id, and {keys} keys of the JWKS are for its algorithm")]
    NoKeyId {
        /// How many there are.
        keys: usize,
    },
    /// The key with its key id is for another algorithm.
    #[error("the token is signed with {algorithm}, and its key is for {of_key}")]
    WrongKey {
        /// What the token says.
        algorithm: &'static str,
        /// What the key is for.
        of_key: &'static str,
    },
    /// The signature is not that key's for this token.
    #[error("the token's signature is not right")]
    Signature,
    /// A claim that must be there is not.
    #[error("the token has no claim {claim:?}")]
    Missing {
        /// Its name in the configuration, or that of RFC 7519.
        claim: String,
    },
    /// A claim has a value of another kind.
    #[error("the token's claim {claim:?} is not {wanted}")]
    Claim {
        /// Its name in the configuration, or that of RFC 7519.
        claim: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// Its time is over.
    #[error("the token expired {ago_s} s ago")]
    Expired {
        /// Since how many seconds.
        ago_s: u64,
    },
    /// Its time has not come.
    #[error("the token is not valid before {in_s} s from now")]
    NotYetValid {
        /// In how many seconds it will be.
        in_s: u64,
    },
    /// Another issuer made it.
    #[error("the token is of another issuer than `identity.jwt.issuer`")]
    Issuer,
    /// It was made for somebody else.
    #[error("the token is for none of `identity.jwt.audience`")]
    Audience,
    /// It names no segment that there is.
    #[error("the token's claim {claim:?} names no segment of the configuration")]
    NoSegment {
        /// The claim's name in the configuration.
        claim: String,
    },
}

impl Bad {
    /// Every word that [`Self::name`] gives.
    pub const NAMES: [&'static str; 15] = [
        "too_long",
        "malformed",
        "unsigned",
        "algorithm",
        "no_keys",
        "unknown_key",
        "wrong_key",
        "bad_signature",
        "missing_claim",
        "bad_claim",
        "expired",
        "not_yet_valid",
        "wrong_issuer",
        "wrong_audience",
        "no_segment",
    ];

    /// The word for it in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Its place in [`Self::NAMES`], for tables.
    #[must_use]
    pub const fn index(&self) -> usize {
        match self {
            Self::TooLong { .. } => 0,
            Self::Malformed { .. } | Self::Critical => 1,
            Self::Unsigned => 2,
            Self::Algorithm { .. } => 3,
            Self::NoKeys => 4,
            Self::UnknownKey { .. } | Self::NoKeyId { .. } => 5,
            Self::WrongKey { .. } => 6,
            Self::Signature => 7,
            Self::Missing { .. } => 8,
            Self::Claim { .. } => 9,
            Self::Expired { .. } => 10,
            Self::NotYetValid { .. } => 11,
            Self::Issuer => 12,
            Self::Audience => 13,
            Self::NoSegment { .. } => 14,
        }
    }

    /// What the caller is told.
    #[must_use]
    pub const fn told(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "The bearer token is longer than 8192 bytes.",
            Self::Malformed { .. } => "The bearer token is malformed.",
            Self::Critical => "The bearer token demands extensions that are not understood.",
            Self::Unsigned => "The bearer token is not signed.",
            Self::Algorithm { .. } => {
                "The bearer token's algorithm is not accepted; RS256, ES256 and EdDSA are."
            }
            Self::NoKeys => "Bearer tokens cannot be checked now: the issuer's keys could not be loaded.",
            Self::UnknownKey { .. } => "The bearer token's key id is unknown.",
            Self::NoKeyId { .. } => "The bearer token names no key id.",
            Self::WrongKey { .. } => "The bearer token's algorithm is not that of its key.",
            Self::Signature => "The bearer token's signature is not right.",
            Self::Missing { .. } => "The bearer token lacks a claim that is needed.",
            Self::Claim { .. } => "The bearer token has a claim that cannot be used.",
            Self::Expired { .. } => "The bearer token has expired.",
            Self::NotYetValid { .. } => "The bearer token is not valid yet.",
            Self::Issuer => "The bearer token is of another issuer.",
            Self::Audience => "The bearer token is for another audience.",
            Self::NoSegment { .. } => "The bearer token names no known segment.",
        }
    }

    /// Whether keys that are newer than those at hand might make it good.
    #[must_use]
    pub const fn may_be_newer(&self) -> bool {
        matches!(self, Self::NoKeys | Self::UnknownKey { .. })
    }
}
