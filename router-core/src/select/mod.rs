//! Which endpoint of a pool takes the attempt? Knows nothing of routes and holds no state: the endpoints'
//! loads, a random number or the number of the turn are arguments.

/// The less busy of two endpoints drawn at random (power of two choices).
///
/// Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (1996): nearly as even as always
/// taking the least busy of all, without every gateway running to the same one. Which of the two is drawn
/// first is random, and it wins a tie.
///
/// `inflight(i)` is the number of attempts at endpoint `i` of `count`; `random` is uniform over `u64`.
/// `None` if there is no endpoint.
#[must_use]
pub fn least_request(count: usize, inflight: impl Fn(usize) -> u32, random: u64) -> Option<usize> {
    let first = below(random & 0xffff_ffff, count)?;
    let Some(step) = below(random >> 32, count - 1) else { return Some(first) };
    let second = (first + 1 + step) % count;
    Some(if inflight(second) < inflight(first) { second } else { first })
}

/// Each endpoint in turn. `None` if there is no endpoint.
#[must_use]
pub fn round_robin(count: usize, turn: usize) -> Option<usize> {
    (count > 0).then(|| turn % count)
}

/// A 32-bit random number scaled to `0..count` (Lemire's multiplication, no division).
fn below(random: u64, count: usize) -> Option<usize> {
    (count > 0).then(|| ((random * count as u64) >> 32) as usize)
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn ties_are_broken_evenly() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut counts = [0_u32; 3];
        for _ in 0..30_000 {
            counts[least_request(3, |_| 4, random.random()).unwrap()] += 1;
        }
        assert!(counts.iter().all(|&count| (9_500..10_500).contains(&count)), "{counts:?}");
    }

    #[test]
    fn of_two_the_less_busy_is_taken() {
        let mut random = SmallRng::seed_from_u64(2);
        let loads = [9, 2];
        assert!((0..1_000).all(|_| least_request(2, |index| loads[index], random.random()) == Some(1)));
    }

    #[test]
    fn the_busiest_of_many_is_never_taken() {
        let mut random = SmallRng::seed_from_u64(3);
        let loads = [1, 50, 3, 2];
        assert!((0..1_000).all(|_| least_request(4, |index| loads[index], random.random()) != Some(1)));
    }

    #[test]
    fn one_or_no_endpoint() {
        assert_eq!(least_request(1, |_| 7, u64::MAX), Some(0));
        assert_eq!(least_request(0, |_| 0, 0), None);
        assert_eq!(round_robin(0, 5), None);
        assert_eq!([0, 1, 2, 3].map(|turn| round_robin(3, turn).unwrap()), [0, 1, 2, 0]);
    }
}
