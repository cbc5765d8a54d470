//! What the dispatcher tells about itself: lag, saturation and levels, as `/weir/backpressure` serves them.

use std::time::Duration;

use super::Dispatcher;
use super::call::{Priority, Targets};
use super::clock::Class;
use super::plan::Counts;
use super::pool::Sum;
use crate::overload::lag::{DWELL, Level, PartitionState, PoolState, TopicState, Totals};
use crate::overload::limiter::Reading;

/// What a segment without an objective is measured by.
const OBJECTIVE: Duration = Duration::from_secs(2);
/// Saturation of a window that is full while nobody waits.
const FULL: f64 = 0.7;

/// How a segment of a topic stands: what its callers hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How near the set point it is.
    pub level: Level,
    /// Its unfinished calls.
    pub lag: u64,
    /// Time to empty the topic's queue at the present pace.
    pub drain_ms: u64,
}

impl Dispatcher {
    /// Every topic of the plan, in its order.
    pub fn topics(&mut self, now: Duration) -> Vec<TopicState> {
        self.settle(now);
        let sums: Vec<Sum> = self.pools.iter().map(|pool| pool.read(now)).collect();
        (0..self.planned_topics).map(|topic| self.topic_state(now, topic, &sums)).collect()
    }

    /// Every pool of the plan, in its order.
    #[must_use]
    pub fn pools(&self, now: Duration) -> Vec<PoolState> {
        (0..self.planned_pools).map(|pool| self.pool_state(now, pool)).collect()
    }

    /// What the limiter of an endpoint thinks.
    #[must_use]
    pub fn endpoint(&self, now: Duration, pool: usize, endpoint: usize) -> Option<Reading> {
        let pool = self.pools.get(pool).filter(|_| pool < self.planned_pools)?;
        pool.endpoints.get(endpoint).map(|endpoint| endpoint.limiter.read(now))
    }

    /// Whether calls were held back at a pool of late: only then do its rates say what it can do.
    #[must_use]
    pub fn is_blocked(&self, now: Duration, pool: usize) -> bool {
        self.pools.get(pool).is_some_and(|pool| pool.pace.is_blocked(now))
    }

    /// How a segment of a topic stood at the last [`tick`](Self::tick).
    #[must_use]
    pub fn standing(&self, topic: usize, segment: usize) -> Option<Standing> {
        if topic >= self.planned_topics || segment >= self.planned_segments {
            return None;
        }
        let ledger = &self.ledgers[self.book(topic, segment)].ledger;
        Some(Standing { level: ledger.gauge.level(), lag: ledger.lag(), drain_ms: self.drain_ms(topic) })
    }

    /// Moves the levels. Until they have nothing left to fall from, time alone may move them.
    pub(super) fn settle(&mut self, now: Duration) {
        self.settled = now;
        let mut sums = std::mem::take(&mut self.sums);
        sums.clear();
        sums.extend(self.pools.iter().map(|pool| pool.sum));
        for topic in 0..self.planned_topics {
            let (mut most, mut refused) = (0.0_f64, None);
            for segment in 0..self.segments.len() {
                let at = self.book(topic, segment);
                if self.ledgers[at].is_untouched() {
                    continue;
                }
                let saturation = self.saturation(topic, segment, &sums);
                let ledger = &mut self.ledgers[at].ledger;
                let level = ledger.gauge.update(now, saturation, ledger.refused_at);
                most = most.max(saturation);
                refused = refused.max(ledger.refused_at);
                if level != Level::Normal {
                    self.unsettled_until = now + 2 * DWELL;
                }
            }
            let state = &mut self.topics[topic];
            state.saturation = most;
            if state.gauge.update(now, most, refused) != Level::Normal {
                self.unsettled_until = now + 2 * DWELL;
            }
        }
        self.sums = sums;
    }

    /// Nearness to the set point: the predicted first token ÷ its objective when anything waits, else 0.7 × the used
    /// part of the window.
    fn saturation(&self, topic: usize, segment: usize, sums: &[Sum]) -> f64 {
        let waits = self.pools_of(topic).any(|pool| self.pools[pool].queued > 0);
        if waits {
            let settings = &self.segments[segment];
            let class = Class::of(Priority::Realtime, settings.order);
            let objective = settings.objective.unwrap_or(OBJECTIVE);
            let outlook = self.outlook(topic, self.all(topic), segment, class);
            return outlook.first_token(objective) / objective.as_secs_f64().max(1e-3);
        }
        let (mut used, mut places) = (0.0, 0.0);
        for pool in self.pools_of(topic) {
            let (sum, counts) = (&sums[pool], self.pools[pool].counts);
            let taken = if counts == Counts::FirstToken { sum.awaiting } else { sum.inflight };
            let of = f64::from(taken.saturating_add(sum.free));
            used += sum.used(counts) * of;
            places += of;
        }
        if places > 0.0 { FULL * used / places } else { 0.0 }
    }

