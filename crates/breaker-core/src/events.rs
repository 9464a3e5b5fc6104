//! The changes of a circuit as a stream with a bounded history: [`Events`].

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::clock::Tick;
use crate::name::Name;
use crate::observe::EventKind;
use crate::sync::{Mutex, lock};

/// How many changes are kept for subscribers.
const HISTORY: usize = 256;

/// A change, as subscribers get it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The key of the circuit, where there is one per key.
    pub partition: Option<Name>,
    /// When, on the circuit's clock.
    pub at: Tick,
    /// What.
    pub kind: EventKind,
}

/// What a subscriber gets next.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Next {
    /// The next change.
    Change(Change),
    /// So many changes were lost, because the subscriber was slower than the history is long.
    Missed(u64),
}

/// A subscription to the changes of a circuit.
///
/// The last 256 changes are kept. A subscriber never slows a call; one that falls behind is told
/// how many changes it missed, and goes on with the oldest that is kept.
///
/// ```
/// use breaker_core::{CircuitBreaker, CircuitBreakerConfig, EventKind, Next};
///
/// let breaker = CircuitBreaker::new(CircuitBreakerConfig::new());
/// let mut events = breaker.subscribe();
/// breaker.force_open("maintenance");
/// assert!(matches!(
///     events.try_next(),
///     Some(Next::Change(change)) if matches!(change.kind, EventKind::StateChanged { .. })
/// ));
/// assert_eq!(events.try_next(), None);
/// ```
pub struct Events {
    history: Arc<History>,
    seen: u64,
    seat: Option<u64>,
}

/// The changes that are kept, and who waits for more.
pub(crate) struct History(Mutex<Ring>);

struct Ring {
    kept: VecDeque<Change>,
    /// The number of the oldest change that is kept.
    oldest: u64,
    waiting: Vec<(u64, Waker)>,
    next_seat: u64,
}

impl History {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Ring {
            kept: VecDeque::new(),
            oldest: 0,
            waiting: Vec::new(),
            next_seat: 0,
        }))
    }

    /// Keeps a change; the oldest makes room.
    pub(crate) fn push(&self, change: Change) {
        let mut ring = lock(&self.0);
        if ring.kept.len() == HISTORY {
            ring.kept.pop_front();
            ring.oldest += 1;
        }
        ring.kept.push_back(change);
    }

    /// Wakes all who wait; not under the lock, since a waker may run code of the user's. One that
    /// panics harms nobody: the call that woke it has nothing to do with it.
    pub(crate) fn wake(&self) {
        let waiting = std::mem::take(&mut lock(&self.0).waiting);
        for (_, waker) in waiting {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// The changes that are kept, oldest first.
    pub(crate) fn recent(&self) -> Vec<Change> {
        lock(&self.0).kept.iter().cloned().collect()
    }

    pub(crate) fn subscribe(self: &Arc<Self>) -> Events {
        let ring = lock(&self.0);
        let seen = ring.oldest + ring.kept.len() as u64;
        drop(ring);
        Events { history: self.clone(), seen, seat: None }
    }
}

impl Ring {
    fn after(&self, seen: &mut u64) -> Option<Next> {
        if *seen < self.oldest {
            let missed = self.oldest - *seen;
            *seen = self.oldest;
            return Some(Next::Missed(missed));
        }
        let change = self.kept.get((*seen - self.oldest) as usize)?;
        *seen += 1;
        Some(Next::Change(change.clone()))
    }

    /// Puts a waker on a seat, or nobody; hands out who sat there.
    fn seat(&mut self, seat: u64, waker: Option<Waker>) -> Option<(u64, Waker)> {
        let taken = self.waiting.iter().position(|(waiting, _)| *waiting == seat);
        let old = taken.map(|place| self.waiting.swap_remove(place));
        self.waiting.extend(waker.map(|waker| (seat, waker)));
        old
    }
}

impl Events {
    /// The next change, if there is one already.
    pub fn try_next(&mut self) -> Option<Next> {
        lock(&self.history.0).after(&mut self.seen)
    }

    /// The next change. Safe to drop at any time: nothing is lost. It waits for ever where there
    /// is no change any more.
    pub async fn next(&mut self) -> Next {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next change, or a wake-up when there is one.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(next) = self.try_next() {
            return Poll::Ready(next);
        }
        // A waker is somebody else's code, and the last one of a task drops what the task holds,
        // permits even: it is cloned before the lock and dropped after it.
        let waker = cx.waker().clone();
        let mut ring = lock(&self.history.0);
        if let Some(next) = ring.after(&mut self.seen) {
            return Poll::Ready(next);
        }
        let seat = *self.seat.get_or_insert_with(|| {
            ring.next_seat += 1;
            ring.next_seat
        });
        let old = ring.seat(seat, Some(waker));
        drop(ring);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            let old = lock(&self.history.0).seat(seat, None);
            drop(old);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").finish_non_exhaustive()
    }
}
