//! How far behind is each segment of each route? The ledger and the levels, in Kafka's terms: a topic is a route, a
//! partition one of its segments, a record a call. And the JSON in which operators, autoscalers and clients read it.
//!
//! Both offsets only grow; `lag = log_end_offset − committed_offset` is what is queued and what is under way.

use std::time::Duration;

use serde::Serialize;

/// Nearness to the set point at which a level begins. From [`Level::Critical`] down nothing but time leads.
const ELEVATED: f64 = 0.7;
const HIGH: f64 = 1.0;
/// A level is left downwards only so far below where it began.
const HYSTERESIS: f64 = 0.1;
/// A level falls only so long after there was last reason for it. A refusal is one for [`Level::Critical`].
pub const DWELL: Duration = Duration::from_secs(2);
/// Refusals per second are a mean over about so many seconds: an autoscaler asks every 1 to 30.
const REFUSALS_MEMORY: f64 = 10.0;
/// Weight of one answer in the mean time of service.
const SERVICE_GAIN: f64 = 0.05;

/// How near a topic or a segment is to the set point. For reporting only: whoever acts, acts on lag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Saturation below 0.7.
    #[default]
    Normal,
    /// From 0.7 on.
    Elevated,
    /// From 1.0 on: first tokens come later than promised.
    High,
    /// Calls are refused or answered with less.
    Critical,
}

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Elevated, Self::High, Self::Critical];

    /// The word for it in JSON and headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    fn of(saturation: f64, shift: f64) -> Self {
        match saturation + shift {
            nearness if nearness >= HIGH => Self::High,
            nearness if nearness >= ELEVATED => Self::Elevated,
            _ => Self::Normal,
        }
    }
}

/// A level that does not flap: it rises at once, since whoever is to act must hear of it, a refusal above all, and
/// falls late.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauge {
    level: Level,
    /// When there was last reason for it.
    reached: Duration,
}

impl Gauge {
    /// The level, given how near the set point is and when a call was last refused.
    pub fn update(&mut self, now: Duration, saturation: f64, refused: Option<Duration>) -> Level {
        let critical = refused.filter(|refused| now.saturating_sub(*refused) < DWELL);
        let wanted = match critical {
            Some(_) => Level::Critical,
            // Upwards at the threshold, downwards only 0.1 below it.
            None => Level::of(saturation, 0.0).max(self.level.min(Level::of(saturation, HYSTERESIS))),
        };
        if wanted >= self.level || now.saturating_sub(self.reached) >= DWELL {
            *self = Self { level: wanted, reached: critical.unwrap_or(now) };
        }
        self.level
    }

    /// The level as it was told last.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }
}

/// The books of one segment of one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Calls that were ever appended: started or queued.
    pub log_end_offset: u64,
    /// Those of them that have ended.
    pub committed_offset: u64,
    /// Calls that wait.
    pub queued: u32,
    /// Estimated tokens of those, of realtime and of batch calls.
    pub queued_tokens: [u64; 2],
    /// Estimated tokens that are still to come of all that is unfinished.
    pub lag_tokens: u64,
    /// Calls that were never appended, because of overload or for want of an endpoint.
    pub refused: u64,
    refusals_per_sec: f64,
    refusals_as_of: Duration,
    /// When demand was last refused.
    pub refused_at: Option<Duration>,
    /// How near the set point this segment is.
    pub gauge: Gauge,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            log_end_offset: 0,
            committed_offset: 0,
            queued: 0,
            queued_tokens: [0; 2],
            lag_tokens: 0,
            refused: 0,
            refusals_per_sec: 0.0,
            refusals_as_of: Duration::ZERO,
            refused_at: None,
            gauge: Gauge::default(),
        }
    }
}

impl Ledger {
    /// Unfinished calls.
    #[must_use]
    pub const fn lag(&self) -> u64 {
        self.log_end_offset - self.committed_offset
    }

    /// Unfinished calls that do not wait.
    #[must_use]
    pub fn inflight(&self) -> u64 {
        self.lag() - u64::from(self.queued)
    }

    /// A call is appended; its offset.
    pub fn append(&mut self, tokens: u32) -> u64 {
        self.log_end_offset += 1;
        self.lag_tokens += u64::from(tokens);
        self.log_end_offset - 1
    }

    /// An appended call has ended, with so many estimated tokens still to come.
    pub fn commit(&mut self, tokens_left: u32) {
        self.committed_offset += 1;
        self.lag_tokens -= u64::from(tokens_left);
        debug_assert!(self.committed_offset <= self.log_end_offset, "nothing ends that did not begin");
    }

