//! Recovery by single calls while open: [`Trickle`].

use std::time::Duration;

use super::Ramp;
use crate::clock::saturating_nanos;
use crate::percent::Percent;

/// Recovery by probes: while the circuit is open, single real calls pass, in proportion to the
/// traffic.
///
/// A probe that ends well closes the circuit, by way of HalfOpen, or begins a
/// [ramp](Self::then_ramp); one that fails leaves it open. There is a probe for each tenth call,
/// but not more often than each 200 ms and not less often than each 5 s; so a callee that is well
/// again is found by traffic of any density, and a sick one gets a tenth of it at most. The rate
/// of the traffic is measured while the circuit is open only: healthy calls pay nothing for it.
///
/// Waits are spread by a quarter, the first one by a half. After failed probes they grow with the
/// time since the opening, up to five times as long after 100 s, and up to the longest interval.
/// Probes go by their schedule: one that hangs keeps no other back, and several may be out.
///
/// The open period of the configuration is not used: its cap bounds what a callee may ask for with
/// `Retry-After`, which delays the first probe.
///
/// ```
/// use breaker_core::{CircuitBreakerConfig, Ramp, Recovery, Trickle};
///
/// const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new()
///     .recovery(Recovery::Trickle(Trickle::new().then_ramp(Ramp::slow_start(32))));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Trickle {
    pub(crate) share: Percent,
    pub(crate) shortest: u32,
    pub(crate) longest: u32,
    pub(crate) jitter: bool,
    pub(crate) ramp: Option<Ramp>,
}

impl Trickle {
    pub(crate) const MIN_INTERVAL: Duration = Duration::from_millis(1);
    pub(crate) const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

    /// One call in ten, each 200 ms at most and each 5 s at least, and no ramp afterwards.
    pub const fn new() -> Self {
        Self { share: Percent::new(10), shortest: 200, longest: 5_000, jitter: true, ramp: None }
    }

    /// The share of the calls that are probes, where the intervals allow; default 10 %.
    ///
    /// # Panics
    /// When `share` is zero.
    pub const fn probe_share(mut self, share: Percent) -> Self {
        assert!(!share.is_zero(), "probe_share is above zero");
        self.share = share;
        self
    }

    /// The shortest and the longest interval between probes, to the millisecond; default 200 ms
    /// and 5 s.
    ///
    /// # Panics
    /// When `shortest` is longer than `longest`, or one lies outside 1 ms..=1 hour.
    pub const fn intervals(mut self, shortest: Duration, longest: Duration) -> Self {
        assert!(
            Self::fits(shortest) && Self::fits(longest),
            "an interval between probes lies in 1 ms..=1 hour"
        );
        self.shortest = shortest.as_millis() as u32;
        self.longest = longest.as_millis() as u32;
        assert!(
            self.shortest <= self.longest,
            "probe_interval_min is not above probe_interval_max"
        );
        self
    }

    /// Intervals that are not spread, for tests that count. Many processes that lose the same
    /// callee at once would come back in step.
    pub const fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// Follows a good probe with a ramp, instead of closing at once; default none.
    ///
    /// # Panics
    /// When a step of the ramp has to last at least as long as it may last at most.
    pub const fn then_ramp(mut self, ramp: Ramp) -> Self {
        assert!(ramp.has_time(), "min_step_time is below max_half_open_stay");
        self.ramp = Some(ramp);
        self
    }

    pub(crate) const fn longest_interval(&self) -> Duration {
        Duration::from_millis(self.longest as u64)
    }

    const fn fits(interval: Duration) -> bool {
        let nanos = saturating_nanos(interval);
        nanos >= saturating_nanos(Self::MIN_INTERVAL)
            && nanos <= saturating_nanos(Self::MAX_INTERVAL)
    }
}

impl Default for Trickle {
    fn default() -> Self {
        Self::new()
    }
}
