use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use breaker_core::Classify;
use pin_project::pin_project;
use portcullis_http::Announce;

use crate::grant::{Admission, Grant};

/// The answer of a service behind a limit: named, pinned, never boxed.
///
/// Dropped before the end, the call stays paid for. A panic of the inner future is recorded where
/// the rate is adjusted, and goes on.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, C, A, Res, Err, G = Grant> {
    #[pin]
    course: Course<F, C, A, Res, Err, G>,
}

#[pin_project(project = CourseProj)]
enum Course<F, C, A, Res, Err, G> {
    Refused(Option<Result<Res, Err>>),
    Admitted {
        #[pin]
        inner: F,
        grant: Option<G>,
        classify: C,
        announce: A,
    },
}

impl<F, C, A, Res, Err, G> ResponseFuture<F, C, A, Res, Err, G> {
    pub(crate) const fn refused(answer: Result<Res, Err>) -> Self {
        Self { course: Course::Refused(Some(answer)) }
    }

    pub(crate) const fn admitted(inner: F, grant: G, classify: C, announce: A) -> Self {
        Self { course: Course::Admitted { inner, grant: Some(grant), classify, announce } }
    }
}

impl<F, C, A, Res, Err, G> Future for ResponseFuture<F, C, A, Res, Err, G>
where
    F: Future<Output = Result<Res, Err>>,
    C: Classify<Res, Err>,
    A: Announce<Res>,
    G: Admission,
{
    type Output = Result<Res, Err>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().course.project() {
            CourseProj::Refused(answer) => match answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => panic!("a `ResponseFuture` was polled after it had ended"),
            },
            CourseProj::Admitted { inner, grant, classify, announce } => {
                let Some(held) = &grant else {
                    panic!("a `ResponseFuture` was polled after it had ended");
                };
                let mut result = ready!(held.watch(|| inner.poll(cx)));
                if let Some(grant) = grant.take() {
                    end(grant, classify, announce, &mut result);
                }
                Poll::Ready(result)
            }
        }
    }
}

/// Ends an admission by what became of the call.
#[inline]
fn end<C, A, Res, Err, G>(grant: G, classify: &C, announce: &A, result: &mut Result<Res, Err>)
where
    C: Classify<Res, Err>,
    A: Announce<Res>,
    G: Admission,
{
    // A refusal of a layer further in: the call was not made. What is told of the quota is told
    // after that.
    let was_made = !classify.is_refusal(result.as_ref());
    if !was_made {
        grant.undo();
    }
    if announce.wants_admitted() {
        if let (Ok(response), Some((name, quota))) = (result.as_mut(), grant.quota()) {
            announce.admitted(response, &name, &quota);
        }
    }
    if was_made && grant.wants_outcome() {
        let outcome = classify.classify(result.as_ref());
        grant.record(outcome);
    }
}

impl<F, C, A, Res, Err, G> fmt::Debug for ResponseFuture<F, C, A, Res, Err, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let course = match self.course {
            Course::Refused(_) => "refused",
            Course::Admitted { .. } => "admitted",
        };
        f.debug_tuple("ResponseFuture").field(&course).finish()
    }
}
