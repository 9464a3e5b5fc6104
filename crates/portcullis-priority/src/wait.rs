//! Waiting for a slot: [`Wait`].

use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use breaker_core::{Priority, Rejected, Tick};
use tokio::time::Sleep;

use crate::desk::{Entered, Turn};
use crate::handle::Call;
use crate::home::Home;
use crate::slot::Slot;

/// Waits until a call gets a slot, or is refused one.
///
/// Dropped, it leaves the queue; a slot that it was given meanwhile goes to the next. It needs a
/// runtime of tokio whose timers are on, as soon as it has to wait.
#[must_use = "futures do nothing unless polled"]
pub struct Wait(Step);

enum Step {
    Decided(Result<Slot, Rejected>),
    Waits(Waiter),
    Ended,
}

/// A call that waits; leaves the queue when dropped.
pub(crate) struct Waiter {
    home: Arc<Home>,
    /// Where it waits, and until when at the latest.
    seat: (u32, Tick),
    seated: bool,
    priority: Priority,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    pub(crate) const fn decided(decision: Result<Slot, Rejected>) -> Self {
        Self(Step::Decided(decision))
    }

    pub(crate) fn new(home: &Arc<Home>, call: &Call, entered: &Entered) -> Self {
        let priority = call.priority;
        Self(match *entered {
            Entered::Takes(taken) => {
                Step::Decided(Ok(slot(home, Slot::new(home.desk, taken, priority), None)))
            }
            Entered::Refused(rejected) => Step::Decided(Err(rejected)),
            Entered::Waits(seat, latest) => Step::Waits(Waiter {
                home: home.clone(),
                seat: (seat, latest),
                seated: true,
                priority,
                sleep: None,
            }),
        })
    }

    /// The decision, where there is one already; else the one that waits.
    pub(crate) fn try_now(mut self) -> Result<Result<Slot, Rejected>, Self> {
        match std::mem::replace(&mut self.0, Step::Ended) {
            Step::Decided(decision) => Ok(decision),
            waits => Err(Self(waits)),
        }
    }

    /// The decision, where there is one already; else the one that waits, without its timer.
    #[cfg(test)]
    pub(crate) fn by_hand(mut self) -> Result<Result<Slot, Rejected>, Waiter> {
        match std::mem::replace(&mut self.0, Step::Ended) {
            Step::Decided(decision) => Ok(decision),
            Step::Waits(waiter) => Err(waiter),
            Step::Ended => unreachable!("it was not polled"),
        }
    }

    /// Lets the call compete as one of this priority while it waits, because somebody so important
    /// waits for what it does. A lower one than its own changes nothing.
    pub fn raise(&mut self, to: Priority) {
        if let Step::Waits(waiter) = &mut self.0 {
            waiter.raise(to);
        }
    }
}

/// A slot with what is kept of its call.
fn slot(home: &Arc<Home>, slot: Slot, started: Option<Tick>) -> Slot {
    if home.desk.gate().is_timed() { slot.timed(home, started) } else { slot }
}

impl Future for Wait {
    type Output = Result<Slot, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Step::Waits(waiter) = &mut self.0 {
            let Poll::Ready(decision) = waiter.poll(cx) else { return Poll::Pending };
            self.0 = Step::Decided(decision);
        }
        match std::mem::replace(&mut self.0, Step::Ended) {
            Step::Decided(decision) => Poll::Ready(decision),
            _ => panic!("a `Wait` was polled after it had ended"),
        }
    }
}

impl Waiter {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Slot, Rejected>> {
        loop {
            match self.ask(cx.waker()) {
                Ok(decision) => return Poll::Ready(decision),
                Err(latest) => {
                    let sleep = tokio::time::sleep(latest.since(self.home.now()));
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

    pub(crate) fn raise(&mut self, to: Priority) {
        if to > self.priority && self.seated {
            self.priority = to;
            self.home.raise(self.seat.0, to);
        }
    }

    /// What was decided, or until when it waits at the latest.
    pub(crate) fn ask(&mut self, waker: &Waker) -> Result<Result<Slot, Rejected>, Tick> {
        assert!(self.seated, "a `Wait` was polled after it had ended");
        let (turn, told) = self.home.turn(self.seat, waker.clone());
        // Where it waits on, it leaves its seat when it is dropped, also by the panic below.
        self.seated = matches!(turn, Turn::Waits(_));
        if let Err(panic) = told {
            if let Turn::Takes(taken, _) = turn {
                self.home.undo(taken, self.priority);
            }
            resume_unwind(panic);
        }
        match turn {
            Turn::Takes(taken, at) => {
                let taken = Slot::new(self.home.desk, taken, self.priority);
                Ok(Ok(slot(&self.home, taken, Some(at))))
            }
            Turn::Refused(rejected) => Ok(Err(rejected)),
            Turn::Waits(latest) => Err(latest),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.seated {
            self.home.quit(self.seat.0, self.priority);
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Step::Decided(_) => "Wait(decided)",
            Step::Waits(_) => "Wait(waits)",
            Step::Ended => "Wait(ended)",
        })
    }
}
