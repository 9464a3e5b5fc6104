use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use breaker_core::{Classify, Deadline, Expire, Outcome};
use pin_project_lite::pin_project;

use crate::watch::{Polled, Timing, Watch};

pin_project! {
    /// The answer of a service with a timeout: named, pinned, never boxed.
    ///
    /// Its timer is made when the inner future is pending for the first time; what is ready at once
    /// neither reads a clock nor is a sample. Dropped after that, the call was cancelled. A panic of
    /// the inner future goes on, and says nothing of how long calls take.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, Req, Res, Err, C, E>
    where
        E: Expire<Req, Res, Err>,
    {
        #[pin]
        course: Course<F, Res, Err>,
        #[pin]
        watch: Watch,
        note: Option<E::Note>,
        classify: C,
        expire: E,
    }
}

pin_project! {
    #[project = CourseProj]
    enum Course<F, Res, Err> {
        Refused {
            answer: Option<Result<Res, Err>>,
        },
        Goes {
            #[pin]
            inner: F,
        },
        Ended,
    }
}

impl<F, Req, Res, Err, C, E> ResponseFuture<F, Req, Res, Err, C, E>
where
    C: Clone,
    E: Expire<Req, Res, Err> + Clone,
{
    #[cold]
    pub(crate) fn refused(answer: Result<Res, Err>, timing: Timing, asked: (&C, &E)) -> Self {
        let course = Course::Refused { answer: Some(answer) };
        Self::new(course, None, Watch::new(timing, None), asked)
    }

    #[inline]
    pub(crate) fn goes(
        inner: F,
        note: E::Note,
        (timing, deadline): (Timing, Option<Deadline>),
        asked: (&C, &E),
    ) -> Self {
        Self::new(Course::Goes { inner }, Some(note), Watch::new(timing, deadline), asked)
    }

    #[inline]
    fn new(
        course: Course<F, Res, Err>,
        note: Option<E::Note>,
        watch: Watch,
        (classify, expire): (&C, &E),
    ) -> Self {
        Self { course, watch, note, classify: classify.clone(), expire: expire.clone() }
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
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = match this.course.as_mut().project() {
            CourseProj::Goes { inner } => inner,
            CourseProj::Refused { answer } => match answer.take() {
                Some(answer) => return Poll::Ready(answer),
                None => panic!("a `ResponseFuture` was polled after it had ended"),
            },
            CourseProj::Ended => panic!("a `ResponseFuture` was polled after it had ended"),
        };
        match this.watch.as_mut().poll(inner, cx) {
            Polled::Waits => Poll::Pending,
            Polled::Answered(result, since) => {
                this.watch.answered(since, || said(this.classify, &result));
                Poll::Ready(result)
            }
            Polled::Over => {
                // The callee is let go before anybody hears of it.
                this.course.set(Course::Ended);
                let rejected = this.watch.give_up();
                match this.note.take() {
                    Some(note) => Poll::Ready(this.expire.expire(note, rejected)),
                    None => Poll::Pending,
                }
            }
        }
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
