use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use breaker_core::{Classify, Outcome, PanicGuard, Permit};
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
        permit: Option<Permit>,
        classify: C,
    },
}

impl<F, C, Res, Err> ResponseFuture<F, C, Res, Err> {
    pub(crate) const fn refused(answer: Result<Res, Err>) -> Self {
        Self { course: Course::Refused(Some(answer)) }
    }

    pub(crate) const fn admitted(inner: F, permit: Permit, classify: C) -> Self {
        Self { course: Course::Admitted { inner, permit: Some(permit), classify } }
    }
}

impl<F, C, Res, Err> Future for ResponseFuture<F, C, Res, Err>
where
    F: Future<Output = Result<Res, Err>>,
    C: Classify<Res, Err>,
{
    type Output = Result<Res, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().course.project() {
            CourseProj::Refused(answer) => match answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => panic!("a `ResponseFuture` was polled after it had ended"),
            },
            CourseProj::Admitted { inner, permit, classify } => {
                let Some((result, held)) = poll_guarded(inner, permit, cx) else {
                    return Poll::Pending;
                };
                record(held, classify, &result);
                Poll::Ready(result)
            }
        }
    }
}

/// Polls with the permit taken out and put around: where a panic strikes tells whose it is.
pub(crate) fn poll_guarded<F: Future>(
    inner: Pin<&mut F>,
    held: &mut Option<Permit>,
    cx: &mut Context<'_>,
) -> Option<(F::Output, Option<Permit>)> {
    let guard = held.take().map(Permit::guard);
    let polled = inner.poll(cx);
    let mut permit = guard.map(PanicGuard::release);
    match polled {
        Poll::Ready(output) => Some((output, permit)),
        Poll::Pending => {
            permit.iter_mut().for_each(Permit::stamp);
            *held = permit;
            None
        }
    }
}

/// Asks the classifier, whose own panic is not the callee's fault, and ends the permit.
fn record<C, Res, Err>(permit: Option<Permit>, classify: &C, result: &Result<Res, Err>)
where
    C: Classify<Res, Err>,
{
    if let Some(permit) = permit {
        let guard = permit.guard_as(Outcome::Ignored);
        let outcome = classify.classify(result.as_ref());
        guard.release().record(outcome);
    }
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
