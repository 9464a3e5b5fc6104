//! An observer that remembers.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis::{Event, EventKind, Interest, Observe, Outcome};

/// The outcomes of the calls that ended. Clones hear together.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<Vec<Outcome>>>);

impl Heard {
    /// The outcomes, in order.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        // A list is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observe for Heard {
    fn interest(&self) -> Interest {
        Interest::CALLS
    }

    fn event(&self, event: &Event<'_>) {
        if let EventKind::Settled { outcome, .. } = event.kind {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(*outcome);
        }
    }
}