    /// Demand is turned away, or answered with less, for want of capacity.
    pub fn turn_away(&mut self, now: Duration) {
        self.refusals_per_sec = self.refusals_per_sec(now) + 1.0 / REFUSALS_MEMORY;
        self.refusals_as_of = now;
        self.refused_at = Some(now);
    }

    /// How much demand is turned away.
    #[must_use]
    pub fn refusals_per_sec(&self, now: Duration) -> f64 {
        let age = now.saturating_sub(self.refusals_as_of).as_secs_f64();
        self.refusals_per_sec * (-age / REFUSALS_MEMORY).exp()
    }
}

/// Mean time of service, of the answers that came whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Service {
    mean_secs: Option<f64>,
}

impl Service {
    /// An answer took so long from its start.
    pub fn sample(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        let mean = self.mean_secs.get_or_insert(took);
        *mean += SERVICE_GAIN * (took - *mean);
    }

    /// Whether any answer came yet.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.mean_secs.is_some()
    }

    /// Seconds; 1 while nothing is known.
    #[must_use]
    pub fn mean_secs(&self) -> f64 {
        self.mean_secs.unwrap_or(1.0)
    }
}

/// What `/weir/backpressure` says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backpressure {
    /// When the process started, in milliseconds since 1970: offsets begin anew with it.
    pub epoch: u64,
    /// Which of several gateways says so.
    pub replica: String,
    /// The highest of its topics'.
    pub level: Level,
    /// Routes, in the configuration's order.
    pub topics: Vec<TopicState>,
}

impl Backpressure {
    /// The whole of a gateway, from what its dispatchers say.
    #[must_use]
    pub fn new(epoch: u64, replica: String, topics: Vec<TopicState>) -> Self {
        let level = topics.iter().map(|topic| topic.level).max().unwrap_or_default();
        Self { epoch, replica, level, topics }
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopicState {
    /// Its name.
    pub topic: String,
    /// How near it is to the set point.
    pub level: Level,
    /// The same as a number: 1.0 is the set point; the largest of its segments'.
    #[serde(serialize_with = "hundredths")]
    pub saturation: f64,
    /// How much could be under way at its pools.
    pub limit: u64,
    /// Endpoints of its pools that take attempts.
    pub endpoints_ready: u64,
    /// All its segments together.
    pub totals: Totals,
    /// Its segments, in the configuration's order.
    pub partitions: Vec<PartitionState>,
}

/// All segments of a route together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Unfinished calls.
    pub lag: u64,
    /// Those that wait.
    pub queued: u64,
    /// Those that do not.
    pub inflight: u64,
    /// Estimated tokens still to come.
    pub lag_tokens: u64,
    /// Demand that was turned away, as calls under way.
    pub unmet: u64,
    /// What to scale on: lag and unmet demand.
    pub scale_lag: u64,
    /// Time to empty the queue at the present pace.
    pub drain_ms: u64,
    /// Age of the oldest unfinished call.
    pub oldest_age_ms: u64,
}

/// One segment of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionState {
    /// The segment's name.
    pub partition: String,
    /// Calls that were ever appended.
    pub log_end_offset: u64,
    /// Those of them that have ended.
    pub committed_offset: u64,
    /// The oldest unfinished call's offset; the log's end if there is none.
    pub low_watermark: u64,
    /// Unfinished calls.
    pub lag: u64,
    /// Those that wait.
    pub queued: u64,
    /// Estimated tokens still to come.
    pub lag_tokens: u64,
    /// How near it is to the set point.
    pub level: Level,
    /// When a call that came now and were refused should come again; 0 if it would not be refused.
    pub retry_after_ms: u64,
}

/// One pool, whatever routes lead to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolState {
    /// Its name.
    pub pool: String,
    /// How much could be under way.
    pub limit: u64,
    /// Endpoints that take attempts.
    pub endpoints_ready: u64,
    /// Attempts under way.
    pub inflight: u64,
    /// Calls that wait; one that could go to several pools counts at each by its targets' weights.
    #[serde(serialize_with = "hundredths")]
    pub queued: f64,
    /// Both.
    #[serde(serialize_with = "hundredths")]
    pub lag: f64,
    /// Time to empty the queue at the present pace.
    pub drain_ms: u64,
}

