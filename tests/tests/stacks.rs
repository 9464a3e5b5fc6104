//! The breaker between other Tower layers, in virtual time.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use portcullis::{
    BoxError, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, FailureKind, Jitter,
    Outcome, Pace, Reason, Rejected, State, TokioClock,
};
use portcullis_tests::heard::Heard;
use portcullis_tests::loopback::Hits;
use tokio::time::timeout;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::retry::{Policy, RetryLayer};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new()
    .open_period(Pace::exponential(Duration::from_secs(60)).jitter(Jitter::None));

/// Longer than anything here may take: who waits for it hangs.
const FOR_EVER: Duration = Duration::from_secs(86_400);

// ===== readiness =====

// S-CORE-09: a stuck callee must not slow a refusal.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_at_once_though_the_inner_service_is_never_ready() {
    let breaker = breaker();
    let mut service = CircuitBreakerLayer::from_breaker(breaker.clone()).layer(Stuck);
    let moment = Duration::from_millis(1);
    assert!(timeout(moment, service.ready()).await.is_err(), "closed, it waits for the callee");
    breaker.trip().expect("it is closed");
    let ready = timeout(moment, service.ready()).await.expect("at once").expect("ready");
    let error = ready.call(Request::new(())).await.expect_err("a refusal");
    assert_eq!(Rejected::find(&*error).map(Rejected::reason), Some(Reason::Open));
    assert_eq!(breaker.snapshot().totals.refused, 1);
}

/// Is never ready.
#[derive(Clone, Debug)]
struct Stuck;

impl Service<Request<()>> for Stuck {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Ready<Result<Response<String>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Whoever waits is woken by a timer of his own.
        Poll::Pending
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        panic!("called without being ready")
    }
}

// ===== above the breaker =====

#[tokio::test(start_paused = true)]
async fn a_buffer_above_keeps_working_after_refusals() {
    let (hits, breaker) = (Hits::default(), breaker());
    let inner = CircuitBreakerLayer::from_breaker(breaker.clone()).layer(answering(&hits, 500));
    let mut buffer = Buffer::new(inner, 4);
    for number in 1..=60 {
        match ask(&mut buffer).await {
            Ok(status) => assert_eq!((status, number <= 5), (500, true)),
            Err(error) => {
                assert!(number > 5, "call {number}: {error}");
                assert!(Rejected::find(&*error).is_some(), "call {number}: {error}");
            }
        }
    }
    assert_eq!(hits.count(), 5);
    breaker.reset();
    assert_eq!(ask(&mut buffer).await.expect("the worker lives"), 500);
}

