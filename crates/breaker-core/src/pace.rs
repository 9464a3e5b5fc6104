//! How waits grow: [`Pace`], [`Jitter`], and the reproducible source of [`Chance`].

use std::time::Duration;

use crate::clock::saturating_nanos;
use crate::percent::Percent;

/// How long the first wait is, how waits grow, where they stop growing, and how they are spread.
///
/// Waits are numbered from 1. The exponential form is `min(cap, base * factor^(number - 1))`;
/// jitter is applied after the cap, so no wait is longer than the cap.
///
/// ```
/// use breaker_core::{Jitter, Pace};
/// use std::time::Duration;
///
/// const PACE: Pace = Pace::exponential(Duration::from_secs(60)).jitter(Jitter::None);
/// let waits: Vec<_> = (1..=5).map(|number| PACE.longest(number).as_secs()).collect();
/// assert_eq!(waits, [60, 120, 240, 300, 300]);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Pace {
    growth: Growth,
    cap: Duration,
    jitter: Jitter,
}

/// How a wait is spread, named by what it can become.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Jitter {
    /// The wait itself, always the same: for tests that count.
    None,
    /// Between half the wait and the wait. The default.
    Equal,
    /// Between nothing and the wait.
    Full,
    /// Around the wait, by up to this share of it, and never above the cap. At the cap it is still
    /// spread, downwards.
    Around(Percent),
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "in place, so that a pace is `Copy` and `const`")]
enum Growth {
    Linear { base: Duration, step: Duration },
    Exponential { base: Duration, factor_milli: u16 },
    Fibonacci { base: Duration },
    Schedule(Schedule),
}

/// Waits in whole milliseconds, in place: a pace is `Copy`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Schedule {
    millis: [u32; Pace::MAX_ENTRIES],
    len: u8,
}

impl Pace {
    /// The shortest base or entry.
    pub const MIN_WAIT: Duration = Duration::from_millis(1);

    /// The longest base, entry or cap: a day.
    pub const MAX_WAIT: Duration = Duration::from_secs(86_400);

    /// The most entries of a schedule.
    pub const MAX_ENTRIES: usize = 64;

    const DEFAULT_CAP: Duration = Duration::from_secs(300);

    /// Always the same wait, without jitter; a longer one only where the callee asks for it, up to
    /// five minutes.
    ///
    /// # Panics
    /// When `wait` lies outside 1 ms..=1 day.
    #[must_use]
    pub const fn fixed(wait: Duration) -> Self {
        Self::exponential(wait).factor(1.0).jitter(Jitter::None)
    }

    /// `base`, then twice as long each time (see [`factor`](Self::factor)), up to five minutes
    /// or `base`, whichever is longer, with equal jitter.
    ///
    /// # Panics
    /// When `base` lies outside 1 ms..=1 day.
    #[must_use]
    pub const fn exponential(base: Duration) -> Self {
        Self::new(Growth::Exponential { base, factor_milli: 2_000 }, base)
    }

    /// `base`, then `step` longer each time, up to five minutes or `base`, with equal jitter.
    ///
    /// # Panics
    /// When `base` lies outside 1 ms..=1 day.
    #[must_use]
    pub const fn linear(base: Duration, step: Duration) -> Self {
        Self::new(Growth::Linear { base, step }, base)
    }

    /// `base` times 1, 1, 2, 3, 5, 8 and so on, up to five minutes or `base`, with equal jitter.
    ///
    /// # Panics
    /// When `base` lies outside 1 ms..=1 day.
    #[must_use]
    pub const fn fibonacci(base: Duration) -> Self {
        Self::new(Growth::Fibonacci { base }, base)
    }

    /// These waits in turn, to the millisecond; the last one repeats. No jitter, and the longest
    /// entry is the cap.
    ///
    /// # Panics
    /// When there are no entries or more than 64, or one lies outside 1 ms..=1 day.
    #[must_use]
    pub const fn schedule(waits: &[Duration]) -> Self {
        assert!(
            !waits.is_empty() && waits.len() <= Self::MAX_ENTRIES,
            "a schedule has 1..=64 entries"
        );
        let mut schedule = Schedule { millis: [0; Self::MAX_ENTRIES], len: waits.len() as u8 };
        let mut longest = 0;
        let mut i = 0;
        while i < waits.len() {
            assert!(Self::fits(waits[i]), "an entry of a schedule lies in 1 ms..=1 day");
            let millis = waits[i].as_millis() as u32;
            schedule.millis[i] = millis;
            if millis > longest {
                longest = millis;
            }
            i += 1;
        }
        Self {
            growth: Growth::Schedule(schedule),
            cap: Duration::from_millis(longest as u64),
            jitter: Jitter::None,
        }
    }

