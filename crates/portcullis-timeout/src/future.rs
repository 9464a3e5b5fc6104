use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use breaker_core::{Classify, Expire, Outcome, Seldom};
use pin_project_lite::pin_project;

use crate::watch::{Polled, Timing, Until, Watch};

pin_project! {
    /// The answer of a service with a timeout: named, pinned, never boxed.
    ///
    /// Its timer is made, in one allocation, when the inner future is pending for the first time; what
    /// is ready at once neither reads a clock nor is a sample. Dropped after that, the call was
    /// cancelled. A panic of the inner future goes on, and says nothing of how long calls take.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, Req, Res, Err, C, E>
    where
        E: Expire<Req, Res, Err>,
    {
        #[pin]
        course: Course<F, E::Note, Result<Res, Err>>,
        timing: Timing,
        classify: C,
        expire: E,
        // What only calls have that are waited for, or that have a deadline.
        watch: Seldom<Pin<Box<Watch>>>,
    }
}

pin_project! {
    #[project = CourseProj]
    #[project_replace = CourseOwn]
    enum Course<F, N, T> {
        Goes {
            #[pin]
            inner: F,
            note: N,
        },
        // Boxed, so that calls which are made, and that is nearly all, do not carry room for it.
        Refused {
            answer: Box<T>,
        },
        Ended,
    }
}

impl<F, Req, Res, Err, C, E> ResponseFuture<F, Req, Res, Err, C, E>
where
    C: Clone,
    E: Expire<Req, Res, Err> + Clone,
{
    #[inline]
    pub(crate) fn goes(inner: F, note: E::Note, timing: Timing, asked: (&C, &E)) -> Self {
        Self::new(Course::Goes { inner, note }, timing, asked, None)
    }

    #[cold]
    pub(crate) fn goes_until(
        inner: F,
        note: E::Note,
        (timing, until): (Timing, Until),
        asked: (&C, &E),
    ) -> Self {
        let watch = Box::pin(Watch::new(timing.clone(), Some(until)));
        Self::new(Course::Goes { inner, note }, timing, asked, Some(watch))
    }

    #[cold]
    pub(crate) fn refused(answer: Result<Res, Err>, timing: Timing, asked: (&C, &E)) -> Self {
        Self::new(Course::Refused { answer: Box::new(answer) }, timing, asked, None)
    }

    #[inline]
    fn new(
        course: Course<F, E::Note, Result<Res, Err>>,
        timing: Timing,
        (classify, expire): (&C, &E),
        watch: Option<Pin<Box<Watch>>>,
    ) -> Self {
        let (classify, expire) = (classify.clone(), expire.clone());
        Self { course, timing, classify, expire, watch: Seldom(watch) }
    }
}

impl<F, Req, Res, Err, C, E> Future for ResponseFuture<F, Req, Res, Err, C, E>
where
    F: Future<Output = Result<Res, Err>>,
    C: Classify<Res, Err>,
    E: Expire<Req, Res, Err>,
{
    type Output = Result<Res, Err>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_mut().project();
        if this.watch.0.is_some() {
            return self.goes_on(cx);
        }
        let CourseProj::Goes { inner, .. } = this.course.project() else {
            return self.goes_on(cx);
        };
        match inner.poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.waits(cx),
        }
    }
}

impl<F, Req, Res, Err, C, E> ResponseFuture<F, Req, Res, Err, C, E>
where
    F: Future<Output = Result<Res, Err>>,
    C: Classify<Res, Err>,
    E: Expire<Req, Res, Err>,
{
    /// The call has to be waited for from now on.
    #[cold]
    fn waits(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Res, Err>> {
        let this = self.as_mut().project();
        let watch = this.watch.0.insert(Box::pin(Watch::new(this.timing.clone(), None)));
        match watch.as_mut().wait(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => self.over(),
        }
    }

    /// What has a watch already, or was refused.
    #[cold]
    fn goes_on(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Res, Err>> {
        let mut this = self.as_mut().project();
        let (CourseProj::Goes { inner, .. }, Some(watch)) =
            (this.course.as_mut().project(), &mut this.watch.0)
        else {
            return match this.course.project_replace(Course::Ended) {
                CourseOwn::Refused { answer } => Poll::Ready(*answer),
                _ => panic!("a `ResponseFuture` was polled after it had ended"),
            };
        };
        match watch.as_mut().poll(inner, cx) {
            Polled::Waits => Poll::Pending,
            Polled::Answered(result, since) => {
                watch.as_mut().answered(since, || said(this.classify, &result));
                Poll::Ready(result)
            }
            Polled::Over => self.over(),
        }
    }

    /// Its time is up.
    fn over(self: Pin<&mut Self>) -> Poll<Result<Res, Err>> {
        let this = self.project();
        // The callee is let go before anybody hears of it.
        let course = this.course.project_replace(Course::Ended);
        let (CourseOwn::Goes { note, .. }, Some(watch)) = (course, &mut this.watch.0) else {
            return Poll::Pending;
        };
        Poll::Ready(this.expire.expire(note, watch.as_mut().give_up()))
    }
}

/// What an answer says of the callee; nothing where a layer further in refused the call.
fn said<Res, Err, C>(classify: &C, result: &Result<Res, Err>) -> Option<Outcome>
where
    C: Classify<Res, Err>,
{
    let made = !classify.is_refusal(result.as_ref());
    made.then(|| classify.classify(result.as_ref()))
}

impl<F, Req, Res, Err, C, E> fmt::Debug for ResponseFuture<F, Req, Res, Err, C, E>
where
    E: Expire<Req, Res, Err>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let course = match self.course {
            Course::Refused { .. } => "refused",
            Course::Goes { .. } => "goes",
            Course::Ended => "ended",
        };
        f.debug_tuple("ResponseFuture").field(&course).finish()
    }
}