// S-CORE-08: the refusal of an inner circuit says nothing about the callee of an outer one.
#[tokio::test(start_paused = true)]
async fn an_outer_circuit_knows_a_refusal_through_a_buffer() {
    let (inner, outer, hits) = (breaker(), breaker(), Hits::default());
    inner.force_open("maintenance");
    let beneath = CircuitBreakerLayer::from_breaker(inner).layer(answering(&hits, 200));
    let buffer = Buffer::new(beneath, 4);
    let mut service = CircuitBreakerLayer::from_breaker(outer.clone()).layer(buffer);
    for _ in 0..20 {
        let error = ask(&mut service).await.expect_err("a refusal");
        let reason = Rejected::find(&*error).map(Rejected::reason);
        assert_eq!(reason, Some(Reason::ForcedOpen));
    }
    assert_eq!((outer.state(), outer.snapshot().totals.ignored), (State::Closed, 20));
    assert_eq!(hits.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_boxed_stack_is_one_circuit_in_all_its_clones() {
    let hits = Hits::default();
    let layer = CircuitBreakerLayer::new(CONFIG);
    let boxed = BoxCloneSyncService::new(layer.layer(answering(&hits, 500)));
    for _ in 0..20 {
        let mut one_more = boxed.clone();
        let _ = tokio::spawn(async move { ask(&mut one_more).await }).await;
    }
    assert_eq!(hits.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_balancer_above_breakers_never_hangs() {
    let (sick, well) = (Hits::default(), Hits::default());
    let breakers = [breaker(), breaker()];
    let endpoint = |breaker: &CircuitBreaker, hits: &Hits, status: u16| {
        let layer = CircuitBreakerLayer::from_breaker(breaker.clone());
        let service = BoxCloneSyncService::new(layer.layer(answering(hits, status)));
        PendingRequests::new(service, CompleteOnResponse::default())
    };
    let endpoints = [endpoint(&breakers[0], &sick, 500), endpoint(&breakers[1], &well, 200)];
    let mut balance = Balance::new(ServiceList::new(endpoints));

    let mut refused = 0;
    for _ in 0..200 {
        match timeout(FOR_EVER, ask(&mut balance)).await.expect("an answer") {
            Ok(_) => {}
            Err(error) if Rejected::find(&*error).is_some() => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(sick.count(), 5);
    assert_eq!(well.count() + sick.count() + refused, 200);
    assert!(well.count() > 0 && refused > 0, "both were asked: {well:?}, {refused} refused");

    // Even with all circuits open there is an answer, and no endpoint is dropped for good.
    breakers.iter().for_each(|breaker| breaker.force_open("maintenance"));
    for _ in 0..20 {
        let answer = timeout(FOR_EVER, ask(&mut balance)).await.expect("an answer");
        assert!(Rejected::find(&*answer.expect_err("a refusal")).is_some());
    }
    breakers.iter().for_each(CircuitBreaker::release);
    assert!(timeout(FOR_EVER, ask(&mut balance)).await.expect("an answer").is_ok());
}

// Catalogue 23, Order: with the retry outside, an open circuit gets no storm of retries.
#[tokio::test(start_paused = true)]
async fn retries_outside_reach_the_callee_as_often_as_threshold_and_trials() {
    let hits = Hits::default();
    let mut service = ServiceBuilder::new()
        .layer(RetryLayer::new(Attempts(9)))
        .layer(CircuitBreakerLayer::from_breaker(breaker()))
        .service(answering(&hits, 500));
    for _ in 0..20 {
        let _ = ask(&mut service).await;
    }
    assert_eq!(hits.count(), 5);
    // The first attempt after the open period is a trial; it fails, and the rest is refused.
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in 0..20 {
        let _ = ask(&mut service).await;
    }
    assert_eq!(hits.count(), 5 + 1);
}

/// So many more attempts, at once.
#[derive(Clone, Copy, Debug)]
struct Attempts(usize);

impl Policy<Request<()>, Response<String>, BoxError> for Attempts {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        result: &mut Result<Response<String>, BoxError>,
    ) -> Option<Ready<()>> {
        if result.as_ref().is_ok_and(|response| response.status().is_success()) {
            return None;
        }
        self.0 = self.0.checked_sub(1)?;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

// ===== beneath the breaker =====

// S-CORE-08
#[tokio::test(start_paused = true)]
async fn a_timeout_beneath_counts_as_a_timeout() {
    let (breaker, heard) = (breaker(), Heard::default());
    let hangs = service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
    let mut service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::from_breaker(breaker.clone()).observe(heard.clone()))
        .timeout(Duration::from_secs(1))
        .service(hangs);
    for _ in 0..5 {
        assert_eq!(breaker.state(), State::Closed);
        let error = ask(&mut service).await.expect_err("a timeout");
        assert!(error.is::<tower::timeout::error::Elapsed>());
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(heard.outcomes(), [Outcome::Failure(FailureKind::Timeout); 5]);
    assert!(Rejected::find(&*ask(&mut service).await.expect_err("a refusal")).is_some());
}

// ===== helpers =====

/// A circuit that lives in tokio's time.
fn breaker() -> CircuitBreaker {
    CircuitBreaker::with_clock(CONFIG, TokioClock::new())
}

/// Answers with this status, and counts.
fn answering(
    hits: &Hits,
    status: u16,
) -> impl Service<
    Request<()>,
    Response = Response<String>,
    Error = BoxError,
    Future = Ready<Result<Response<String>, BoxError>>,
> + Clone
+ Send
+ Sync
+ use<> {
    let hits = hits.clone();
    service_fn(move |_| {
        hits.hit();
        ready(Response::builder().status(status).body(String::new()).map_err(BoxError::from))
    })
}

async fn ask<S>(service: &mut S) -> Result<u16, BoxError>
where
    S: Service<Request<()>, Response = Response<String>>,
    S::Error: Into<BoxError>,
{
    let ready = service.ready().await.map_err(Into::into)?;
    let answer = ready.call(Request::new(())).await.map_err(Into::into)?;
    Ok(answer.status().as_u16())
}
