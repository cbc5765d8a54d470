//! Where few answers stream, whole ones tell.

use std::time::Duration;

use super::*;

const HIDDEN: Attempt = Attempt { stream: false, ..STREAM };

impl Driven {
    /// One whole answer of so many tokens, each in so many milliseconds, 0.1 s beside them.
    fn whole(&mut self, output_tokens: u32, token_millis: u32) {
        let place = self.window.admit(self.now, HIDDEN).unwrap();
        self.pass(0.1 + f64::from(output_tokens * token_millis) / 1_000.0);
        self.release(place, End::Whole { output_tokens: Some(output_tokens) });
    }
}

#[test]
fn what_goes_by_beside_their_tokens_is_the_time_to_the_first() {
    let mut driven = window();
    (0..60).for_each(|step| driven.whole(5 + step * 35 % 400, 20));
    driven.pass(0.05);
    let reading = driven.read();
    let about_100_ms = |time: Option<Duration>| time.is_some_and(|time| millis(time).abs_diff(100) <= 10);
    assert!(about_100_ms(reading.base_first_token) && about_100_ms(reading.first_token), "{reading:?}");
}

#[test]
fn an_answer_whose_tokens_nobody_counted_is_no_queue() {
    let mut driven = window();
    (0..60).for_each(|step| driven.whole(5 + step * 35 % 400, 20));
    for _ in 0..3 {
        let place = driven.window.admit(driven.now, HIDDEN).unwrap();
        driven.pass(8.0);
        driven.release(place, End::Whole { output_tokens: None });
        driven.whole(50, 20);
    }
    driven.pass(0.05);
    let first_token = driven.read().first_token.map(millis);
    assert!(first_token.is_some_and(|time| time < 150), "{first_token:?}");
}

#[test]
fn late_tokens_of_whole_answers_cap_what_is_under_way() {
    for (token_millis, capped) in [(20, false), (100, true)] {
        let inter_token_objective = Some(Duration::from_millis(60));
        let settings =
            FirstTokenWindowSettings { inter_token_objective, ..FirstTokenWindowSettings::default() };
        let mut driven = Driven::new(settings);
        (0..60).for_each(|step| driven.whole(5 + step * 35 % 400, token_millis));
        driven.pass(1.0);
        assert_eq!(driven.read().decode_cap.is_some(), capped, "{:?}", driven.read());
    }
}
