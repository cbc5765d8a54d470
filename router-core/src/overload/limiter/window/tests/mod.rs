//! What users of the window rely on, through its own interface.

mod whole;

use std::collections::VecDeque;
use std::time::Duration;

use super::super::{Attempt, End, Limiter, Place, Reading, Seen, TICK, places};
use super::{FirstTokenWindow, FirstTokenWindowSettings};

const STREAM: Attempt = Attempt { prompt_tokens: 100, stream: true };
const WHOLE: End = End::Whole { output_tokens: Some(10) };

/// A window and the clock that drives it.
struct Driven {
    window: FirstTokenWindow,
    now: Duration,
}

impl Driven {
    fn new(settings: FirstTokenWindowSettings) -> Self {
        // The origin of time is long ago: nothing may depend on where it lies.
        Self { window: FirstTokenWindow::new(settings), now: Duration::from_secs(1_000_000) }
    }

    fn pass(&mut self, seconds: f64) {
        for _ in 0..places((seconds / TICK.as_secs_f64()).round()) {
            self.now += TICK;
            self.window.tick(self.now);
        }
    }

    fn admit(&mut self) -> Option<Place> {
        self.window.admit(self.now, STREAM)
    }

    fn admit_all(&mut self) -> Vec<Place> {
        std::iter::from_fn(|| self.admit()).collect()
    }

    fn first_token(&mut self, place: &Place) {
        self.window.observe(self.now, place, Seen::FirstToken);
    }

    fn release(&mut self, place: Place, end: End) {
        self.window.release(self.now, place, end);
    }

    fn read(&self) -> Reading {
        self.window.read(self.now)
    }

    /// One attempt after the other whose answers do not stream, each with its end after `wait`.
    fn answer(&mut self, count: u32, wait: f64) {
        for _ in 0..count {
            let place = self.window.admit(self.now, Attempt { stream: false, ..STREAM }).unwrap();
            self.pass(wait);
            self.release(place, WHOLE);
        }
    }

    /// One attempt after the other of which a stream is asked for and the whole answer comes, after `wait`.
    fn come_whole(&mut self, count: u32, wait: f64) {
        for _ in 0..count {
            let place = self.admit().unwrap();
            self.pass(wait);
            self.window.observe(self.now, &place, Seen::Whole);
            self.release(place, WHOLE);
        }
    }

    /// One attempt after the other, each with its first token after `wait` and its end at once.
    fn serve(&mut self, count: u32, wait: f64) {
        for _ in 0..count {
            let place = self.admit().unwrap();
            self.pass(wait);
            self.first_token(&place);
            self.release(place, WHOLE);
        }
    }
}

fn millis(time: Duration) -> u128 {
    (time + Duration::from_micros(500)).as_millis()
}

fn window() -> Driven {
    Driven::new(FirstTokenWindowSettings::default())
}

#[test]
fn starts_with_a_burst_and_with_one_where_gateways_share() {
    assert_eq!(window().admit_all().len(), 8);
    let mut shared =
        Driven::new(FirstTokenWindowSettings { gateways: 8, ..FirstTokenWindowSettings::default() });
    assert_eq!(shared.admit_all().len(), 1);
    assert_eq!(shared.read().free, 0);
}

#[test]
fn a_first_token_makes_room_and_the_end_of_an_answer_does_not() {
    let mut driven = window();
    let places = driven.admit_all();
    driven.first_token(&places[0]);
    assert_eq!((driven.read().inflight, driven.read().awaiting_first_token, driven.read().free), (8, 7, 1));
    // Said twice, or without a place, it counts once.
    driven.first_token(&places[0]);
    assert_eq!(driven.read().awaiting_first_token, 7);
    places.into_iter().for_each(|place| driven.release(place, WHOLE));
    assert_eq!((driven.read().inflight, driven.read().awaiting_first_token), (0, 0));
}

