use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use breaker_core::{Anchored, Classify, Outcome, Replay, RetryPath, Seldom, Tick};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::elsewhere::Elsewhere;
use crate::policy::Failed;
use crate::record::Sequence;
use crate::target::{Course, Further, Paid, Target};
use crate::targets::{Leads, Mark, failure};

pin_project! {
    /// The answer of a service whose calls are repeated: named, pinned, never boxed.
    ///
    /// Dropped while it waits, it gives back what the next attempt was to cost.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, C, P, E, Req>
    where
        S: Service<Req>,
        P: Replay<Req>,
        E: Elsewhere<Req, S::Response, S::Error>,
    {
        #[pin]
        stage: Stage<S::Future, E::Future>,
        classify: C,
        leads: Leads,
        again: Option<Again<S, P, E, P::Kept>>,
        // The target itself, where it could be gone before the call has ended.
        kept: Seldom<Anchored<Target>>,
        // What only calls have that failed once, or whose beginning matters.
        past: Seldom<Box<Past<Req>>>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, A> {
        Attempt {
            #[pin]
            inner: F,
        },
        Elsewhere {
            #[pin]
            inner: A,
        },
        Between,
    }
}

/// What a further attempt needs.
struct Again<S, P, E, Kept> {
    service: S,
    replay: P,
    elsewhere: E,
    kept: Kept,
}

/// What there is to know of a call that has failed once.
struct Past<Req> {
    /// It is kept, though the layer may go meanwhile.
    target: Anchored<Target>,
    began: Tick,
    attempt: u32,
    course: Course,
    next: Option<Coming<Req>>,
}

/// The next attempt.
struct Coming<Req> {
    request: Req,
    sleep: Option<Pin<Box<Sleep>>>,
    elsewhere: bool,
    paid: Paid,
}

impl<S, C, P, E, Req> ResponseFuture<S, C, P, E, Req>
where
    S: Service<Req>,
    P: Replay<Req>,
    E: Elsewhere<Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) fn once(inner: S::Future, (classify, mark): (C, Mark)) -> Self {
        let Mark { leads, kept } = mark;
        let (stage, kept) = (Stage::Attempt { inner }, Seldom(kept));
        Self { stage, classify, leads, again: None, kept, past: Seldom(None) }
    }

    #[inline]
    pub(crate) fn repeatable(
        inner: S::Future,
        (service, replay, elsewhere): (S, P, E),
        kept: P::Kept,
        (classify, mark): (C, Mark),
    ) -> Self {
        let again = Some(Again { service, replay, elsewhere, kept });
        let Mark { leads, kept } = mark;
        let (stage, kept) = (Stage::Attempt { inner }, Seldom(kept));
        Self { stage, classify, leads, again, kept, past: Seldom(None) }
    }
}

impl<S, C, P, E, Req> Future for ResponseFuture<S, C, P, E, Req>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error>,
    P: Replay<Req>,
    E: Elsewhere<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Nearly all calls go well at the first attempt, and are gone from here with two loads.
        let this = self.as_mut().project();
        let StageProj::Attempt { inner } = this.stage.project() else { return self.goes_on(cx) };
        let Poll::Ready(result) = inner.poll(cx) else {
            if this.past.0.is_none() && !this.leads.is_target_at_rest() {
                self.stamp();
            }
            return Poll::Pending;
        };
        let outcome = this.classify.classify(result.as_ref());
        if outcome == Outcome::Success && this.past.0.is_none() && this.leads.is_at_rest() {
            return Poll::Ready(result);
        }
        match self.as_mut().ended(result, outcome) {
            Some(result) => Poll::Ready(result),
            None => self.goes_on(cx),
        }
    }
}

