//! The same calls through each of them.

use std::future::Ready;
use std::task::{Context, Poll};
use std::time::Duration;

use circuitbreaker_rs::{CircuitBreaker, DefaultPolicy};
use failsafe::futures::CircuitBreaker as _;
use failsafe::{FailurePolicy, StateMachine, backoff, failure_policy};
use ninelives::{CircuitBreakerConfig, CircuitBreakerLayer};
use portcullis_benches::{
    Case, Failed, Later, Live, Nothing, Once, UntilDone, call, cloned, failing, finish, reused,
};
use recloser::{AsyncRecloser, Recloser};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::bulkheads::bulkheads;
use crate::limits::limits;
use crate::retries::retries;
use crate::tower_resilience::{last_100, layer, within_ten_seconds};

const DAY: Duration = Duration::from_secs(86_400);

/// Every peer, on every path that it has.
#[must_use]
pub fn peers() -> Vec<Case> {
    let mut cases = tower_resilience();
    cases.extend(ninelives());
    cases.extend(failsafe());
    cases.extend(recloser());
    cases.extend(circuitbreaker_rs());
    cases.extend(limits());
    cases.extend(bulkheads());
    cases.extend(retries());
    cases
}

/// Makes so many calls that fail.
fn opened<S: Service<bool>>(service: &mut S, failures: u32) {
    for _ in 0..failures {
        let _ = call(service, true);
    }
}

fn tower_resilience() -> Vec<Case> {
    let case = |name, make: fn() -> Live| Case::new("tower-resilience", name, make);
    vec![
        case("last 100 calls", || reused::<UntilDone, _>(layer(last_100()).layer(Nothing))),
        case("last 100 calls, cloned per call", || {
            cloned::<UntilDone, _>(layer(last_100()).layer(Nothing))
        }),
        case("last 100 calls, 1 % failures", || {
            failing::<UntilDone, _>(layer(last_100()).layer(Nothing), 100)
        }),
        case("consecutive 5", || {
            reused::<UntilDone, _>(layer(last_100().consecutive_failures(5)).layer(Nothing))
        }),
        case("10 s, 100 calls in it", || within_ten_seconds(100)).in_batches_of(100),
        case("10 s, 10,000 calls in it", || within_ten_seconds(10_000)).in_batches_of(100).alone(),
        case("slow calls, answer at the second poll", || {
            let builder = last_100().slow_call_duration_threshold(Duration::from_secs(10));
            reused::<UntilDone, _>(layer(builder.slow_call_rate_threshold(0.5)).layer(Later))
        }),
        // Where two threads refuse at a time, one of them sleeps: that needs a runtime.
        case("open, refusal", || {
            let (layer, handle) = last_100().build_with_handle().unwrap_or_else(|p| panic!("{p}"));
            finish(handle.force_open());
            reused::<UntilDone, _>(layer.layer(Nothing))
        })
        .alone(),
    ]
}

fn ninelives() -> Vec<Case> {
    let case = |name, make: fn() -> Live| Case::new("ninelives", name, make);
    vec![
        case("consecutive 5", || reused::<UntilDone, _>(nine().layer(Nothing))),
        case("consecutive 5, cloned per call", || cloned::<UntilDone, _>(nine().layer(Nothing))),
        case("consecutive 5, 1 % failures", || failing::<UntilDone, _>(nine().layer(Nothing), 100)),
        case("open, refusal", || {
            let mut service = nine().layer(Nothing);
            opened(&mut service, 5);
            reused::<UntilDone, _>(service)
        }),
    ]
}

fn nine() -> CircuitBreakerLayer {
    let config = CircuitBreakerConfig::new(5, DAY, 1).unwrap_or_else(|problem| panic!("{problem}"));
    CircuitBreakerLayer::new(config).unwrap_or_else(|problem| panic!("{problem}"))
}

/// A breaker that is no layer, around a service, as its users would write it.
#[derive(Clone, Debug)]
pub struct Functional<B> {
    breaker: B,
    inner: Nothing,
}

impl<B> Functional<B> {
    /// The breaker around a service that answers at once.
    pub const fn new(breaker: B) -> Self {
        Self { breaker, inner: Nothing }
    }
}