#[test]
fn those_of_the_first_burst_that_met_the_others_say_nothing_of_the_base_time() {
    let mut driven = window();
    for place in driven.admit_all() {
        // One after the other: the eighth waited for seven.
        driven.pass(0.1);
        driven.first_token(&place);
        driven.release(place, WHOLE);
    }
    driven.pass(0.05);
    assert_eq!(driven.read().base_first_token.map(millis), Some(150), "the mean of the first two");
}

#[test]
fn where_the_first_two_leave_another_of_the_burst_tells() {
    let mut driven = window();
    let mut burst = driven.admit_all();
    burst.drain(..2).for_each(|place| driven.release(place, End::Cancelled));
    driven.pass(0.2);
    driven.first_token(&burst[0]);
    driven.pass(0.05);
    assert_eq!(driven.read().base_first_token.map(millis), Some(200));
    burst.into_iter().for_each(|place| driven.release(place, WHOLE));
}

#[test]
fn a_fast_server_whose_answers_do_not_stream_is_soon_free_for_all() {
    let mut driven = window();
    let hidden = Attempt { stream: false, ..STREAM };
    let (mut started, mut seconds) = (0, 0.0);
    // Thirty-two callers, each with its next call when the last has been answered.
    while started < 2_000 {
        let places: Vec<_> = (0..32).map_while(|_| driven.window.admit(driven.now, hidden)).collect();
        started += places.len();
        driven.now += Duration::from_millis(1);
        places.into_iter().for_each(|place| driven.release(place, WHOLE));
        driven.pass(0.05);
        seconds += 0.05;
    }
    assert!(seconds < 0.05 * (2_000.0 / 32.0) + 0.5, "held back for {seconds} s");
}

#[test]
fn a_cancelled_attempt_frees_its_place_and_is_no_sample() {
    let mut driven = window();
    driven.serve(20, 0.1);
    let before = driven.read();
    for _ in 0..20 {
        let place = driven.admit().unwrap();
        driven.pass(0.05);
        driven.release(place, End::Cancelled);
    }
    driven.pass(0.05);
    let after = driven.read();
    assert_eq!((after.inflight, after.awaiting_first_token), (0, 0));
    assert_eq!((after.first_token, after.base_first_token), (before.first_token, before.base_first_token));
}

#[test]
fn learns_the_base_time_and_the_rate() {
    let mut driven = window();
    driven.serve(50, 0.2);
    let reading = driven.read();
    assert_eq!(reading.base_first_token.map(millis), Some(200));
    assert_eq!(reading.first_token.map(millis), Some(200));
    assert!((reading.rate - 5.0).abs() < 0.3, "{reading:?}");
}

#[test]
fn a_shared_endpoint_keeps_a_short_base_time_and_a_configured_one_holds() {
    let shared = FirstTokenWindowSettings { gateways: 2, ..FirstTokenWindowSettings::default() };
    let told = FirstTokenWindowSettings { base_time: Some(Duration::from_secs(1)), ..shared };
    for (settings, expected) in [(shared, 100), (told, 1_000)] {
        let mut driven = Driven::new(settings);
        driven.serve(20, 2.0);
        assert_eq!(driven.read().base_first_token.map(millis), Some(expected));
    }
}

#[test]
fn what_never_answers_gets_no_more_than_the_pace_and_what_then_answers_is_let_in() {
    let mut driven = window();
    let mut waiting: Vec<(Duration, Place)> = Vec::new();
    for _ in 0..1_200 {
        waiting.extend(driven.admit_all().into_iter().map(|place| (driven.now, place)));
        driven.pass(0.05);
        while waiting.first().is_some_and(|(since, _)| driven.now - *since > Duration::from_secs(5)) {
            driven.release(waiting.remove(0).1, End::Cancelled);
        }
        assert!(waiting.len() <= 130, "{} at the pace of 20 a second and 5 s of patience", waiting.len());
    }
    assert!(waiting.len() >= 50, "{} is shut", waiting.len());
    waiting.into_iter().for_each(|(_, place)| driven.release(place, End::Cancelled));
    driven.serve(20, 0.1);
    assert!(driven.read().free >= 2);
}

