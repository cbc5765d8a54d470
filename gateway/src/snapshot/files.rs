//! The files that a configuration names, looked at before they are needed.

use std::path::Path;

use router_core::config::{FileUse, Secret};

use super::Credential;
use crate::audit::SigningKey;
use crate::path::accept::tls::try_identity;
use crate::path::send::tls::{self, Protocol};

/// What is wrong with a file that a configuration names, if anything.
pub(crate) fn try_file(path: &Path, what: FileUse<'_>) -> Result<(), String> {
    match what {
        // What stands in it can only be judged together with the rest of the configuration.
        FileUse::Keys => {
            std::fs::File::open(path).map(drop).map_err(|error| format!("{}: {error}", path.display()))
        }
        FileUse::Secret => Credential::read(&Secret::File(path.to_owned())).map(drop),
        FileUse::Certificates => tls::client(Some(path), Protocol::Http1).map(drop),
        FileUse::Identity { key } => try_identity(path, key),
        FileUse::SigningKey => SigningKey::read(&Secret::File(path.to_owned())).map(drop),
    }
}
