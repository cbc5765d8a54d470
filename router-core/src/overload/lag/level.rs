//! How near the set point is a topic, or one of its segments? A level for people and dashboards, which does not flap.

use std::time::Duration;

use serde::Serialize;

/// Nearness to the set point at which a level begins. From [`Level::Critical`] down nothing but time leads.
const ELEVATED: f64 = 0.7;
const HIGH: f64 = 1.0;
/// A level is left downwards only so far below where it began.
const HYSTERESIS: f64 = 0.1;
/// A level falls only so long after there was last reason for it. A refusal is one for [`Level::Critical`].
pub const DWELL: Duration = Duration::from_secs(2);

/// How near a topic or a segment is to the set point. For reporting only: whoever acts, acts on lag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Saturation below 0.7.
    #[default]
    Normal,
    /// From 0.7 on.
    Elevated,
    /// From 1.0 on: first tokens come later than promised.
    High,
    /// Calls are refused or answered with less.
    Critical,
}

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Elevated, Self::High, Self::Critical];

    /// The word for it in JSON and headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    fn of(saturation: f64, shift: f64) -> Self {
        match saturation + shift {
            nearness if nearness >= HIGH => Self::High,
            nearness if nearness >= ELEVATED => Self::Elevated,
            _ => Self::Normal,
        }
    }
}

/// A level that does not flap: it rises at once, since whoever is to act must hear of it, a refusal above all, and
/// falls late.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauge {
    level: Level,
    /// When there was last reason for it.
    reached: Duration,
}

impl Gauge {
    /// The level, given how near the set point is and when a call was last refused.
    pub fn update(&mut self, now: Duration, saturation: f64, refused: Option<Duration>) -> Level {
        let critical = refused.filter(|refused| now.saturating_sub(*refused) < DWELL);
        let wanted = match critical {
            Some(_) => Level::Critical,
            // Upwards at the threshold, downwards only 0.1 below it.
            None => Level::of(saturation, 0.0).max(self.level.min(Level::of(saturation, HYSTERESIS))),
        };
        if wanted >= self.level || now.saturating_sub(self.reached) >= DWELL {
            *self = Self { level: wanted, reached: critical.unwrap_or(now) };
        }
        self.level
    }

    /// The level as it was told last.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn levels_rise_at_the_threshold_and_fall_a_tenth_below_it() {
        let mut gauge = Gauge::default();
        let mut at = |secs: u32, saturation| gauge.update(SEC * secs, saturation, None);
        assert_eq!(at(10, 0.69), Level::Normal);
        assert_eq!(at(20, 0.7), Level::Elevated);
        assert_eq!(at(30, 0.61), Level::Elevated);
        assert_eq!(at(40, 1.0), Level::High);
        assert_eq!(at(50, 0.91), Level::High);
        assert_eq!(at(60, 0.89), Level::Elevated);
        assert_eq!(at(70, 0.59), Level::Normal);
    }

    #[test]
    fn a_level_rises_at_once_and_stays_two_seconds_after_it_was_last_reached() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.update(SEC * 10, 0.8, None), Level::Elevated);
        assert_eq!(gauge.update(SEC * 10 + MS, 2.0, None), Level::High);
        assert_eq!(gauge.update(SEC * 11, 0.0, None), Level::High);
        assert_eq!(gauge.update(SEC * 11 + 500 * MS, 1.0, None), Level::High, "reached again");
        assert_eq!(gauge.update(SEC * 13, 0.0, None), Level::High);
        assert_eq!(gauge.update(SEC * 13 + 500 * MS, 0.8, None), Level::Elevated);
        assert_eq!(gauge.update(SEC * 15, 0.0, None), Level::Elevated);
        assert_eq!(gauge.update(SEC * 15 + 500 * MS, 0.0, None), Level::Normal);
        assert_eq!(gauge.update(SEC * 15 + 501 * MS, 0.8, None), Level::Elevated);
    }

    #[test]
    fn a_level_that_load_reaches_now_and_then_does_not_flap() {
        let mut gauge = Gauge::default();
        gauge.update(SEC, 1.1, None);
        let levels = (0..100).map(|quarter| {
            let saturation = if quarter % 4 == 3 { 1.1 } else { 0.2 };
            gauge.update(SEC + 250 * MS * quarter, saturation, None)
        });
        assert!(levels.into_iter().all(|level| level == Level::High));
    }

    #[test]
    fn refusals_are_never_missed() {
        for dwelt in (0..=2_000).step_by(250) {
            let mut gauge = Gauge::default();
            assert_eq!(gauge.update(SEC * 10, 0.8, None), Level::Elevated);
            let refused = SEC * 10 + MS * dwelt;
            assert_eq!(gauge.update(refused, 0.1, Some(refused)), Level::Critical, "{dwelt} ms later");
            assert_eq!(gauge.update(refused + SEC, 0.1, Some(refused)), Level::Critical);
            assert_eq!(gauge.update(refused + 2 * SEC, 0.1, Some(refused)), Level::Normal);
        }
    }

    #[test]
    fn refusals_are_critical_for_as_long_as_they_happen() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.update(SEC * 10, 0.1, Some(SEC * 10)), Level::Critical);
        assert_eq!(gauge.update(SEC * 13, 0.1, Some(SEC * 12)), Level::Critical);
        assert_eq!(gauge.update(SEC * 14, 0.1, Some(SEC * 12)), Level::Normal);
        assert_eq!(Gauge::default().update(SEC * 10, 5.0, Some(SEC)), Level::High);
    }
}
