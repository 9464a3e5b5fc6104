//! Drops what waits in a queue that stands: [`Codel`].

use std::time::Duration;

/// When a call that has waited is dropped, because the queue does not get shorter.
///
/// Controlled delay (Nichols and Jacobson 2012), as servers use it (Maurer, "Fail at Scale", 2015):
/// time is cut into intervals, and after one in which nobody waited for less than the target, the
/// calls that waited longer than twice the target are dropped. The first call of an interval never
/// is, so one that was slow alone drops nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Codel {
    pub(crate) target: Duration,
    pub(crate) interval: Duration,
}

impl Codel {
    /// A wait of 5 ms that is all right, and an interval of 100 ms.
    pub const fn new() -> Self {
        Self { target: Duration::from_millis(5), interval: Duration::from_millis(100) }
    }
}

/// [`Codel::new`].
impl Default for Codel {
    fn default() -> Self {
        Self::new()
    }
}
