//! Who is known: the keys of the configuration and of the file that it names, by their digests.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use router_core::config::{AdminKey, Config, FileKey, ITEMS_BYTES_MAX, Key, Problem, Quota, load_keys};
use router_core::identify::{Digest, KeyTable, Verdict};

use super::Segment;
use crate::path::limit::Allowance;
use crate::watch::Version;

/// A caller that is known.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Its name in logs; never a label of a metric.
    pub(crate) id: Arc<str>,
    pub(crate) segment: Segment,
    /// The routes that its key is for, by name; all where there is none.
    pub(crate) routes: Option<Arc<[Arc<str>]>>,
    /// What it may use, within what its segment may, and has used.
    pub(crate) allowance: Option<Arc<Allowance>>,
}

/// Every key that is known. Swapped whole, alone when the file of keys has changed.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    table: KeyTable<Arc<Caller>>,
    quotas: Quotas,
    /// The file of keys as it was before it was read.
    pub(crate) version: Option<Version>,
}

/// What callers may use of whom something is agreed, by their names.
type Quotas = HashMap<Arc<str>, (Quota, Arc<Allowance>)>;

/// What callers are made of besides their keys.
pub(crate) struct Known<'k> {
    pub(crate) segments: &'k [Segment],
    /// In their order.
    pub(crate) allowances: &'k [Arc<Allowance>],
    /// Those before, whose quotas go on.
    pub(crate) previous: Option<&'k Callers>,
}

/// Why the file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("identity.keys_file: {path}: cannot be read: {error}")]
    Unread { path: String, error: io::Error },
    #[error("identity.keys_file: {0}")]
    Wrong(String),
}

impl Callers {
    /// Reads the file of keys, if there is one, and adds the keys of the configuration.
    pub(crate) fn read(config: &Config, known: &Known<'_>) -> Result<Self, KeysError> {
        let mut gathered = Gathered::default();
        let mut version = None;
        if let Some(path) = &config.identity.keys_file {
            version = Version::of(path);
            try_keys(path, config, |FileKey { segment, key }| gathered.add(segment, &key))?;
        }
        for (index, segment) in config.segments.iter().enumerate() {
            segment.keys.iter().for_each(|key| gathered.add(index, key));
        }
        let (table, quotas) = gathered.table(known);
        Ok(Self { table, quotas, version })
    }

    /// From now on what is agreed with these callers holds. What has been used stays used.
    pub(crate) fn apply_quotas(&self) {
        for (quota, allowance) in self.quotas.values() {
            allowance.follow(Some(*quota));
        }
    }

    /// Whether two configurations know the same callers, as far as they say themselves: what their file of keys may
    /// name is the same.
    pub(super) fn are_same(one: &Config, other: &Config) -> bool {
        let names =
            |config: &Config| config.segments.iter().map(|segment| segment.name.clone()).collect::<Vec<_>>();
        let keys = |config: &Config| {
            config.segments.iter().flat_map(|segment| segment.keys.clone()).collect::<Vec<_>>()
        };
        one.identity == other.identity
            && names(one) == names(other)
            && keys(one) == keys(other)
            && one.topics().eq(other.topics())
    }

    /// What a key is worth at `now`, in seconds of Unix time.
    pub(crate) fn judge(&self, key: &[u8], now: u64) -> Verdict<'_, Arc<Caller>> {
        self.table.judge(&sha256(key), now)
    }

    /// Whether one of them is an operator's key, too.
    pub(super) fn operates(&self, operators: &[AdminKey]) -> bool {
        operators.iter().any(|key| !matches!(self.table.judge(&key.sha256, 0), Verdict::Unknown))
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }
}

/// The digest by which a key is known.
pub(crate) fn sha256(key: &[u8]) -> Digest {
    let mut bytes = [0; Digest::BYTES];
    bytes.copy_from_slice(digest(&SHA256, key).as_ref());
    Digest(bytes)
}

