//! A call that is taken step by step and stopped anywhere.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use http::{Request, Response};
use http_body::Body;
use portcullis_breaker::breaker_core::Reason;
use tower_service::Service;

use super::script::{Remote, Step};
use super::support::{Oops, assert_scripted, context, finish, poll, poll_ready, request};

/// How a call is stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// Dropped.
    Drop,
    /// The next step panics.
    Panic,
    /// The next step fails.
    Fail,
    /// The next step gives what it has, and that is dropped.
    ReadyThenDrop,
    /// A clone, which is not ready, is called; then the call itself goes on to its end.
    CloneAfterReady,
}

impl Stop {
    pub(crate) const ALL: [Self; 5] =
        [Self::Drop, Self::Panic, Self::Fail, Self::ReadyThenDrop, Self::CloneAfterReady];
}

/// What a stopped call was to the circuit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It was never called.
    Nothing,
    Success,
    Failure,
    Cancelled,
    /// It could not be made ready.
    Unready,
}

enum Place<F, B> {
    Asking,
    Ready,
    Waiting(Pin<Box<F>>),
    Reading(Pin<Box<B>>),
    Over,
}

/// A call on its way.
pub(crate) struct Walk<S: Service<Request<()>>, B> {
    service: S,
    remote: Remote,
    at_body_end: bool,
    place: Place<S::Future, B>,
    end: End,
}

impl<S, B> Walk<S, B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Oops> + Clone,
    B: Body,
{
    /// `at_body_end`: whether the call is judged at the end of its body.
    pub(crate) fn new(service: S, remote: Remote, at_body_end: bool) -> Self {
        Self { service, remote, at_body_end, place: Place::Asking, end: End::Nothing }
    }

    /// One poll, or the call.
    pub(crate) fn step(&mut self) {
        let place = std::mem::replace(&mut self.place, Place::Over);
        self.place = match place {
            Place::Asking => match poll_ready(&mut self.service) {
                Poll::Pending => Place::Asking,
                Poll::Ready(Ok(())) => Place::Ready,
                Poll::Ready(Err(_)) => self.over(End::Unready),
            },
            Place::Ready => {
                // Whatever becomes of it now: unless it ends, it is cancelled.
                self.end = End::Failure;
                let future = self.service.call(request());
                self.end = End::Cancelled;
                Place::Waiting(Box::pin(future))
            }
            Place::Waiting(mut future) => match poll(future.as_mut()) {
                Poll::Pending => Place::Waiting(future),
                Poll::Ready(Ok(response)) => {
                    if !self.at_body_end {
                        self.end = End::Success;
                    }
                    Place::Reading(Box::pin(response.into_body()))
                }
                Poll::Ready(Err(_)) => self.over(End::Failure),
            },
            Place::Reading(mut body) => match body.as_mut().poll_frame(&mut context()) {
                Poll::Ready(None) => self.over(End::Success),
                Poll::Ready(Some(Err(_))) if self.at_body_end => self.over(End::Failure),
                Poll::Ready(Some(Err(_))) => Place::Over,
                Poll::Pending | Poll::Ready(Some(Ok(_))) => Place::Reading(body),
            },
            Place::Over => Place::Over,
        };
    }

    /// Ends the walk in this way, and drops all that is left.
    pub(crate) fn stop(mut self, stop: Stop) -> End {
        match stop {
            Stop::Drop => {}
            Stop::Panic => self.panic(),
            Stop::Fail => self.inject(Step::Fail),
            Stop::ReadyThenDrop => self.inject(Step::Give),
            Stop::CloneAfterReady => {
                self.clone_is_not_ready();
                while !matches!(self.place, Place::Over) {
                    self.step();
                }
            }
        }
        self.end
    }

    /// What the next step brings; the call itself takes its future's first step with it.
    fn inject(&mut self, step: Step) {
        match self.place {
            Place::Over => {}
            Place::Ready => {
                self.step();
                self.remote.next(step);
                self.step();
            }
            _ => {
                self.remote.next(step);
                self.step();
            }
        }
    }

    fn panic(&mut self) {
        if matches!(self.place, Place::Over) {
            return;
        }
        self.remote.next(Step::Panic);
        let was_reading = matches!(self.place, Place::Reading(_));
        let had_called = !matches!(self.place, Place::Asking);
        let panic = catch_unwind(AssertUnwindSafe(|| self.step())).expect_err("it panics");
        assert_scripted(panic);
        if had_called && (!was_reading || self.at_body_end) {
            self.end = End::Failure;
        }
    }

    fn clone_is_not_ready(&self) {
        let calls = self.remote.calls();
        match finish(self.service.clone().call(request())) {
            Err(Oops::Refused(rejected)) => assert_eq!(rejected.reason(), Reason::NotReady),
            _ => panic!("a clone is not ready"),
        }
        assert_eq!(self.remote.calls(), calls);
    }

    fn over(&mut self, end: End) -> Place<S::Future, B> {
        self.end = end;
        Place::Over
    }
}
