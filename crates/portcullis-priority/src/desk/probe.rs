//! What a desk has to be when everything at it has ended.

use super::{Desk, Kind, Word};
use crate::sync::{Ordering, lock};

impl Desk {
    /// Panics unless nobody runs, nobody waits, and nothing is left of those who did.
    pub(crate) fn assert_at_rest(&self) {
        assert_eq!(self.taken(), [0; Kind::COUNT], "a slot leaks");
        let (waiting, kept, critical, guarded) = {
            let state = lock(&self.state);
            let kept = state.seats.len() - state.free.len();
            (state.queue.len(), kept, state.critical_out, state.guarded)
        };
        assert_eq!(waiting, 0, "somebody waits still");
        assert_eq!(kept, 0, "a seat is kept");
        assert_eq!(critical, 0, "a critical call counts still");
        assert!(!guarded && !self.is_marked(), "a mark stays");
    }

    /// Whether any word says that somebody waits.
    pub(crate) fn is_marked(&self) -> bool {
        self.words.iter().any(|word| Word(word.load(Ordering::Relaxed)).is_guarded())
    }

    /// How many seats there is memory for, those in use among them.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn seats(&self) -> usize {
        let state = lock(&self.state);
        state.seats.capacity().max(state.free.capacity())
    }
}
