//! Judging a call at the end of its body, with the one layer that changes a type.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use breaker_core::{CircuitBreaker, Classify, Outcome, Permit, Refuse};
use http::{Method, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use portcullis_http::{Judge, JudgedBody};
use tower_layer::Layer;
use tower_service::Service;

use crate::circuits::{Circuits, Known, Single};
use crate::future::poll_watched;
use crate::layer::CircuitBreakerLayer;
use crate::service::CircuitBreakerService;

/// A [`CircuitBreakerLayer`] that judges calls at the end of the response's body.
///
/// Made by [`CircuitBreakerLayer::judge_at_end_of_body`]. A call is out, and its trial taken,
/// until its body has ended or was dropped.
#[derive(Clone)]
#[must_use]
pub struct BodyEndLayer<C, R, T> {
    layer: CircuitBreakerLayer<C, R, T>,
}

impl<C, R, T> BodyEndLayer<C, R, T> {
    pub(crate) const fn new(layer: CircuitBreakerLayer<C, R, T>) -> Self {
        Self { layer }
    }

    /// The layer that this was made from.
    pub const fn get_ref(&self) -> &CircuitBreakerLayer<C, R, T> {
        &self.layer
    }
}

impl<C, R> BodyEndLayer<C, R, Single> {
    /// The circuit of this layer.
    #[must_use]
    pub fn handle(&self) -> CircuitBreaker {
        self.layer.handle()
    }
}

impl<C, R, T: fmt::Debug> fmt::Debug for BodyEndLayer<C, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyEndLayer").field(&self.layer).finish()
    }
}

impl<S, C: Clone, R: Clone, T: Known> Layer<S> for BodyEndLayer<C, R, T> {
    type Service = BodyEndService<S, C, R, T>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyEndService { service: self.layer.layer(inner) }
    }
}

/// A service behind a circuit that judges at the end of the body; made by [`BodyEndLayer`].
#[derive(Clone)]
pub struct BodyEndService<S, C, R, T> {
    service: CircuitBreakerService<S, C, R, T>,
}

impl<S: fmt::Debug, C, R, T: fmt::Debug> fmt::Debug for BodyEndService<S, C, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyEndService").field(&self.service).finish()
    }
}

impl<S, C, R, T, B1, B2> Service<Request<B1>> for BodyEndService<S, C, R, T>
where
    S: Service<Request<B1>, Response = Response<B2>>,
    B2: Body,
    C: Classify<Response<B2>, S::Error> + Clone,
    R: Refuse<Request<B1>, Response<B2>, S::Error>,
    T: Circuits<Request<B1>> + Known,
{
    type Response = Response<JudgedBody<B2, PermitJudge>>;
    type Error = S::Error;
    type Future = BodyEndFuture<S::Future, C, B2, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_inner::<Request<B1>>(cx)
    }

    fn call(&mut self, request: Request<B1>) -> Self::Future {
        let admitted = self.service.admit(&request);
        let (inner, classify, refuse) = self.service.parts();
        let course = match admitted {
            Ok(mut permit) => {
                let method = request.method().clone();
                let inner = permit.watch(|| inner.call(request));
                let permit = Some(permit);
                Course::Admitted { inner, permit, classify: classify.clone(), method }
            }
            Err(rejected) => Course::Refused(Some(refuse.refuse(&request, rejected))),
        };
        BodyEndFuture { course }
    }
}

/// The answer of a [`BodyEndService`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct BodyEndFuture<F, C, B, Err> {
    #[pin]
    course: Course<F, C, B, Err>,
}

#[pin_project(project = CourseProj)]
enum Course<F, C, B, Err> {
    Refused(Option<Result<Response<B>, Err>>),
    Admitted {
        #[pin]
        inner: F,
        permit: Option<Permit>,
        classify: C,
        method: Method,
    },
}

impl<F, C, B, Err> Future for BodyEndFuture<F, C, B, Err>
where
    F: Future<Output = Result<Response<B>, Err>>,
    C: Classify<Response<B>, Err>,
    B: Body,
{
    type Output = Result<Response<JudgedBody<B, PermitJudge>>, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().course.project() {
            CourseProj::Refused(answer) => match answer.take() {
                Some(answer) => {
                    Poll::Ready(answer.map(|response| response.map(JudgedBody::unjudged)))
                }
                None => panic!("a `BodyEndFuture` was polled after it had ended"),
            },
            CourseProj::Admitted { inner, permit, classify, method } => {
                let result = match permit {
                    Some(permit) => ready!(poll_watched(inner, permit, cx)),
                    None => ready!(inner.poll(cx)),
                };
                Poll::Ready(watch(permit.take(), classify, method, result))
            }
        }
    }
}

/// Judges the head, and hands the permit on to the body where the head does not decide.
fn watch<C, B, Err>(
    permit: Option<Permit>,
    classify: &C,
    method: &Method,
    result: Result<Response<B>, Err>,
) -> Result<Response<JudgedBody<B, PermitJudge>>, Err>
where
    C: Classify<Response<B>, Err>,
    B: Body,
{
    let Some(mut permit) = permit else {
        return result.map(|response| response.map(JudgedBody::unjudged));
    };
    let outcome = permit.watch_as(Outcome::Ignored, || classify.classify(result.as_ref()));
    match result {
        Ok(response) => {
            let longest = permit.lap();
            Ok(JudgedBody::watch(method, outcome, response, PermitJudge { permit, longest }))
        }
        Err(error) => {
            permit.record(outcome);
            Err(error)
        }
    }
}

impl<F, C, B, Err> fmt::Debug for BodyEndFuture<F, C, B, Err> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let course = match self.course {
            Course::Refused(_) => "refused",
            Course::Admitted { .. } => "admitted",
        };
        f.debug_tuple("BodyEndFuture").field(&course).finish()
    }
}

/// The permit of a call whose body is still to come. Dropped with the body, the call is
/// cancelled.
///
/// A stream whose frames flow is not slow, however long it is: what counts is the longest time
/// in which nothing came, that before the head included.
#[derive(Debug)]
pub struct PermitJudge {
    permit: Permit,
    longest: Duration,
}

impl Judge for PermitJudge {
    fn judge(mut self, outcome: Outcome) {
        self.frame();
        if self.longest.is_zero() {
            self.permit.record(outcome);
        } else {
            self.permit.record_timed(outcome, self.longest);
        }
    }

    fn pending(&mut self) {
        self.permit.stamp();
    }

    fn frame(&mut self) {
        self.longest = self.longest.max(self.permit.lap());
    }

    fn panicked(self) {
        self.permit.panicked();
    }
}
