//! What time does: limits move, estimates fade, endpoints come back, calls become hopeless, levels settle.

use std::time::Duration;

use super::Dispatcher;
use super::call::Decision;
use crate::dialect::Shed;

/// How often levels are looked at. No refusal is missed in between: each counts for two seconds.
const SETTLE: Duration = Duration::from_millis(250);

impl Dispatcher {
    /// Lets time pass. Due when [`Dispatcher::next_wakeup`] says, every 50 ms while anything is under way or waits.
    pub fn tick(&mut self, now: Duration, out: &mut Vec<Decision>) {
        let elapsed = now.saturating_sub(self.ticked);
        self.ticked = now.max(self.ticked);
        for pool in &mut self.pools {
            pool.tick(now, elapsed);
        }
        for topic in &mut self.topics {
            if topic.queued > 0 {
                topic.pace.blocked(now);
            }
            topic.pace.tick(now, elapsed);
        }
        self.expire(now, out);
        for pool in 0..self.pools.len() {
            self.pump(now, pool, out);
        }
        if now.saturating_sub(self.settled) >= SETTLE {
            self.settle(now);
        }
        self.check_invariants();
    }

    /// Gives up the calls that can no longer be in time, and those that waited as long as any call may.
    fn expire(&mut self, now: Duration, out: &mut Vec<Decision>) {
        let mut late = std::mem::take(&mut self.scratch);
        for (_, lane) in self.lanes.used() {
            let upstream = self.upstream(lane.key.topic as usize, lane.key.targets);
            let bound = self.topics[lane.key.topic as usize].bounds.wait;
            let mut index = lane.first;
            while let Some(call) = self.calls.at(index) {
                let waited = now.saturating_sub(call.arrived);
                if waited >= bound
                    || call.patience.is_some_and(|patience| upstream.hopeless(waited, patience))
                {
                    late.push(index);
                }
                index = call.next;
            }
        }
        while let Some(index) = late.pop() {
            let Some(call) = self.calls.at(index) else { continue };
            let bound = self.topics[call.topic as usize].bounds.wait;
            let outwaited = now.saturating_sub(call.arrived) >= bound;
            self.give_up(now, index, if outwaited { Shed::QueueWait } else { Shed::Expired }, out);
        }
        self.scratch = late;
    }
}
