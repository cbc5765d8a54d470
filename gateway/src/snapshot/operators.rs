//! Who may operate Weir, by the digests of their keys.

use std::sync::Arc;

use router_core::config::{AdminKey, Role};
use router_core::identify::{KeyTable, Verdict};

use super::sha256;

/// The keys of operators, if there are any.
#[derive(Debug)]
pub(crate) struct Operators {
    table: Option<KeyTable<(Arc<str>, Role)>>,
}

/// What an operator's key is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    Known(Arc<str>, Role),
    Expired,
    Nothing,
}

impl Operators {
    pub(super) fn new(keys: &[AdminKey]) -> Self {
        let entry = |key: &AdminKey| (key.sha256, key.expires, (key.id.as_str().into(), key.role));
        Self { table: (!keys.is_empty()).then(|| keys.iter().map(entry).collect()) }
    }

    /// Whether operators are known by keys.
    pub(crate) fn are_known(&self) -> bool {
        self.table.is_some()
    }

    /// What a key is worth at `now`, in seconds of Unix time. Digests are compared, in constant time.
    pub(crate) fn judge(&self, key: &[u8], now: u64) -> Worth {
        match self.table.as_ref().map(|table| table.judge(&sha256(key), now)) {
            Some(Verdict::Known((id, role))) => Worth::Known(id.clone(), *role),
            Some(Verdict::Expired(_)) => Worth::Expired,
            Some(Verdict::Unknown) | None => Worth::Nothing,
        }
    }
}
