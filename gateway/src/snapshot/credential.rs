//! A provider's key.

use std::fmt;

use http::HeaderValue;
use router_core::config::Secret;

/// A provider's key as the headers that carry it. Its `Debug` shows nothing of it.
pub(crate) struct Credential {
    bearer: HeaderValue,
    plain: HeaderValue,
}

impl Credential {
    pub(super) fn read(secret: &Secret) -> Result<Self, String> {
        let key = match secret {
            Secret::Env(name) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
            }
            Secret::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                text.trim_end_matches(['\n', '\r']).to_owned()
            }
        };
        if key.is_empty() {
            return Err("the secret is empty".into());
        }
        // No message ever shows the value.
        let header =
            |text: &str| HeaderValue::from_str(text).map_err(|_| "the secret cannot stand in a header");
        let mut bearer = header(&format!("Bearer {key}"))?;
        let mut plain = header(&key)?;
        bearer.set_sensitive(true);
        plain.set_sensitive(true);
        Ok(Self { bearer, plain })
    }

    /// For APIs that take `authorization: Bearer`.
    pub(crate) fn bearer(&self) -> &HeaderValue {
        &self.bearer
    }

    /// For APIs that take `x-api-key`.
    pub(crate) fn plain(&self) -> &HeaderValue {
        &self.plain
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credential(***)")
    }
}
