//! [`Cusum`]: which share of failures is healthy, which is not, and how sure one has to be.

use crate::percent::Percent;

/// The hypotheses of a cumulative sum (CUSUM), for [`Trip::cusum`](crate::Trip::cusum).
///
/// Each call is weighed by how much likelier it is if the callee fails (`failing` of the calls
/// fail) than if it is well (`healthy` of them do). A failure adds `ln(failing / healthy)` to a
/// score, a success takes `ln((1 - healthy) / (1 - failing))` off, the score is never below zero,
/// and the circuit opens when it is above the threshold. So the circuit opens as soon as the calls
/// have said enough, after few where all fail and after more where some do, whatever the rate of
/// traffic; there is no window, and no minimum of calls. This is the cumulative sum of E. S. Page,
/// "Continuous inspection schemes", Biometrika 41 (1954), or the sequential probability ratio test
/// of Wald, begun anew each time it is sure that all is well.
///
/// The threshold `h` is a matter of false alarms: while `healthy` of the calls fail, the mean
/// number of calls to a false alarm is at least `e^h`, 1,100 for the default of 7 and 22,000 for
/// 10. A change to `failing` is noticed after about `h / d` calls, where `d` is what a call says
/// on average then: `failing * ln(failing / healthy) + (1 - failing) * ln((1 - failing) / (1 -
/// healthy))`.
///
/// After a recovery the score begins at half of the threshold, so that a relapse opens the circuit
/// after half as many failures. A reset, or the end of an operator's order, begins at zero.
///
/// ```
/// use breaker_core::{CircuitBreakerConfig, Cusum, Percent, Trip};
///
/// // Opens when nearly everything fails; bears with three failures in ten calls.
/// const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new().trip(Trip::cusum(Cusum::hard()));
///
/// // One failure in a hundred is usual, one in ten is not; a false alarm in 22,000 calls or more.
/// const PICKY: Cusum = Cusum::between(Percent::new(1), Percent::new(10)).threshold(10.0);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Cusum {
    pub(crate) healthy: Percent,
    pub(crate) failing: Percent,
    pub(crate) threshold_milli: u32,
}

impl Cusum {
    pub(crate) const MIN_THRESHOLD: f64 = 0.1;
    pub(crate) const MAX_THRESHOLD: f64 = 100.0;

    /// Tells a callee of whose calls `healthy` fail from one of whose calls `failing` fail; the
    /// threshold is 7.
    ///
    /// # Panics
    /// When one of them is 0 % or 100 %, or `healthy` is not below `failing`.
    pub const fn between(healthy: Percent, failing: Percent) -> Self {
        let (low, high) = (healthy.as_basis_points(), failing.as_basis_points());
        assert!(
            low > 0 && high < Percent::FULL.as_basis_points(),
            "cusum rates lie between 0 % and 100 %, both excluded"
        );
        assert!(low < high, "the healthy rate of a cusum is below the failing one");
        Self { healthy, failing, threshold_milli: 7_000 }
    }

    /// Is nearly everything failing? Between 35 % and 95 %: opens after 8 failures in a row, after
    /// about 35 calls of which 70 % fail, and bears with 30 %: about one false alarm in 17,000
    /// calls. (`tests/detectors.rs` measures this.)
    pub const fn hard() -> Self {
        Self::between(Percent::new(35), Percent::new(95))
    }

    /// Is about half failing? Between 10 % and 50 %: opens after 5 failures in a row, after about
    /// 13 calls of which half fail.
    pub const fn classic() -> Self {
        Self::between(Percent::new(10), Percent::new(50))
    }

    /// Has anything changed? Between 2 % and 20 %: opens after 4 failures in a row, after about 14
    /// calls of which 30 % fail. Rather a warning than a reason to refuse calls.
    pub const fn early_warning() -> Self {
        Self::between(Percent::new(2), Percent::new(20))
    }

    /// The score above which the circuit opens, in thousandths; default 7. While the callee is
    /// well, the mean number of calls to a false alarm is at least `e^h`.
    ///
    /// # Panics
    /// When `h` lies outside 0.1..=100.
    pub const fn threshold(mut self, h: f64) -> Self {
        assert!(
            h >= Self::MIN_THRESHOLD && h <= Self::MAX_THRESHOLD,
            "the threshold of a cusum lies in 0.1..=100"
        );
        self.threshold_milli = (h * 1_000.0 + 0.5) as u32;
        self
    }
}
