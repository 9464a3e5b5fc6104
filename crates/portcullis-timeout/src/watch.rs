//! The timer of a call, which is made when the call has to be waited for: [`Watch`].

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use breaker_core::{
    Anchor, Anchored, Deadline, FailureKind, Name, Outcome, Reason, Rejected, Seldom, Tick,
};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::estimator::Sample;
use crate::home::Home;

/// Where the timeout of a call lives, and how long it is.
#[derive(Clone, Debug)]
pub struct Timing {
    pub(crate) home: Lead,
    pub(crate) nanos: u64,
}

/// How a call finds the timeout again.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    /// Without a reference count, as long as somebody else has it.
    mark: Anchor<Home>,
    /// Itself, where it could be gone before the call has ended.
    kept: Seldom<Anchored<Home>>,
}

impl Lead {
    #[inline]
    pub(crate) fn mark(home: &Anchored<Home>) -> Self {
        Self { mark: home.anchor(), kept: Seldom(None) }
    }

    #[inline]
    pub(crate) fn kept(home: Anchored<Home>) -> Self {
        Self { mark: home.anchor(), kept: Seldom(Some(home)) }
    }

    fn get(&self) -> Option<Anchored<Home>> {
        self.kept.0.clone().or_else(|| self.mark.get())
    }
}

impl Timing {
    /// No longer than this.
    fn shorten(&mut self, left: Duration) {
        self.nanos = self.nanos.min(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Until when a call goes that begins now and has this deadline.
    pub(crate) fn until(&mut self, now: Tick, deadline: Deadline) -> Until {
        let own = Deadline::after(now, Duration::from_nanos(self.nanos));
        self.shorten(deadline.left(now));
        Until { deadline, told: deadline.or_before(Some(own)) }
    }
}

/// Until when a call goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    /// For its caller.
    deadline: Deadline,
    /// For those further in: no later than the timeout.
    pub(crate) told: Deadline,
}

pin_project! {
    /// Watches over a call.
    pub(crate) struct Watch {
        #[pin]
        sleep: Option<Sleep>,
        on: On,
    }
}

/// What is watched; dropped while the call is on its way, it was cancelled.
struct On {
    timing: Timing,
    until: Option<Until>,
    /// That comes before the timeout.
    at_deadline: bool,
    /// Since when the call is waited for, except while it is polled: a panic is no cancellation.
    since: Option<Tick>,
}

/// How a call goes on that was polled.
pub(crate) enum Polled<T> {
    /// It is answered, since it was waited for, if it was.
    Answered(T, Option<Tick>),
    Waits,
    /// Its time is up. It is to be dropped, and then [`give_up`](Watch::give_up) says so.
    Over,
}

impl Watch {
    pub(crate) const fn new(timing: Timing, until: Option<Until>) -> Self {
        Self { sleep: None, on: On { timing, until, at_deadline: false, since: None } }
    }

    /// Polls the call, and its timer where it has to be waited for.
    ///
    /// The timer comes first: a call that always has something to do uses up what tokio lets a task do
    /// in a turn, and then no timer is ever ready.
    #[inline]
    pub(crate) fn poll<F: Future>(
        mut self: Pin<&mut Self>,
        inner: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Polled<F::Output> {
        let this = self.as_mut().project();
        let timer = this.sleep.as_pin_mut().map(|sleep| sleep.poll(cx));
        let since = this.on.since.take();
        let polled = match this.on.until {
            None => inner.poll(cx),
            Some(until) => until.told.scope(|| inner.poll(cx)),
        };
        match polled {
            Poll::Ready(answer) => Polled::Answered(answer, since),
            Poll::Pending => {
                this.on.since = since;
                match timer.unwrap_or_else(|| self.wait(cx)) {
                    Poll::Pending => Polled::Waits,
                    Poll::Ready(()) => Polled::Over,
                }
            }
        }
    }

    /// The call has to be waited for from now on; it is over where that is ready.
    #[cold]
    pub(crate) fn wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let limit = this.on.begin();
        this.sleep.set(Some(tokio::time::sleep(limit)));
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx),
            None => Poll::Pending,
        }
    }

    /// The time of the call was up; it has been dropped.
    pub(crate) fn give_up(self: Pin<&mut Self>) -> Rejected {
        let on = self.project().on;
        let (limit, at_deadline) = (on.limit(), on.at_deadline);
        let since = on.since.take();
        let home = since.and_then(|since| Some((on.timing.home.get()?, since)));
        match home {
            Some((home, since)) => home.gave_up(since, limit, at_deadline),
            None => Rejected::new(UNKNOWN, Reason::TimedOut),
        }
    }

    /// The call was answered; what it says of the callee is asked for where anybody wants to know.
    #[inline]
    pub(crate) fn answered(
        self: Pin<&mut Self>,
        since: Option<Tick>,
        outcome: impl FnOnce() -> Option<Outcome>,
    ) {
        if let Some(since) = since {
            self.project().on.answered(since, outcome);
        }
    }
}

/// Of a timeout that nobody has any more.
const UNKNOWN: Name = Name::new("timeout");

impl On {
    /// The call has to be waited for, for so long, and keeps its timeout from now on, so that somebody
    /// hears how it ends. Where nobody has the timeout any more, it is the one of the beginning.
    fn begin(&mut self) -> Duration {
        if let Some(home) = self.timing.home.get() {
            let now = home.now();
            self.since = Some(now);
            self.timing.nanos = home.timeout();
            if let Some(until) = self.until {
                let whole = self.timing.nanos;
                self.timing.shorten(until.deadline.left(now));
                self.at_deadline = self.timing.nanos < whole;
            }
            self.timing.home = Lead::kept(home);
        }
        self.limit()
    }

    const fn limit(&self) -> Duration {
        Duration::from_nanos(self.timing.nanos)
    }

    #[cold]
    fn answered(&self, since: Tick, outcome: impl FnOnce() -> Option<Outcome>) {
        let Some(outcome) = outcome() else { return };
        let Some(home) = self.timing.home.get() else { return };
        let now = home.now();
        let took = now.since(since);
        let sample = match outcome {
            Outcome::Failure(kind) if kind != FailureKind::InvalidRequest => Sample::Failed(took),
            _ => Sample::Answered(took),
        };
        home.ended(now, sample, outcome, took);
    }
}

impl Drop for On {
    fn drop(&mut self) {
        if let Some(since) = self.since.take() {
            if let Some(home) = self.timing.home.get() {
                home.cancelled(since);
            }
        }
    }
}
