//! Refuses here what the callee would refuse: [`Throttle`].

use breaker_core::{Chance, Class, Tick};

/// How many calls are refused here while the callee refuses many.
///
/// Client-side throttling ("Handling Overload", in Beyer et al., Site Reliability Engineering, 2016).
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Throttle {
    multiplier: f64,
}

impl Throttle {
    /// Twice as many calls as are accepted.
    pub const fn new() -> Self {
        Self { multiplier: 2.0 }
    }
}

/// [`Throttle::new`].
impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// The calls of the last while, and what became of them. Pure.
#[derive(Clone, Debug)]
pub(crate) struct Throttling;

impl Throttling {
    pub(crate) const fn new(_: &Throttle) -> Self {
        Self
    }

    /// Takes in that a call of this class came; whether it is sent.
    pub(crate) fn admit(
        &mut self,
        throttle: &Throttle,
        now: Tick,
        class: Class,
        chance: &mut Chance,
    ) -> bool {
        let _ = (throttle, now, class, chance);
        true
    }

    /// Takes in that the callee took a call.
    pub(crate) fn accepted(&mut self, throttle: &Throttle, now: Tick) {
        let _ = (throttle, now);
    }

    /// Takes in that a call that was to be sent was not made.
    pub(crate) fn withdrawn(&mut self, throttle: &Throttle, now: Tick, class: Class) {
        let _ = (throttle, now, class);
    }

    /// The share of calls that are refused just now, all classes together, 0..=1.
    pub(crate) fn share(&self, throttle: &Throttle, now: Tick) -> f64 {
        let _ = (throttle, now);
        0.0
    }
}
