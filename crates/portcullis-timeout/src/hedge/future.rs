use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use breaker_core::{Anchor, Classify, Deadline, Outcome, Replay, RetryPath};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::attempt::{End, Spare, again, lost};
use super::handle::Home;
use super::layer::HedgeLayer;
use super::watch::Watch;

pin_project! {
    /// The answer of a service whose slow calls are sent a second time: named, pinned, never boxed.
    ///
    /// Dropped, it drops all attempts that are out. When one of them panics, the other is dropped,
    /// and the panic goes on.
    #[must_use = "futures do nothing unless polled"]
    pub struct HedgeFuture<S, C, R, Req>
    where
        S: Service<Req>,
        R: Replay<Req>,
    {
        #[pin]
        first: First<S::Future, Result<S::Response, S::Error>>,
        #[pin]
        beside: Beside<S, R::Kept, S::Future>,
        home: Anchor<Home>,
        classify: C,
        replay: R,
    }
}

pin_project! {
    /// The first attempt.
    #[project = FirstProj]
    enum First<F, T> {
        Out {
            #[pin]
            inner: F,
        },
        // It failed, and the second one is waited for.
        Failed {
            failure: Option<T>,
            outcome: Option<Outcome>,
        },
        Ended,
    }
}

pin_project! {
    /// What there is beside the first attempt.
    #[project = BesideProj]
    enum Beside<S, K, F> {
        // What a second one needs, while nobody knows whether the first is ready at once.
        Kept {
            spare: Option<Spare<S, K>>,
        },
        // The delay of the second one.
        Timer {
            #[pin]
            sleep: Sleep,
            spare: Option<Spare<S, K>>,
            watch: Option<Watch>,
        },
        // The second one.
        Second {
            #[pin]
            inner: F,
            watch: Option<Watch>,
        },
        // No second one, or none any more.
        Nothing {
            watch: Option<Watch>,
        },
    }
}

type Answer<S, Req> = Result<<S as Service<Req>>::Response, <S as Service<Req>>::Error>;

impl<S, C, R, Req> HedgeFuture<S, C, R, Req>
where
    S: Service<Req>,
    C: Clone,
    R: Replay<Req> + Clone,
{
    #[inline]
    pub(crate) fn new(
        inner: S::Future,
        spare: Option<Spare<S, R::Kept>>,
        layer: &HedgeLayer<C, R>,
    ) -> Self {
        let HedgeLayer { hedge, classify, replay } = layer;
        let (home, classify, replay) = (hedge.anchor(), classify.clone(), replay.clone());
        let beside = match spare {
            None => Beside::Nothing { watch: None },
            spare => Beside::Kept { spare },
        };
        Self { first: First::Out { inner }, beside, home, classify, replay }
    }
}

impl<S, C, R, Req> Future for HedgeFuture<S, C, R, Req>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error>,
    R: Replay<Req>,
{
    type Output = Answer<S, Req>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !matches!(self.beside, Beside::Second { .. }) {
            let FirstProj::Out { inner } = self.as_mut().project().first.project() else {
                panic!("a `HedgeFuture` was polled after it had ended");
            };
            if let Poll::Ready(result) = inner.poll(cx) {
                return Poll::Ready(self.ended_alone(result));
            }
            if matches!(self.beside, Beside::Nothing { .. }) {
                return Poll::Pending;
            }
        }
        // From here on there may be two, and a panic of one must not leave the other behind.
        let polled = catch_unwind(AssertUnwindSafe(|| self.as_mut().poll_beside(cx)));
        polled.unwrap_or_else(|panic| {
            self.end();
            resume_unwind(panic)
        })
    }
}