#[test]
fn an_endpoint_that_falls_silent_while_attempts_wait_is_forgotten() {
    let mut driven = window();
    driven.serve(200, 0.1);
    assert!(driven.read().base_first_token.is_some());
    let stuck = driven.admit_all();
    driven.pass(29.0);
    assert!(driven.read().base_first_token.is_some());
    driven.pass(2.0);
    assert_eq!((driven.read().base_first_token, driven.read().rate), (None, 0.0));
    stuck.into_iter().for_each(|place| driven.release(place, End::Cancelled));
    driven.serve(20, 0.1);
    assert!(driven.read().base_first_token.is_some());
}

#[test]
fn an_idle_endpoint_is_remembered_through_a_night_without_ticks() {
    let mut driven = window();
    driven.serve(50, 0.1);
    let before = driven.read();
    driven.now += Duration::from_secs(8 * 3_600);
    let burst = driven.admit_all();
    assert!(!burst.is_empty());
    driven.pass(0.05);
    let after = driven.read();
    assert_eq!(after.base_first_token, before.base_first_token);
    assert!(after.awaiting_first_token + after.free <= 2 * (before.free + 1), "{after:?} from {before:?}");
    burst.into_iter().for_each(|place| driven.release(place, End::Cancelled));
}

#[test]
fn refusals_of_the_endpoint_cap_what_is_under_way() {
    let mut driven = window();
    driven.serve(20, 0.1);
    let decoding: Vec<_> = (0..40)
        .map(|_| {
            let place = driven.admit().unwrap();
            driven.first_token(&place);
            place
        })
        .collect();
    let refused = driven.admit().unwrap();
    driven.release(refused, End::Refused);
    assert_eq!((driven.read().decode_cap, driven.read().free), (Some(40), 0));
    assert_eq!(driven.admit(), None);
    decoding.into_iter().for_each(|place| driven.release(place, WHOLE));
    assert!(driven.admit().is_some());
}

#[test]
fn late_tokens_cap_what_is_under_way_only_with_an_objective() {
    let objective = Some(Duration::from_millis(60));
    for (inter_token_objective, capped) in [(objective, true), (None, false)] {
        let settings =
            FirstTokenWindowSettings { inter_token_objective, ..FirstTokenWindowSettings::default() };
        let mut driven = Driven::new(settings);
        driven.serve(20, 0.1);
        let place = driven.admit().unwrap();
        driven.first_token(&place);
        for _ in 0..20 {
            driven.pass(0.5);
            driven.window.observe(driven.now, &place, Seen::Tokens(2));
        }
        assert_eq!(driven.read().decode_cap.is_some(), capped, "{:?}", driven.read());
    }
}

#[test]
fn tokens_that_are_told_of_later_are_not_late() {
    let inter_token_objective = Some(Duration::from_millis(60));
    let settings = FirstTokenWindowSettings { inter_token_objective, ..FirstTokenWindowSettings::default() };
    for ticks in 0..5 {
        let mut driven = Driven::new(settings);
        driven.serve(20, 0.1);
        driven.pass(TICK.as_secs_f64() * f64::from(ticks));
        let mut decoding = Vec::new();
        // Ten answers begin at a time, each with a token in 42 ms, of which six at a time are told of.
        for _ in 0..16 {
            let begun: Vec<_> = (0..10).filter_map(|_| driven.admit()).collect();
            begun.iter().for_each(|place| driven.first_token(place));
            decoding.extend(begun);
            driven.pass(0.25);
            decoding.iter().for_each(|place| driven.window.observe(driven.now, place, Seen::Tokens(6)));
            assert_eq!(driven.read().decode_cap, None, "{:?}", driven.read());
        }
        assert!(decoding.len() > 50, "{}", decoding.len());
        decoding.into_iter().for_each(|place| driven.release(place, WHOLE));
    }
}

