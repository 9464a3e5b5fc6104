//! All of them behind one face, so that the same scene can be played with each.
//!
//! Those that can be handed a clock get one; for the others real time has to pass.

#![allow(dead_code, reason = "each test program plays its own scenes")]
#![allow(missing_docs, missing_debug_implementations, reason = "for the tests beside it")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use circuitbreaker_rs::{BreakerError, CircuitBreaker as RatedBreaker, DefaultPolicy};
use failsafe::futures::CircuitBreaker as _;
use failsafe::{backoff, failure_policy};
use portcullis::{CircuitBreakerConfig, CircuitBreakerLayer, ManualClock, Pace};
use portcullis_benches::Failed;
use recloser::{AsyncRecloser, Recloser};
use tower_layer::Layer as _;
use tower_resilience_circuitbreaker::CircuitBreakerLayer as ResilienceLayer;
use tower_service::Service;

/// For how long they stay open: long enough for a machine that has other things to do.
pub const OPEN_FOR: Duration = Duration::from_millis(100);

/// The answer of a call, given when the scene wants it.
#[derive(Clone, Debug, Default)]
pub struct Reply(Arc<Mutex<Option<bool>>>);

impl Reply {
    pub fn now(good: bool) -> Self {
        let reply = Self::default();
        reply.give(good);
        reply
    }

    pub fn give(&self, good: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(good);
    }
}

impl Future for Reply {
    type Output = Result<(), Failed>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Poll::Pending,
            Some(true) => Poll::Ready(Ok(())),
            Some(false) => Poll::Ready(Err(Failed::Inner)),
        }
    }
}

/// A service whose requests are its answers.
#[derive(Clone, Copy, Debug)]
pub struct Replies;

impl Service<Reply> for Replies {
    type Response = ();
    type Error = Failed;
    type Future = Reply;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, reply: Reply) -> Reply {
        reply
    }
}

/// Insists on being readied before each call, as a service with a reserved place does.
#[derive(Debug, Default)]
pub struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<bool> for Strict {
    type Response = ();
    type Error = Failed;
    type Future = std::future::Ready<Result<(), Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: bool) -> Self::Future {
        let ready = std::mem::take(&mut self.ready);
        std::future::ready(if ready { Ok(()) } else { Err(Failed::Inner) })
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Good,
    Bad,
    Refused,
}

pub type Call = Pin<Box<dyn Future<Output = Verdict>>>;

/// One breaker: opens after five failures in a row, stays open for [`OPEN_FOR`], asks for one
/// trial.
pub struct Peer {
    pub name: &'static str,
    call: Box<dyn Fn(Reply) -> Call>,
    pass: Box<dyn Fn(Duration)>,
}

impl Peer {
    /// Begins a call and polls it once: it is admitted and waits, or it has ended.
    pub fn begin(&self, reply: &Reply) -> Result<Call, Verdict> {
        let mut call = (self.call)(reply.clone());
        match poll(&mut call) {
            Some(verdict) => Err(verdict),
            None => Ok(call),
        }
    }

    /// A whole call.
    pub fn call(&self, good: bool) -> Verdict {
        self.begin(&Reply::now(good)).map(drop).expect_err("a call with an answer has ended")
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        (self.pass)(time);
    }

    /// Fails until calls are refused.
    pub fn open(&self) {
        let opened = (0..100).any(|_| self.call(false) == Verdict::Refused);
        assert!(opened, "{} did not open", self.name);
    }

    /// Fails until calls are refused, and waits until they no longer are.
    pub fn open_and_wait(&self) {
        self.open();
        self.pass(OPEN_FOR * 2);
    }
}

pub fn poll(call: &mut Call) -> Option<Verdict> {
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => Some(verdict),
        Poll::Pending => None,
    }
}

/// What came of one scene with each of them, in the order of [`all`].
pub fn each<T>(scene: impl Fn(&Peer) -> T) -> Vec<(&'static str, T)> {
    all().iter().map(|peer| (peer.name, scene(peer))).collect()
}

pub fn all() -> Vec<Peer> {
    vec![portcullis(), tower_resilience(), ninelives(), failsafe(), recloser(), circuitbreaker_rs()]
}