impl<S, C, R, Req> HedgeFuture<S, C, R, Req>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error>,
    R: Replay<Req>,
{
    /// Drops all attempts that are out.
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.first.set(First::Ended);
        this.beside.set(Beside::Nothing { watch: None });
    }

    /// The first attempt has ended, and there is no other.
    #[inline]
    fn ended_alone(mut self: Pin<&mut Self>, result: Answer<S, Req>) -> Answer<S, Req> {
        let mut this = self.as_mut().project();
        this.first.set(First::Ended);
        if let BesideProj::Nothing { watch: Some(watch) }
        | BesideProj::Timer { watch: Some(watch), .. } = this.beside.project()
        {
            let end = End::of(this.classify, &result);
            watch.first_ended(matches!(end, End::Answered(_)));
            end.outcome().into_iter().for_each(|outcome| watch.seen(outcome));
        }
        self.end();
        result
    }

    /// Goes on with what there is beside the first attempt, which is not ready.
    fn poll_beside(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<S, Req>> {
        if matches!(self.beside, Beside::Second { .. }) {
            let first = self.as_mut().project().first.project();
            if let FirstProj::Out { inner } = first {
                if let Poll::Ready(result) = inner.poll(cx) {
                    if let Some(result) = self.as_mut().first_ended(result) {
                        return Poll::Ready(result);
                    }
                }
            }
            return self.poll_second(cx);
        }
        self.as_mut().begin();
        let BesideProj::Timer { sleep, .. } = self.as_mut().project().beside.project() else {
            return Poll::Pending;
        };
        ready!(sleep.poll(cx));
        self.as_mut().send_again(cx);
        self.poll_second(cx)
    }

    /// The call has to wait: its timer is set, where it may be sent again.
    fn begin(self: Pin<&mut Self>) {
        let mut this = self.project();
        let BesideProj::Kept { spare } = this.beside.as_mut().project() else { return };
        let spare = spare.take();
        this.beside.set(Beside::Nothing { watch: None });
        let Some(spare) = spare else { return };
        let about = this.replay.about(&spare.kept);
        let repeated = RetryPath::current().is_some_and(|path| path.number() > 1);
        if !about.idempotent || about.repeated_elsewhere || repeated {
            return;
        }
        let Some(home) = this.home.get() else { return };
        let current = Deadline::current();
        let deadline = about.deadline.map_or(current, |deadline| Some(deadline.or_before(current)));
        let (watch, delay) = Watch::begin(home, deadline);
        let watch = Some(watch);
        this.beside.set(match delay {
            Some(delay) => {
                let sleep = tokio::time::sleep(delay);
                Beside::Timer { sleep, spare: Some(spare), watch }
            }
            None => Beside::Nothing { watch },
        });
    }

    /// The delay has passed.
    fn send_again(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let BesideProj::Timer { spare, watch, .. } = this.beside.as_mut().project() else { return };
        let (Some(spare), Some(mut watch)) = (spare.take(), watch.take()) else { return };
        let second = again(&mut watch, spare, this.replay, cx);
        let watch = Some(watch);
        this.beside.set(match second {
            Some(inner) => Beside::Second { inner, watch },
            None => Beside::Nothing { watch },
        });
    }

    /// The first attempt has ended while the second one is out: its answer, or it failed.
    fn first_ended(mut self: Pin<&mut Self>, result: Answer<S, Req>) -> Option<Answer<S, Req>> {
        let mut this = self.as_mut().project();
        let end = End::of(this.classify, &result);
        let outcome = end.outcome();
        if let BesideProj::Second { watch: Some(watch), .. } = this.beside.project() {
            watch.first_ended(matches!(end, End::Answered(_)));
            if let End::Answered(outcome) = end {
                watch.seen(outcome);
            }
        }
        if matches!(end, End::Answered(_)) {
            self.end();
            return Some(result);
        }
        this.first.set(First::Failed { failure: Some(result), outcome });
        None
    }

    fn poll_second(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<S, Req>> {
        let mut this = self.as_mut().project();
        let BesideProj::Second { inner, watch } = this.beside.as_mut().project() else {
            return Poll::Pending;
        };
        let result = ready!(inner.poll(cx));
        let Some(watch) = watch.take() else { return Poll::Pending };
        this.beside.set(Beside::Nothing { watch: None });
        let end = End::of(this.classify, &result);
        match (end, this.first.as_mut().project()) {
            (End::Answered(outcome), first) => {
                if let FirstProj::Failed { outcome: Some(failure), .. } = first {
                    watch.unseen(*failure);
                }
                watch.won();
                watch.seen(outcome);
                this.first.set(First::Ended);
                Poll::Ready(result)
            }
            (end, FirstProj::Failed { failure, outcome }) => {
                lost(&watch, &end);
                outcome.iter().for_each(|outcome| watch.seen(*outcome));
                let failure = failure.take();
                this.first.set(First::Ended);
                Poll::Ready(failure.unwrap_or(result))
            }
            (end, _) => {
                lost(&watch, &end);
                this.beside.set(Beside::Nothing { watch: Some(watch) });
                Poll::Pending
            }
        }
    }
}

impl<S, C, R, Req> fmt::Debug for HedgeFuture<S, C, R, Req>
where
    S: Service<Req>,
    R: Replay<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beside = match (&self.first, &self.beside) {
            (First::Ended, _) => "ended",
            (_, Beside::Kept { .. }) => "sent",
            (_, Beside::Timer { .. }) => "waits",
            (_, Beside::Second { .. }) => "sent twice",
            (_, Beside::Nothing { .. }) => "sent once",
        };
        f.debug_tuple("HedgeFuture").field(&beside).finish()
    }
}
