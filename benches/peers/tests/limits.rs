//! What the rate limits of others do. Time is theirs where they can be handed a clock, and tokio's
//! paused time where they follow it; nothing here waits for real time to pass.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use governor::clock::{Clock as _, FakeRelativeClock};
use governor::{Quota, RateLimiter};
use portcullis_benches::{Nothing, call, finish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::limit::RateLimitLayer;
use tower::{BoxError, ServiceBuilder};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::SmartIpKeyExtractor;
use tower_layer::Layer as _;
use tower_resilience_ratelimiter::{
    RateLimiterConfigBuilder, RateLimiterLayer, RateLimiterServiceError, WindowType,
};
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

// ===== scenes =====

/// Sends so many requests, each on a connection of its own, and says how they were answered.
async fn served(app: Router, requests: usize) -> Vec<StatusCode> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut answers = Vec::new();
    for _ in 0..requests {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answered");
        let status = answer.get("HTTP/1.1 ".len()..).and_then(|rest| rest.get(..3));
        answers.push(StatusCode::from_bytes(status.expect("a status")).expect("a status"));
    }
    server.abort();
    answers
}

fn count(answers: &[StatusCode], status: StatusCode) -> usize {
    answers.iter().filter(|answer| **answer == status).count()
}

fn app() -> Router {
    Router::new().route("/", get(async || "well"))
}

/// How many of so many calls are let through at once.
fn admitted<S: Service<bool>>(service: &mut S, calls: usize) -> usize {
    (0..calls).filter(|_| matches!(call(service, false), Some(Ok(_)))).count()
}

fn is_ready<S: Service<bool>>(service: &mut S) -> bool {
    service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[allow(
    clippy::disallowed_methods,
    reason = "tokio's time is paused, and what is tested sleeps in it"
)]
fn paused() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

// ===== tower =====

/// Whether a type can be cloned: the method of the type itself goes before that of a trait.
struct Cloneable<T>(PhantomData<T>);

impl<T: Clone> Cloneable<T> {
    const fn known(&self) -> bool {
        true
    }
}

trait Otherwise {
    fn known(&self) -> bool {
        false
    }
}

impl<T> Otherwise for Cloneable<T> {}

#[test]
fn the_service_of_towers_rate_limit_cannot_be_cloned_as_a_router_wants_it() {
    assert!(!Cloneable::<tower::limit::RateLimit<Nothing>>(PhantomData).known());
    assert!(Cloneable::<Nothing>(PhantomData).known());
    assert!(Cloneable::<tower_resilience_ratelimiter::RateLimiter<Nothing>>(PhantomData).known());
}

#[tokio::test]
async fn behind_a_buffer_towers_rate_limit_is_one_for_each_connection() {
    let failed = |_: BoxError| async { StatusCode::INTERNAL_SERVER_ERROR };
    let limited = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(failed))
        .buffer(8)
        .layer(RateLimitLayer::new(1, DAY));
    let answers = served(app().layer(limited), 10).await;
    assert_eq!(count(&answers, StatusCode::OK), 10, "of one a day");
}

#[tokio::test(start_paused = true)]
async fn towers_rate_limit_holds_callers_back_for_as_long_as_it_takes() {
    let mut service = RateLimitLayer::new(1, DAY).layer(Nothing);
    assert!(matches!(call(&mut service, false), Some(Ok(()))));
    let begun = paused();
    poll_fn(|cx| Service::<bool>::poll_ready(&mut service, cx)).await.expect("ready at last");
    assert!(begun.elapsed() >= DAY);
}

#[tokio::test(start_paused = true)]
async fn towers_rate_limit_lets_nearly_twice_as_much_through_around_a_border() {
    let mut service = RateLimitLayer::new(10, SECOND).layer(Nothing);
    // The first call begins the window.
    assert_eq!(admitted(&mut service, 1), 1);
    tokio::time::advance(Duration::from_millis(950)).await;
    assert_eq!(admitted(&mut service, 20), 9);
    tokio::time::advance(Duration::from_millis(51)).await;
    assert_eq!(admitted(&mut service, 20), 10);
}

// ===== tower-resilience =====

fn limit(calls: usize, period: Duration) -> RateLimiterConfigBuilder {
    let builder = RateLimiterLayer::builder().timeout_duration(Duration::ZERO);
    builder.limit_for_period(calls).refresh_period(period)
}

