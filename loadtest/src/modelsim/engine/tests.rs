//! What the engine promises, by example, by property, and against the research simulator's own trace.

use super::{Engine, EngineSettings, Event, Job, JobId, TooLarge};
use crate::modelsim::cluster::{Caps, Cluster};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn small() -> EngineSettings {
    EngineSettings { slots: 3, kv_tokens: 400, chunk_tokens: 64, ..EngineSettings::A }
}

fn job(id: JobId, prompt_tokens: u32, output_tokens: u32) -> Job {
    Job { id, prompt_tokens, output_tokens }
}

/// Runs until nothing is left to do.
fn drain(engine: &mut Engine) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(at) = engine.next_event() {
        events.extend(engine.advance(at));
    }
    events
}

fn tokens_of(events: &[Event], job: JobId) -> Vec<u32> {
    let index = |event: &Event| match *event {
        Event::Token { id, index, .. } if id == job => Some(index),
        _ => None,
    };
    events.iter().filter_map(index).collect()
}

fn end_of(events: &[Event], job: JobId) -> Option<Duration> {
    events.iter().find_map(|event| match *event {
        Event::Finished { id, at } if id == job => Some(at),
        _ => None,
    })
}

#[test]
fn a_lone_job_takes_one_prefill_step_and_a_step_per_further_token() {
    let mut engine = Engine::new(EngineSettings::A);
    engine.submit(Duration::ZERO, job(1, 100, 3)).unwrap();
    // 12 ms + 100 × 0.03 ms + 100 × 100 ns, then twice 12 ms + 0.25 ms + KV.
    assert_eq!(engine.next_event(), Some(Duration::from_nanos(15_010_000)));
    let events = drain(&mut engine);
    assert_eq!(tokens_of(&events, 1), [0, 1, 2]);
    let decodes = Duration::from_nanos(12_250_000 + 10_100) + Duration::from_nanos(12_250_000 + 10_200);
    assert_eq!(end_of(&events, 1), Some(Duration::from_nanos(15_010_000) + decodes));
    assert_eq!((engine.running(), engine.kv_used()), (0, 0));
}

#[test]
fn a_long_prompt_is_read_in_chunks() {
    let mut engine = Engine::new(EngineSettings { step_per_kv_token: Duration::ZERO, ..EngineSettings::A });
    engine.submit(Duration::ZERO, job(1, 5000, 1)).unwrap();
    let events = drain(&mut engine);
    assert_eq!(end_of(&events, 1), Some(3 * 12 * MS + 5000 * Duration::from_micros(30)));
}

#[test]
fn steps_slow_down_with_the_batch() {
    let step_with = |others: u64| {
        let mut engine = Engine::new(EngineSettings::A);
        for id in 0..=others {
            engine.submit(Duration::ZERO, job(id, 10, 100)).unwrap();
        }
        // Two steps fill the batch; the third only decodes.
        for _ in 0..2 {
            let at = engine.next_event().unwrap();
            engine.advance(at);
        }
        let (from, to) = (engine.now, engine.next_event().unwrap());
        to - from
    };
    assert!(step_with(31) > step_with(1) + 30 * Duration::from_micros(250));
}

#[test]
fn jobs_beyond_the_slots_wait_their_turn() {
    let mut engine = Engine::new(small());
    for id in 0..5 {
        engine.submit(Duration::ZERO, job(id, 10, 5)).unwrap();
    }
    let first = engine.next_event().unwrap();
    engine.advance(first);
    assert_eq!((engine.running(), engine.waiting()), (3, 2));
}

