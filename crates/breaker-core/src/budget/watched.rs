//! The circuit that a budget watches: [`Watched`].

use std::fmt;
use std::sync::Arc;

use crate::breaker::CircuitBreaker;
use crate::state::State;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// Which circuit it is, if any. It is looked at when a retry is asked for: an observer would make
/// each call of the circuit take its lock.
#[derive(Default)]
pub(super) struct Watched(Mutex<Option<Arc<Watch>>>);

struct Watch {
    circuit: CircuitBreaker,
    /// The latest generation that the budget knows of.
    known: AtomicU64,
}

/// How the circuit is.
pub(super) struct Seen {
    watch: Arc<Watch>,
    state: State,
    generation: u64,
}

impl Watched {
    /// From now on this one.
    pub(super) fn set(&self, circuit: &CircuitBreaker) {
        let circuit = circuit.keep();
        let (_, generation) = circuit.state_and_generation();
        let watch = Arc::new(Watch { circuit, known: AtomicU64::new(generation) });
        // A handle ends outside of the lock: it may be the last of its circuit.
        let _former = lock(&self.0).replace(watch);
    }

    /// How it is now.
    pub(super) fn look(&self) -> Option<Seen> {
        let watch = lock(&self.0).clone()?;
        let (state, generation) = watch.circuit.state_and_generation();
        Some(Seen { watch, state, generation })
    }
}

impl Seen {
    /// Whether calls are refused, or on trial: a trial is no retry, which was chosen for having
    /// failed.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::ForcedOpen | State::HalfOpen)
    }

    /// Whether it has closed, or begun anew, since somebody last looked. To be asked under the
    /// budget's lock, which keeps two who look at once from finding the same.
    pub(super) fn has_closed(&self) -> bool {
        let known = &self.watch.known;
        let news = self.generation > known.load(Ordering::Relaxed);
        if news {
            known.store(self.generation, Ordering::Relaxed);
        }
        news && self.state == State::Closed
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watch = lock(&self.0).clone();
        f.debug_tuple("Watched").field(&watch.as_ref().map(|watch| &watch.circuit)).finish()
    }
}
