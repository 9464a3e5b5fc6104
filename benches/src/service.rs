//! Services that cost nothing, and a call that is polled by hand: no runtime in the figures.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use http_body_util::Full;
use portcullis::{Reason, Rejected};
use tower_service::Service;

/// A service that is always ready and answers at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

/// A service that is always ready and answers at the second poll, so that the time which a call
/// takes is a question at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Later;

/// A service that is always ready and answers a request of HTTP at once, with a body of one frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Web;

/// What the services fail with, if they are told to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Failed {
    /// The call was refused.
    Refused(Reason),
    /// The call failed.
    Inner,
}

impl From<Rejected> for Failed {
    fn from(rejected: Rejected) -> Self {
        Self::Refused(rejected.reason())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Failed {}

fn answer(fail: bool) -> Ready<Result<(), Failed>> {
    ready(if fail { Err(Failed::Inner) } else { Ok(()) })
}

impl Service<bool> for Nothing {
    type Response = ();
    type Error = Failed;
    type Future = Ready<Result<(), Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    /// Fails if the request says so.
    fn call(&mut self, fail: bool) -> Self::Future {
        answer(fail)
    }
}

impl Service<bool> for Later {
    type Response = ();
    type Error = Failed;
    type Future = Second;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    /// Fails if the request says so.
    fn call(&mut self, fail: bool) -> Self::Future {
        Second { polled: false, answer: answer(fail) }
    }
}

impl Service<Request<()>> for Web {
    type Response = Response<Full<&'static [u8]>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Full::new(b"as ever"))))
    }
}

/// The future of [`Later`].
#[derive(Debug)]
pub struct Second {
    polled: bool,
    answer: Ready<Result<(), Failed>>,
}

impl Future for Second {
    type Output = Result<(), Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.polled, true) {
            Pin::new(&mut self.answer).poll(cx)
        } else {
            Poll::Pending
        }
    }
}

/// One whole call of a service that answers at the first poll: ready, called, polled. `None` where
/// the service is not ready, or its answer is not.
#[inline]
pub fn call<S: Service<bool>>(
    service: &mut S,
    fail: bool,
) -> Option<Result<S::Response, S::Error>> {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut cx) else { return None };
    let mut future = pin!(service.call(fail));
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// One whole call of a service that answers later.
#[inline]
pub fn call_later<S: Service<bool>>(
    service: &mut S,
    fail: bool,
) -> Option<Result<S::Response, S::Error>> {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut cx) else { return None };
    Some(finish(service.call(fail)))
}

/// Polls a future until it is done. Who waits for another thread is polled again at once.
#[inline]
pub fn finish<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}
