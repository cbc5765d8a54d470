//! Bearer tokens: whether one is good, and whose it is. What a token's claims say is judged in
//! `router_core::identify::jwt`; here are its signature, the issuer's keys, and the tokens that were found good before.
//!
//! To check a signature takes 20 to 200 µs, and callers send the same token with call after call, so one that was found
//! good is known by its SHA-256 digest until it expires or the keys change. An unknown key id has the keys fetched, and
//! the call waits a moment for them, so that nobody notices when an issuer goes over to a new key.

mod cache;
mod keeper;
mod keys;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::request::Parts;
use parking_lot::Mutex;
use router_core::config::Jwt;
use router_core::dialect::Reason;
use router_core::identify::jwt::{Bad, Bearer, Token, is_token, judge};
use tokio::sync::{Notify, watch};

use self::cache::{Cache, Fingerprint};
use self::keys::Keys;
use self::source::Source;
use crate::path::Failure;
use crate::path::telemetry::Telemetry;

pub(crate) use keeper::Keeper;
pub(crate) use source::try_jwks;

/// How often an unknown key id has the keys fetched: anybody can make one up.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How long a call with an unknown key id waits for newer keys.
const KEYS_WAIT: Duration = Duration::from_secs(1);

/// The place of the segment of whoever sent this head, if it has a token.
pub(crate) async fn bearer(
    issuer: &Issuer,
    telemetry: &Telemetry,
    head: &Parts,
) -> Result<Option<usize>, Failure> {
    let text = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some(text) = text.and_then(|text| text.strip_prefix(b"Bearer ")).filter(|text| is_token(text)) else {
        return Ok(None);
    };
    let names = |bearer: &Bearer| bearer.segment(["default"].into_iter(), issuer.settings());
    let judged = match issuer.judge(text) {
        Err(bad) if bad.may_be_newer() => Box::pin(issuer.judge_with_newer_keys(text)).await,
        judged => judged,
    };
    judged.and_then(|bearer| names(&bearer)).map(Some).map_err(|bad| refuse(&bad, telemetry))
}

/// Why a call with such a token gets no answer.
pub(crate) fn refuse(bad: &Bad, telemetry: &Telemetry) -> Failure {
    telemetry.metrics.jwt.refused(bad);
    Failure::new(Reason::InvalidToken { told: bad.told() }, bad.to_string())
}

/// The tokens of one issuer.
pub(crate) struct Issuer {
    settings: Jwt,
    source: Source,
    /// None as long as none could be loaded.
    keys: ArcSwapOption<Keys>,
    /// Issuer that were found good.
    cache: Cache,
    /// Wakes who loads the keys.
    wanted: Notify,
    /// Whether they are being loaded, or about to be.
    loading: AtomicBool,
    /// Counts how often they were loaded, or could not be.
    rounds: watch::Sender<u64>,
    /// When an unknown key id last had them loaded.
    asked: Mutex<Option<Instant>>,
}

impl Issuer {
    /// Those of an issuer; keys in a file must be there. What the `previous` tables know goes on: all of it where
    /// nothing has changed, the keys where they come from the same place.
    pub(crate) fn build(settings: &Jwt, previous: Option<&Arc<Self>>) -> Result<Arc<Self>, String> {
        if let Some(same) = previous.filter(|previous| previous.settings == *settings) {
            return Ok(same.clone());
        }
        let source = Source::build(settings)?;
        let keys = match &source {
            Source::File(path) => Some(Arc::new(source::read(path).map_err(|problem| problem.to_string())?)),
            Source::Url(_) => {
                previous.filter(|known| known.same_place(settings)).and_then(|known| known.keys.load_full())
            }
        };
        Ok(Arc::new(Self {
            settings: settings.clone(),
            source,
            keys: ArcSwapOption::new(keys),
            cache: Cache::new(),
            wanted: Notify::new(),
            loading: AtomicBool::new(true),
            rounds: watch::Sender::new(0),
            asked: Mutex::default(),
        }))
    }

    fn same_place(&self, settings: &Jwt) -> bool {
        self.settings.jwks == settings.jwks && self.settings.ca == settings.ca
    }

    /// What makes a token's claims those of a caller.
    pub(crate) fn settings(&self) -> &Jwt {
        &self.settings
    }

    /// Judges a token by the keys at hand.
    pub(crate) fn judge(&self, text: &[u8]) -> Result<Arc<Bearer>, Bad> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let token = Token::read(text)?;
        let keys = self.keys.load();
        let keys = keys.as_ref().ok_or(Bad::NoKeys)?;
        let fingerprint = Fingerprint::of(text, keys);
        if let Some(bearer) = self.cache.find(&fingerprint).filter(|bearer| bearer.is_good(now)) {
            return Ok(bearer);
        }
        keys.check(&token)?;
        let bearer = Arc::new(judge(&token, &self.settings, now)?);
        self.cache.keep(fingerprint, bearer.clone());
        Ok(bearer)
    }

    /// The same for a token that was refused because of keys that newer ones may add to: has them loaded if that has
    /// not just been done, and waits a moment.
    pub(crate) async fn judge_with_newer_keys(&self, text: &[u8]) -> Result<Arc<Bearer>, Bad> {
        let mut rounds = self.rounds.subscribe();
        if self.has_keys_loaded() {
            // Whether they came, or not in time, the keys then at hand decide.
            tokio::time::timeout(KEYS_WAIT, rounds.changed()).await.map(drop).unwrap_or_default();
        }
        // Also where none were asked for: they may have come just now.
        self.judge(text)
    }

    /// Whether keys are on their way, if need be because this asks for them.
    fn has_keys_loaded(&self) -> bool {
        if !matches!(self.source, Source::Url(_)) {
            return false;
        }
        if self.loading.load(Ordering::Acquire) {
            return true;
        }
        let mut asked = self.asked.lock();
        if asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN) {
            return false;
        }
        *asked = Some(Instant::now());
        self.loading.store(true, Ordering::Release);
        self.wanted.notify_one();
        true
    }

    /// Waits until the keys are there, or could not be had, but not for longer than `patience`.
    pub(crate) async fn ready(&self, patience: Duration) {
        let mut rounds = self.rounds.subscribe();
        if self.keys.load().is_none() {
            // Either way there is nothing more to wait for.
            tokio::time::timeout(patience, rounds.wait_for(|rounds| *rounds > 0))
                .await
                .map(drop)
                .unwrap_or_default();
        }
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Issuer").field("settings", &self.settings).finish_non_exhaustive()
    }
}
