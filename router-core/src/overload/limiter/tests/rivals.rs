//! The limiters that others have, by their own rules.

use std::time::Duration;

use super::super::{
    AimdSettings, Algorithm, Attempt, End, FixedSettings, Gradient2Settings, GradientSettings, Limiter,
    MinRtt,
};

const ATTEMPT: Attempt = Attempt { prompt_tokens: 100, stream: true };
const WHOLE: End = End::Whole { output_tokens: None };

fn limit(limiter: &dyn Limiter) -> u32 {
    limiter.read(Duration::ZERO).decode_cap.unwrap()
}

/// As many as are let in, up to `most`, for `took`; then a tick.
fn round(limiter: &mut dyn Limiter, now: &mut Duration, most: usize, took: Duration, end: End) {
    let places: Vec<_> = (0..most).map_while(|_| limiter.admit(*now, ATTEMPT)).collect();
    *now += took;
    places.into_iter().for_each(|place| limiter.release(*now, place, end));
    limiter.tick(*now);
}

#[test]
fn fixed_never_moves() {
    let mut fixed = Algorithm::Fixed(FixedSettings { limit: 2 }).build(1);
    let places: Vec<_> = std::iter::from_fn(|| fixed.admit(Duration::ZERO, ATTEMPT)).collect();
    assert_eq!(places.len(), 2);
    places.into_iter().for_each(|place| fixed.release(Duration::from_secs(9), place, End::Refused));
    assert_eq!((limit(&*fixed), fixed.read(Duration::ZERO).free), (2, 2));
}

#[test]
fn aimd_adds_one_in_time_and_takes_a_tenth_when_late_or_refused() {
    let mut aimd = Algorithm::Aimd(AimdSettings { initial_limit: 50, ..AimdSettings::default() }).build(1);
    let mut now = Duration::ZERO;
    round(&mut *aimd, &mut now, 1, Duration::from_secs(1), WHOLE);
    assert_eq!(limit(&*aimd), 50, "one of 50 does not use it");
    round(&mut *aimd, &mut now, 25, Duration::from_secs(1), WHOLE);
    assert_eq!(limit(&*aimd), 51, "only the 25th met half of it in use");
    round(&mut *aimd, &mut now, 1, Duration::from_secs(6), WHOLE);
    assert_eq!(limit(&*aimd), 45);
    round(&mut *aimd, &mut now, 1, Duration::from_secs(1), End::Refused);
    assert_eq!(limit(&*aimd), 40);
    round(&mut *aimd, &mut now, 20, Duration::from_secs(9), End::Cancelled);
    assert_eq!(limit(&*aimd), 40, "a cancelled attempt says nothing");
    (0..50).for_each(|_| round(&mut *aimd, &mut now, 1, Duration::from_secs(6), WHOLE));
    assert_eq!(limit(&*aimd), 20);
}

#[test]
fn gradient2_grows_by_a_fifth_of_the_queue_and_shrinks_when_answers_get_longer() {
    let mut gradient2 = Algorithm::Gradient2(Gradient2Settings::default()).build(1);
    let mut now = Duration::ZERO;
    // A window ends with the first answer after a second, so each round here closes one.
    for _ in 0..50 {
        round(&mut *gradient2, &mut now, 500, Duration::from_millis(1_100), WHOLE);
    }
    let grown = limit(&*gradient2);
    assert!((50..=60).contains(&grown), "0.8 a window from 20: {grown}");
    for _ in 0..6 {
        round(&mut *gradient2, &mut now, 500, Duration::from_millis(5_000), WHOLE);
    }
    assert!(limit(&*gradient2) < grown * 3 / 4, "{} from {grown}", limit(&*gradient2));
}

#[test]
fn envoys_gradient_measures_at_three_and_then_follows_with_the_square_root_on_top() {
    let mut gradient = Algorithm::Gradient(GradientSettings::default()).build(1);
    let mut now = Duration::ZERO;
    let second = Duration::from_secs(1);
    for _ in 0..16 {
        round(&mut *gradient, &mut now, 500, second, WHOLE);
        assert_eq!(limit(&*gradient), 3, "50 answers make a measurement");
    }
    round(&mut *gradient, &mut now, 500, second, WHOLE);
    // As fast as measured: gradient 1.25, limit 3.75, and its root 1.9.
    round(&mut *gradient, &mut now, 500, second, WHOLE);
    assert_eq!(limit(&*gradient), 5);
    for _ in 0..3 {
        round(&mut *gradient, &mut now, 500, second, WHOLE);
    }
    let grown = limit(&*gradient);
    round(&mut *gradient, &mut now, 500, 10 * second, WHOLE);
    let halved = f64::from(grown) * 0.5;
    assert_eq!(
        limit(&*gradient),
        super::super::places(halved + halved.sqrt()),
        "never less than half at once"
    );
}

#[test]
fn envoys_gradient_measures_again_after_its_interval_and_only_what_began_since() {
    let mut gradient = Algorithm::Gradient(GradientSettings::default()).build(1);
    let mut now = Duration::ZERO;
    let second = Duration::from_secs(1);
    while limit(&*gradient) < 100 {
        round(&mut *gradient, &mut now, 500, second, WHOLE);
    }
    let old = (0..60).map_while(|_| gradient.admit(now, ATTEMPT)).collect::<Vec<_>>();
    now += 70 * second;
    gradient.tick(now);
    assert_eq!(limit(&*gradient), 3, "60 s and up to 15 % more have passed");
    old.into_iter().for_each(|place| gradient.release(now, place, WHOLE));
    gradient.tick(now);
    assert_eq!(limit(&*gradient), 3, "answers to what began before do not count");
    for _ in 0..17 {
        round(&mut *gradient, &mut now, 500, second, WHOLE);
    }
    assert!(limit(&*gradient) > 100, "the limit from before is back: {}", limit(&*gradient));
}

#[test]
fn a_fixed_min_rtt_is_never_measured_and_a_run_at_the_minimum_measures_again() {
    let second = Duration::from_secs(1);
    let fixed = GradientSettings { min_rtt: MinRtt::Fixed(second), ..GradientSettings::default() };
    let (mut gradient, mut now) = (Algorithm::Gradient(fixed).build(1), Duration::ZERO);
    for _ in 0..100 {
        round(&mut *gradient, &mut now, 500, second, WHOLE);
    }
    assert_eq!(limit(&*gradient), 1_000);

    let (mut gradient, mut now) = (Algorithm::Gradient(GradientSettings::default()).build(1), Duration::ZERO);
    for _ in 0..17 {
        round(&mut *gradient, &mut now, 500, second, WHOLE);
    }
    // Lastingly ten times as slow: five intervals at the minimum, then a measurement that takes it for
    // normal.
    let mut highest = 0;
    for _ in 0..40 {
        round(&mut *gradient, &mut now, 500, 10 * second, WHOLE);
        highest = highest.max(limit(&*gradient));
    }
    assert!(highest > 3);
}