#[test]
fn services_of_one_layer_have_a_limit_each_unless_tower_resilience_builds_a_handle() {
    let through = |layer: &RateLimiterLayer| -> usize {
        (0..10).map(|_| admitted(&mut layer.layer(Nothing), 1)).sum()
    };
    assert_eq!(through(&limit(5, DAY).build().expect("right")), 10);
    assert_eq!(through(&limit(5, DAY).build_with_handle().expect("right").0), 5);
}

#[tokio::test]
async fn behind_a_server_five_a_day_are_five_for_each_connection_unless_there_is_a_handle() {
    let refused = |_: RateLimiterServiceError<Infallible>| async { StatusCode::TOO_MANY_REQUESTS };
    let limited = |layer| {
        app().layer(ServiceBuilder::new().layer(HandleErrorLayer::new(refused)).layer(layer))
    };
    let plain = limited(limit(5, DAY).build().expect("right"));
    assert_eq!(count(&served(plain, 20).await, StatusCode::OK), 20);
    let shared = limited(limit(5, DAY).build_with_handle().expect("right").0);
    assert_eq!(count(&served(shared, 20).await, StatusCode::OK), 5);
}

#[test]
fn a_refusal_of_tower_resilience_does_not_say_when_to_come_back() {
    let mut service = limit(1, DAY).build().expect("right").layer(Nothing);
    assert_eq!(admitted(&mut service, 1), 1);
    let Some(Err(refusal)) = call(&mut service, false) else { panic!("it is used up") };
    // A unit, and no more in what it says.
    assert!(matches!(refusal, RateLimiterServiceError::RateLimited));
    assert_eq!(refusal.to_string(), "rate limit exceeded");
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_tower_resilience_waits_in_vain_before_it_is_refused() {
    // All is default but the limit. It is known at once that the wait is a day.
    let builder = RateLimiterLayer::builder().limit_for_period(1).refresh_period(DAY);
    let mut service = builder.build().expect("right").layer(Nothing);
    assert_eq!(admitted(&mut service, 1), 1);
    let begun = paused();
    poll_fn(|cx| Service::<bool>::poll_ready(&mut service, cx)).await.expect("always ready");
    let refusal = service.call(false).await.expect_err("it is used up");
    assert!(refusal.is_rate_limited());
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn the_default_window_of_tower_resilience_lets_twice_as_much_through_around_a_border() {
    let mut service = limit(10, SECOND).build().expect("right").layer(Nothing);
    tokio::time::advance(Duration::from_millis(950)).await;
    assert_eq!(admitted(&mut service, 20), 10);
    tokio::time::advance(Duration::from_millis(50)).await;
    assert_eq!(admitted(&mut service, 20), 10);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_tower_resilience_is_late_by_the_time_in_which_nobody_calls() {
    let mut service = limit(10, SECOND).build().expect("right").layer(Nothing);
    tokio::time::advance(Duration::from_millis(1_900)).await;
    assert_eq!(admitted(&mut service, 20), 10, "the second window begins here, not at 1 s");
    tokio::time::advance(Duration::from_millis(900)).await;
    assert_eq!(admitted(&mut service, 20), 0, "and ends at 2.9 s");
}

#[test]
fn the_log_of_tower_resilience_takes_sixteen_bytes_for_each_call_that_it_may_ever_hold() {
    const CALLS: usize = 100_000;
    let builder = limit(CALLS, DAY).window_type(WindowType::SlidingLog);
    let layer = builder.build().expect("right");
    let made = measure(|| std::mem::forget(layer.layer(Nothing)));
    assert!(made.bytes_current >= 16 * CALLS as i64, "{} B", made.bytes_current);
}

#[tokio::test]
async fn a_permit_of_tower_resilience_is_lost_with_the_clone_that_was_readied_and_not_called() {
    let builder = limit(1, DAY).backpressure();
    let service = builder.build().expect("right").layer(Nothing);
    assert!(is_ready(&mut service.clone()), "readied, and dropped without a call");
    assert!(!is_ready(&mut service.clone()));
}

// ===== governor =====

#[test]
fn the_keys_of_governor_stay_until_somebody_asks_for_it() {
    let clock = FakeRelativeClock::default();
    let quota = Quota::with_period(SECOND).expect("not zero");
    let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone());
    for key in 0..100_000_u64 {
        assert!(limiter.check_key(&key).is_ok());
    }
    // Long since, each of them equals a new one.
    clock.advance(DAY);
    assert!(limiter.check_key(&0).is_ok());
    assert_eq!(limiter.len(), 100_000);
    limiter.retain_recent();
    assert_eq!(limiter.len(), 1);
}

#[test]
fn a_refusal_of_governor_says_when_to_come_back_to_the_nanosecond() {
    let clock = FakeRelativeClock::default();
    let quota = Quota::with_period(SECOND).expect("not zero");
    let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
    assert!(limiter.check().is_ok());
    clock.advance(Duration::from_nanos(1));
    let until = limiter.check().expect_err("used up");
    let wait = until.wait_time_from(clock.now());
    assert_eq!(wait, SECOND - Duration::from_nanos(1));
    clock.advance(wait - Duration::from_nanos(1));
    assert!(limiter.check().is_err());
    clock.advance(Duration::from_nanos(1));
    assert!(limiter.check().is_ok());
}

// ===== tower_governor =====

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

/// A request that a proxy at this address hands on, with what it says of those before it.
fn from_proxy(forwarded: &str) -> Request<()> {
    let mut request = Request::new(());
    let proxy = SocketAddr::from(([10, 0, 0, 1], 4_000));
    request.extensions_mut().insert(ConnectInfo(proxy));
    let forwarded = forwarded.parse().expect("a right header");
    request.headers_mut().insert("x-forwarded-for", forwarded);
    request
}

fn answer<S>(service: &mut S, request: Request<()>) -> Response<Body>
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible>,
{
    let Ok(answer) = finish(service.call(request));
    answer
}

#[test]
fn who_is_refused_by_tower_governor_for_less_than_a_second_is_told_to_come_back_at_once() {
    let mut builder = GovernorConfigBuilder::default();
    let builder = builder.period(Duration::from_millis(900)).burst_size(1);
    let config = builder.finish().expect("not zero");
    let mut service = GovernorLayer::new(config).layer(Http);
    let answers = (0..1_000).map(|_| answer(&mut service, from_proxy("192.0.2.1")));
    let refused = answers.into_iter().find(|answer| answer.status().is_client_error());
    let refused = refused.expect("a thousand take less than fifteen minutes");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    for name in ["retry-after", "x-ratelimit-after"] {
        assert_eq!(refused.headers().get(name).expect("it is there"), "0");
    }
}

#[test]
fn the_client_chooses_by_what_tower_governor_knows_it_behind_a_proxy() {
    let mut builder = GovernorConfigBuilder::default().key_extractor(SmartIpKeyExtractor);
    let config = builder.period(DAY).burst_size(1).finish().expect("not zero");
    let mut service = GovernorLayer::new(config).layer(Http);
    let mut status = |forwarded| answer(&mut service, from_proxy(forwarded)).status();
    // The last address is what the proxy has seen, those before it are what the client has said.
    assert_eq!(status("192.0.2.1, 203.0.113.7"), StatusCode::OK);
    assert_eq!(status("192.0.2.2, 203.0.113.7"), StatusCode::OK);
    // Nobody can tell these two apart from one whom the first of them has named.
    assert_eq!(status("192.0.2.1, 203.0.113.8"), StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn the_keys_of_tower_governor_stay_until_somebody_asks_for_it() {
    let mut builder = GovernorConfigBuilder::default().key_extractor(SmartIpKeyExtractor);
    let config = builder.per_nanosecond(1).burst_size(1).finish().expect("not zero");
    let limiter = config.limiter().clone();
    let mut service = GovernorLayer::new(config).layer(Http);
    for host in 0..100_000_u32 {
        let client = std::net::Ipv4Addr::from(0x0a00_0000 | host).to_string();
        assert_eq!(answer(&mut service, from_proxy(&client)).status(), StatusCode::OK);
    }
    assert_eq!(limiter.len(), 100_000);
    // Its clock is real, but a nanosecond is soon over.
    while !limiter.is_empty() {
        limiter.retain_recent();
    }
}

#[tokio::test]
async fn without_connect_info_tower_governor_answers_500_to_everybody() {
    let limited = app()
        .layer(GovernorLayer::new(GovernorConfigBuilder::default().finish().expect("not zero")));
    let answers = served(limited, 3).await;
    assert_eq!(count(&answers, StatusCode::INTERNAL_SERVER_ERROR), 3);
}

#[tokio::test]
async fn connections_share_the_limit_of_tower_governor() {
    let mut builder = GovernorConfigBuilder::default()
        .key_extractor(tower_governor::key_extractor::GlobalKeyExtractor);
    let config = builder.period(DAY).burst_size(5).finish().expect("not zero");
    let answers = served(app().layer(GovernorLayer::new(config)), 20).await;
    assert_eq!(count(&answers, StatusCode::OK), 5);
    assert_eq!(count(&answers, StatusCode::TOO_MANY_REQUESTS), 15);
}
