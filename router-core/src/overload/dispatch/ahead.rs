//! What goes before a call that comes now: how far behind the others its segment may be, and what starts until its
//! turn comes.

use super::Dispatcher;
use super::call::Priority;
use super::clock::Class;

/// What a segment left of its share of so many seconds it may take at once. Calls come in bursts of their own: if the
/// shares held from call to call, a segment that asks for four fifths of its share would still miss its objective with
/// one to four calls in a hundred, because what it left a moment ago is lost. It is what callers usually wait for a
/// first token, and the time over which the pace is counted. The others wait longer by at most the segment's share
/// of it.
const CREDIT_SECS: f64 = 2.0;

impl Dispatcher {
    /// A lane opens at a pool: if its segment has nothing waiting there, its clock is set to where its turn comes.
    pub(super) fn set_clock(&mut self, pool: usize, segment: usize, class: Class) {
        let priority = class.priority();
        if self.pools[pool].queued_of(priority) == 0 {
            self.pools[pool].clock.level(priority);
        }
        if self.pools[pool].queued_tokens[segment][priority as usize] == 0 {
            let shares: f64 = self.rivals(pool, segment, class).map(|(_, share)| share).sum();
            let pace = self.pools[pool].pace.tokens_per_sec();
            let credit = CREDIT_SECS * pace / (shares + self.segments[segment].share);
            self.pools[pool].clock.catch_up(segment, class, credit);
        }
    }

    /// Tokens that start at a pool before a call of this kind that comes now: all of the higher classes, what its own
    /// segment has waiting, and what the others of its class get until their clocks are where its own will be then.
    pub(super) fn ahead(&self, pool: usize, segment: usize, class: Class) -> f64 {
        if self.pools[pool].queued == 0 {
            return 0.0;
        }
        let (priority, clock) = (class.priority(), &self.pools[pool].clock);
        let waiting = |segment: usize| self.pools[pool].queued_tokens[segment][priority as usize] as f64;
        let (own, share) = (waiting(segment), self.segments[segment].share);
        let higher = self.higher(pool, class);
        if own <= 0.0 {
            // Who has nothing waiting is next, or nearly so.
            return higher;
        }
        let mut ahead = higher + own;
        let now = clock.now(class);
        let due = clock.start(segment, priority) + own / share;
        let shares = share + self.rivals(pool, segment, class).map(|(_, share)| share).sum::<f64>();
        for (rival, share) in self.rivals(pool, segment, class) {
            let (start, queued) = (clock.start(rival, priority), waiting(rival));
            // Its credit is good for what it has waiting. From then on it gets its share if it asks for so much:
            // who has nothing waiting goes on as it came of late.
            let takes = if queued > 0.0 { share } else { share.min(self.part(pool, rival) * shares) };
            ahead += ((due.min(now) - start).max(0.0) * share).min(queued);
            ahead += (due - start.max(now)).max(0.0) * takes;
        }
        ahead
    }

    /// Which part of what starts at a pool is a segment's, 0..1: of that which has no first token yet.
    fn part(&self, pool: usize, segment: usize) -> f64 {
        let pool = &self.pools[pool];
        f64::from(pool.used[segment].awaiting) / f64::from(pool.awaiting.max(1))
    }

    /// Tokens of higher classes that wait for a pool.
    fn higher(&self, pool: usize, class: Class) -> f64 {
        let mut higher = 0;
        for (settings, queued) in self.segments.iter().zip(&self.pools[pool].queued_tokens) {
            for each in [Priority::Realtime, Priority::Batch] {
                if Class::of(each, settings.order) < class {
                    higher += queued[each as usize];
                }
            }
        }
        higher as f64
    }

    /// The other segments that compete for a pool within a class, with their shares: those that have calls waiting,
    /// and those that come so often that one has no first token yet.
    fn rivals(&self, pool: usize, segment: usize, class: Class) -> impl Iterator<Item = (usize, f64)> {
        let (pool, priority) = (&self.pools[pool], class.priority());
        let competes = move |rival: usize| {
            pool.queued_tokens[rival][priority as usize] > 0
                || priority == Priority::Realtime && pool.used[rival].awaiting > 0
        };
        let of_class = self.segments.iter().enumerate().filter(move |(rival, settings)| {
            *rival != segment && Class::of(priority, settings.order) == class && competes(*rival)
        });
        of_class.map(|(rival, settings)| (rival, settings.share))
    }
}
