//! Where a caller waits who needs the store: [`Ticket`].

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use breaker_core::Rejected;

use super::lock;

/// One caller's place in the queue of a key.
pub(super) struct Ticket {
    pub(super) cost: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    verdict: Option<Verdict>,
    /// Whether the caller has gone: nothing is granted to it any more.
    gone: bool,
    waker: Option<Waker>,
}

/// What becomes of a caller who waited.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// Its cost was taken out of this lease.
    Granted { lease: u64 },
    /// The quota is used up.
    Refused(Rejected),
    /// The store gave no answer.
    Undecided,
}

impl Ticket {
    pub(super) fn new(cost: u32) -> Arc<Self> {
        Arc::new(Self { cost, state: Mutex::default() })
    }

    /// Tells the caller; whether it is still there to hear it.
    pub(super) fn tell(&self, verdict: Verdict, wake: &mut Vec<Waker>) -> bool {
        let mut state = lock(&self.state);
        if state.gone {
            return false;
        }
        state.verdict = Some(verdict);
        wake.extend(state.waker.take());
        true
    }

    /// What the caller was told; it is woken when it is.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<Verdict> {
        // A waker is somebody else's code: cloned before the lock, and dropped after it.
        let fresh = waker.clone();
        let mut state = lock(&self.state);
        let (polled, unused) = match state.verdict.take() {
            Some(verdict) => {
                state.gone = true;
                (Poll::Ready(verdict), Some(fresh))
            }
            None => (Poll::Pending, state.waker.replace(fresh)),
        };
        drop(state);
        drop(unused);
        polled
    }

    /// The waker of the caller, whose turn it is to ask the store.
    pub(super) fn call(&self, wake: &mut Vec<Waker>) {
        wake.extend(lock(&self.state).waker.take());
    }

    /// The caller goes. What it was told and has not heard comes back.
    pub(super) fn leave(&self) -> Option<Verdict> {
        let mut state = lock(&self.state);
        state.gone = true;
        let (told, unused) = (state.verdict.take(), state.waker.take());
        drop(state);
        drop(unused);
        told
    }

    pub(super) fn is_gone(&self) -> bool {
        lock(&self.state).gone
    }
}
