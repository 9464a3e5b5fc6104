//! How a limit decides: plain data, with time as an argument. [`Limiter`] and what implements it.

mod fixed_window;
#[cfg(feature = "governor")]
mod gcra;
mod leaky_bucket;
mod set;
mod sliding_counter;
mod sliding_log;
pub(crate) mod state;
pub(crate) mod token_bucket;
mod window;
mod words;

use breaker_core::Tick;

pub use self::fixed_window::FixedWindow;
#[cfg(feature = "governor")]
pub use self::gcra::Gcra;
pub use self::leaky_bucket::LeakyBucket;
pub use self::set::{Set, Verdict};
pub use self::sliding_counter::SlidingCounter;
pub use self::sliding_log::SlidingLog;
pub use self::state::Algorithm;
pub(crate) use self::state::State;
pub use self::token_bucket::TokenBucket;
use crate::terms::Terms;

/// One bucket of a limit: it decides about calls, and knows no lock and no clock.
///
/// What is in force for all buckets of a limit stands in the [`Terms`]; a bucket is only what
/// differs from caller to caller, a few bytes where the algorithm allows. A new bucket is full.
///
/// Moments are handed in. They must not step back from call to call: whoever has a clock that does
/// hands in the latest one that it has seen.
pub trait Limiter {
    /// The first moment, not before `now`, at which a call of this cost is admitted if no other is
    /// meanwhile; `None` if it never is, because it costs more than the bucket ever holds.
    ///
    /// Once that moment has come, the call stays admissible until another one is taken.
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick>;

    /// Takes the cost of a call, which is admissible at `now`.
    fn take(&mut self, terms: &Terms, now: Tick, cost: u32);

    /// Gives back what a call took at the moment `taken`: as if it had not come, as far as it still
    /// matters. A bucket is never more than full.
    fn give_back(&mut self, terms: &Terms, now: Tick, taken: Tick, cost: u32);

    /// How many calls of cost one would be admitted at `now`, one after the other.
    fn remaining(&self, terms: &Terms, now: Tick) -> u32;

    /// The first moment, not before `now`, from which on this bucket equals a new one if no call is
    /// taken meanwhile.
    fn full_at(&self, terms: &Terms, now: Tick) -> Tick;

    /// Goes over from some terms to others at `now`: what was taken stays taken, and counts against
    /// what is in force then.
    ///
    /// Only for terms that are no [`at_rate`](Terms::at_rate) of the old ones: those need nothing.
    fn carry(&mut self, from: &Terms, to: &Terms, now: Tick);

    /// Decides about a call, and takes its cost if it is admitted.
    fn admit(&mut self, terms: &Terms, now: Tick, cost: u32) -> Decision {
        match self.ready_at(terms, now, cost) {
            Some(at) if at <= now => {
                self.take(terms, now, cost);
                Decision::Admitted
            }
            Some(at) => Decision::Wait(at),
            None => Decision::Never,
        }
    }
}

/// What a bucket says to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Decision {
    /// It is admitted, and its cost is taken.
    Admitted,
    /// It would be admitted at this moment, if no other call were taken meanwhile.
    Wait(Tick),
    /// It costs more than the bucket ever holds.
    Never,
}
