//! A service that follows a script, step by step, and notes what is done to it.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use tower_service::Service;

use super::support::Oops;

/// One poll of the inner service, of its future or of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Nothing yet.
    Wait,
    /// The service is ready, the future answers, the body gives a frame.
    Give,
    /// It fails.
    Fail,
    /// It panics.
    Panic,
    /// The body gives trailers with this gRPC status.
    Trailers(&'static str),
}

/// What an inner service does: steps that are not in the script are [`Step::Give`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) ready: Vec<Step>,
    pub(crate) call_panics: bool,
    pub(crate) answer: Vec<Step>,
    pub(crate) status: u16,
    pub(crate) grpc: bool,
    /// The body ends after these.
    pub(crate) body: Vec<Step>,
}

impl Script {
    pub(crate) fn answers(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn never_ready() -> Self {
        Self { ready: vec![Step::Wait; 1_000], ..Self::answers(200) }
    }

    pub(crate) fn fails_to_be_ready() -> Self {
        Self { ready: vec![Step::Fail; 1_000], ..Self::answers(200) }
    }

    pub(crate) fn call_panics() -> Self {
        Self { call_panics: true, ..Self::answers(200) }
    }

    pub(crate) fn future_panics() -> Self {
        Self { answer: vec![Step::Wait, Step::Panic], ..Self::answers(200) }
    }

    pub(crate) fn hangs() -> Self {
        Self { answer: vec![Step::Wait; 1_000], ..Self::answers(200) }
    }
}

/// What was done to all clones of an inner service.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) script: Script,
    /// Replaces the next step.
    pub(crate) next: Option<Step>,
    pub(crate) asked: u64,
    pub(crate) calls: u64,
}

/// The inner service. Each instance must be made ready for itself, and says so by panicking.
#[derive(Debug)]
pub(crate) struct Inner {
    notes: Arc<Mutex<Notes>>,
    ready: VecDeque<Step>,
    is_ready: bool,
}

impl Inner {
    pub(crate) fn new(script: Script) -> Self {
        let ready = script.ready.clone().into();
        let notes = Notes { script, ..Notes::default() };
        Self { notes: Arc::new(Mutex::new(notes)), ready, is_ready: false }
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote(self.notes.clone())
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        locked(&self.notes)
    }
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        let ready = self.notes().script.ready.clone().into();
        Self { notes: self.notes.clone(), ready, is_ready: false }
    }
}

/// What a test knows of the inner service, whoever owns it by now.
#[derive(Clone, Debug)]
pub(crate) struct Remote(Arc<Mutex<Notes>>);

impl Remote {
    /// Clones that are made from now on, and calls that begin from now on, follow this script.
    pub(crate) fn script(&self, script: Script) {
        locked(&self.0).script = script;
    }

    /// Replaces the very next step.
    pub(crate) fn next(&self, step: Step) {
        locked(&self.0).next = Some(step);
    }

    /// How often it was asked whether it is ready.
    pub(crate) fn asked(&self) -> u64 {
        locked(&self.0).asked
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> u64 {
        locked(&self.0).calls
    }
}

impl<B> Service<Request<B>> for Inner {
    type Response = Response<ScriptBody>;
    type Error = Oops;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Oops>> {
        let next = {
            let mut notes = self.notes();
            notes.asked += 1;
            notes.next.take()
        };
        match next.or_else(|| self.ready.pop_front()).unwrap_or(Step::Give) {
            Step::Wait => Poll::Pending,
            Step::Fail => Poll::Ready(Err(Oops::Broken)),
            Step::Panic => scripted_panic(),
            Step::Give | Step::Trailers(_) => {
                self.is_ready = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, _: Request<B>) -> Answer {
        assert!(std::mem::take(&mut self.is_ready), "an instance is called that was not readied");
        let (script, next) = {
            let mut notes = self.notes();
            notes.calls += 1;
            (notes.script.clone(), notes.next.take())
        };
        if script.call_panics || next == Some(Step::Panic) {
            scripted_panic();
        }
        // A call cannot fail, but its future can.
        let steps = next.into_iter().chain(script.answer.iter().copied()).collect();
        Answer { notes: self.notes.clone(), script, steps }
    }
}

/// The future of an [`Inner`].
#[derive(Debug)]
pub(crate) struct Answer {
    notes: Arc<Mutex<Notes>>,
    script: Script,
    steps: VecDeque<Step>,
}

impl Future for Answer {
    type Output = Result<Response<ScriptBody>, Oops>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let next = locked(&self.notes).next.take();
        match next.or_else(|| self.steps.pop_front()).unwrap_or(Step::Give) {
            Step::Wait => Poll::Pending,
            Step::Fail => Poll::Ready(Err(Oops::Broken)),
            Step::Panic => scripted_panic(),
            Step::Give | Step::Trailers(_) => {
                let steps = self.script.body.clone().into();
                let body = ScriptBody { notes: Some(self.notes.clone()), steps };
                let mut response = Response::new(body);
                *response.status_mut() = self.script.status.try_into().expect("a status");
                if self.script.grpc {
                    let grpc = HeaderValue::from_static("application/grpc");
                    response.headers_mut().insert("content-type", grpc);
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}

/// A body whose end is not known before it comes.
#[derive(Debug, Default)]
pub(crate) struct ScriptBody {
    notes: Option<Arc<Mutex<Notes>>>,
    steps: VecDeque<Step>,
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = Oops;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Oops>>> {
        let next = self.notes.as_ref().and_then(|notes| locked(notes).next.take());
        let Some(step) = next.or_else(|| self.steps.pop_front()) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match step {
            Step::Wait => return Poll::Pending,
            Step::Fail => Err(Oops::Broken),
            Step::Panic => scripted_panic(),
            Step::Give => Ok(Frame::data(Bytes::from_static(b"data"))),
            Step::Trailers(status) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static(status));
                Ok(Frame::trailers(trailers))
            }
        }))
    }
}

/// What a scripted panic carries.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Scripted;

/// Panics without a word on stderr.
pub(crate) fn scripted_panic() -> ! {
    resume_unwind(Box::new(Scripted))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
