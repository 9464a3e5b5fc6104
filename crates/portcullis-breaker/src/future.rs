use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use breaker_core::{Classify, Outcome, Permit};
use pin_project::pin_project;

/// The answer of a service behind a circuit: named, pinned, never boxed.
///
/// It holds the permit of its call. Dropped before the end, the call is cancelled; a panic of the
/// inner future is recorded and goes on.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, C, Res, Err> {
    #[pin]
    course: Course<F, C, Res, Err>,
}

#[pin_project(project = CourseProj)]
enum Course<F, C, Res, Err> {
    Refused(Option<Result<Res, Err>>),
    Admitted {
        #[pin]
        inner: F,
        permit: Permit,
        classify: C,
    },
}

impl<F, C, Res, Err> ResponseFuture<F, C, Res, Err> {
    pub(crate) const fn refused(answer: Result<Res, Err>) -> Self {
        Self { course: Course::Refused(Some(answer)) }
    }

    pub(crate) const fn admitted(inner: F, permit: Permit, classify: C) -> Self {
        Self { course: Course::Admitted { inner, permit, classify } }
    }
}

impl<F, C, Res, Err> Future for ResponseFuture<F, C, Res, Err>
where
    F: Future<Output = Result<Res, Err>>,
    C: Classify<Res, Err>,
{
    type Output = Result<Res, Err>;

    // Where it is called by name, the permit of a call that is ready at once lives in registers.
    #[allow(clippy::inline_always, reason = "a third of the instructions: see the benchmarks")]
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().course.project() {
            CourseProj::Refused(answer) => match answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => panic!("a `ResponseFuture` was polled after it had ended"),
            },
            CourseProj::Admitted { inner, permit, classify } => {
                let result = ready!(poll_watched(inner, permit, cx));
                // A classifier that panics is not the callee's fault.
                let outcome =
                    permit.watch_as(Outcome::Ignored, || classify.classify(result.as_ref()));
                permit.end(outcome);
                Poll::Ready(result)
            }
        }
    }
}

/// Polls under the watch of the permit: where a panic strikes tells whose it is.
#[inline]
pub(crate) fn poll_watched<F: Future>(
    inner: Pin<&mut F>,
    permit: &mut Permit,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let polled = permit.watch(|| inner.poll(cx));
    if polled.is_pending() {
        permit.stamp();
    }
    polled
}

impl<F, C, Res, Err> fmt::Debug for ResponseFuture<F, C, Res, Err> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let course = match self.course {
            Course::Refused(_) => "refused",
            Course::Admitted { .. } => "admitted",
        };
        f.debug_tuple("ResponseFuture").field(&course).finish()
    }
}
