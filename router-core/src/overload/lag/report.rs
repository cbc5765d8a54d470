//! The JSON of `/weir/backpressure`: others rely on its names.

use serde::Serialize;

use super::Level;

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
