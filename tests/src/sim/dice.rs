//! Seeded chance, in streams that know nothing of each other.

use breaker_core::Chance;

/// A stream of draws.
#[derive(Clone, Copy, Debug)]
pub struct Dice(Chance);

impl Dice {
    /// The stream of this name, seed and number.
    #[must_use]
    pub fn stream(name: &str, seed: u64, number: u64) -> Self {
        // FNV-1a; each part goes through a draw of its own, so that near seeds have nothing in
        // common.
        let name = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let mixed = [seed, number]
            .into_iter()
            .fold(name, |mixed, part| Chance::seeded(mixed ^ Chance::seeded(part).draw()).draw());
        Self(Chance::seeded(mixed))
    }

    /// Evenly from 0 to 1, and never 0.
    pub fn share(&mut self) -> f64 {
        ((self.0.draw() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly in `0..bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Exponentially distributed, for events that come at this rate.
    pub fn gap(&mut self, rate: f64) -> f64 {
        -self.share().ln() / rate
    }

    /// Lognormally distributed with this mean.
    pub fn lognormal(&mut self, mean: f64, sigma: f64) -> f64 {
        let centre = (-0.5 * sigma).mul_add(sigma, mean.ln());
        sigma.mul_add(self.normal(), centre).exp()
    }

    /// Normally distributed (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.share().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }
}