    /// The factor by which an exponential pace grows, in thousandths; default 2.
    ///
    /// # Panics
    /// When the pace is not exponential, or `factor` lies outside 1.0..=10.0.
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Self {
        assert!(factor >= 1.0 && factor <= 10.0, "the factor of a pace lies in 1.0..=10.0");
        match &mut self.growth {
            Growth::Exponential { factor_milli, .. } => {
                *factor_milli = (factor * 1_000.0 + 0.5) as u16;
            }
            _ => panic!("only an exponential pace has a factor"),
        }
        self
    }

    /// The longest wait; default five minutes, or the first wait where that is longer.
    ///
    /// # Panics
    /// When `cap` is shorter than the first wait or longer than a day.
    #[must_use]
    pub const fn cap(mut self, cap: Duration) -> Self {
        assert!(
            saturating_nanos(cap) >= saturating_nanos(self.longest(1)),
            "the cap of a pace is not below its first wait"
        );
        assert!(Self::fits(cap), "the cap of a pace lies in 1 ms..=1 day");
        self.cap = cap;
        self
    }

    /// How waits are spread; default [`Jitter::Equal`], and none for fixed waits and schedules.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Wait number `number`, counted from 1, with its jitter drawn from `chance`.
    #[must_use]
    pub fn wait(&self, number: u32, chance: &mut Chance) -> Duration {
        let longest = saturating_nanos(self.longest(number));
        Duration::from_nanos(match self.jitter {
            Jitter::None => longest,
            Jitter::Equal => longest / 2 + chance.below(longest - longest / 2),
            Jitter::Full => chance.below(longest),
            Jitter::Around(share) => {
                let part = u128::from(longest) * u128::from(share.as_basis_points()) / 10_000;
                let (least, part) = (longest - part as u64, part as u64);
                let most = longest.saturating_add(part).min(saturating_nanos(self.cap));
                least + chance.below((most - least).saturating_add(1))
            }
        })
    }

    /// Wait number `number`, counted from 1, before jitter.
    #[must_use]
    pub const fn longest(&self, number: u32) -> Duration {
        let before = number.saturating_sub(1);
        let nanos = match &self.growth {
            Growth::Linear { base, step } => saturating_nanos(*base)
                .saturating_add(saturating_nanos(*step).saturating_mul(before as u64)),
            Growth::Exponential { base, factor_milli } => {
                grown(saturating_nanos(*base), *factor_milli, before, saturating_nanos(self.cap))
            }
            Growth::Fibonacci { base } => saturating_nanos(*base).saturating_mul(fibonacci(number)),
            Growth::Schedule(schedule) => {
                let last = schedule.len as u32 - 1;
                let entry = if before < last { before } else { last };
                schedule.millis[entry as usize] as u64 * 1_000_000
            }
        };
        let cap = saturating_nanos(self.cap);
        Duration::from_nanos(if nanos < cap { nanos } else { cap })
    }

    /// The longest wait there is.
    #[must_use]
    pub const fn longest_wait(&self) -> Duration {
        self.cap
    }

    pub(crate) const fn fits(wait: Duration) -> bool {
        let nanos = saturating_nanos(wait);
        nanos >= saturating_nanos(Self::MIN_WAIT) && nanos <= saturating_nanos(Self::MAX_WAIT)
    }

    #[allow(clippy::large_types_passed_by_value, reason = "made once, in constants mostly")]
    const fn new(growth: Growth, base: Duration) -> Self {
        assert!(Self::fits(base), "the first wait of a pace lies in 1 ms..=1 day");
        let longer = saturating_nanos(base) > saturating_nanos(Self::DEFAULT_CAP);
        Self { growth, cap: if longer { base } else { Self::DEFAULT_CAP }, jitter: Jitter::Equal }
    }
}

