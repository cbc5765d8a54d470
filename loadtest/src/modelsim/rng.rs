//! Seeded randomness: SplitMix64, and the log-normal lengths of the workload that the simulator answers with.
//!
//! Not the `rand` crate: answers must be the same for a seed after every dependency update.

/// A small generator with one word of state (SplitMix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator for `seed`; nearby seeds give unrelated streams.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(GOLDEN) ^ 0xD1B5_4A32_D192_ED03)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A standard normal deviate (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// An exponential gap with the given mean: the time to the next arrival of a Poisson process.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// An index below `len`, 0 for an empty range.
    pub fn index(&mut self, len: usize) -> usize {
        let len = (len as u64).max(1);
        usize::try_from(self.bits() % len).unwrap_or(0)
    }
}

/// Token counts that follow a log-normal, rounded and clamped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lengths {
    /// Mean before clamping, tokens.
    pub mean: f64,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
    /// Smallest count.
    pub min: u32,
    /// Largest count.
    pub max: u32,
}

impl Lengths {
    /// Prompts of the overload research: many short ones and a tail.
    pub const PROMPTS: Self = Self { mean: 450.0, sigma: 0.9, min: 8, max: 4000 };
    /// Answers of the overload research.
    pub const OUTPUTS: Self = Self { mean: 200.0, sigma: 1.0, min: 1, max: 800 };

    /// Draws one count.
    pub fn draw(&self, rng: &mut Rng) -> u32 {
        let mu = self.mean.ln() - self.sigma * self.sigma / 2.0;
        let tokens = (mu + self.sigma * rng.normal()).exp().round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a range of u32 in the same expression"
        )]
        let tokens = tokens.clamp(f64::from(self.min), f64::from(self.max)) as u32;
        tokens
    }
}

/// A hash of `bytes` that is the same in every build, to derive a request's seed from its text.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = mix(seed ^ bytes.len() as u64);
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word));
    }
    for &byte in rest {
        state = mix(state ^ u64::from(byte));
    }
    state
}

fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::{Lengths, Rng, hash};

    #[test]
    fn lengths_have_the_mean_and_the_range_they_name() {
        let mut rng = Rng::new(1);
        let draws: Vec<u32> = (0..20_000).map(|_| Lengths::OUTPUTS.draw(&mut rng)).collect();
        let mean = draws.iter().map(|&n| f64::from(n)).sum::<f64>() / draws.len() as f64;
        // The clamp at 800 takes about 7 % off the mean of 200.
        assert!((175.0..205.0).contains(&mean), "mean {mean}");
        assert!(draws.iter().all(|n| (1..=800).contains(n)));
    }

    #[test]
    fn the_hash_depends_on_every_byte_and_on_the_seed() {
        let text = b"one hundred and one letters".to_vec();
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 1;
            assert_ne!(hash(1, &text), hash(1, &other), "byte {at}");
        }
        assert_ne!(hash(1, &text), hash(2, &text));
    }
}
