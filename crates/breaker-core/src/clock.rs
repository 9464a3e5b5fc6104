//! Time as a value that is handed in: [`Tick`], the [`Clock`] trait and its clocks.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A moment, in whole nanoseconds since its clock was made.
///
/// All arithmetic saturates: a moment neither overflows nor panics, and the time since a later
/// moment is zero.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tick(u64);

impl Tick {
    /// The moment at which the clock was made.
    pub const ZERO: Self = Self(0);

    /// The end of time, 584 years after [`Tick::ZERO`].
    pub const MAX: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the clock was made.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment `millis` milliseconds after the clock was made.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the clock was made.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This moment, `wait` later; the end of time where that would overflow.
    #[must_use]
    pub const fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(wait)))
    }

    /// The time that has passed since `earlier`; zero if `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

pub(crate) const fn saturating_nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

/// What time is it?
///
/// A clock should be monotonic. Where one steps back all the same, the breaker takes the latest
/// moment that it has seen: nothing is undone and nothing panics.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Tick;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Tick {
        (**self).now()
    }
}

/// The machine's monotonic clock, the one for production.
///
/// All of them show the same time: [`Tick::ZERO`] is an hour before the first was made or asked in
/// this process. So a circuit on this clock need not keep it to read it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MonotonicClock;

impl MonotonicClock {
    /// The clock of the process.
    #[must_use]
    pub fn new() -> Self {
        // The first begins it.
        nanos_of_process();
        Self
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Tick {
        Tick::from_nanos(nanos_of_process())
    }
}

/// An hour before somebody first asked in this process: so that the moments of a runtime of tokio
/// that stood still before that are moments, too.
static BEGINNING: OnceLock<Instant> = OnceLock::new();

fn beginning(now: Instant) -> Instant {
    const BEFORE: Duration = Duration::from_secs(3_600);
    *BEGINNING.get_or_init(|| now.checked_sub(BEFORE).unwrap_or(now))
}

/// The present moment; of a proof, where one moves it by hand.
#[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
#[inline]
fn present() -> Instant {
    #[cfg(test)]
    if let Some(nanos) = crate::proofs::hooks::nanos() {
        return beginning(Instant::now()) + Duration::from_nanos(nanos);
    }
    Instant::now()
}

/// Nanoseconds since somebody first asked in this process.
fn nanos_of_process() -> u64 {
    let now = present();
    let passed = now.saturating_duration_since(beginning(now));
    passed.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(passed.subsec_nanos()))
}

/// The present moment of every [`MonotonicClock`].
pub(crate) fn monotonic_now() -> Tick {
    Tick::from_nanos(nanos_of_process())
}

/// A moment of the machine's own clock, for those who only ask whether it has come: to compare
/// two of them is much cheaper than to turn one into a [`Tick`].
#[derive(Clone, Copy)]
pub(crate) struct Moment(Instant);

impl Moment {
    /// The same moment as `tick` of the machine's own clock, to the nanosecond: it has come as soon
    /// as that has.
    pub(crate) fn at(tick: Tick) -> Option<Self> {
        // Whoever has a tick has asked before.
        BEGINNING.get()?.checked_add(Duration::from_nanos(tick.as_nanos())).map(Self)
    }

    /// Whether this moment is still to come.
    #[inline]
    pub(crate) fn is_to_come(self) -> bool {
        present() < self.0
    }
}

/// Whether this clock is a [`MonotonicClock`].
pub(crate) fn is_monotonic(clock: &(impl Clock + 'static)) -> bool {
    (clock as &dyn Any).is::<MonotonicClock>()
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

/// A clock that moves only when it is told to, for tests.
///
/// Clones show the same time.
///
/// ```
/// use breaker_core::{Clock, ManualClock, Tick};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// clock.advance(Duration::from_millis(250));
/// assert_eq!(clock.now(), Tick::from_millis(250));
/// ```
#[derive(Clone, Default)]
pub struct ManualClock {
    now: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that stands at [`Tick::ZERO`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock on by `step`.
    pub fn advance(&self, step: Duration) {
        let step = saturating_nanos(step);
        let _ = self
            .now
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(step)));
    }

    /// Puts the clock to `now`, even if that is earlier.
    pub fn set(&self, now: Tick) {
        self.now.store(now.as_nanos(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        Tick::from_nanos(self.now.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

/// A clock that follows tokio's: it stands still under `tokio::time::pause` and moves with
/// `tokio::time::advance`.
///
/// While tokio's time runs, it shows the same time as every [`MonotonicClock`].
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokioClock;

#[cfg(feature = "tokio")]
impl TokioClock {
    /// A clock for code that runs inside a runtime, whose time it follows.
    #[must_use]
    pub fn new() -> Self {
        nanos_of_process();
        Self
    }
}

#[cfg(feature = "tokio")]
impl Clock for TokioClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn now(&self) -> Tick {
        let now = tokio::time::Instant::now().into_std();
        Tick::ZERO.after(now.saturating_duration_since(beginning(now)))
    }
}

#[cfg(feature = "tokio")]
impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_when_its_tick_does() {
        let now = monotonic_now();
        for wait in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(3_600)] {
            let tick = now.after(wait);
            let moment = Moment::at(tick).expect("it is not far");
            let beginning = BEGINNING.get().expect("somebody asked");
            assert_eq!(moment.0.duration_since(*beginning), tick.since(Tick::ZERO));
            assert_eq!(moment.is_to_come(), wait > Duration::from_nanos(1));
        }
    }
}
