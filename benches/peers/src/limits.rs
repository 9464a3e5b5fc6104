//! The same calls through rate limits: so wide that all are admitted, and used up.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::governor::clock::{Clock, DefaultClock, MonotonicClock};
use ::governor::middleware::NoOpMiddleware;
use ::governor::state::{InMemoryState, NotKeyed};
use ::governor::{Quota, RateLimiter};
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use portcullis_benches::{Case, Live, Nothing, Once, call, cloned, reused, runtime};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::GlobalKeyExtractor;
use tower_layer::Layer as _;
use tower_resilience_ratelimiter::{RateLimiterConfigBuilder, RateLimiterLayer, WindowType};
use tower_service::Service;

const DAY: Duration = Duration::from_secs(86_400);

/// More calls a day than anybody makes, and still exact as a floating-point number.
const PLENTY: usize = 1 << 50;

/// Every peer of a rate limit, on every path that it has.
pub(crate) fn limits() -> Vec<Case> {
    let mut cases = governor();
    cases.extend(tower_governor());
    cases.extend(tower());
    cases.extend(tower_resilience());
    cases
}

// ===== governor =====

/// A thousand million a second: a call takes longer than what it uses up.
fn plenty() -> Quota {
    every(Duration::from_nanos(1)).allow_burst(NonZeroU32::MAX)
}

fn every(period: Duration) -> Quota {
    Quota::with_period(period).unwrap_or_else(|| panic!("a period is not zero"))
}

/// Its default clock is calibrated for as long as that takes, which is millions of instructions, and
/// never the same number of them.
const OUTWEIGH_CALIBRATION: u64 = 5_000_000;

fn governor() -> Vec<Case> {
    let case = |name, make: fn() -> Live| {
        Case::new("governor", name, make).counted_over(OUTWEIGH_CALIBRATION)
    };
    vec![
        case("direct", || checked(RateLimiter::direct(plenty()))),
        case("direct, clock of std", || {
            checked(RateLimiter::direct_with_clock(plenty(), MonotonicClock))
        }),
        case("direct, refusal", || checked(used_up())),
        case("direct, refusal and its wait", || {
            let (limiter, clock) = (used_up(), DefaultClock::default());
            Live::new(move |calls| {
                for _ in 0..calls {
                    let refused = black_box(&limiter).check();
                    let wait = refused.err().map(|until| until.wait_time_from(clock.now()));
                    black_box(&wait);
                }
            })
        }),
        case("keyed, one of 1,000", || keyed(1_000)),
        case("keyed, one of 100,000", || keyed(100_000)),
    ]
}

type Direct<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

fn used_up() -> Direct<DefaultClock> {
    let limiter = RateLimiter::direct(every(DAY));
    assert!(limiter.check().is_ok(), "the first of the day");
    limiter
}

fn checked<C>(limiter: Direct<C>) -> Live
where
    C: Clock<Instant: 'static> + Send + Sync + 'static,
{
    Live::new(move |calls| {
        for _ in 0..calls {
            black_box(&black_box(&limiter).check());
        }
    })
}

/// A call of one key, while there are so many.
fn keyed(keys: u32) -> Live {
    let limiter = RateLimiter::keyed(plenty());
    (0..keys).for_each(|key| assert!(limiter.check_key(&key).is_ok(), "all are admitted"));
    let hot = keys / 9 * 7;
    Live::new(move |calls| {
        for _ in 0..calls {
            black_box(&black_box(&limiter).check_key(black_box(&hot)));
        }
    })
}

// ===== tower_governor =====

/// It reads requests of HTTP, and so does what it is put around. It takes the request, so each call
/// builds one; what this costs is shown without the layer.
#[derive(Clone, Copy, Debug)]
struct Http;

