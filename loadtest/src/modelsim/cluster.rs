//! Replicas behind one address: a job goes to the least busy one. Pure, like the engine.

use super::engine::{Counters, Engine, EngineSettings, Event, Job, JobId, TooLarge};
use std::collections::HashMap;
use std::time::Duration;

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As many jobs as allowed are there.
    #[error("{running} requests are running and {waiting} are waiting, no more are taken")]
    Full {
        /// Jobs running.
        running: usize,
        /// Jobs waiting.
        waiting: usize,
    },
    /// It could never run.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// How many jobs are taken. Real servers have neither cap: they queue without bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Jobs running or waiting.
    pub inflight: Option<usize>,
    /// Jobs waiting. A job waits at least for the end of a running step.
    pub waiting: Option<usize>,
}

/// Equal engines, and who serves which job.
#[derive(Debug, Clone)]
pub struct Cluster {
    engines: Vec<Engine>,
    caps: Caps,
    homes: HashMap<JobId, usize>,
    /// So many engines, the first ones, are away.
    lost: usize,
}

impl Cluster {
    /// `replicas` idle engines (at least one).
    pub fn new(settings: EngineSettings, replicas: usize, caps: Caps) -> Self {
        Self { engines: vec![Engine::new(settings); replicas.max(1)], caps, homes: HashMap::new(), lost: 0 }
    }

    /// Gives the job to the replica with the fewest jobs, the first of equals.
    ///
    /// # Errors
    ///
    /// Refuses above a cap, and jobs that could never run.
    pub fn submit(&mut self, now: Duration, job: Job) -> Result<(), Refused> {
        self.engines.iter_mut().for_each(|engine| engine.catch_up(now));
        let (running, waiting) = (self.running(), self.waiting());
        let over = |cap: Option<usize>, count: usize| cap.is_some_and(|cap| count >= cap);
        if over(self.caps.inflight, running + waiting) || over(self.caps.waiting, waiting) {
            return Err(Refused::Full { running, waiting });
        }
        let busy = |(_, engine): &(usize, &mut Engine)| engine.running() + engine.waiting();
        if let Some((home, engine)) = self.engines.iter_mut().enumerate().skip(self.lost).min_by_key(busy) {
            engine.submit(now, job)?;
            self.homes.insert(job.id, home);
        }
        Ok(())
    }

    /// Frees what the job holds; false if it is unknown or has ended.
    pub fn cancel(&mut self, now: Duration, id: JobId) -> bool {
        let home = self.homes.remove(&id).and_then(|home| self.engines.get_mut(home));
        home.is_some_and(|engine| engine.cancel(now, id))
    }

    /// Takes replicas away with all the jobs that they have, whose names it returns in order; one replica stays.
    pub fn lose(&mut self, now: Duration, replicas: usize) -> Vec<JobId> {
        self.lost = replicas.min(self.engines.len() - 1);
        let away = |&(_, &home): &(&JobId, &usize)| home < self.lost;
        let mut jobs: Vec<JobId> = self.homes.iter().filter(away).map(|(&id, _)| id).collect();
        jobs.sort_unstable();
        for &id in &jobs {
            self.cancel(now, id);
        }
        jobs
    }

    /// Brings back the replicas that were lost, idle.
    pub fn restore(&mut self) {
        self.lost = 0;
    }

    /// When to call [`Cluster::advance`] next; `None` while there is nothing to do.
    pub fn next_event(&self) -> Option<Duration> {
        self.engines.iter().filter_map(Engine::next_event).min()
    }

    /// Runs every step that ends by `now`; events are in order within a replica.
    pub fn advance(&mut self, now: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        for engine in &mut self.engines {
            events.append(&mut engine.advance(now));
        }
        for event in &events {
            if let Event::Finished { id, .. } = event {
                self.homes.remove(id);
            }
        }
        events
    }

    /// Sequences in all batches.
    pub fn running(&self) -> usize {
        self.engines.iter().map(Engine::running).sum()
    }

    /// Jobs in all queues.
    pub fn waiting(&self) -> usize {
        self.engines.iter().map(Engine::waiting).sum()
    }

    /// Tokens in all KV caches.
    pub fn kv_used(&self) -> u64 {
        self.engines.iter().map(Engine::kv_used).sum()
    }

    /// Tokens that all KV caches hold.
    pub fn kv_tokens(&self) -> u64 {
        self.engines.iter().map(|engine| engine.settings().kv_tokens).sum()
    }

