//! A callee whose answers take as long as chance has it, and callers who wait for the timeout.

use breaker_core::Chance;

use super::*;

/// A size of every day, and one of the deep run.
pub(super) fn size([everyday, deep]: [u32; 2]) -> u32 {
    if std::env::var_os("PORTCULLIS_DEEP").is_some() { deep } else { everyday }
}

pub(super) struct Callee {
    pub(super) it: Estimator,
    chance: Chance,
    now: Tick,
    pub(super) calls: u32,
    pub(super) timeouts: u32,
}

impl Callee {
    pub(super) fn new(config: TimeoutConfig, seed: u64) -> Self {
        let chance = Chance::seeded(seed);
        Self { it: Estimator::new(config), chance, now: Tick::ZERO, calls: 0, timeouts: 0 }
    }

    /// A number in 0..1.
    pub(super) fn share(&mut self) -> f64 {
        (self.chance.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A latency in seconds around `median`, by the normal distribution of its logarithm (Box and
    /// Muller).
    pub(super) fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        let (radius, angle) = (1.0 - self.share(), self.share());
        let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        median * (sigma * normal).exp()
    }

    /// A call that would take so many seconds, 10 ms after the last one; whether it timed out.
    pub(super) fn call(&mut self, seconds: f64) -> bool {
        self.now = self.now.after(ms(10));
        self.calls += 1;
        let (needs, limit) = (Duration::from_secs_f64(seconds), self.it.timeout());
        let too_long = needs > limit;
        let sample = if too_long { Sample::TimedOut(limit) } else { Sample::Answered(needs) };
        self.timeouts += u32::from(too_long);
        self.it.record(self.now, sample, false);
        too_long
    }

    /// The timeouts of calls from now on are counted from nothing.
    pub(super) fn count_anew(&mut self) {
        (self.calls, self.timeouts) = (0, 0);
    }

    pub(super) fn share_of_timeouts(&self) -> f64 {
        f64::from(self.timeouts) / f64::from(self.calls)
    }
}
