//! Who is told how a body ended: [`Judge`].

use breaker_core::{FailureKind, Outcome};

/// Takes the verdict on a call whose response body is watched to its end.
///
/// A judge is called at most once. One that is dropped instead belongs to a call that was
/// cancelled: the body was given up before its end.
///
/// None of the methods may panic: they are also called while a panic of the body unwinds.
pub trait Judge: Sized {
    /// The call has ended, with this outcome.
    fn judge(self, outcome: Outcome);

    /// The body had nothing yet and will wake its reader; called at each such poll.
    fn pending(&mut self) {}

    /// The body gave a frame, and goes on.
    fn frame(&mut self) {}

    /// The body panicked; the panic goes on afterwards.
    fn panicked(self) {
        self.judge(Outcome::Failure(FailureKind::Panic));
    }
}

impl<F> Judge for F
where
    F: FnOnce(Outcome),
{
    fn judge(self, outcome: Outcome) {
        self(outcome);
    }
}

/// A judge of nothing: it holds a guard, such as a slot, and drops it when the body has ended, has
/// broken, has panicked or is given up. See [`JudgedBody::hold`](crate::JudgedBody::hold).
#[derive(Debug)]
pub struct Held<G>(G);

impl<G> Held<G> {
    /// Holds this guard.
    pub const fn new(guard: G) -> Self {
        Self(guard)
    }

    /// The guard that is held.
    pub const fn get_ref(&self) -> &G {
        &self.0
    }
}

impl<G> Judge for Held<G> {
    fn judge(self, _: Outcome) {}
}

/// Holds the judge while foreign code runs: whoever lets it drop is unwinding.
///
/// Told by position and not by `thread::panicking()`, which is also true when a body is polled
/// within somebody else's panic.
pub(crate) struct Guard<J: Judge>(Option<J>);

impl<J: Judge> Guard<J> {
    pub(crate) const fn new(judge: J) -> Self {
        Self(Some(judge))
    }

    /// The foreign code has come back.
    pub(crate) fn release(mut self) -> Option<J> {
        self.0.take()
    }
}

impl<J: Judge> Drop for Guard<J> {
    fn drop(&mut self) {
        if let Some(judge) = self.0.take() {
            judge.panicked();
        }
    }
}
