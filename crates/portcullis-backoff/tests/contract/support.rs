//! A callee that does as it is told, and remembers when it was called. All time is tokio's.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Method, Request, Response};
use portcullis_backoff::breaker_core::{
    Clock as _, Name, Percent, Reason, Rejected, Tick, TokioClock,
};
use portcullis_backoff::portcullis_http::keep_refusal;
use portcullis_backoff::portcullis_http::replay::{Attempt, X_RETRY_ATTEMPT};
use portcullis_backoff::{Backoff, BackoffConfig, BackoffLayer, BoxError, Budget, Delays};
use tokio::time::{Sleep, sleep};
use tower::ServiceExt as _;
use tower_service::Service;

/// 100 ms before each further attempt, of which there may be as many as one likes.
pub(crate) const CONFIG: BackoffConfig =
    BackoffConfig::new().delays(fixed(100)).budget(Budget::unlimited()).named("search");

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn fixed(millis: u64) -> Delays {
    Delays::fixed(ms(millis)).jitter(Percent::ZERO)
}

/// A moment of tokio's time.
#[derive(Debug)]
pub(crate) struct Begin(Tick);

impl Begin {
    pub(crate) fn now() -> Self {
        Self(TokioClock::new().now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        TokioClock::new().now().since(self.0)
    }
}

pub(crate) fn layer() -> BackoffLayer {
    layer_of(CONFIG)
}

#[allow(clippy::large_types_passed_by_value, reason = "as the constructor takes it")]
pub(crate) fn layer_of(config: BackoffConfig) -> BackoffLayer {
    BackoffLayer::with_clock(config, TokioClock::new())
}

/// What the callee does with a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// Answers with this status.
    Answer(u16),
    /// Answers with this status and this header.
    Says(u16, &'static str, &'static str),
    /// Answers in gRPC with this status.
    SaysGrpc(&'static str),
    /// Fails by an error of this kind.
    Fails(io::ErrorKind),
    /// Answers as a layer does that refuses, for so many milliseconds.
    Refuses(Option<u64>),
    /// Takes so many milliseconds to answer 503.
    Slow(u64),
    PanicInCall,
    PanicInFuture,
    Never,
}

/// How it is with the readiness of an instance that has been called once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Again {
    #[default]
    Ready,
    Pending,
    Fails,
    Panics,
}

/// A call that reached the callee.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    /// When, in milliseconds since the callee was made.
    pub(crate) at: u64,
    /// The number of the attempt, by header and extension.
    pub(crate) attempt: (u32, u32),
    pub(crate) body: String,
}

/// A service that has to be made ready before each call, and remembers its calls.
#[derive(Debug)]
pub(crate) struct Callee {
    ready: bool,
    called: bool,
    again: Again,
    story: Arc<Mutex<Story>>,
    /// One more for each body of an answer that is still there.
    bodies: Arc<()>,
}

#[derive(Debug)]
struct Story {
    begin: Begin,
    acts: VecDeque<Act>,
    always: Act,
    seen: Vec<Seen>,
}

impl Callee {
    /// One that does this at all times.
    pub(crate) fn new(always: Act) -> Self {
        Self::first(&[], always)
    }

    /// One that does these things first.
    pub(crate) fn first(acts: &[Act], always: Act) -> Self {
        let acts = acts.iter().copied().collect();
        let story = Story { begin: Begin::now(), acts, always, seen: Vec::new() };
        let story = Arc::new(Mutex::new(story));
        let again = Again::default();
        Self { ready: false, called: false, again, story, bodies: Arc::default() }
    }

    pub(crate) fn again(self, again: Again) -> Self {
        Self { again, ..self }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.story.lock().expect("no panic").seen.clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen().len()
    }

    /// When it was called, in milliseconds.
    pub(crate) fn times(&self) -> Vec<u64> {
        self.seen().iter().map(|seen| seen.at).collect()
    }

    /// How many bodies of its answers are still held.
    pub(crate) fn bodies(&self) -> usize {
        // Each clone of the service has one.
        let services = Arc::strong_count(&self.story);
        Arc::strong_count(&self.bodies) - services
    }
}