#[test]
fn a_stream_that_overtakes_shows_that_others_have_their_first_token() {
    let mut driven = window();
    driven.serve(30, 0.1);
    let hidden = Attempt { stream: false, ..STREAM };
    let before = driven.window.admit(driven.now, hidden).unwrap();
    driven.pass(0.05);
    let stream = driven.admit().unwrap();
    driven.pass(0.05);
    let after = driven.window.admit(driven.now, hidden).unwrap();
    assert_eq!(driven.read().awaiting_first_token, 3);
    driven.first_token(&stream);
    assert_eq!(driven.read().awaiting_first_token, 1, "the one that started later still waits");
    driven.pass(0.4);
    assert_eq!(driven.read().awaiting_first_token, 0, "nobody overtook it in twice the usual time");
    [before, stream, after].into_iter().for_each(|place| driven.release(place, WHOLE));
    assert_eq!(driven.read().inflight, 0);
}

#[test]
fn long_streams_leave_the_window_of_whole_answers_with_their_first_token() {
    let mut driven = window();
    let hidden = Attempt { stream: false, ..STREAM };
    driven.answer(200, 0.05);
    // Fifty at once that go on for ever, before a tick can make room for them.
    let streams: Vec<_> = (0..50)
        .map(|_| {
            let place = driven.admit().unwrap();
            driven.first_token(&place);
            place
        })
        .collect();
    let reading = driven.read();
    assert_eq!((reading.inflight, reading.awaiting_first_token), (50, 0));
    let beside = driven.window.admit(driven.now, hidden).unwrap();
    assert_eq!(driven.read().awaiting_first_token, 1);
    streams.into_iter().chain([beside]).for_each(|place| driven.release(place, WHOLE));
    assert_eq!(driven.read().awaiting_first_token, 0);
}

#[test]
fn without_streams_the_whole_answer_counts_and_streams_bring_the_first_token_back() {
    let mut driven = window();
    let hidden = Attempt { stream: false, ..STREAM };
    driven.answer(40, 0.5);
    let place = driven.window.admit(driven.now, hidden).unwrap();
    driven.pass(5.0);
    assert_eq!(driven.read().awaiting_first_token, 1, "it waits until its end");
    driven.release(place, WHOLE);
    assert!(driven.read().base_first_token.is_some_and(|base| millis(base) >= 499));
    driven.serve(400, 0.1);
    assert_eq!(driven.read().base_first_token.map(millis), Some(100));
}

#[test]
fn a_probe_finds_a_base_time_that_has_fallen_while_the_endpoint_is_always_full() {
    let mut driven = window();
    driven.serve(30, 2.0);
    let base = driven.read().base_first_token.unwrap();
    let mut waiting: Vec<(Duration, Place)> = Vec::new();
    for _ in 0..2_400 {
        waiting.extend(driven.admit_all().into_iter().map(|place| (driven.now, place)));
        driven.pass(0.05);
        // One first token in each tick, and none in less than a fifth of a second.
        if waiting.first().is_some_and(|(since, _)| driven.now - *since >= Duration::from_millis(200)) {
            let (_, place) = waiting.remove(0);
            driven.first_token(&place);
            driven.release(place, WHOLE);
        }
    }
    let found = driven.read().base_first_token.unwrap();
    assert!(found < base / 4, "{found:?} from {base:?}");
    waiting.into_iter().for_each(|(_, place)| driven.release(place, End::Cancelled));
}

#[test]
fn a_rush_makes_no_long_queue_at_the_endpoint() {
    let mut driven = window();
    // Forty prompts a second in turn, none in less than 0.1 s; until then there was a caller now and then.
    driven.serve(30, 0.1);
    let mut waiting: VecDeque<(Duration, Place)> = VecDeque::new();
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        waiting.extend(driven.admit_all().into_iter().map(|place| (driven.now, place)));
        driven.pass(0.05);
        for _ in 0..2 {
            if waiting.front().is_some_and(|(since, _)| driven.now - *since >= Duration::from_millis(100))
                && let Some((since, place)) = waiting.pop_front()
            {
                longest = longest.max(driven.now - since);
                driven.first_token(&place);
                driven.release(place, WHOLE);
            }
        }
    }
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    waiting.into_iter().for_each(|(_, place)| driven.release(place, End::Cancelled));
}