    fn topic_state(&self, now: Duration, topic: usize, sums: &[Sum]) -> TopicState {
        let state = &self.topics[topic];
        let mut totals = Totals { drain_ms: self.drain_ms(topic), ..Totals::default() };
        let mut unmet = 0.0;
        let mut partitions = Vec::with_capacity(self.planned_segments);
        for segment in 0..self.segments.len() {
            let book = &self.ledgers[self.book(topic, segment)];
            let ledger = &book.ledger;
            let oldest = self.calls.at(book.oldest);
            totals.lag += ledger.lag();
            totals.queued += u64::from(ledger.queued);
            totals.inflight += ledger.inflight();
            totals.lag_tokens += ledger.lag_tokens;
            let age = oldest.map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest.arrived));
            totals.oldest_age_ms = totals.oldest_age_ms.max(millis(age));
            unmet += ledger.refusals_per_sec(now) * state.service.mean_secs();
            if segment < self.planned_segments {
                partitions.push(PartitionState {
                    partition: self.segments[segment].name.clone(),
                    log_end_offset: ledger.log_end_offset,
                    committed_offset: ledger.committed_offset,
                    low_watermark: oldest.map_or(ledger.log_end_offset, |oldest| oldest.offset),
                    lag: ledger.lag(),
                    queued: u64::from(ledger.queued),
                    lag_tokens: ledger.lag_tokens,
                    level: ledger.gauge.level(),
                    retry_after_ms: self.retry_after_ms(topic, segment),
                });
            }
        }
        totals.unmet = whole(unmet);
        totals.scale_lag = totals.lag + totals.unmet;
        let pools = || self.pools_of(topic);
        TopicState {
            topic: state.name.clone(),
            level: state.gauge.level(),
            saturation: state.saturation,
            limit: pools().map(|pool| u64::from(sums[pool].limit())).sum(),
            endpoints_ready: pools().map(|pool| self.pools[pool].endpoints_ready() as u64).sum(),
            totals,
            partitions,
        }
    }

    /// When a call that came now should come again, if it were refused for its segment's objective or a full queue.
    fn retry_after_ms(&self, topic: usize, segment: usize) -> u64 {
        let settings = &self.segments[segment];
        let state = &self.topics[topic];
        let class = Class::of(Priority::Realtime, settings.order);
        let outlook = self.outlook(topic, self.all(topic), segment, class);
        let full = state.queued > 0
            && (state.queued >= state.bounds.requests || state.queued_tokens >= state.bounds.tokens);
        let missed = settings.objective.is_some_and(|objective| outlook.would_miss(objective));
        if full || missed { millis(outlook.retry_after(settings.objective)) } else { 0 }
    }

    fn pool_state(&self, now: Duration, index: usize) -> PoolState {
        let pool = &self.pools[index];
        let mut queued = 0.0;
        for lane in pool.lanes.iter().map(|lane| self.lanes.at(*lane)) {
            let targets = &self.topics[lane.key.topic as usize].targets;
            let (mut here, mut all) = (0.0, 0.0);
            for target in lane.key.targets.iter().filter_map(|target| targets.get(target)) {
                let weight = f64::from(target.weight.max(1));
                all += weight;
                here += if target.pool == index { weight } else { 0.0 };
            }
            queued += f64::from(lane.length) * here / f64::max(all, 1.0);
        }
        let tokens: u64 = pool.queued_tokens.iter().flatten().sum();
        PoolState {
            pool: pool.name.clone(),
            limit: u64::from(pool.read(now).limit()),
            endpoints_ready: pool.endpoints_ready() as u64,
            inflight: u64::from(pool.inflight),
            queued,
            lag: f64::from(pool.inflight) + queued,
            drain_ms: whole(tokens as f64 / pool.pace.tokens_per_sec() * 1_000.0),
        }
    }

    fn drain_ms(&self, topic: usize) -> u64 {
        let state = &self.topics[topic];
        whole(state.queued_tokens as f64 / state.pace.tokens_per_sec() * 1_000.0)
    }

    /// The pools that a topic's targets lead to, each once.
    fn pools_of(&self, topic: usize) -> impl Iterator<Item = usize> {
        let targets = &self.topics[topic].targets;
        let is_first =
            |(index, pool): &(usize, usize)| targets[..*index].iter().all(|other| other.pool != *pool);
        targets.iter().map(|target| target.pool).enumerate().filter(is_first).map(|(_, pool)| pool)
    }

    fn all(&self, topic: usize) -> Targets {
        let targets = &self.topics[topic].targets;
        let weighted = self.topics[topic].weighted;
        if weighted.is_empty() { (0..targets.len()).fold(Targets::NONE, Targets::with) } else { weighted }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "such casts saturate, at 0 too")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