/// `base * (factor_milli / 1000)^times`, or `cap` once it is reached: few steps, since each one
/// grows by a thousandth at least, and none for a factor of one.
const fn grown(base: u64, factor_milli: u16, times: u32, cap: u64) -> u64 {
    let mut wait = base;
    let mut left = if factor_milli == 1_000 { 0 } else { times };
    while left > 0 && wait < cap {
        let more = wait as u128 * factor_milli as u128 / 1_000;
        wait = if more > cap as u128 { cap } else { more as u64 };
        left -= 1;
    }
    wait
}

const fn fibonacci(number: u32) -> u64 {
    let (mut this, mut next, mut left) = (1_u64, 1_u64, number.saturating_sub(1));
    while left > 0 && this < u64::MAX {
        (this, next) = (next, this.saturating_add(next));
        left -= 1;
    }
    this
}

/// A reproducible source of chance: the same seed gives the same draws.
///
/// The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): good enough to spread waits,
/// not meant for secrets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Chance(u64);

impl Chance {
    /// The source with this seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in `0..bound`; zero for a bound of zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.draw() as u128 * bound as u128) >> 64) as u64
    }

    /// Any number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn secs(pace: &Pace, numbers: impl IntoIterator<Item = u32>) -> Vec<f64> {
        numbers.into_iter().map(|number| pace.longest(number).as_secs_f64()).collect()
    }

    #[test]
    fn each_way_of_growing_grows_as_its_name_says() {
        let base = Duration::from_secs(1);
        assert_eq!(secs(&Pace::fixed(base), 1..=3), [1.0, 1.0, 1.0]);
        assert_eq!(secs(&Pace::linear(base, base), 1..=4), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(secs(&Pace::fibonacci(base), 1..=6), [1.0, 1.0, 2.0, 3.0, 5.0, 8.0]);
        assert_eq!(secs(&Pace::exponential(base).factor(1.5), 1..=3), [1.0, 1.5, 2.25]);
        let listed = Pace::schedule(&[base, 3 * base]);
        assert_eq!(secs(&listed, 1..=4), [1.0, 3.0, 3.0, 3.0]);
    }

    #[test]
    fn a_million_openings_stay_at_the_cap_without_overflow() {
        for pace in [
            Pace::exponential(MINUTE),
            Pace::exponential(MINUTE).factor(1.001),
            Pace::linear(MINUTE, Duration::MAX),
            Pace::fibonacci(MINUTE),
        ] {
            for number in [1_000_000, u32::MAX] {
                assert_eq!(pace.longest(number), Duration::from_secs(300));
            }
        }
        assert_eq!(Pace::fixed(MINUTE).longest(u32::MAX), MINUTE);
    }

    #[test]
    fn jitter_stays_within_the_bounds_of_its_name() {
        let mut chance = Chance::seeded(7);
        let bounds = [(Jitter::None, 60..=60), (Jitter::Equal, 30..=59), (Jitter::Full, 0..=59)];
        for (jitter, bounds) in bounds {
            let pace = Pace::exponential(MINUTE).jitter(jitter);
            for _ in 0..1_000 {
                assert!(bounds.contains(&pace.wait(1, &mut chance).as_secs()));
            }
        }
    }

    #[test]
    fn waits_at_the_cap_are_spread_downwards_only() {
        let pace =
            Pace::exponential(MINUTE).cap(2 * MINUTE).jitter(Jitter::Around(Percent::new(10)));
        let (mut chance, mut seen) = (Chance::seeded(1), [false; 2]);
        for _ in 0..1_000 {
            let first = pace.wait(1, &mut chance).as_millis();
            assert!((54_000..=66_000).contains(&first), "{first}");
            let capped = pace.wait(9, &mut chance).as_millis();
            assert!((108_000..=120_000).contains(&capped), "{capped}");
            seen[usize::from(capped > 114_000)] = true;
        }
        assert_eq!(seen, [true; 2]);
    }

    #[test]
    #[should_panic(expected = "not below its first wait")]
    fn a_cap_below_the_base_is_refused() {
        let _ = Pace::exponential(MINUTE).cap(MINUTE / 2);
    }
}