/// Real time, for those who know no other.
fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// A call through a clone of the service, as routers make it.
fn through<S>(service: S, refused: fn(&S::Error) -> bool) -> Box<dyn Fn(Reply) -> Call>
where
    S: Service<Reply, Response = ()> + Clone + 'static,
    S::Future: 'static,
{
    Box::new(move |reply| {
        let mut service = service.clone();
        let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(ready, Poll::Ready(Ok(()))), "always ready");
        judged(service.call(reply), refused)
    })
}

fn judged<E: 'static>(
    call: impl Future<Output = Result<(), E>> + 'static,
    refused: fn(&E) -> bool,
) -> Call {
    Box::pin(async move {
        match call.await {
            Ok(()) => Verdict::Good,
            Err(error) if refused(&error) => Verdict::Refused,
            Err(_) => Verdict::Bad,
        }
    })
}

fn portcullis() -> Peer {
    let clock = ManualClock::new();
    let config = CircuitBreakerConfig::new()
        .open_period(Pace::fixed(OPEN_FOR))
        .permitted_calls(1)
        .slow_call_duration(OPEN_FOR);
    let layer = CircuitBreakerLayer::with_clock(config, clock.clone())
        .classify(portcullis::ErrorsAreFailures)
        .refuse(portcullis::AsError);
    let refused = |error: &Failed| matches!(error, Failed::Refused(..));
    Peer {
        name: "portcullis",
        call: through(layer.layer(Replies), refused),
        pass: Box::new(move |time| clock.advance(time)),
    }
}

fn tower_resilience() -> Peer {
    let layer = ResilienceLayer::builder()
        .consecutive_failures(5)
        .wait_duration_in_open(OPEN_FOR)
        .permitted_calls_in_half_open(1)
        .build()
        .expect("a right configuration");
    Peer {
        name: "tower-resilience",
        call: through(layer.layer(Replies), |error| error.is_circuit_open()),
        pass: Box::new(sleep),
    }
}

#[derive(Clone, Debug, Default)]
struct Millis(Arc<AtomicU64>);

impl ninelives::Clock for Millis {
    fn now_millis(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn ninelives() -> Peer {
    let clock = Millis::default();
    let config = ninelives::CircuitBreakerConfig::new(5, OPEN_FOR, 1).expect("right");
    let layer = ninelives::CircuitBreakerLayer::with_clock(config, clock.clone()).expect("right");
    let refused = |error: &ninelives::ResilienceError<Failed>| {
        matches!(error, ninelives::ResilienceError::CircuitOpen { .. })
    };
    Peer {
        name: "ninelives",
        call: through(layer.layer(Replies), refused),
        pass: Box::new(move |time| {
            clock.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
        }),
    }
}

fn failsafe() -> Peer {
    let policy = failure_policy::consecutive_failures(5, backoff::constant(OPEN_FOR));
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    let refused = |error: &failsafe::Error<Failed>| matches!(error, failsafe::Error::Rejected);
    Peer {
        name: "failsafe",
        call: Box::new(move |reply| judged(breaker.call(reply), refused)),
        pass: Box::new(sleep),
    }
}

/// It knows no failures in a row: all of the last five is as near as it comes.
fn recloser() -> Peer {
    let breaker = Recloser::custom()
        .closed_len(5)
        .error_rate(1.0)
        .half_open_len(1)
        .open_wait(OPEN_FOR)
        .build();
    let breaker = AsyncRecloser::from(breaker);
    let refused = |error: &recloser::Error<Failed>| matches!(error, recloser::Error::Rejected);
    Peer {
        name: "recloser",
        call: Box::new(move |reply| judged(breaker.call(reply), refused)),
        pass: Box::new(sleep),
    }
}

fn circuitbreaker_rs() -> Peer {
    let breaker = RatedBreaker::<DefaultPolicy, Failed>::builder()
        .consecutive_failures(5)
        .min_throughput(u64::MAX)
        .cooldown(OPEN_FOR)
        .probe_interval(1)
        .consecutive_successes(1)
        .build();
    let refused = |error: &BreakerError<Failed>| matches!(error, BreakerError::Open);
    Peer {
        name: "circuitbreaker-rs",
        call: Box::new(move |reply| {
            let breaker = breaker.clone();
            judged(async move { breaker.call_async(|| reply).await }, refused)
        }),
        pass: Box::new(sleep),
    }
}
