use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use breaker_core::{Classify, Priority, Refuse};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::enter::Enter;
use crate::hold::Hold;
use crate::layer::PriorityQueueLayer;
use crate::slot::Slot;
use crate::wait::Wait;

pin_project! {
    /// The answer of a service behind a queue: named, pinned, never boxed.
    ///
    /// Dropped, the call leaves the queue, or gives its slot back. A panic of the inner future gives
    /// the slot back, too, and goes on.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, C, R, E, H, Req>
    where
        S: Service<Req>,
        H: Hold<Req, S::Response>,
    {
        #[pin]
        course: Course<S, R, E, Req, S::Future, S::Response, S::Error, H::Note>,
        classify: C,
        hold: H,
    }
}

pin_project! {
    #[project = CourseProj]
    enum Course<S, R, E, Req, F, Res, Err, N> {
        Refused {
            answer: Option<Result<Res, Err>>,
        },
        Waits {
            wait: Wait,
            waiting: Option<Waiting<S, R, E, Req>>,
        },
        Goes {
            #[pin]
            inner: F,
            held: Option<(Slot, N)>,
        },
    }
}

/// A call that has not been made yet.
struct Waiting<S, R, E, Req> {
    service: S,
    request: Req,
    refuse: R,
    enter: E,
}

impl<S, C, R, E, H, Req> ResponseFuture<S, C, R, E, H, Req>
where
    S: Service<Req>,
    C: Clone,
    R: Clone,
    E: Enter<Req> + Clone,
    H: Hold<Req, S::Response> + Clone,
{
    pub(crate) fn refused(
        answer: Result<S::Response, S::Error>,
        layer: &PriorityQueueLayer<C, R, E, H>,
    ) -> Self {
        let PriorityQueueLayer { classify, hold, .. } = layer;
        let course = Course::Refused { answer: Some(answer) };
        Self { course, classify: classify.clone(), hold: hold.clone() }
    }

    #[inline]
    pub(crate) fn begin(
        service: &mut S,
        request: Req,
        slot: Slot,
        layer: &PriorityQueueLayer<C, R, E, H>,
    ) -> Self {
        let PriorityQueueLayer { classify, hold, enter, .. } = layer;
        let course = Course::begin(service, request, slot, enter, hold);
        Self { course, classify: classify.clone(), hold: hold.clone() }
    }

    pub(crate) fn waits(
        wait: Wait,
        service: S,
        request: Req,
        layer: &PriorityQueueLayer<C, R, E, H>,
    ) -> Self {
        let PriorityQueueLayer { classify, hold, enter, refuse, .. } = layer;
        let (enter, refuse) = (enter.clone(), refuse.clone());
        let course =
            Course::Waits { wait, waiting: Some(Waiting { service, request, refuse, enter }) };
        Self { course, classify: classify.clone(), hold: hold.clone() }
    }
}

impl<S, R, E, Req, N> Course<S, R, E, Req, S::Future, S::Response, S::Error, N>
where
    S: Service<Req>,
    E: Enter<Req>,
{
    /// Makes the call.
    #[inline]
    fn begin<H>(service: &mut S, mut request: Req, mut slot: Slot, enter: &E, hold: &H) -> Self
    where
        H: Hold<Req, S::Response, Note = N>,
    {
        let note = hold.note(&request);
        let priority = slot.priority();
        enter.mark(&mut request, priority);
        let inner = slot.watch(|| scoped::<E, Req, _>(priority, || service.call(request)));
        Self::Goes { inner, held: Some((slot, note)) }
    }
}

impl<S, C, R, E, H, Req> Future for ResponseFuture<S, C, R, E, H, Req>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error>,
    R: Refuse<Req, S::Response, S::Error>,
    E: Enter<Req>,
    H: Hold<Req, S::Response>,
{
    type Output = Result<H::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let CourseProj::Waits { wait, waiting } = this.course.as_mut().project() {
            let decided = ready!(Pin::new(wait).poll(cx));
            let Some(Waiting { mut service, request, refuse, enter }) = waiting.take() else {
                panic!("a `ResponseFuture` was polled after it had ended");
            };
            let next = match decided {
                Ok(slot) => Course::begin(&mut service, request, slot, &enter, this.hold),
                Err(rejected) => {
                    Course::Refused { answer: Some(refuse.refuse(&request, rejected)) }
                }
            };
            this.course.set(next);
        }
        match this.course.project() {
            CourseProj::Refused { answer } => match answer.take() {
                Some(answer) => Poll::Ready(answer.map(|answer| this.hold.alone(answer))),
                None => panic!("a `ResponseFuture` was polled after it had ended"),
            },
            CourseProj::Goes { inner, held } => {
                let Some((slot, _)) = held else {
                    panic!("a `ResponseFuture` was polled after it had ended");
                };
                let priority = slot.priority();
                let part = || scoped::<E, Req, _>(priority, || inner.poll(cx));
                let result = ready!(slot.watch(part));
                let made = said(slot, this.classify, &result);
                let Some((slot, note)) = held.take() else { return Poll::Pending };
                Poll::Ready(match result {
                    Ok(response) if made => Ok(this.hold.answered(note, response, slot)),
                    result => {
                        slot.release();
                        result.map(|response| this.hold.alone(response))
                    }
                })
            }
            CourseProj::Waits { .. } => Poll::Pending,
        }
    }
}

/// Runs a part of a call, whose priority it is where calls have one.
#[inline]
fn scoped<E: Enter<Req>, Req, T>(priority: Priority, part: impl FnOnce() -> T) -> T {
    if E::WEIGHS { priority.scope(part) } else { part() }
}

/// Tells the slot how the call ended; whether it was made: a refusal of a layer further in says that
/// it was not.
#[inline]
fn said<Res, Err, C>(slot: &mut Slot, classify: &C, result: &Result<Res, Err>) -> bool
where
    C: Classify<Res, Err>,
{
    if slot.watch(|| classify.is_refusal(result.as_ref())) {
        slot.not_made();
        return false;
    }
    if slot.wants_outcome() {
        let outcome = slot.watch(|| classify.classify(result.as_ref()));
        slot.answered(outcome);
    }
    true
}

impl<S, C, R, E, H, Req> fmt::Debug for ResponseFuture<S, C, R, E, H, Req>
where
    S: Service<Req>,
    H: Hold<Req, S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let course = match self.course {
            Course::Refused { .. } => "refused",
            Course::Waits { .. } => "waits",
            Course::Goes { .. } => "goes",
        };
        f.debug_tuple("ResponseFuture").field(&course).finish()
    }
}