/// More digits would say more than is known.
fn hundredths<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn levels_rise_at_the_threshold_and_fall_a_tenth_below_it() {
        let mut gauge = Gauge::default();
        let mut at = |secs: u32, saturation| gauge.update(SEC * secs, saturation, None);
        assert_eq!(at(10, 0.69), Level::Normal);
        assert_eq!(at(20, 0.7), Level::Elevated);
        assert_eq!(at(30, 0.61), Level::Elevated);
        assert_eq!(at(40, 1.0), Level::High);
        assert_eq!(at(50, 0.91), Level::High);
        assert_eq!(at(60, 0.89), Level::Elevated);
        assert_eq!(at(70, 0.59), Level::Normal);
    }

    #[test]
    fn a_level_rises_at_once_and_stays_two_seconds_after_it_was_last_reached() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.update(SEC * 10, 0.8, None), Level::Elevated);
        assert_eq!(gauge.update(SEC * 10 + MS, 2.0, None), Level::High);
        assert_eq!(gauge.update(SEC * 11, 0.0, None), Level::High);
        assert_eq!(gauge.update(SEC * 11 + 500 * MS, 1.0, None), Level::High, "reached again");
        assert_eq!(gauge.update(SEC * 13, 0.0, None), Level::High);
        assert_eq!(gauge.update(SEC * 13 + 500 * MS, 0.8, None), Level::Elevated);
        assert_eq!(gauge.update(SEC * 15, 0.0, None), Level::Elevated);
        assert_eq!(gauge.update(SEC * 15 + 500 * MS, 0.0, None), Level::Normal);
        assert_eq!(gauge.update(SEC * 15 + 501 * MS, 0.8, None), Level::Elevated);
    }

    #[test]
    fn a_level_that_load_reaches_now_and_then_does_not_flap() {
        let mut gauge = Gauge::default();
        gauge.update(SEC, 1.1, None);
        let levels = (0..100).map(|quarter| {
            let saturation = if quarter % 4 == 3 { 1.1 } else { 0.2 };
            gauge.update(SEC + 250 * MS * quarter, saturation, None)
        });
        assert!(levels.into_iter().all(|level| level == Level::High));
    }

    #[test]
    fn refusals_are_never_missed() {
        for dwelt in (0..=2_000).step_by(250) {
            let mut gauge = Gauge::default();
            assert_eq!(gauge.update(SEC * 10, 0.8, None), Level::Elevated);
            let refused = SEC * 10 + MS * dwelt;
            assert_eq!(gauge.update(refused, 0.1, Some(refused)), Level::Critical, "{dwelt} ms later");
            assert_eq!(gauge.update(refused + SEC, 0.1, Some(refused)), Level::Critical);
            assert_eq!(gauge.update(refused + 2 * SEC, 0.1, Some(refused)), Level::Normal);
        }
    }

    #[test]
    fn refusals_are_critical_for_as_long_as_they_happen() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.update(SEC * 10, 0.1, Some(SEC * 10)), Level::Critical);
        assert_eq!(gauge.update(SEC * 13, 0.1, Some(SEC * 12)), Level::Critical);
        assert_eq!(gauge.update(SEC * 14, 0.1, Some(SEC * 12)), Level::Normal);
        assert_eq!(Gauge::default().update(SEC * 10, 5.0, Some(SEC)), Level::High);
    }

    #[test]
    fn unmet_demand_is_a_rate_that_fades() {
        let mut ledger = Ledger::default();
        for tenth in 0..1_000_u32 {
            ledger.turn_away(SEC * tenth / 10);
        }
        let rate = ledger.refusals_per_sec(SEC * 100);
        assert!((9.0..11.0).contains(&rate), "{rate}");
        assert!(ledger.refusals_per_sec(SEC * 200) < 0.01);
    }

    #[test]
    fn the_json_is_what_others_rely_on() {
        let state = TopicState {
            topic: "letter-writer".into(),
            level: Level::Elevated,
            saturation: 0.954_321,
            limit: 192,
            endpoints_ready: 12,
            totals: Totals {
                lag: 214,
                queued: 38,
                inflight: 176,
                lag_tokens: 251_800,
                unmet: 9,
                scale_lag: 223,
                drain_ms: 1_900,
                oldest_age_ms: 2_140,
            },
            partitions: vec![PartitionState {
                partition: "enterprise".into(),
                log_end_offset: 918_223,
                committed_offset: 918_131,
                low_watermark: 918_120,
                lag: 92,
                queued: 6,
                lag_tokens: 118_400,
                level: Level::Normal,
                retry_after_ms: 0,
            }],
        };
        let whole = Backpressure::new(1_795_402_271_000, "weir-7".into(), vec![state]);
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(
            text,
            r#"{"epoch":1795402271000,"replica":"weir-7","level":"elevated","topics":[{"topic":"letter-writer","level":"elevated","saturation":0.95,"limit":192,"endpoints_ready":12,"totals":{"lag":214,"queued":38,"inflight":176,"lag_tokens":251800,"unmet":9,"scale_lag":223,"drain_ms":1900,"oldest_age_ms":2140},"partitions":[{"partition":"enterprise","log_end_offset":918223,"committed_offset":918131,"low_watermark":918120,"lag":92,"queued":6,"lag_tokens":118400,"level":"normal","retry_after_ms":0}]}]}"#
        );
    }
}
