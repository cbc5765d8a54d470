//! Where an issuer's keys are, and how they are had from there: within bounds of time and size, whoever answers.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};
use router_core::config::{JwksSource, Jwt};
use router_core::identify::jwt::{Jwks, UnreadableJwks};

use super::keys::Keys;
use crate::path::send::{PageBounds, Unfetched, fetch};
use crate::snapshot::Place;

/// How long an issuer may take to send its keys, connecting included, and how many bytes they may have: the largest
/// sets have some tens of KB.
const BOUNDS: PageBounds = PageBounds { patience: Duration::from_secs(5), bytes: 1024 * 1024 };

/// Where keys are.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Url(Box<Place>),
}

/// Why there are no newer keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unloaded {
    #[error("{path}: {error}")]
    File { path: String, error: io::Error },
    #[error("{path}: {problem}")]
    UnreadableFile { path: String, problem: UnreadableJwks },
    #[error("{url}: {problem}")]
    Fetch { url: String, problem: Unfetched },
    #[error("{url}: {problem}")]
    Unreadable { url: String, problem: UnreadableJwks },
}

impl Source {
    pub(super) fn build(settings: &Jwt) -> Result<Self, String> {
        Ok(match &settings.jwks {
            JwksSource::File(path) => Self::File(path.clone()),
            JwksSource::Url(url) => Self::Url(Box::new(Place::build(url, settings.ca.as_deref())?)),
        })
    }
}

impl Unloaded {
    /// The label of `weir_jwks_failures_total`.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Fetch { problem, .. } => problem.name(),
            Self::UnreadableFile { .. } | Self::Unreadable { .. } => "unreadable",
        }
    }
}

/// The keys in a file.
pub(super) fn read(path: &Path) -> Result<Keys, Unloaded> {
    let shown = || path.display().to_string();
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BOUNDS.bytes as u64 + 1).read_to_end(&mut text));
    let read = read.and_then(|bytes| match bytes > BOUNDS.bytes {
        true => Err(io::Error::other("longer than 1 MiB")),
        false => Ok(()),
    });
    read.map_err(|error| Unloaded::File { path: shown(), error })?;
    Keys::read(&text).map_err(|problem| Unloaded::UnreadableFile { path: shown(), problem })
}

/// Whether a file has keys.
pub(crate) fn try_jwks(path: &Path) -> Result<(), String> {
    read(path).map(drop).map_err(|problem| problem.to_string())
}

/// The keys at an address, and how long they may be kept.
pub(super) async fn fetched(place: &Place) -> Result<(Arc<Keys>, Duration), Unloaded> {
    let url = || place.url();
    let page = fetch(&place.at, place.path.clone(), place.headers.clone(), BOUNDS).await;
    let (headers, text) = page.map_err(|problem| Unloaded::Fetch { url: url(), problem })?;
    let keys = Keys::read(&text).map_err(|problem| Unloaded::Unreadable { url: url(), problem })?;
    Ok((Arc::new(keys), kept_for(&headers)))
}

fn kept_for(headers: &HeaderMap) -> Duration {
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).unwrap_or(0);
    let values: Vec<_> = headers.get_all(CACHE_CONTROL).iter().map(|value| value.as_bytes()).collect();
    Jwks::kept_for(&values.join(&b','), age)
}
