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
use parking_lot::Mutex;
use router_core::config::Jwt;
use router_core::identify::jwt::{Bad, Bearer, Token, judge};
use tokio::sync::{Notify, watch};

use self::cache::{Cache, Fingerprint};
use self::keys::Keys;
use self::source::Source;
use crate::snapshot::{Caller, Segment};

pub(crate) use keeper::Keeper;
pub(crate) use source::try_jwks;

/// How often an unknown key id has the keys fetched: anybody can make one up.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How long a call with an unknown key id waits for newer keys.
const KEYS_WAIT: Duration = Duration::from_secs(1);

/// One issuer, and its tokens that are good.
pub(crate) struct Issuer {
    settings: Jwt,
    source: Source,
    /// None as long as none could be loaded.
    keys: ArcSwapOption<Keys>,
    /// Tokens that were found good.
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

    /// The caller that a token is of, by the keys at hand.
    pub(super) fn caller(&self, token: &[u8], segments: &[Segment]) -> Result<Arc<Caller>, Bad> {
        let bearer = self.judge(token)?;
        let names = segments.iter().map(|segment| &*segment.name);
        let segment = segments.get(bearer.segment(names, &self.settings)?);
        let segment = segment.cloned().ok_or(Bad::NoSegment { claim: String::new() })?;
        Ok(Arc::new(Caller { id: bearer.caller.clone(), segment, routes: None, allowance: None }))
    }

    /// Judges a token by the keys at hand.
    fn judge(&self, text: &[u8]) -> Result<Arc<Bearer>, Bad> {
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

    /// Has the keys loaded for a token that newer ones may make good, if that has not just been done, and waits a
    /// moment. Whether they came, or not in time, or just before, the keys then at hand decide.
    pub(super) async fn newer_keys(&self) {
        let mut rounds = self.rounds.subscribe();
        if self.has_keys_loaded() {
            tokio::time::timeout(KEYS_WAIT, rounds.changed()).await.map(drop).unwrap_or_default();
        }
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
