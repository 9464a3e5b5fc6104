use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use breaker_core::{Anchor, Classify, Deadline, Replay, RetryPath};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::attempt::{End, Spare, again, lost};
use super::beside::{Beside, Second, SecondProj};
use super::handle::Home;
use super::layer::HedgeLayer;
use super::watch::Watch;

pin_project! {
    /// The answer of a service whose slow calls are sent a second time: named, pinned, never boxed.
    ///
    /// What a second attempt needs is put into one allocation when the first one is pending for the
    /// first time. Dropped, it drops all attempts that are out. When one of them panics, the other is
    /// dropped, and the panic goes on.
    #[must_use = "futures do nothing unless polled"]
    pub struct HedgeFuture<S, C, R, Req>
    where
        S: Service<Req>,
        R: Replay<Req>,
    {
        #[pin]
        first: First<S::Future>,
        home: Anchor<Home>,
        classify: C,
        replay: R,
        // While nobody knows whether the first attempt is ready at once.
        spare: Option<Spare<S, R::Kept>>,
        // Only of calls that are waited for, and that may be sent again.
        beside: Option<Pin<Box<Beside<S, R::Kept, S::Future, Result<S::Response, S::Error>>>>>,
    }
}

pin_project! {
    /// The first attempt.
    #[project = FirstProj]
    enum First<F> {
        Out {
            #[pin]
            inner: F,
        },
        Ended,
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
        Self { first: First::Out { inner }, home, classify, replay, spare, beside: None }
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
        let mut this = self.as_mut().project();
        if this.beside.is_some() {
            return self.goes_on(cx);
        }
        let FirstProj::Out { inner } = this.first.as_mut().project() else {
            return self.goes_on(cx);
        };
        match inner.poll(cx) {
            Poll::Ready(result) => {
                this.first.set(First::Ended);
                Poll::Ready(result)
            }
            Poll::Pending if this.spare.is_none() => Poll::Pending,
            Poll::Pending => self.poll_guarded(cx),
        }
    }
}