#[test]
fn streams_that_hang_do_not_hold_back_others() {
    let mut driven = window();
    driven.serve(30, 0.1);
    let stuck: Vec<_> = (0..3).map(|_| driven.admit().unwrap()).collect();
    driven.pass(2.0);
    for _ in 0..100 {
        let places = driven.admit_all();
        driven.pass(0.1);
        for place in places {
            driven.first_token(&place);
            driven.release(place, WHOLE);
        }
    }
    assert!(driven.read().free > 50, "{:?}", driven.read());
    stuck.into_iter().for_each(|place| driven.release(place, End::Cancelled));
}

#[test]
fn a_stream_that_shows_no_token_counts_by_its_end() {
    let mut driven = window();
    for _ in 0..20 {
        let place = driven.admit().unwrap();
        driven.pass(0.5);
        driven.release(place, WHOLE);
    }
    driven.pass(0.05);
    assert_eq!(driven.read().base_first_token.map(millis), Some(500));
}

#[test]
fn a_whole_answer_that_should_have_been_a_stream_is_no_first_token() {
    let mut driven = window();
    // The first of all, before anything is known, and some among many others.
    for count in [1, 30, 30] {
        driven.come_whole(1, 5.0);
        driven.serve(count, 0.1);
    }
    let reading = driven.read();
    assert_eq!(
        (reading.base_first_token.map(millis), reading.first_token.map(millis)),
        (Some(100), Some(100))
    );
    assert_eq!((reading.inflight, reading.awaiting_first_token), (0, 0));
}

/// Any number of callers of a server that answers twenty at a time, each whole after a second: how many it answers in a
/// minute, and how many it has at most.
fn of_a_server_that_streams_nothing(asked: bool) -> (usize, usize) {
    let mut driven = window();
    let attempt = Attempt { stream: asked, ..STREAM };
    let (mut queue, mut served) = (VecDeque::new(), VecDeque::<(Duration, Place)>::new());
    let (mut answered, mut most) = (0, 0);
    for _ in 0..1_200 {
        queue.extend(std::iter::from_fn(|| driven.window.admit(driven.now, attempt)));
        most = most.max(queue.len() + served.len());
        let free = 20 - served.len();
        let next = queue.drain(..free.min(queue.len()));
        served.extend(next.map(|place| (driven.now + Duration::from_secs(1), place)));
        driven.pass(0.05);
        while served.front().is_some_and(|(until, _)| *until <= driven.now)
            && let Some((_, place)) = served.pop_front()
        {
            if asked {
                driven.window.observe(driven.now, &place, Seen::Whole);
            }
            driven.release(place, WHOLE);
            answered += 1;
        }
    }
    (answered, most)
}

#[test]
fn a_server_that_streams_nothing_is_treated_alike_whatever_is_asked_for() {
    let ((answered, most), (expected, expected_most)) =
        (of_a_server_that_streams_nothing(true), of_a_server_that_streams_nothing(false));
    assert!(answered.abs_diff(expected) < expected / 20, "{answered} instead of {expected}");
    assert!(most < 2 * expected_most, "{most} instead of {expected_most}");
}

#[test]
fn a_server_that_has_learned_to_stream_is_soon_known_by_its_first_tokens() {
    let mut driven = window();
    driven.come_whole(400, 1.0);
    assert!(driven.read().base_first_token.is_some_and(|base| millis(base) >= 999));
    driven.serve(400, 0.1);
    assert_eq!(driven.read().base_first_token.map(millis), Some(100));
}
