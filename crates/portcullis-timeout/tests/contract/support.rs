//! A service that does as it is told, in time that tokio stands still in.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use portcullis_timeout::breaker_core::{
    Clock as _, Event, EventKind, Name, Observe, Reason, Rejected, TokioClock,
};
use portcullis_timeout::portcullis_http::keep_refusal;
use portcullis_timeout::{AdaptiveTimeoutLayer, TimeoutConfig};
use tokio::time::Sleep;
use tower::ServiceExt as _;
use tower_service::Service;

pub(crate) const CONFIG: TimeoutConfig =
    TimeoutConfig::new().bounds(ms(100), ms(30_000)).named("search");

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn layer() -> AdaptiveTimeoutLayer {
    AdaptiveTimeoutLayer::with_clock(CONFIG, TokioClock::new())
}

/// What the service inside does with a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// Answers at once.
    Answer(u16),
    /// Answers after so many milliseconds.
    After(u64, u16),
    /// Answers after so many milliseconds as a layer does that refuses.
    RefuseAfter(u64),
    PanicInCall,
    PanicAfter(u64),
    Never,
}

/// A service that has to be made ready before each call, and counts its calls.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) act: Act,
    ready: bool,
    calls: Arc<AtomicU32>,
    running: Arc<()>,
}

impl Inner {
    pub(crate) fn new(act: Act) -> Self {
        Self { act, ready: false, calls: Arc::default(), running: Arc::default() }
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many futures there are.
    pub(crate) fn running(&self) -> Arc<()> {
        self.running.clone()
    }
}

/// A clone is never ready because its original is.
impl Clone for Inner {
    fn clone(&self) -> Self {
        let Self { act, calls, running, .. } = self;
        Self { act: *act, ready: false, calls: calls.clone(), running: running.clone() }
    }
}

impl Service<Request<()>> for Inner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Answer {
        assert!(std::mem::take(&mut self.ready), "called without having been made ready");
        self.calls.fetch_add(1, Ordering::Relaxed);
        let after = match self.act {
            Act::PanicInCall => panic!("as told"),
            Act::After(after, _) | Act::RefuseAfter(after) | Act::PanicAfter(after) => Some(after),
            Act::Answer(_) | Act::Never => None,
        };
        let sleep = after.map(|after| Box::pin(tokio::time::sleep(ms(after))));
        Answer { act: self.act, sleep, _running: self.running.clone() }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    act: Act,
    sleep: Option<Pin<Box<Sleep>>>,
    _running: Arc<()>,
}

impl Future for Answer {
    type Output = Result<Response<String>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        let mut response = Response::new("text".to_owned());
        match self.act {
            Act::Answer(status) | Act::After(_, status) => {
                *response.status_mut() = status.try_into().expect("a status");
            }
            Act::RefuseAfter(_) => {
                let rejected = Rejected::new(Name::new("further in"), Reason::Open);
                response = keep_refusal(rejected, response);
            }
            Act::PanicInCall | Act::PanicAfter(_) => panic!("as told"),
            Act::Never => return Poll::Pending,
        }
        Poll::Ready(Ok(response))
    }
}

pub(crate) fn request() -> Request<()> {
    Request::new(())
}

/// Makes a call, and says how it was answered and after how long.
pub(crate) async fn call<S, E: std::fmt::Debug>(service: &mut S) -> (Response<String>, Duration)
where
    S: Service<Request<()>, Response = Response<String>, Error = E>,
{
    send(service, request()).await
}

pub(crate) async fn send<S, E: std::fmt::Debug>(
    service: &mut S,
    request: Request<()>,
) -> (Response<String>, Duration)
where
    S: Service<Request<()>, Response = Response<String>, Error = E>,
{
    let begin = TokioClock::new().now();
    let answer = service.ready().await.expect("ready").call(request).await.expect("an answer");
    (answer, TokioClock::new().now().since(begin))
}

/// Writes down what it is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<EventKind>>>);

impl Told {
    pub(crate) fn all(&self) -> Vec<EventKind> {
        self.0.lock().expect("no panic").clone()
    }
}

impl Observe for Told {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().expect("no panic").push(event.kind.clone());
    }
}