type Answer = Ready<Result<(), Failed>>;

macro_rules! functional {
    ($breaker:ty, $future:ty, $error:ty, |$b:ident, $call:ident| $make:expr $(, $p:ident)?) => {
        impl$(<$p: FailurePolicy + Send + Sync>)? Service<bool> for Functional<$breaker> {
            type Response = ();
            type Error = $error;
            type Future = $future;

            fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), $error>> {
                let _ = self.inner.poll_ready(cx);
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, fail: bool) -> Self::Future {
                let ($b, $call) = (&self.breaker, self.inner.call(fail));
                $make
            }
        }
    };
}

functional!(
    AsyncRecloser,
    recloser::RecloserFuture<Answer, recloser::AnyError>,
    recloser::Error<Failed>,
    |breaker, answer| breaker.call(answer)
);

functional!(
    StateMachine<P, ()>,
    failsafe::futures::ResponseFuture<Answer, P, (), failsafe::Any>,
    failsafe::Error<Failed>,
    |breaker, answer| breaker.call(answer),
    P
);

fn failsafe() -> Vec<Case> {
    let case = |name, make: fn() -> Live| Case::new("failsafe", name, make);
    vec![
        case("default (30 s or consecutive 5)", || {
            reused::<Once, _>(Functional::new(failsafe::Config::new().build()))
        }),
        case("consecutive 5", || reused::<Once, _>(consecutive(5))),
        case("consecutive 5, cloned per call", || cloned::<Once, _>(consecutive(5))),
        case("consecutive 5, 1 % failures", || failing::<Once, _>(consecutive(5), 100)),
        case("open, refusal", || {
            let mut service = consecutive(1);
            opened(&mut service, 1);
            reused::<Once, _>(service)
        }),
    ]
}

type Consecutive = failure_policy::ConsecutiveFailures<backoff::Constant>;

fn consecutive(failures: u32) -> Functional<StateMachine<Consecutive, ()>> {
    let policy = failure_policy::consecutive_failures(failures, backoff::constant(DAY));
    Functional::new(failsafe::Config::new().failure_policy(policy).build())
}

fn recloser() -> Vec<Case> {
    let case = |name, make: fn() -> Live| Case::new("recloser", name, make);
    vec![
        case("last 100 calls", || reused::<Once, _>(ring(100))),
        case("last 100 calls, cloned per call", || cloned::<Once, _>(ring(100))),
        case("last 100 calls, 1 % failures", || failing::<Once, _>(ring(100), 100)),
        case("open, refusal", || {
            let mut service = ring(1);
            opened(&mut service, 3);
            reused::<Once, _>(service)
        }),
    ]
}

fn ring(calls: usize) -> Functional<AsyncRecloser> {
    let breaker = Recloser::custom().closed_len(calls).open_wait(DAY).build();
    Functional::new(AsyncRecloser::from(breaker))
}

fn circuitbreaker_rs() -> Vec<Case> {
    let case = |name, make: fn() -> Live| Case::new("circuitbreaker-rs", name, make);
    vec![
        case("half of all calls", || called(&rated(), u64::MAX)),
        case("half of all calls, 1 % failures", || called(&rated(), 100)),
        case("open, refusal", || {
            let breaker = rated();
            breaker.force_open();
            called(&breaker, u64::MAX)
        }),
    ]
}

type Rated = CircuitBreaker<DefaultPolicy, Failed>;

fn rated() -> Rated {
    Rated::builder().failure_threshold(0.5).min_throughput(100).cooldown(DAY).build()
}

/// Its future has no name, so there is no service to be made of it.
fn called(breaker: &Rated, every: u64) -> Live {
    let breaker = breaker.clone();
    Live::new(move |calls| {
        let mut inner = Nothing;
        let mut good = every;
        for _ in 0..calls {
            good -= 1;
            let fail = good == 0;
            if fail {
                good = every;
            }
            let inner = std::hint::black_box(&mut inner);
            let answer = finish(breaker.call_async(|| inner.call(std::hint::black_box(fail))));
            std::hint::black_box(&answer);
        }
    })
}
