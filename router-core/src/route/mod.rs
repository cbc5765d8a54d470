//! Which target of a route takes the next call? Canary rules first, then the weights. Knows nothing of
//! endpoints and waits for nothing: the set of targets that can serve now is an argument.

mod share;
pub mod staging;

pub use share::is_skewed;

use crate::config::Canary;

/// Smooth weighted rotation over the targets of one route.
///
/// The algorithm is nginx's smooth weighted round robin: at each turn every target that can serve is
/// credited its weight; the one with the most credit is picked and pays the sum of the weights that took
/// part.
///
/// ```text
/// credit[i] += weight[i]              for every i that can serve
/// pick       = argmax credit          the first of equals
/// credit[pick] -= Σ weight[i]         over the same i
/// ```
///
/// Over any whole period the shares are exact, and a heavy target's turns are spread, never bunched: weights
/// 0.6/0.2/0.2 give six, two and two in every ten. A target that cannot serve is passed over and keeps no
/// credit: what it missed is not owed to it, else it would be flooded when it comes back.
///
/// ```
/// use router_core::route::Rotation;
/// let mut rotation = Rotation::new(vec![600_000, 200_000, 200_000]);
/// let turns: Vec<_> = (0..5).filter_map(|_| rotation.pick(|_| true)).collect();
/// assert_eq!(turns, [0, 1, 0, 2, 0]);
/// ```
#[derive(Clone, Debug)]
pub struct Rotation {
    /// In any common unit.
    weights: Vec<u32>,
    credit: Vec<i64>,
}

impl Rotation {
    /// A rotation over targets with these weights.
    #[must_use]
    pub fn new(weights: Vec<u32>) -> Self {
        let credit = vec![0; weights.len()];
        Self { weights, credit }
    }

    /// The target whose turn it is among those for which `can_serve` holds; `None` if none of them has a
    /// weight.
    pub fn pick(&mut self, can_serve: impl Fn(usize) -> bool) -> Option<usize> {
        let best = self.next(&can_serve)?;
        self.take(best, can_serve);
        Some(best)
    }

    /// Whose turn it is, without taking it: as [`pick`](Self::pick), but nothing is credited or paid.
    #[must_use]
    pub fn next(&self, can_serve: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best: Option<(usize, i64)> = None;
        for (index, (&weight, &credit)) in self.weights.iter().zip(&self.credit).enumerate() {
            if weight == 0 || !can_serve(index) {
                continue;
            }
            let credit = credit + i64::from(weight);
            if best.is_none_or(|(_, most)| credit > most) {
                best = Some((index, credit));
            }
        }
        best.map(|(index, _)| index)
    }

    /// Takes the turn that [`next`](Self::next) named, over the same targets.
    pub fn take(&mut self, turn: usize, can_serve: impl Fn(usize) -> bool) {
        let mut sum = 0;
        for (index, &weight) in self.weights.iter().enumerate() {
            if weight == 0 || !can_serve(index) {
                self.credit[index] = 0;
                continue;
            }
            sum += i64::from(weight);
            self.credit[index] += i64::from(weight);
        }
        if let Some(credit) = self.credit.get_mut(turn) {
            *credit -= sum;
        }
        self.check_invariants();
    }

    fn check_invariants(&self) {
        let round: i64 = self.weights.iter().map(|&weight| i64::from(weight)).sum();
        let bound = round * i64::try_from(self.weights.len()).unwrap_or(i64::MAX);
        debug_assert!(self.credit.iter().all(|credit| credit.abs() <= bound), "no credit grows without end");
    }
}

/// The target of the first canary rule that a request's headers satisfy. `header` gives a header's value by
/// its lower-case name.
pub fn canary<'a>(rules: &[Canary], header: impl Fn(&str) -> Option<&'a [u8]>) -> Option<usize> {
    rules.iter().find(|rule| header(&rule.header) == Some(rule.equals.as_bytes())).map(|rule| rule.target)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(rotation: &mut Rotation, turns: usize, can_serve: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut counts = vec![0; rotation.weights.len()];
        for _ in 0..turns {
            if let Some(index) = rotation.pick(&can_serve) {
                counts[index] += 1;
            }
        }
        counts
    }

    #[test]
    fn six_two_two_in_every_ten_and_never_in_bursts() {
        let mut rotation = Rotation::new(vec![600_000, 200_000, 200_000]);
        let turns: Vec<usize> = (0..1_000).filter_map(|_| rotation.pick(|_| true)).collect();
        for window in turns.windows(10) {
            let count = |target| window.iter().filter(|&&turn| turn == target).count();
            assert_eq!((count(0), count(1), count(2)), (6, 2, 2));
        }
        assert!(
            turns.windows(3).all(|three| three != [0, 0, 0]),
            "the heavy target never has three in a row"
        );
    }

    #[test]
    fn a_target_that_was_away_is_not_owed_its_turns() {
        let mut rotation = Rotation::new(vec![500_000, 500_000]);
        assert_eq!(shares(&mut rotation, 100, |index| index == 0), [100, 0]);
        assert_eq!(shares(&mut rotation, 10, |_| true), [5, 5]);
    }

    #[test]
    fn without_a_weight_there_is_no_turn() {
        assert_eq!(Rotation::new(vec![]).pick(|_| true), None);
        assert_eq!(Rotation::new(vec![0, 1_000_000]).pick(|index| index == 0), None);
    }

    #[test]
    fn the_first_matching_rule_wins() {
        let rule =
            |equals: &str, target| Canary { header: "x-api-version".into(), equals: equals.into(), target };
        let rules = [rule("v2", 1), rule("v3", 2)];
        let with = |value: &'static str| {
            canary(&rules, move |name| (name == "x-api-version").then_some(value.as_bytes()))
        };
        assert_eq!((with("v2"), with("v3"), with("V2")), (Some(1), Some(2), None));
        assert_eq!(canary(&rules, |_| None), None);
    }

    proptest! {
        /// Whatever the weights, no target is ever a whole turn ahead of its share, nor further behind than
        /// the others together can be ahead.
        #[test]
        fn nobody_gets_a_turn_too_many(weights in prop::collection::vec(1_u32..1_000_000, 1..8), turns in 1_usize..500) {
            let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            let counts = shares(&mut Rotation::new(weights.clone()), turns, |_| true);
            let others = f64::from(u32::try_from(weights.len() - 1).unwrap());
            for (weight, count) in weights.iter().zip(counts) {
                let due = f64::from(*weight) / sum * f64::from(u32::try_from(turns).unwrap());
                let got = f64::from(u32::try_from(count).unwrap());
                prop_assert!(got - due < 1.0 && due - got <= others + 1e-6, "{got} for {due}");
            }
        }

        /// After a whole period everyone has had exactly its share.
        #[test]
        fn a_whole_period_is_exact(weights in prop::collection::vec(1_u32..20, 1..6), periods in 1_usize..5) {
            let period: u32 = weights.iter().sum();
            let turns = usize::try_from(period).unwrap() * periods;
            let counts = shares(&mut Rotation::new(weights.clone()), turns, |_| true);
            let due: Vec<usize> = weights.iter().map(|&weight| weight as usize * periods).collect();
            prop_assert_eq!(counts, due);
        }
    }
}