/// A clone is never ready because its original is.
impl Clone for Callee {
    fn clone(&self) -> Self {
        let (story, bodies) = (self.story.clone(), self.bodies.clone());
        Self { ready: false, called: false, again: self.again, story, bodies }
    }
}

pub(crate) type Web = Request<String>;
pub(crate) type Page = Response<Arc<()>>;

impl Service<Web> for Callee {
    type Response = Page;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.again {
            _ if !self.called => {}
            Again::Ready => {}
            Again::Pending => return Poll::Pending,
            Again::Fails => return Poll::Ready(Err("not ready any more".into())),
            Again::Panics => panic!("as told, when asked whether it is ready"),
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Web) -> Answer {
        assert!(std::mem::take(&mut self.ready), "called without having been made ready");
        self.called = true;
        let mut story = self.story.lock().expect("no panic");
        let at = story.begin.elapsed().as_millis() as u64;
        let header = request.headers().get(X_RETRY_ATTEMPT);
        let header = header.map_or(1, |it| it.to_str().expect("text").parse().expect("a number"));
        let extension = request.extensions().get::<Attempt>().map_or(1, |it| it.number());
        let attempt = (header, extension);
        story.seen.push(Seen { at, attempt, body: request.into_body() });
        let always = story.always;
        let act = story.acts.pop_front().unwrap_or(always);
        drop(story);
        assert_ne!(act, Act::PanicInCall, "as told");
        let wait =
            if let Act::Slow(millis) = act { Some(Box::pin(sleep(ms(millis)))) } else { None };
        Answer { act, wait, body: Some(self.bodies.clone()) }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    act: Act,
    wait: Option<Pin<Box<Sleep>>>,
    body: Option<Arc<()>>,
}

impl Future for Answer {
    type Output = Result<Page, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(wait) = &mut self.wait {
            std::task::ready!(wait.as_mut().poll(cx));
        }
        let of = |status: u16, body| Response::builder().status(status).body(body);
        let act = self.act;
        let mut body = || self.body.take().expect("polled once more after its end");
        let answer = match act {
            Act::Answer(status) => of(status, body()),
            Act::Says(status, name, value) => of(status, body()).map(|mut answer| {
                answer.headers_mut().insert(name, value.parse().expect("a value"));
                answer
            }),
            Act::SaysGrpc(code) => of(200, body()).map(|mut answer| {
                let headers = [("content-type", "application/grpc"), ("grpc-status", code)];
                for (name, value) in headers {
                    answer.headers_mut().insert(name, value.parse().expect("a value"));
                }
                answer
            }),
            Act::Slow(_) => of(503, body()),
            Act::Fails(kind) => return Poll::Ready(Err(io::Error::from(kind).into())),
            Act::Refuses(wait) => {
                let rejected = Rejected::new(Name::new("further in"), Reason::Open);
                let rejected = match wait {
                    Some(millis) => rejected.with_retry_after(ms(millis)),
                    None => rejected,
                };
                of(503, body()).map(|answer| keep_refusal(rejected, answer))
            }
            Act::PanicInCall | Act::PanicInFuture => panic!("as told"),
            Act::Never => return Poll::Pending,
        };
        Poll::Ready(Ok(answer.expect("an answer")))
    }
}

pub(crate) fn get() -> Web {
    of(Method::GET)
}

pub(crate) fn of(method: Method) -> Web {
    Request::builder().method(method).body("text".to_owned()).expect("a request")
}

/// Makes the service ready, and calls it.
pub(crate) async fn call<S: Service<Web>>(
    service: &mut S,
    request: Web,
) -> Result<S::Response, S::Error> {
    service.ready().await?.call(request).await
}

/// The status of the answer.
pub(crate) async fn status<S>(service: &mut S, request: Web) -> u16
where
    S: Service<Web, Response = Page, Error = BoxError>,
{
    call(service, request).await.expect("an answer").status().as_u16()
}

/// Polls a future once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What the budget has taken, and given back.
pub(crate) fn paid(backoff: &Backoff) -> (u64, u64) {
    let budget = backoff.snapshot().budget;
    (budget.taken, budget.refunded)
}
