//! What a class of callers may use, and has used. Lives as long as its name is in the configuration; the numbers may
//! change while it does: by a reload, and by an operator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use router_core::config::Quota;
use router_core::limit::{Hold, Kind, Meter, Outputs, Spent, Terms};

use crate::path::telemetry::LimitMetrics;

/// What a class of callers may use, and has used.
#[derive(Debug)]
pub(crate) struct Allowance {
    meter: Meter,
    /// What holds now; none is as much as there is.
    terms: ArcSwapOption<Terms>,
    agreed: Mutex<Agreed>,
    segment: Arc<Common>,
}

/// What all quotas of one segment have in common, its own and those of its callers' keys.
#[derive(Debug)]
struct Common {
    /// The meters' time begins here.
    since: Instant,
    /// How long answers are.
    outputs: Outputs,
    metrics: LimitMetrics,
}

/// Who said what.
#[derive(Clone, Copy, Debug, Default)]
struct Agreed {
    file: Option<Quota>,
    operator: Option<Quota>,
}

/// Where the quota in force comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    File,
    Operator,
}

impl Origin {
    /// The name in the admin API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Operator => "run_time",
        }
    }
}

impl Allowance {
    /// That of a segment.
    pub(crate) fn new(quota: Option<Quota>, metrics: LimitMetrics) -> Arc<Self> {
        Self::with(quota, Arc::new(Common { since: Instant::now(), outputs: Outputs::default(), metrics }))
    }

    /// That of a caller of this segment's.
    pub(crate) fn of_caller(&self, quota: Quota) -> Arc<Self> {
        Self::with(Some(quota), self.segment.clone())
    }

    /// Whether both are of one segment.
    pub(crate) fn is_of_the_segment_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.segment, &other.segment)
    }

    fn with(quota: Option<Quota>, segment: Arc<Common>) -> Arc<Self> {
        Arc::new(Self {
            meter: Meter::default(),
            terms: ArcSwapOption::from_pointee(quota.as_ref().map(Terms::of)),
            agreed: Mutex::new(Agreed { file: quota, operator: None }),
            segment,
        })
    }

    /// The configuration was read again: what an operator set holds until the file says something else than it did.
    pub(crate) fn follow(&self, file: Option<Quota>) {
        let mut agreed = self.agreed.lock();
        if agreed.file != file {
            *agreed = Agreed { file, operator: None };
            self.apply(&agreed);
        }
    }

    /// An operator sets a quota, or has the file's hold again.
    pub(crate) fn set(&self, operator: Option<Quota>) {
        let mut agreed = self.agreed.lock();
        agreed.operator = operator;
        self.apply(&agreed);
    }

    /// The quota in force, and whose word that is.
    pub(crate) fn quota(&self) -> (Option<Quota>, Origin) {
        let agreed = *self.agreed.lock();
        match agreed.operator {
            Some(quota) => (Some(quota), Origin::Operator),
            None => (agreed.file, Origin::File),
        }
    }

    /// What holds where no operator says something else.
    pub(crate) fn of_file(&self) -> Option<Quota> {
        self.agreed.lock().file
    }

    fn apply(&self, agreed: &Agreed) {
        let after = agreed.operator.or(agreed.file).as_ref().map(Terms::of);
        let before = self.terms().unwrap_or(Terms::NONE);
        self.meter.convert(&before, after.as_ref().unwrap_or(&Terms::NONE), self.now());
        self.terms.store(after.map(Arc::new));
    }

    pub(crate) fn terms(&self) -> Option<Terms> {
        self.terms.load().as_deref().copied()
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// How long the answers of its segment are.
    pub(crate) fn outputs(&self) -> &Outputs {
        &self.segment.outputs
    }

    pub(crate) fn now(&self) -> Duration {
        self.segment.since.elapsed()
    }

    /// A call was beyond the quota.
    pub(super) fn note(&self, kind: Kind, terms: &Terms) {
        self.segment.metrics.limited(kind, terms.enforce);
    }

    pub(super) fn enter(&self, terms: &Terms) -> Result<Hold, Spent> {
        self.meter.enter(terms, self.now())
    }

    /// Nothing was made of what a call took.
    pub(super) fn give_back(&self, hold: Hold) {
        // Of a quota that went while the call was under way only its place is to be left.
        self.meter.give_back(&self.terms().unwrap_or(Terms::NONE), hold);
    }

    /// A call came to its end.
    pub(super) fn settle(&self, hold: Hold, tokens: u32) {
        self.meter.settle(&self.terms().unwrap_or(Terms::NONE), hold, tokens, self.now());
    }
}
