//! How fast a quota refills: [`Rate`].

use std::fmt;
use std::time::Duration;

/// So many calls in so much time: a rate that is neither zero nor absurd.
///
/// It is kept as a fraction in lowest terms, so that 3 calls per second are exactly that.
///
/// ```
/// use portcullis_ratelimit::Rate;
/// use std::time::Duration;
///
/// const RATE: Rate = Rate::per_minute(90);
/// assert_eq!(RATE, Rate::new(3, Duration::from_secs(2)));
/// assert_eq!(RATE.as_per_second(), 1.5);
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
#[must_use]
pub struct Rate {
    calls: u32,
    nanos: u64,
}

impl Rate {
    /// The slowest rate, in calls per second.
    pub const MIN: f64 = 0.001;
    /// The fastest rate, in calls per second.
    pub const MAX: f64 = 1e9;

    const SECOND: u64 = 1_000_000_000;
    const SLOWEST: Self = Self { calls: 1, nanos: 1_000 * Self::SECOND };
    const FASTEST: Self = Self { calls: 1, nanos: 1 };

    /// So many calls per second.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=1,000,000,000; in a constant this is a compile error.
    pub const fn per_second(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(1))
    }

    /// So many calls per minute.
    ///
    /// # Panics
    /// When `calls` is zero, or the rate is above a thousand million per second.
    pub const fn per_minute(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(60))
    }

    /// So many calls per hour.
    ///
    /// # Panics
    /// When `calls` is below 4, which is slower than one call in 1,000 seconds.
    pub const fn per_hour(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(3_600))
    }

    /// So many calls in each `period`.
    ///
    /// # Panics
    /// When that is no rate within 0.001..=1,000,000,000 calls per second.
    pub const fn new(calls: u32, period: Duration) -> Self {
        match Self::checked(calls, period) {
            Some(rate) => rate,
            None => panic!("a rate lies in 0.001..=1,000,000,000 calls per second"),
        }
    }

    /// So many calls in each `period`; `None` where that is no rate within 0.001..=1,000,000,000
    /// calls per second.
    #[must_use]
    pub const fn checked(calls: u32, period: Duration) -> Option<Self> {
        let nanos = period.as_nanos();
        let slowest = calls as u128 * 1_000 * Self::SECOND as u128;
        if calls == 0 || nanos == 0 || nanos > slowest || (calls as u128) > nanos || nanos >> 64 > 0
        {
            return None;
        }
        let nanos = nanos as u64;
        let common = gcd(nanos, calls as u64);
        Some(Self { calls: (calls as u64 / common) as u32, nanos: nanos / common })
    }

    /// So many calls per second, to the nanosecond between two of them where the rate is below a
    /// million; `None` for what lies outside 0.001..=1,000,000,000.
    #[must_use]
    pub fn from_per_second(calls: f64) -> Option<Self> {
        if !(Self::MIN..=Self::MAX).contains(&calls) {
            return None;
        }
        let whole = calls.round();
        if whole >= 1.0 && (calls >= 1e6 || (calls - whole).abs() < 1e-9) {
            return Self::checked(whole as u32, Duration::from_secs(1));
        }
        let nanos = (Self::SECOND as f64 / calls).round();
        Self::checked(1, Duration::from_nanos(nanos as u64))
    }

    /// This rate times a fraction: exact where the outcome is a fraction that fits, else to seven
    /// digits. What would be too slow or too fast for a rate becomes the slowest or the fastest; a
    /// division by zero is too fast.
    ///
    /// ```
    /// use portcullis_ratelimit::Rate;
    /// use std::time::Duration;
    ///
    /// let two_thirds = Rate::per_second(100).times(2, 3);
    /// assert_eq!(two_thirds, Rate::new(1, Duration::from_millis(15)));
    /// ```
    pub const fn times(self, numerator: u32, denominator: u32) -> Self {
        let calls = self.calls as u64 * numerator as u64;
        let nanos = self.nanos as u128 * denominator as u128;
        if calls as u128 * Self::SLOWEST.nanos as u128 <= nanos {
            return Self::SLOWEST;
        }
        if calls as u128 >= nanos {
            return Self::FASTEST;
        }
        // What they have in common divides the calls, and so has 64 bits at most.
        let common = gcd(calls, (nanos % calls as u128) as u64);
        let (calls, nanos) = (calls / common, nanos / common as u128);
        // Bits that are too many for one are taken from both. Calls keep 24: nanoseconds have 40
        // bits more than they at most.
        let many = (u64::BITS - calls.leading_zeros()).saturating_sub(u32::BITS);
        let long = (u128::BITS - nanos.leading_zeros()).saturating_sub(u64::BITS);
        let surplus = if many > long { many } else { long };
        let period = Duration::from_nanos((nanos >> surplus) as u64);
        match Self::checked((calls >> surplus) as u32, period) {
            Some(rate) => rate,
            // Next to the slowest, calls may lose more by the cut than the time does.
            None => Self::SLOWEST,
        }
    }

    /// In calls per second.
    #[must_use]
    pub fn as_per_second(self) -> f64 {
        f64::from(self.calls) * (Self::SECOND as f64 / self.nanos as f64)
    }

    /// So many calls in each [`period`](Self::period).
    #[must_use]
    pub const fn calls(self) -> u32 {
        self.calls
    }

    /// The time in which [`calls`](Self::calls) are granted.
    #[must_use]
    pub const fn period(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// How many calls this is in a window: rounded down, and at least one.
    #[must_use]
    pub const fn in_window(self, window: Duration) -> u32 {
        let nanos = window.as_nanos();
        let Some(total) = nanos.checked_mul(self.calls as u128) else { return u32::MAX };
        let calls = total / self.nanos as u128;
        if calls == 0 {
            1
        } else if calls > u32::MAX as u128 {
            u32::MAX
        } else {
            calls as u32
        }
    }

    /// Which of the two is slower.
    pub fn min(self, other: Self) -> Self {
        if self.is_above(other) { other } else { self }
    }

    /// Which of the two is faster.
    pub fn max(self, other: Self) -> Self {
        if self.is_above(other) { self } else { other }
    }

    /// Whether it is faster than `other`. Exact.
    #[must_use]
    pub const fn is_above(self, other: Self) -> bool {
        self.calls as u128 * other.nanos as u128 > other.calls as u128 * self.nanos as u128
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// With up to three digits after the point: "66.667/s".
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.as_per_second());
        write!(f, "{}/s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rates_are_kept_in_lowest_terms() {
        assert_eq!(Rate::per_second(500), Rate::new(1, Duration::from_millis(2)));
        assert_eq!(Rate::per_minute(7).calls(), 7);
        assert_eq!(Rate::per_second(1_000_000_000).period(), Duration::from_nanos(1));
        assert_eq!(Rate::per_second(3).as_per_second(), 3.0);
    }

    // S-RATE-01: zero and absurd rates are none.
    #[test]
    fn zero_and_absurd_rates_are_refused() {
        for (calls, period) in [
            (0, SECOND),
            (1, Duration::ZERO),
            (1_000_000_001, SECOND),
            (1, Duration::from_secs(1_001)),
            (u32::MAX, Duration::from_nanos(1)),
            (1, Duration::MAX),
            (u32::MAX, Duration::from_secs(20_000_000_000)),
        ] {
            assert_eq!(Rate::checked(calls, period), None, "{calls} in {period:?}");
        }
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.000_9, 1.1e9] {
            assert_eq!(Rate::from_per_second(wrong), None, "{wrong}");
        }
        assert!(Rate::checked(1, Duration::from_secs(1_000)).is_some());
    }

    #[test]
    fn numbers_are_read_to_the_nanosecond() {
        let third = Rate::from_per_second(200.0 / 3.0).expect("a rate");
        assert_eq!(third, Rate::new(1, Duration::from_millis(15)));
        assert_eq!(Rate::from_per_second(3.0), Some(Rate::per_second(3)));
        assert_eq!(Rate::from_per_second(0.001), Some(Rate::new(1, Duration::from_secs(1_000))));
        assert_eq!(Rate::from_per_second(1e9), Some(Rate::per_second(1_000_000_000)));
        assert_eq!(third.to_string(), "66.667/s");
        assert_eq!(Rate::per_second(50).to_string(), "50/s");
    }

    // S-RATE-03
    #[test]
    fn a_window_holds_what_the_rate_gives_it_rounded_down_and_at_least_one() {
        assert_eq!(Rate::per_second(5).in_window(SECOND), 5);
        assert_eq!(Rate::new(7, 3 * SECOND).in_window(3 * SECOND), 7);
        assert_eq!(Rate::new(7, 3 * SECOND).in_window(SECOND), 2);
        assert_eq!(Rate::per_minute(1).in_window(SECOND), 1);
        assert_eq!(Rate::per_second(1_000_000_000).in_window(86_400 * SECOND), u32::MAX);
    }

    // S-RATE-06: rate / 1.5 and rate * 1.5, and back again.
    #[test]
    fn a_rate_times_a_fraction_is_exact_where_that_fits() {
        let rate = Rate::per_second(100);
        assert_eq!(rate.times(1_000, 1_500), Rate::new(1, Duration::from_millis(15)));
        assert_eq!(rate.times(1_500, 1_000), Rate::per_second(150));
        assert_eq!(rate.times(2, 3).times(3, 2), rate);
        assert_eq!(rate.times(1, 7), Rate::new(100, 7 * SECOND));
        assert_eq!(rate.times(u32::MAX, u32::MAX), rate);
    }

    #[test]
    fn what_does_not_fit_is_near_and_what_is_absurd_is_a_bound() {
        let prime = Rate::new(4_294_967_291, Duration::from_nanos(40_000_000_000_003));
        let product = prime.times(1_001, 1_000).as_per_second();
        assert!((product / prime.as_per_second() / 1.001 - 1.0).abs() < 1e-7, "{product}");
        for (factor, bound) in [
            ((0, 1), 1e-3),
            ((1, u32::MAX), 1e-3),
            ((0, 0), 1e-3),
            ((u32::MAX, 1), 1e9),
            ((1, 0), 1e9),
        ] {
            let rate = Rate::per_second(1_000).times(factor.0, factor.1);
            assert_eq!(Some(rate), Rate::from_per_second(bound), "{factor:?}");
        }
    }

    #[test]
    fn rates_are_compared_exactly() {
        let (slow, fast) = (Rate::new(1, 3 * SECOND), Rate::new(2, 5 * SECOND));
        assert!(fast.is_above(slow) && !slow.is_above(fast) && !slow.is_above(slow));
        assert_eq!((slow.min(fast), slow.max(fast)), (slow, fast));
    }

    proptest::proptest! {
        #[test]
        fn every_product_is_a_rate_and_close_to_what_it_should_be(
            calls in 1_u32.., nanos in 1_u64..1 << 50, numerator in 1_u32.., denominator in 1_u32..,
        ) {
            let Some(rate) = Rate::checked(calls, Duration::from_nanos(nanos)) else {
                return Ok(());
            };
            let product = rate.times(numerator, denominator);
            assert_eq!(Rate::checked(product.calls(), product.period()), Some(product));
            let exact = rate.as_per_second() * f64::from(numerator) / f64::from(denominator);
            let expected = exact.clamp(Rate::MIN, Rate::MAX);
            assert!((product.as_per_second() / expected - 1.0).abs() < 2e-7, "{product}");
        }
    }
}
