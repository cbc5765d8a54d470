//! What becomes of the other weights of a route when one is set.

use crate::config::WEIGHT_SUM;
use crate::config::weights::divide;

/// The weights after one of them was set: the others in proportion, rounded so that the sum is exact. `None` if the
/// others have no proportion and are several.
pub(super) fn rescaled(weights: &[u32], index: usize, weight: u32) -> Option<Vec<u32>> {
    let rest = WEIGHT_SUM - weight;
    let mut parts: Vec<u64> = weights.iter().map(|&part| u64::from(part)).collect();
    parts[index] = 0;
    if rest > 0 && parts.iter().all(|&part| part == 0) {
        if weights.len() != 2 {
            return None;
        }
        parts[1 - index] = 1;
    }
    let mut rescaled = divide(rest, &parts);
    rescaled[index] = weight;
    Some(rescaled)
}
