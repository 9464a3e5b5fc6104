//! A body that follows a script, and a judge that writes down what it hears.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use breaker_core::Outcome;
use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame};
use portcullis_http::{Judge, JudgedBody};

/// Everything that a judge heard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Verdict(Outcome),
    Pending,
    Dropped,
}

/// A judge that writes down what it hears.
pub(crate) struct Witness {
    log: Rc<RefCell<Vec<Heard>>>,
    judged: bool,
}

impl Witness {
    pub(crate) fn new(log: &Rc<RefCell<Vec<Heard>>>) -> Self {
        Self { log: Rc::clone(log), judged: false }
    }
}

impl Judge for Witness {
    fn judge(mut self, outcome: Outcome) {
        self.judged = true;
        self.log.borrow_mut().push(Heard::Verdict(outcome));
    }

    fn pending(&mut self) {
        self.log.borrow_mut().push(Heard::Pending);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if !self.judged {
            self.log.borrow_mut().push(Heard::Dropped);
        }
    }
}

/// One step of a body that follows a script.
pub(crate) enum Step {
    Data(&'static str),
    Trailers(&'static [(&'static str, &'static str)]),
    Wait,
    Break,
    Panic,
}

/// A body without a known length, which knows its end if `says_end`.
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    pub(crate) says_end: bool,
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if self.steps.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match self.steps.remove(0) {
            Step::Data(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            Step::Trailers(pairs) => Ok(Frame::trailers(headers(pairs))),
            Step::Wait => return Poll::Pending,
            Step::Break => Err("broken"),
            Step::Panic => panic!("the body panics"),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.says_end && self.steps.is_empty()
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for &(name, value) in pairs {
        headers.insert(name, value.parse().expect("a header value"));
    }
    headers
}

/// A response under watch, and what its judge hears.
pub(crate) struct Call<B> {
    body: Option<Pin<Box<JudgedBody<B, Witness>>>>,
    pub(crate) log: Rc<RefCell<Vec<Heard>>>,
}

impl<B: Body> Call<B> {
    pub(crate) fn new(
        method: &Method,
        status: u16,
        pairs: &[(&'static str, &'static str)],
        body: B,
    ) -> Self {
        Self::judged(Outcome::Success, method, status, pairs, body)
    }

    pub(crate) fn judged(
        head: Outcome,
        method: &Method,
        status: u16,
        pairs: &[(&'static str, &'static str)],
        body: B,
    ) -> Self {
        let log = Rc::new(RefCell::new(Vec::new()));
        let witness = Witness::new(&log);
        let mut response = Response::builder().status(status).body(body).expect("a response");
        *response.headers_mut() = headers(pairs);
        let body = JudgedBody::watch(method, head, response, witness).into_body();
        Self { body: Some(Box::pin(body)), log }
    }

    /// Polls once; says whether a frame came.
    pub(crate) fn poll(&mut self) -> bool {
        let body = self.body.as_mut().expect("not dropped yet");
        let polled = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Some(Ok(_))))
    }

    /// All that was heard until now.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.log.borrow().clone()
    }

    /// All that was heard by the time the body is gone.
    pub(crate) fn end(mut self) -> Vec<Heard> {
        self.body = None;
        self.heard()
    }
}
