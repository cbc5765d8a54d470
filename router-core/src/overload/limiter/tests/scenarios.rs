//! Limiters against a simulated model server.

use super::super::{Algorithm, FirstTokenWindowSettings, GradientSettings};
use super::world::{SERVER_A, World};

/// Arrivals per second at a time.
type Rate = fn(f64) -> f64;

const SEEDS: [u64; 2] = [11, 12];

fn window() -> Algorithm {
    Algorithm::FirstTokenWindow(FirstTokenWindowSettings::default())
}

/// Mean share of the attainable goodput.
fn share(world: World, algorithm: Algorithm) -> f64 {
    let share = |seed| world.run(&mut *algorithm.build(seed), seed).goodput / world.attainable(seed);
    SEEDS.into_iter().map(share).sum::<f64>() / SEEDS.len() as f64
}

#[test]
fn attains_what_a_searched_limit_attains_at_every_load() {
    let loads: [(&str, Rate); 4] = [("0.5", |_| 14.0), ("1", |_| 28.0), ("1.5", |_| 42.0), ("3", |_| 84.0)];
    for (load, rate) in loads {
        let share = share(World { rate, ..SERVER_A }, window());
        assert!(share >= 0.95, "{share:.3} at {load}x");
    }
}

#[test]
fn envoys_gradient_stays_bad_here() {
    for (load, rate) in [("1", (|_| 28.0) as Rate), ("1.5", |_| 42.0)] {
        let world = World { rate, seconds: 400.0, ..SERVER_A };
        let share = share(world, Algorithm::Gradient(GradientSettings::default()));
        assert!(share <= 0.5, "{share:.3} at {load}x");
    }
}

#[test]
fn an_upstream_that_never_queues_is_never_held_back_once_warm() {
    let slots: fn(f64) -> u32 = |_| u32::MAX;
    let after_1s = World { rate: |_| 19.0, slots, delay: |_| 1.5, warm: 60.0, objective: 0.8, ..SERVER_A };
    let after_10s = World { rate: |_| 7.0, delay: |_| 10.0, patience: 60.0, objective: 15.0, ..after_1s };
    for (name, world) in [("1.5 s", after_1s), ("10 s", after_10s)] {
        let world = World { seconds: 300.0, ..world };
        for objective in [0.8, 2.0, 15.0] {
            let settings = FirstTokenWindowSettings {
                first_token_objective: Some(std::time::Duration::from_secs_f64(objective)),
                ..Default::default()
            };
            let outcome = world.run(&mut *Algorithm::FirstTokenWindow(settings).build(1), 5);
            assert!(outcome.held_back / outcome.arrived <= 0.001, "{outcome:?} after {name}");
        }
    }
}

#[test]
fn finds_a_hard_cap_from_refusals() {
    for (load, rate) in [("0.8", (|_| 10.0) as Rate), ("1.5", |_| 20.0), ("3", |_| 40.0)] {
        let slots: fn(f64) -> u32 = |_| u32::MAX;
        let capped = World { slots, refuses_above: 60, delay: |_| 0.3, ..SERVER_A };
        let world = World { rate, seconds: 300.0, warm: 100.0, ..capped };
        let share = share(world, window());
        assert!(share >= 0.85, "{share:.3} at {load}x");
    }
}

#[test]
fn follows_capacity_down_and_up() {
    let slots: fn(f64) -> u32 = |now| if (100.0..200.0).contains(&now) { 64 } else { 128 };
    for rate in [(|_| 25.0) as Rate, |_| 42.0] {
        let world = World { rate, slots, seconds: 300.0, ..SERVER_A };
        let share = share(world, window());
        assert!(share >= 0.93, "{share:.3}");
    }
}

#[test]
fn answers_that_do_not_stream_are_judged_by_those_that_do_or_whole() {
    for (stream_share, bar) in [(0.7, 0.93), (0.0, 0.8)] {
        for rate in [(|_| 28.0) as Rate, |_| 42.0, |_| 84.0] {
            let share = share(World { rate, stream_share, ..SERVER_A }, window());
            assert!(share >= bar, "{share:.3} with {stream_share} streams");
        }
    }
}

#[test]
fn a_small_server_is_kept_busy() {
    let slots: fn(f64) -> u32 = |_| 8;
    for rate in [(|_| 1.6) as Rate, |_| 2.6, |_| 5.2] {
        let share = share(World { rate, slots, seconds: 600.0, ..SERVER_A }, window());
        assert!(share >= 0.92, "{share:.3} of a server with 8 slots");
    }
}

#[test]
fn follows_a_base_time_that_rises_or_falls() {
    for delay in
        [(|now| if now < 100.0 { 0.2 } else { 2.0 }) as Rate, |now| if now < 100.0 { 2.0 } else { 0.2 }]
    {
        for rate in [(|_| 20.0) as Rate, |_| 42.0] {
            let world = World { rate, delay, objective: 4.0, seconds: 300.0, ..SERVER_A };
            let settings = FirstTokenWindowSettings {
                first_token_objective: Some(std::time::Duration::from_secs(4)),
                ..Default::default()
            };
            let share = share(world, Algorithm::FirstTokenWindow(settings));
            assert!(share >= 0.85, "{share:.3}");
        }
    }
}

#[test]
fn an_upstream_that_never_answers_pins_nothing() {
    let from_cold: fn(f64) -> u32 = |now| if now < 60.0 { 0 } else { 128 };
    let later: fn(f64) -> u32 = |now| if (60.0..180.0).contains(&now) { 0 } else { 128 };
    for (name, slots, warm) in [("cold", from_cold, 90.0), ("later", later, 210.0)] {
        for rate in [(|_| 25.0) as Rate, |_| 84.0] {
            let world = World { rate, slots, warm, seconds: warm + 100.0, ..SERVER_A };
            let outcome = world.run(&mut *window().build(1), 3);
            let share = outcome.goodput / world.attainable(3);
            assert!(share >= 0.9, "{share:.3} {name}");
            assert!(outcome.inflight_max <= 460, "{name}: {}", outcome.inflight_max);
        }
    }
}

#[test]
fn late_ticks_cost_little() {
    for rate in [(|_| 28.0) as Rate, |_| 84.0] {
        let share = share(World { rate, tick: 0.5, ..SERVER_A }, window());
        assert!(share >= 0.9, "{share:.3}");
    }
}
