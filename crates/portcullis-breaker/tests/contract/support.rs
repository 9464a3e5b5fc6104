//! Circuits on a clock that is moved by hand, and futures that are polled by hand.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use portcullis_breaker::breaker_core::{
    AsError, Clock, Jitter, ManualClock, Pace, Rejected, State, Tick, Totals, Trip,
};
use portcullis_breaker::portcullis_http::HttpOrGrpc;
use portcullis_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use tower_service::Service;

use super::script::Scripted;

/// Opens at the third failure in a row, for ten seconds; one trial closes it. A call is slow
/// after one second.
pub(crate) const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new()
    .named("payments")
    .trip(Trip::consecutive(3))
    .open_period(Pace::fixed(OPEN_PERIOD).jitter(Jitter::None))
    .permitted_calls(1)
    .slow_call_duration(SLOW)
    .totals(true);

pub(crate) const OPEN_PERIOD: Duration = Duration::from_secs(10);
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// The error of the services in these tests.
#[derive(Debug, PartialEq)]
pub(crate) enum Oops {
    Broken,
    Refused(Rejected),
}

impl From<Rejected> for Oops {
    fn from(rejected: Rejected) -> Self {
        Self::Refused(rejected)
    }
}

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("oops")
    }
}

impl std::error::Error for Oops {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken => None,
            Self::Refused(rejected) => Some(rejected),
        }
    }
}

/// A clock that counts how often it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountingClock {
    hands: ManualClock,
    reads: Arc<AtomicU64>,
}

impl CountingClock {
    pub(crate) fn advance(&self, step: Duration) {
        self.hands.advance(step);
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Clock for CountingClock {
    fn now(&self) -> Tick {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.hands.now()
    }
}

pub(crate) type Layer = CircuitBreakerLayer<HttpOrGrpc, AsError>;

/// A circuit of [`CONFIG`] and its clock.
pub(crate) fn circuit() -> (CircuitBreaker, CountingClock) {
    circuit_of(CONFIG)
}

#[allow(clippy::large_types_passed_by_value, reason = "as the constructor takes it")]
pub(crate) fn circuit_of(config: CircuitBreakerConfig) -> (CircuitBreaker, CountingClock) {
    let clock = CountingClock::default();
    (CircuitBreaker::with_clock(config, clock.clone()), clock)
}

/// A layer of this circuit that answers with [`Oops`].
pub(crate) fn layer_of(breaker: &CircuitBreaker) -> Layer {
    CircuitBreakerLayer::from_breaker(breaker.clone()).refuse(AsError)
}

/// Puts a circuit into half-open, where one trial is free.
pub(crate) fn half_open(breaker: &CircuitBreaker) {
    if breaker.state() != State::Open {
        breaker.trip().expect("an ordinary state");
    }
    breaker.attempt_reset().expect("it is open");
}

pub(crate) fn totals(breaker: &CircuitBreaker) -> Totals {
    breaker.snapshot().totals
}

/// How many calls have ended, one way or another.
pub(crate) fn ended(breaker: &CircuitBreaker) -> u64 {
    let Totals { successes, failures, ignored, cancelled, .. } = totals(breaker);
    successes + failures + ignored + cancelled
}

pub(crate) fn request() -> Request<()> {
    Request::new(())
}

pub(crate) fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Asks a service once whether it is ready.
pub(crate) fn poll_ready<S: Service<Request<()>>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut context())
}

pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut context())
}

/// Polls until there is an answer; in these tests that is never far.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100 {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
    panic!("no answer after 100 polls")
}

/// Makes the service ready and calls it; the answer is still to come.
pub(crate) fn start<S: Service<Req>, Req>(service: &mut S, request: Req) -> S::Future
where
    S::Error: fmt::Debug,
{
    for _ in 0..100 {
        if let Poll::Ready(ready) = service.poll_ready(&mut context()) {
            ready.expect("a service that becomes ready");
            return service.call(request);
        }
    }
    panic!("not ready after 100 polls")
}

/// A whole call.
pub(crate) fn call<S: Service<Req>, Req>(
    service: &mut S,
    request: Req,
) -> Result<S::Response, S::Error>
where
    S::Error: fmt::Debug,
{
    finish(start(service, request))
}

/// Nothing is out any more, and a good call is the trial that closes the circuit.
pub(crate) fn assert_sound<S, B>(breaker: &CircuitBreaker, mut service: S)
where
    S: Service<Request<()>, Response = Response<B>, Error = Oops>,
{
    assert_eq!(breaker.snapshot().trials_in_flight, 0);
    if breaker.state() == State::Open {
        half_open(breaker);
    }
    assert_eq!(call(&mut service, request()).expect("an answer").status(), 200);
    assert_eq!(breaker.state(), State::Closed);
}

/// Whether `code` panicked; only a scripted panic is let by.
pub(crate) fn panics<T>(code: impl FnOnce() -> T) -> bool {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(_) => false,
        Err(panic) => {
            assert_scripted(panic);
            true
        }
    }
}

pub(crate) fn assert_scripted(panic: Box<dyn Any + Send>) {
    if let Err(panic) = panic.downcast::<Scripted>() {
        std::panic::resume_unwind(panic);
    }
}