    /// Totals of all replicas.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for engine in &self.engines {
            let one = engine.counters();
            sum.submitted += one.submitted;
            sum.finished += one.finished;
            sum.cancelled += one.cancelled;
            sum.preemptions += one.preemptions;
            sum.output_tokens += one.output_tokens;
            sum.prefill_tokens += one.prefill_tokens;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::{Caps, Cluster, Refused};
    use crate::modelsim::engine::{EngineSettings, Event, Job};
    use crate::modelsim::rng::{Lengths, Rng};
    use std::time::Duration;

    fn job(id: u64) -> Job {
        Job { id, prompt_tokens: 100, output_tokens: 10 }
    }

    #[test]
    fn jobs_spread_over_the_replicas() {
        let mut cluster = Cluster::new(EngineSettings::A, 4, Caps::default());
        for id in 0..8 {
            cluster.submit(Duration::ZERO, job(id)).unwrap();
        }
        let each: Vec<usize> = cluster.engines.iter().map(|e| e.running() + e.waiting()).collect();
        assert_eq!(each, [2, 2, 2, 2]);
    }

    #[test]
    fn a_lost_replica_takes_its_jobs_along_and_gets_no_more() {
        let mut cluster = Cluster::new(EngineSettings::A, 2, Caps::default());
        for id in 0..4 {
            cluster.submit(Duration::ZERO, job(id)).unwrap();
        }
        assert_eq!(cluster.lose(Duration::ZERO, 1), [0, 2]);
        cluster.submit(Duration::ZERO, job(4)).unwrap();
        let each: Vec<usize> = cluster.engines.iter().map(|e| e.running() + e.waiting()).collect();
        assert_eq!(each, [0, 3]);
        cluster.restore();
        cluster.submit(Duration::ZERO, job(5)).unwrap();
        let each: Vec<usize> = cluster.engines.iter().map(|e| e.running() + e.waiting()).collect();
        assert_eq!(each, [1, 3]);
    }

    #[test]
    fn a_bounded_queue_refuses_what_would_wait_too() {
        let mut cluster = Cluster::new(EngineSettings::A, 1, Caps { inflight: None, waiting: Some(2) });
        for id in 0..3 {
            cluster.submit(Duration::ZERO, job(id)).unwrap();
        }
        assert_eq!(cluster.submit(Duration::ZERO, job(3)), Err(Refused::Full { running: 1, waiting: 2 }));
        // The next step admits both that wait.
        assert_eq!(cluster.submit(Duration::from_millis(50), job(3)), Ok(()));
    }

    #[test]
    fn the_cap_counts_running_and_waiting_jobs() {
        let mut cluster = Cluster::new(EngineSettings::A, 2, Caps { inflight: Some(3), waiting: None });
        for id in 0..3 {
            cluster.submit(Duration::ZERO, job(id)).unwrap();
        }
        assert_eq!(cluster.submit(Duration::ZERO, job(3)), Err(Refused::Full { running: 2, waiting: 1 }));
        assert!(cluster.cancel(Duration::ZERO, 1));
        assert_eq!(cluster.submit(Duration::ZERO, job(3)), Ok(()));
    }

    /// The number that the overload research measured for server A with its workload: what a gateway in front
    /// of it can hope for.
    #[test]
    fn four_replicas_of_a_answer_the_research_workload_at_its_known_rate() {
        let mut cluster = Cluster::new(EngineSettings::A, 4, Caps::default());
        let mut rng = Rng::new(11);
        let (from, until) = (Duration::from_secs(60), Duration::from_secs(560));
        let (mut next_id, mut finished, mut now) = (0, 0u32, Duration::ZERO);
        while now < until {
            // Always work in the queues: the server is saturated.
            while cluster.waiting() < 40 {
                let prompt_tokens = Lengths::PROMPTS.draw(&mut rng);
                let output_tokens = Lengths::OUTPUTS.draw(&mut rng);
                cluster.submit(now, Job { id: next_id, prompt_tokens, output_tokens }).unwrap();
                next_id += 1;
            }
            now = cluster.next_event().expect("work remains");
            let ended = |event: &Event| matches!(event, Event::Finished { at, .. } if *at >= from);
            let count = cluster.advance(now).iter().filter(|event| ended(event)).count();
            finished += u32::try_from(count).unwrap();
        }
        let per_second = f64::from(finished) / (until - from).as_secs_f64();
        assert!((25.0..30.6).contains(&per_second), "{per_second} answers/s, known: 27.8 ± 10 %");
    }
}
