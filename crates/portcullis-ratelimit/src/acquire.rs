//! Waiting for one's turn: [`Acquire`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use breaker_core::{Rejected, Tick};
use tokio::time::Sleep;

use crate::grant::{Grant, Home, Place, Turning};

/// Waits until a call is admitted, or is refused because it would wait too long.
///
/// Whoever came first is served first. Dropped, the call leaves the line and those behind it move
/// up. It needs a runtime of tokio whose timers are on, as soon as it has to wait.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire(Step);

enum Step {
    Decided(Result<Grant, Rejected>),
    Waits(Waiter),
    Ended,
}

/// What a call found that came to a bucket.
pub(crate) enum Entered {
    /// It is admitted.
    Admitted(Grant),
    /// It waits.
    Waits(Waiter),
}

/// A call in the line of a bucket; leaves it when dropped.
pub(crate) struct Waiter {
    home: Arc<dyn Home>,
    place: Place,
    /// Its number, and its cost.
    who: (u64, u32),
    in_line: bool,
    /// For when it can go, where it is the first; else for when it has waited long enough.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Acquire {
    pub(crate) fn new(entered: Result<Entered, Rejected>) -> Self {
        Self(match entered {
            Ok(Entered::Admitted(grant)) => Step::Decided(Ok(grant)),
            Ok(Entered::Waits(waiter)) => Step::Waits(waiter),
            Err(rejected) => Step::Decided(Err(rejected)),
        })
    }
}

impl Future for Acquire {
    type Output = Result<Grant, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Step::Waits(waiter) = &mut self.0 {
            let Poll::Ready(decision) = waiter.poll(cx) else { return Poll::Pending };
            self.0 = Step::Decided(decision);
        }
        match std::mem::replace(&mut self.0, Step::Ended) {
            Step::Decided(decision) => Poll::Ready(decision),
            _ => panic!("an `Acquire` was polled after it had ended"),
        }
    }
}

impl Waiter {
    pub(crate) const fn new(home: Arc<dyn Home>, place: Place, who: (u64, u32)) -> Self {
        Self { home, place, who, in_line: true, sleep: None }
    }

    /// What it does next; where it does not go on waiting, it has left the line.
    pub(crate) fn turn(&mut self, waker: &Waker) -> Turning {
        let turn = self.home.turn(self.place, self.who, waker);
        self.in_line = matches!(turn, Turning::Sleep(_));
        turn
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Grant, Rejected>> {
        loop {
            match self.turn(cx.waker()) {
                Turning::Go(taken) => return Poll::Ready(Ok(self.grant(taken))),
                Turning::Refused(rejected) => return Poll::Ready(Err(rejected)),
                Turning::Sleep(time) => {
                    let sleep = tokio::time::sleep(time);
                    match &mut self.sleep {
                        Some(old) => old.set(sleep),
                        none => *none = Some(Box::pin(sleep)),
                    }
                }
            }
            let Some(sleep) = &mut self.sleep else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// What was admitted and never fetched is given back: its call has not begun.
impl Drop for Acquire {
    fn drop(&mut self) {
        if let Step::Decided(Ok(grant)) = std::mem::replace(&mut self.0, Step::Ended) {
            grant.give_back();
        }
    }
}

impl Waiter {
    fn grant(&self, taken: Tick) -> Grant {
        let adjusts = self.home.adjusts();
        Grant::new(self.home.clone(), self.place, (taken, self.who.1), adjusts)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.in_line {
            self.home.leave(self.place, self.who.0);
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Step::Decided(_) => "Acquire(decided)",
            Step::Waits(_) => "Acquire(waits)",
            Step::Ended => "Acquire(ended)",
        })
    }
}