#[test]
fn a_cancelled_job_frees_its_place_at_once() {
    let mut engine = Engine::new(small());
    for id in 0..4 {
        engine.submit(Duration::ZERO, job(id, 50, 40)).unwrap();
    }
    let first = engine.next_event().unwrap();
    engine.advance(first);
    assert_eq!((engine.running(), engine.waiting()), (3, 1));
    let (kv, end) = (engine.kv_used(), engine.next_event());
    assert!(engine.cancel(first, 0), "running");
    assert!(engine.kv_used() < kv);
    assert_eq!(engine.next_event(), end, "the running step keeps its end");
    assert!(engine.cancel(first, 3), "waiting");
    assert_eq!((engine.running(), engine.waiting()), (2, 0));
    assert!(!engine.cancel(first, 3), "twice");
    let events = drain(&mut engine);
    assert!(tokens_of(&events, 0).is_empty() && tokens_of(&events, 3).is_empty());
    assert_eq!(engine.counters().cancelled, 2);
}

#[test]
fn a_job_that_could_never_run_is_refused() {
    let mut engine = Engine::new(small());
    let refused = engine.submit(Duration::ZERO, job(1, 380, 20));
    assert_eq!(refused, Err(TooLarge { needed: 400, admitted: 392 }));
    assert_eq!(engine.next_event(), None);
}

#[test]
fn a_full_cache_preempts_the_youngest_and_it_still_gets_every_token_once() {
    let mut engine = Engine::new(small());
    for id in 0..3 {
        engine.submit(Duration::ZERO, job(id, 100, 80)).unwrap();
    }
    let events = drain(&mut engine);
    let preempted: Vec<JobId> =
        events.iter().filter(|e| matches!(e, Event::Preempted { .. })).map(Event::id).collect();
    assert!(preempted.contains(&2) && !preempted.contains(&0), "{preempted:?}");
    assert_eq!(tokens_of(&events, 2), (0..80).collect::<Vec<_>>());
}

#[test]
fn a_late_caller_does_not_slow_the_engine_down() {
    let (mut prompt, mut late) = (Engine::new(small()), Engine::new(small()));
    for engine in [&mut prompt, &mut late] {
        engine.submit(Duration::ZERO, job(1, 50, 40)).unwrap();
    }
    let at_events = drain(&mut prompt);
    assert_eq!(late.advance(Duration::from_secs(60)), at_events);
}

/// Replays an unlimited run of the simulator behind the overload research: arrival, prompt and answer tokens, and
/// when it saw the first and the last token. The last file needs 27 preemptions.
fn replay(golden: &str, settings: EngineSettings, replicas: usize) -> u64 {
    let rows: Vec<Vec<f64>> =
        golden.lines().map(|row| row.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
    let mut cluster = Cluster::new(settings, replicas, Caps::default());
    let mut seen: BTreeMap<JobId, (Duration, Duration)> = BTreeMap::new();
    let mut note = |events: Vec<Event>| {
        for event in events {
            match event {
                Event::Token { id, first: true, at, .. } => drop(seen.insert(id, (at, at))),
                Event::Finished { id, at } => seen.get_mut(&id).unwrap().1 = at,
                Event::Token { .. } | Event::Preempted { .. } => {}
            }
        }
    };
    for (id, row) in (0..).zip(&rows) {
        let arrival = Duration::from_secs_f64(row[0]);
        note(cluster.advance(arrival));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "token counts of a fixture"
        )]
        cluster.submit(arrival, job(id, row[1] as u32, row[2] as u32)).unwrap();
    }
    note(cluster.advance(Duration::from_secs(1000)));
    for (id, row) in (0..).zip(&rows) {
        let (first, done) = seen[&id];
        let close = |ours: Duration, theirs: f64| (ours.as_secs_f64() - theirs).abs() < 2e-6;
        assert!(close(first, row[3]) && close(done, row[4]), "job {id}: {first:?} {done:?}, wanted {row:?}");
    }
    cluster.counters().preemptions
}

#[test]
fn timing_equals_the_research_simulator_when_slots_are_the_limit() {
    assert_eq!(replay(include_str!("golden_slots.csv"), EngineSettings::A, 2), 0);
}