impl<S, C, R, Req> HedgeFuture<S, C, R, Req>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error>,
    R: Replay<Req>,
{
    /// What has waited already.
    #[cold]
    fn goes_on(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<S, Req>> {
        let this = self.as_mut().project();
        let Some(beside) = this.beside else {
            panic!("a `HedgeFuture` was polled after it had ended");
        };
        if !matches!(beside.second, Second::Out { .. }) {
            let FirstProj::Out { inner } = this.first.project() else {
                panic!("a `HedgeFuture` was polled after it had ended");
            };
            if let Poll::Ready(result) = inner.poll(cx) {
                return Poll::Ready(self.ended_alone(result));
            }
        }
        self.poll_guarded(cx)
    }

    /// From here on there may be two, and a panic of one must not leave the other behind.
    #[cold]
    fn poll_guarded(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<S, Req>> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.as_mut().poll_beside(cx)));
        polled.unwrap_or_else(|panic| {
            self.end();
            resume_unwind(panic)
        })
    }

    /// Drops all attempts that are out.
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.first.set(First::Ended);
        *this.beside = None;
    }

    /// The first attempt has ended, and there is no other.
    fn ended_alone(mut self: Pin<&mut Self>, result: Answer<S, Req>) -> Answer<S, Req> {
        let mut this = self.as_mut().project();
        this.first.set(First::Ended);
        if let Some(watch) =
            this.beside.as_mut().and_then(|it| it.as_mut().project().watch.as_mut())
        {
            let end = End::of(this.classify, &result);
            watch.first_ended(matches!(end, End::Answered(_)));
            end.outcome().into_iter().for_each(|outcome| watch.seen(outcome));
        }
        self.end();
        result
    }

    /// Goes on with what there is beside the first attempt, which is not ready unless the second one
    /// is out.
    fn poll_beside(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<S, Req>> {
        self.as_mut().begin();
        let this = self.as_mut().project();
        let Some(beside) = this.beside else { return Poll::Pending };
        match beside.as_mut().project().second.project() {
            SecondProj::Nothing => return Poll::Pending,
            SecondProj::Timer { sleep, .. } => {
                ready!(sleep.poll(cx));
                self.as_mut().send_again(cx);
            }
            SecondProj::Out { .. } => {
                if let FirstProj::Out { inner } = this.first.project() {
                    if let Poll::Ready(result) = inner.poll(cx) {
                        if let Some(result) = self.as_mut().first_ended(result) {
                            return Poll::Ready(result);
                        }
                    }
                }
            }
        }
        self.poll_second(cx)
    }

    /// The call has to wait for the first time: makes what there is beside the first attempt, where it
    /// may be sent again.
    fn begin(self: Pin<&mut Self>) {
        let this = self.project();
        let Some(spare) = this.spare.take() else { return };
        let about = this.replay.about(&spare.kept);
        let repeated = RetryPath::current().is_some_and(|path| path.number() > 1);
        if !about.idempotent || about.repeated_elsewhere || repeated {
            return;
        }
        let Some(home) = this.home.get() else { return };
        let current = Deadline::current();
        let deadline = about.deadline.map_or(current, |deadline| Some(deadline.or_before(current)));
        let (watch, delay) = Watch::begin(home, deadline);
        let second = match delay {
            Some(delay) => Second::Timer { sleep: tokio::time::sleep(delay), spare: Some(spare) },
            None => Second::Nothing,
        };
        *this.beside = Some(Box::pin(Beside { second, watch: Some(watch), failure: None }));
    }

    /// The delay has passed.
    fn send_again(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let this = self.project();
        let Some(beside) = this.beside else { return };
        let mut beside = beside.as_mut().project();
        let SecondProj::Timer { spare, .. } = beside.second.as_mut().project() else { return };
        let (Some(spare), Some(watch)) = (spare.take(), beside.watch) else { return };
        let second = again(watch, spare, this.replay, cx);
        beside.second.set(second.map_or(Second::Nothing, |inner| Second::Out { inner }));
    }

    /// The first attempt has ended while the second one is out: its answer, or it failed.
    fn first_ended(mut self: Pin<&mut Self>, result: Answer<S, Req>) -> Option<Answer<S, Req>> {
        let mut this = self.as_mut().project();
        let end = End::of(this.classify, &result);
        let Some(beside) = this.beside else { return Some(result) };
        let beside = beside.as_mut().project();
        if let Some(watch) = beside.watch {
            watch.first_ended(matches!(end, End::Answered(_)));
            if let End::Answered(outcome) = end {
                watch.seen(outcome);
            }
        }
        if matches!(end, End::Answered(_)) {
            self.end();
            return Some(result);
        }
        *beside.failure = Some((result, end.outcome()));
        this.first.set(First::Ended);
        None
    }

    fn poll_second(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<S, Req>> {
        let mut this = self.project();
        let Some(beside) = this.beside else { return Poll::Pending };
        let mut part = beside.as_mut().project();
        let SecondProj::Out { inner } = part.second.as_mut().project() else {
            return Poll::Pending;
        };
        let result = ready!(inner.poll(cx));
        part.second.set(Second::Nothing);
        let Some(watch) = part.watch else { return Poll::Pending };
        let result = match (End::of(this.classify, &result), part.failure.take()) {
            (End::Answered(outcome), failure) => {
                if let Some((_, Some(failure))) = failure {
                    watch.unseen(failure);
                }
                watch.won();
                watch.seen(outcome);
                result
            }
            (end, Some((failure, outcome))) => {
                lost(watch, &end);
                outcome.iter().for_each(|outcome| watch.seen(*outcome));
                failure
            }
            (end, None) => {
                lost(watch, &end);
                return Poll::Pending;
            }
        };
        this.first.set(First::Ended);
        *this.beside = None;
        Poll::Ready(result)
    }
}

impl<S, C, R, Req> fmt::Debug for HedgeFuture<S, C, R, Req>
where
    S: Service<Req>,
    R: Replay<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beside = match (&self.first, &self.beside) {
            (_, Some(beside)) => match beside.second {
                Second::Timer { .. } => "waits",
                Second::Out { .. } => "sent twice",
                Second::Nothing => "sent once",
            },
            (First::Ended, None) => "ended",
            (First::Out { .. }, None) if self.spare.is_some() => "sent",
            (First::Out { .. }, None) => "sent once",
        };
        f.debug_tuple("HedgeFuture").field(&beside).finish()
    }
}