impl Service<Request<()>> for Http {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

fn tower_governor() -> Vec<Case> {
    // Its calls are long, and outweigh the calibration sooner.
    let case = |name, make: fn() -> Live| {
        Case::new("tower_governor", name, make).counted_over(OUTWEIGH_CALIBRATION / 10)
    };
    vec![
        case("without the layer, request built", || built(Http, plain)),
        case("one key for all, request built", || {
            let mut builder = GovernorConfigBuilder::default();
            let mut builder = builder.key_extractor(GlobalKeyExtractor);
            let config = builder.per_nanosecond(1).burst_size(u32::MAX).finish();
            built(GovernorLayer::new(right(config)).layer(Http), plain)
        }),
        case("one key for all, refusal, request built", || {
            let mut builder = GovernorConfigBuilder::default();
            let mut builder = builder.key_extractor(GlobalKeyExtractor);
            let config = right(builder.period(DAY).burst_size(1).finish());
            assert!(config.limiter().check_key(&()).is_ok(), "the first of the day");
            built(GovernorLayer::new(config).layer(Http), plain)
        }),
        case("without the layer, request with an address built", || built(Http, addressed)),
        case("address of the peer, request with it built", || {
            let config =
                GovernorConfigBuilder::default().per_nanosecond(1).burst_size(u32::MAX).finish();
            built(GovernorLayer::new(right(config)).layer(Http), addressed)
        }),
    ]
}

fn right<T>(config: Option<T>) -> T {
    config.unwrap_or_else(|| panic!("neither the period nor the burst is zero"))
}

fn plain() -> Request<()> {
    Request::new(())
}

/// As axum hands it on, where it is asked for the address of the peer.
fn addressed() -> Request<()> {
    let mut request = plain();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4_000))));
    request
}

/// Calls of a service that is made for requests of HTTP; each thread has its own clone.
fn built<S>(service: S, request: fn() -> Request<()>) -> Live
where
    S: Service<Request<()>> + Clone + Send + 'static,
{
    let shared = Mutex::new(service);
    Live::new(move |calls| {
        let mut own = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..calls {
            let own = black_box(&mut own);
            let _ = own.poll_ready(&mut cx);
            let mut answer = std::pin::pin!(own.call(black_box(request())));
            black_box(&answer.as_mut().poll(&mut cx).is_ready());
        }
    })
}

// ===== tower =====

fn tower() -> Vec<Case> {
    // It cannot be cloned, so nobody shares it.
    let limited = || {
        // Its timer wants a runtime when it is made, though it is used only to hold calls back.
        let runtime = runtime();
        let service = {
            let _entered = runtime.enter();
            ::tower::ServiceBuilder::new().rate_limit(PLENTY as u64, DAY).service(Nothing)
        };
        let service = Mutex::new(service);
        Live::new(move |calls| {
            let _kept = &runtime;
            let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
            for _ in 0..calls {
                black_box(&call(black_box(&mut *service), black_box(false)));
            }
        })
    };
    vec![Case::new("tower", "rate limit, alone", limited).alone()]
}

// ===== tower-resilience =====

fn tower_resilience() -> Vec<Case> {
    let case = |name, make: fn() -> Live| Case::new("tower-resilience", name, make);
    vec![
        case("rate limit, fixed window", || reused::<Once, _>(limit(PLENTY).layer(Nothing))),
        case("rate limit, fixed window, cloned per call", || {
            cloned::<Once, _>(limit(PLENTY).layer(Nothing))
        }),
        case("rate limit, sliding counter", || {
            let builder = builder(PLENTY).window_type(WindowType::SlidingCounter);
            reused::<Once, _>(made(builder).layer(Nothing))
        }),
        case("rate limit, token bucket", || {
            reused::<Once, _>(made(builder(PLENTY).burst_size(PLENTY)).layer(Nothing))
        }),
        case("rate limit, refusal", || {
            let mut service = limit(1).layer(Nothing);
            assert!(matches!(call(&mut service, false), Some(Ok(()))), "the first of the day");
            reused::<Once, _>(service)
        }),
    ]
}

fn limit(calls: usize) -> RateLimiterLayer {
    made(builder(calls))
}

/// Refuses at once: it would make its callers wait otherwise.
fn builder(calls: usize) -> RateLimiterConfigBuilder {
    let builder = RateLimiterLayer::builder().timeout_duration(Duration::ZERO);
    builder.limit_for_period(calls).refresh_period(DAY)
}

fn made(builder: RateLimiterConfigBuilder) -> RateLimiterLayer {
    builder.build().unwrap_or_else(|problem| panic!("{problem}"))
}