impl<S, C, P, E, Req> ResponseFuture<S, C, P, E, Req>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error>,
    P: Replay<Req>,
    E: Elsewhere<Req, S::Response, S::Error>,
{
    /// What follows the first attempt.
    #[cold]
    fn goes_on(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>> {
        loop {
            let mut this = self.as_mut().project();
            match this.stage.as_mut().project() {
                StageProj::Attempt { inner } => {
                    let result = ready!(inner.poll(cx));
                    let outcome = this.classify.classify(result.as_ref());
                    if let Some(result) = self.as_mut().ended(result, outcome) {
                        return Poll::Ready(result);
                    }
                }
                StageProj::Elsewhere { inner } => {
                    let result = ready!(inner.poll(cx));
                    // Whatever it is, it is the answer; but who is above should not begin anew.
                    if matches!(this.classify.classify(result.as_ref()), Outcome::Failure(_)) {
                        RetryPath::spend();
                    }
                    return Poll::Ready(result);
                }
                StageProj::Between => {
                    if let Err(error) = ready!(self.as_mut().poll_next(cx)) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    /// Tells how an attempt ended, and decides what is done about it; the result, if that is all.
    #[cold]
    fn ended(
        self: Pin<&mut Self>,
        result: Result<S::Response, S::Error>,
        outcome: Outcome,
    ) -> Option<Result<S::Response, S::Error>> {
        if outcome != Outcome::Success {
            return self.failed(result, outcome);
        }
        let this = self.project();
        let target = this.kept.0.clone().or_else(|| this.leads.target());
        let past = this.past.0.as_deref().filter(|past| past.attempt > 1);
        this.leads.well(target.as_ref(), past.map(|past| &past.course));
        Some(result)
    }

    /// Keeps when the call began, where the target is not at rest: as long as all goes well, or a call
    /// is ready at once, it does not matter.
    #[cold]
    fn stamp(self: Pin<&mut Self>) {
        let this = self.project();
        let _ = past_of(this.past, this.kept, this.leads);
    }

    /// Decides what is done about an attempt that did not go well; the result, if that is all.
    fn failed(
        mut self: Pin<&mut Self>,
        result: Result<S::Response, S::Error>,
        outcome: Outcome,
    ) -> Option<Result<S::Response, S::Error>> {
        let mut this = self.as_mut().project();
        // First the attempt goes, and with it the rest of a body that it had not sent.
        this.stage.set(Stage::Between);
        let refused = this.classify.is_refusal(result.as_ref());
        let Some(kind) = failure(outcome, refused) else { return Some(result) };
        if !refused {
            this.leads.ended(outcome);
        }
        let Some(past) = past_of(this.past, this.kept, this.leads) else { return Some(result) };
        let failed = Failed {
            attempt: past.attempt,
            kind,
            advice: this.classify.advice(result.as_ref()),
            refused,
            about: this.again.as_ref().map(|again| again.replay.about(&again.kept)),
            began: past.began,
            has_alternative: E::EXISTS,
            unknown_too: false,
        };
        let (again, number) = (this.again.as_ref(), past.attempt.saturating_add(1));
        let request = || again.and_then(|again| again.replay.again(&again.kept, number));
        match Target::failed(&past.target, &mut past.course, &failed, request) {
            Ok(Further { request, delay, elsewhere, paid }) => {
                // The response goes before the wait: its body may hold a connection, or a slot.
                drop(result);
                past.attempt = number;
                past.next = Some(Coming { request, sleep: timer(delay), elsewhere, paid });
                None
            }
            Err(why) => {
                if why.is_in_vain(past.attempt) {
                    RetryPath::spend();
                }
                Some(result)
            }
        }
    }

    /// Waits, and makes the next attempt when its service is ready.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let mut this = self.as_mut().project();
        let (Some(past), Some(again)) = (this.past.0.as_mut(), this.again.as_mut()) else {
            panic!("a `ResponseFuture` was polled after it had ended");
        };
        let Some(coming) = past.next.as_mut() else {
            panic!("a `ResponseFuture` was polled after it had ended");
        };
        if let Some(sleep) = &mut coming.sleep {
            ready!(sleep.as_mut().poll(cx));
            coming.sleep = None;
        }
        let ready = if coming.elsewhere {
            again.elsewhere.poll_ready(cx)
        } else {
            again.service.poll_ready(cx)
        };
        ready!(ready)?;
        let Some(Coming { request, elsewhere, paid, .. }) = past.next.take() else {
            panic!("it was there a moment ago");
        };
        past.course.cost = Some(paid.made());
        let stage = if elsewhere {
            Stage::Elsewhere { inner: again.elsewhere.call(request) }
        } else {
            Stage::Attempt { inner: again.service.call(request) }
        };
        this.stage.set(stage);
        Poll::Ready(Ok(()))
    }
}

fn timer(delay: Duration) -> Option<Pin<Box<Sleep>>> {
    // Boxed, so that calls which go well, and that is nearly all, do not carry room for it.
    (!delay.is_zero()).then(|| Box::pin(sleep(delay)))
}

/// What there is to know of a call, from now on; `None` where its target has gone.
fn past_of<'p, Req>(
    past: &'p mut Seldom<Box<Past<Req>>>,
    kept: &mut Seldom<Anchored<Target>>,
    leads: &Leads,
) -> Option<&'p mut Past<Req>> {
    if past.0.is_none() {
        // It is kept there from now on.
        past.0 = kept.0.take().or_else(|| leads.target()).map(Past::of);
    }
    past.0.as_deref_mut()
}

impl<Req> Past<Req> {
    fn of(target: Anchored<Target>) -> Box<Self> {
        let course = Course { sequence: Sequence::default(), next: None, cost: None };
        let began = target.hub().now();
        Box::new(Self { target, began, attempt: 1, course, next: None })
    }
}

impl<S, C, P, E, Req> fmt::Debug for ResponseFuture<S, C, P, E, Req>
where
    S: Service<Req>,
    P: Replay<Req>,
    E: Elsewhere<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempt = self.past.0.as_ref().map_or(1, |past| past.attempt);
        f.debug_struct("ResponseFuture").field("attempt", &attempt).finish_non_exhaustive()
    }
}
