//! What is answered without the lock: admissions, successes and refusals.

use super::local::{Local, with_local};
use super::words::Words;
use super::{License, Slot};
use crate::clock::Tick;
use crate::planted::planted;
use crate::rejected::Rejected;
use crate::state::Transitions;
use crate::sync::lock;

impl Slot {
    #[inline]
    pub(crate) fn license(&self) -> License {
        self.words.license()
    }

    /// Admits an arrival, where that takes nothing but a look.
    #[inline]
    pub(crate) fn admit_at_once(&self) -> Option<u64> {
        let license = self.words.license();
        license.has(License::ADMITS).then(|| license.evidence())
    }

    /// Admits an arrival for the key with this hash, where the thread remembers its circuit.
    #[inline]
    pub(crate) fn admit_seen(hash: u64) -> Option<(&'static Self, u64)> {
        with_local(|local| local.seen(hash))?
    }

    /// Has the thread remember that this is the circuit of the key with this hash.
    pub(crate) fn remember(&'static self, hash: u64, permit: u64) {
        with_local(|local| local.remember(hash, self, permit));
    }

    /// Takes in a success of a call that began at `began`, where that takes no lock.
    #[inline]
    pub(crate) fn success_at_once(&self, permit: u64, began: Option<Tick>) -> bool {
        let license = self.words.license();
        license.evidence() == permit
            && (license.is_idle_at_any_time() || self.note_success(license, began))
    }

    /// Notes a success, if the license says that it may be noted, at this time.
    #[inline(never)]
    fn note_success(&self, license: License, began: Option<Tick>) -> bool {
        if !license.has(License::IDLE | License::ADDS) {
            return false;
        }
        if let (true, Some(began)) = (license.has(License::SLOW), began) {
            // The clock of somebody else is asked outside, in the step that follows.
            let Some(now) = Words::own_clock(license) else { return false };
            let slow = now.since(began) >= self.words.slow_after() && !planted("slow-unseen");
            // What was read must be what the license refers to.
            if slow || !self.words.still(license) && !planted("read-torn") {
                return false;
            }
        }
        let says_nothing = license.has(License::IDLE) && !license.has(License::UNTIL);
        says_nothing || with_local(|local| local.success(self, license)) == Some(true)
    }

    /// Has this thread note successes or refusals from now on, where the license allows it.
    #[cold]
    pub(crate) fn begin_to_note(&'static self) {
        // Else it would take the lock, and another circuit's place, for nothing.
        if !self.license().is_for_notes() {
            return;
        }
        with_local(|local| self.begin_to_note_in(local));
    }

    fn begin_to_note_in(&'static self, local: &Local) {
        if !local.seat(self) {
            return;
        }
        let (license, until) = {
            let mut inner = lock(&self.inner);
            let license = self.words.license();
            if license.has(License::REFUSES) {
                // No call is evidence now, so that nothing follows from what is noted.
                let mut done = Transitions::new();
                inner.fold(self.place(), &mut done);
                debug_assert!(done.is_empty(), "what is late or refused changes no state");
            }
            inner.restart(self.place(), local.table(), license);
            (license, self.words.until())
        };
        let timed = license.has(License::UNTIL).then(|| Words::moment(license, until));
        local.set_until(self, timed.flatten());
    }

    /// The refusal that every arrival gets just now; `Err` where only the lock tells.
    pub(crate) fn known_refusal(&self) -> Result<Option<Rejected>, ()> {
        self.words.known_refusal()
    }

    /// Notes a refusal that was given; `false` where that takes the lock.
    pub(crate) fn refused_at_once(&'static self) -> bool {
        let license = self.words.license();
        if !license.has(License::REFUSES) {
            return false;
        }
        let noted = || with_local(|local| local.refusal(self, license)) == Some(true);
        noted() || {
            self.begin_to_note();
            noted()
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Tick {
        match Words::own_clock(self.license()) {
            Some(now) => now,
            // Not under the lock: it is the user's code.
            None => self.around().map_or(Tick::ZERO, |around| around.clock.now()),
        }
    }

    /// The present moment, or the beginning of time where nobody will look at it.
    pub(crate) fn now_unless_at_rest(&self) -> Tick {
        // An observer is told when things happen.
        let license = self.license();
        let idle = license.has(License::AT_REST) && !license.has(License::OBSERVED);
        if idle { Tick::ZERO } else { self.now() }
    }

    /// The present moment, or the beginning of time where nobody is told of it.
    pub(crate) fn now_if_observed(&self) -> Tick {
        if self.license().has(License::OBSERVED) { self.now() } else { Tick::ZERO }
    }

    /// Whether the circuit is closed, and no order will change that by itself.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.license().has(License::AT_REST)
    }

    pub(crate) fn is_gated(&self) -> bool {
        self.license().has(License::GATED)
    }
}