#[test]
fn timing_equals_the_research_simulator_when_memory_is_the_limit() {
    let settings = EngineSettings { kv_tokens: 6000, ..EngineSettings::B };
    assert_eq!(replay(include_str!("golden_kv.csv"), settings, 1), 27);
}

/// What a caller does at some moment.
#[derive(Debug, Clone)]
enum Act {
    Submit { prompt: u32, output: u32 },
    Cancel { nth: usize },
    Wait { ms: u32 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1u32..200, 1u32..100).prop_map(|(prompt, output)| Act::Submit { prompt, output }),
        1 => (0usize..50).prop_map(|nth| Act::Cancel { nth }),
        3 => (0u32..300).prop_map(|ms| Act::Wait { ms }),
    ];
    prop::collection::vec(act, 1..60)
}

/// Plays the script; returns all events and which jobs were cancelled before their end.
fn play(script: &[Act], settings: EngineSettings) -> (Vec<Event>, Vec<Job>, Vec<JobId>) {
    let mut engine = Engine::new(settings);
    let (mut now, mut jobs, mut cancelled, mut events) = (Duration::ZERO, vec![], vec![], vec![]);
    for act in script {
        match *act {
            Act::Submit { prompt, output } => {
                let new = job(jobs.len() as u64, prompt, output);
                engine.submit(now, new).unwrap();
                jobs.push(new);
            }
            Act::Cancel { nth } if nth < jobs.len() => {
                if engine.cancel(now, nth as u64) {
                    cancelled.push(nth as u64);
                }
            }
            Act::Cancel { .. } => {}
            Act::Wait { ms } => now += ms * MS,
        }
        // Any call may have ended steps: the bounds hold whenever the caller looks.
        assert!(engine.running() <= settings.slots && engine.kv_used() <= settings.kv_tokens);
        events.extend(engine.advance(now));
    }
    while let Some(at) = engine.next_event() {
        events.extend(engine.advance(at));
        assert!(engine.running() <= settings.slots && engine.kv_used() <= settings.kv_tokens);
    }
    assert_eq!((engine.running(), engine.waiting(), engine.kv_used()), (0, 0, 0));
    (events, jobs, cancelled)
}

proptest! {
    #[test]
    fn every_job_that_is_not_cancelled_gets_exactly_its_tokens(script in acts()) {
        let (events, jobs, cancelled) = play(&script, small());
        for job in jobs {
            let tokens = tokens_of(&events, job.id);
            let done = !cancelled.contains(&job.id);
            prop_assert!(tokens.iter().copied().eq(0..u32::try_from(tokens.len()).unwrap()), "in order, once");
            prop_assert_eq!(tokens.len() == job.output_tokens as usize, done);
            prop_assert_eq!(end_of(&events, job.id).is_some(), done);
        }
    }

    #[test]
    fn first_come_is_first_served(script in acts()) {
        // Memory for all: a preempted job rightly starts later than one that came after it.
        let (events, jobs, cancelled) = play(&script, EngineSettings { kv_tokens: 100_000, ..small() });
        let first = |id: JobId| events.iter().find_map(|event| match *event {
            Event::Token { id: of, first: true, at, .. } if of == id => Some(at),
            _ => None,
        });
        let served: Vec<JobId> = jobs.iter().map(|job| job.id).filter(|id| !cancelled.contains(id)).collect();
        for pair in served.windows(2) {
            prop_assert!(first(pair[0]) <= first(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn time_never_runs_backwards_and_runs_are_repeatable(script in acts()) {
        let (events, ..) = play(&script, small());
        let at = |event: &Event| match *event {
            Event::Token { at, .. } | Event::Finished { at, .. } | Event::Preempted { at, .. } => at,
        };
        prop_assert!(events.windows(2).all(|pair| at(&pair[0]) <= at(&pair[1])));
        prop_assert_eq!(play(&script, small()).0, events);
    }
}
