//! Seeded chance: the same seed gives the same run.

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly from 0 to 1, and never 0.
    pub(crate) fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn hits(&mut self, share: f64) -> bool {
        self.share() <= share
    }

    /// Normally distributed (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.share().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    /// Lognormally distributed with this mean, in whole steps, at least one.
    pub(crate) fn lognormal(&mut self, mean: f64, sigma: f64) -> u64 {
        let centre = (-0.5 * sigma).mul_add(sigma, mean.ln());
        let value = sigma.mul_add(self.normal(), centre).exp();
        (value.round() as u64).max(1)
    }

    /// How many come in a step of which each brings so many in the mean (Poisson; Knuth's way).
    pub(crate) fn arrivals(&mut self, mean: f64) -> u32 {
        let least = (-mean).exp();
        let mut left = self.share();
        let mut arrivals = 0;
        while left > least {
            left *= self.share();
            arrivals += 1;
        }
        arrivals
    }
}