/// Reads a file of keys to its end, giving away each.
pub(crate) fn try_keys(path: &Path, config: &Config, each: impl FnMut(FileKey)) -> Result<(), KeysError> {
    let unread = |error| KeysError::Unread { path: path.display().to_string(), error };
    let mut text = String::new();
    // One byte more, by which the reader of the text knows.
    let file = File::open(path).map_err(unread)?;
    file.take(ITEMS_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(unread)?;
    let line = |problem: &Problem| format!("{}:{problem}", path.display());
    load_keys(&text, config, each)
        .map_err(|problems| KeysError::Wrong(problems.iter().map(line).collect::<Vec<_>>().join("\n")))
}

/// Keys that were read. What is kept for long is made of them last, when all that reading them took is given back:
/// otherwise the one would stand between the holes that the other leaves, and a large file cost twice its memory.
#[derive(Default)]
struct Gathered {
    keys: Vec<Read>,
    /// The names of all callers, one behind the other.
    ids: String,
    /// Each list of routes once, and where it stands.
    lists: Vec<Arc<[Arc<str>]>>,
    places: HashMap<Vec<String>, usize>,
    quotas: Vec<Quota>,
}

struct Read {
    digest: Digest,
    expires: Option<u64>,
    segment: usize,
    id: Range<usize>,
    /// Index into the lists.
    routes: Option<usize>,
    /// Index into the quotas.
    quota: Option<usize>,
}

impl Gathered {
    fn add(&mut self, segment: usize, key: &Key) {
        let start = self.ids.len();
        self.ids.push_str(&key.id);
        let routes = key.routes.as_ref().map(|routes| self.list(routes));
        let id = start..self.ids.len();
        let quota = key.quota.map(|quota| {
            self.quotas.push(quota);
            self.quotas.len() - 1
        });
        self.keys.push(Read { digest: key.sha256, expires: key.expires, segment, id, routes, quota });
    }

    fn list(&mut self, routes: &[String]) -> usize {
        if let Some(place) = self.places.get(routes) {
            return *place;
        }
        self.lists.push(routes.iter().map(|name| name.as_str().into()).collect());
        self.places.insert(routes.to_vec(), self.lists.len() - 1);
        self.lists.len() - 1
    }

    fn table(self, known: &Known<'_>) -> (KeyTable<Arc<Caller>>, Quotas) {
        let Self { keys, ids, lists, quotas: agreed, .. } = self;
        let mut quotas = Quotas::new();
        let callers = keys.into_iter().filter_map(|key| {
            let id: Arc<str> = ids.get(key.id)?.into();
            let quota = key.quota.and_then(|place| agreed.get(place));
            let caller = Caller {
                segment: known.segments.get(key.segment)?.clone(),
                routes: key.routes.and_then(|place| lists.get(place).cloned()),
                allowance: quota.and_then(|quota| known.allowance(&mut quotas, &id, key.segment, *quota)),
                id,
            };
            Some((key.digest, key.expires, Arc::new(caller)))
        });
        (callers.collect(), quotas)
    }
}

impl Known<'_> {
    /// One for all keys of a caller, that of before if there was one.
    fn allowance(
        &self,
        quotas: &mut Quotas,
        id: &Arc<str>,
        segment: usize,
        quota: Quota,
    ) -> Option<Arc<Allowance>> {
        if let Some((_, allowance)) = quotas.get(id) {
            return Some(allowance.clone());
        }
        let of_segment = self.allowances.get(segment)?;
        let before = self.previous.and_then(|previous| previous.quotas.get(id));
        let before =
            before.map(|(_, allowance)| allowance).filter(|one| one.is_of_the_segment_of(of_segment));
        let allowance = before.cloned().unwrap_or_else(|| of_segment.of_caller(quota));
        quotas.insert(id.clone(), (quota, allowance.clone()));
        Some(allowance)
    }
}
