//! Whatever happens, in whatever order: no place is lost or doubled, and a limiter says what it does.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{
    AimdSettings, Algorithm, Attempt, End, FirstTokenWindowSettings, FixedSettings, Gradient2Settings,
    GradientSettings, Limiter, Place, Seen,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Admit { stream: bool },
    FirstToken(usize),
    Whole(usize),
    Tokens(usize, u32),
    Release(usize, End),
    Pass { milliseconds: u64, ticks: bool },
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    let guarded = FirstTokenWindowSettings {
        inter_token_objective: Some(Duration::from_millis(60)),
        gateways: 3,
        ..FirstTokenWindowSettings::default()
    };
    prop_oneof![
        3 => Just(Algorithm::default()),
        3 => Just(Algorithm::FirstTokenWindow(guarded)),
        1 => Just(Algorithm::Gradient(GradientSettings::default())),
        1 => Just(Algorithm::Gradient2(Gradient2Settings::default())),
        1 => Just(Algorithm::Aimd(AimdSettings::default())),
        1 => Just(Algorithm::Fixed(FixedSettings { limit: 7 })),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        4 => proptest::option::of(0_u32..2_000).prop_map(|output_tokens| End::Whole { output_tokens }),
        1 => Just(End::Refused),
        2 => Just(End::Cancelled),
    ];
    prop_oneof![
        6 => proptest::bool::weighted(0.6).prop_map(|stream| Step::Admit { stream }),
        3 => any::<usize>().prop_map(Step::FirstToken),
        1 => any::<usize>().prop_map(Step::Whole),
        1 => (any::<usize>(), 0_u32..100).prop_map(|(which, count)| Step::Tokens(which, count)),
        4 => (any::<usize>(), end).prop_map(|(which, end)| Step::Release(which, end)),
        3 => (0_u64..200, Just(true)).prop_map(|(milliseconds, ticks)| Step::Pass { milliseconds, ticks }),
        1 => (0_u64..200_000, any::<bool>())
            .prop_map(|(milliseconds, ticks)| Step::Pass { milliseconds, ticks }),
    ]
}

fn apply(limiter: &mut dyn Limiter, held: &mut Vec<Place>, now: &mut Duration, step: Step) {
    let index = |which: usize| which % held.len().max(1);
    match step {
        Step::Admit { stream } => {
            let free = limiter.read(*now).free;
            let place = limiter.admit(*now, Attempt { prompt_tokens: 100, stream });
            assert_eq!(place.is_some(), free > 0);
            held.extend(place);
        }
        Step::FirstToken(which) if !held.is_empty() => {
            limiter.observe(*now, &held[index(which)], Seen::FirstToken);
        }
        Step::Whole(which) if !held.is_empty() => {
            limiter.observe(*now, &held[index(which)], Seen::Whole);
        }
        Step::Tokens(which, count) if !held.is_empty() => {
            limiter.observe(*now, &held[index(which)], Seen::Tokens(count));
        }
        Step::Release(which, end) if !held.is_empty() => {
            let place = held.swap_remove(index(which));
            limiter.release(*now, place, end);
        }
        Step::Pass { milliseconds, ticks } => {
            *now += Duration::from_millis(milliseconds);
            if ticks {
                limiter.tick(*now);
            }
        }
        Step::FirstToken(_) | Step::Whole(_) | Step::Tokens(..) | Step::Release(..) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_place_is_lost_or_doubled(
        algorithm in algorithms(),
        origin in 0_u64..10_000_000,
        history in proptest::collection::vec(steps(), 0..400),
    ) {
        let mut limiter = algorithm.build(9);
        let (mut held, mut now) = (Vec::new(), Duration::from_secs(origin));
        for step in history {
            apply(&mut *limiter, &mut held, &mut now, step);
            let reading = limiter.read(now);
            prop_assert_eq!(reading.inflight as usize, held.len());
            prop_assert!(reading.awaiting_first_token <= reading.inflight);
            prop_assert!(reading.rate.is_finite() && reading.rate >= 0.0);
        }
        for place in held {
            limiter.release(now, place, End::Cancelled);
        }
        let reading = limiter.read(now);
        prop_assert_eq!((reading.inflight, reading.awaiting_first_token), (0, 0));
        // Gateways that share a slow server pause for up to 6.25 s.
        now += Duration::from_secs(7);
        limiter.tick(now);
        prop_assert!(limiter.read(now).free > 0, "whatever happened, an idle endpoint gets an attempt");
    }
}
