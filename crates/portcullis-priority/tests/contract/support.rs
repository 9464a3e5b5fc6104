//! A service that does as it is told, and queues on a clock that is moved by hand.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use portcullis_priority::breaker_core::{ManualClock, Name, Reason, Rejected};
use portcullis_priority::portcullis_http::{keep_refusal, priority::RequestPriority};
use portcullis_priority::{
    ByPriority, LimitAlgorithm, PriorityQueue, PriorityQueueLayer, QueueConfig, Sample, ToHead,
    Verdict,
};
use tower_service::Service;

/// Three at a time, for all classes.
pub(crate) const CONFIG: QueueConfig = QueueConfig::slots(3).named("search");

/// A layer that leaves the types of a service as they are.
pub(crate) type Plain = PriorityQueueLayer<
    portcullis_priority::portcullis_http::HttpOrGrpc,
    portcullis_priority::portcullis_http::Auto,
    ByPriority<RequestPriority>,
    ToHead,
>;

pub(crate) fn layer() -> Plain {
    layer_of(CONFIG)
}

#[allow(clippy::large_types_passed_by_value, reason = "as the constructor takes it")]
pub(crate) fn layer_of(config: QueueConfig) -> Plain {
    PriorityQueueLayer::with_clock(config, ManualClock::new()).hold_to_head()
}

/// How many calls run.
pub(crate) fn running(queue: &PriorityQueue) -> u32 {
    queue.snapshot().running
}

/// What the service inside does with a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    Answer(u16),
    /// Answers as a layer does that refuses.
    Refuse,
    PanicInCall,
    PanicInFuture,
    Never,
}

/// A service that has to be made ready before each call, and counts its calls.
#[derive(Debug)]
pub(crate) struct Inner {
    act: Act,
    ready: bool,
    calls: Arc<AtomicU32>,
}

impl Inner {
    pub(crate) fn new(act: Act) -> Self {
        Self { act, ready: false, calls: Arc::default() }
    }

    pub(crate) fn calls(&self) -> Arc<AtomicU32> {
        self.calls.clone()
    }
}

/// A clone is never ready because its original is.
impl Clone for Inner {
    fn clone(&self) -> Self {
        Self { act: self.act, ready: false, calls: self.calls.clone() }
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
        assert_ne!(self.act, Act::PanicInCall, "as told");
        Answer(self.act)
    }
}

#[derive(Debug)]
pub(crate) struct Answer(Act);

impl Future for Answer {
    type Output = Result<Response<String>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = Response::new(String::new());
        match self.0 {
            Act::Answer(status) => *response.status_mut() = status.try_into().expect("a status"),
            Act::Refuse => {
                let rejected = Rejected::new(Name::new("further in"), Reason::Open);
                response = keep_refusal(rejected, response);
            }
            Act::PanicInCall | Act::PanicInFuture => panic!("as told"),
            Act::Never => return Poll::Pending,
        }
        Poll::Ready(Ok(response))
    }
}

/// Moves nothing, and writes down what it is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown(Arc<Mutex<Vec<Verdict>>>);

impl Shown {
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        self.0.lock().expect("no panic").clone()
    }
}

impl LimitAlgorithm for Shown {
    fn limit(&self) -> u32 {
        3
    }

    fn sample(&mut self, sample: &Sample) {
        self.0.lock().expect("no panic").push(sample.verdict);
    }
}

/// A layer whose queue shows how its calls end.
pub(crate) fn watched() -> (Plain, Shown) {
    let (layer, shown) = (layer(), Shown::default());
    layer.handle().limit_by(shown.clone()).expect("a slot is shared");
    (layer, shown)
}

pub(crate) fn request() -> Request<()> {
    Request::new(())
}

pub(crate) fn of(priority: &str) -> Request<()> {
    Request::builder().header("x-priority", priority).body(()).expect("a request")
}

/// Makes the service ready, calls it, and polls the answer until it is there.
pub(crate) fn call<S, Req>(service: &mut S, request: Req) -> S::Response
where
    S: Service<Req, Error = Infallible>,
{
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    let mut answer = pin!(service.call(request));
    loop {
        if let Poll::Ready(Ok(answer)) = answer.as_mut().poll(cx) {
            return answer;
        }
    }
}

/// The same for a call that ends in a panic.
pub(crate) fn panics<S: Service<Request<()>, Error = Infallible>>(service: &mut S) {
    let call = AssertUnwindSafe(|| drop(call(service, request())));
    let _ = catch_unwind(call).expect_err("a panic goes on");
}
