//! What the layers among them do with a service and under a server.

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use common::{Replies, Strict};
use portcullis::{CircuitBreakerConfig, CircuitBreakerLayer, TokioClock};
use portcullis_benches::{Failed, Nothing, call};
use portcullis_peers::tower_resilience::{last_100, layer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_layer::Layer;
use tower_resilience_circuitbreaker::{CircuitBreakerError, FailureClassifier};
use tower_service::Service;

const DAY: Duration = Duration::from_secs(86_400);

fn nine() -> ninelives::CircuitBreakerLayer {
    let config = ninelives::CircuitBreakerConfig::new(5, DAY, 1).expect("a right configuration");
    ninelives::CircuitBreakerLayer::new(config).expect("a right configuration")
}

// ===== state =====

/// How many failures of ten reach the inner service, if each goes to a service of its own.
fn reached<L>(layer: &L) -> usize
where
    L: Layer<Nothing>,
    L::Service: Service<bool, Response = ()>,
    <L::Service as Service<bool>>::Error: std::fmt::Debug,
{
    let answers = (0..10).map(|_| format!("{:?}", call(&mut layer.layer(Nothing), true)));
    answers.filter(|answer| answer.contains("Inner")).count()
}

#[test]
fn services_of_one_layer_share_a_circuit_or_have_one_each() {
    assert_eq!(reached(&CircuitBreakerLayer::generic(CircuitBreakerConfig::new())), 5);
    assert_eq!(reached(&nine()), 10);
    assert_eq!(reached(&layer(last_100().consecutive_failures(5))), 10);
    // It can share one: by another way of building it.
    let (shared, _) = last_100().consecutive_failures(5).build_with_handle().expect("right");
    assert_eq!(reached(&shared), 5);
}

/// 5xx is a failure.
#[derive(Clone, Copy, Debug)]
struct ServerErrors;

impl<B> FailureClassifier<Response<B>, Infallible> for ServerErrors {
    fn classify(&self, result: &Result<Response<B>, Infallible>) -> bool {
        result.as_ref().is_ok_and(|response| response.status().is_server_error())
    }
}

/// Serves a handler that always fails, sends 20 requests on a connection each, and says how many
/// of them reached the handler.
async fn served(protect: impl FnOnce(Router) -> Router) -> u32 {
    let hits = Arc::new(AtomicU32::new(0));
    let counted = hits.clone();
    let fail = move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let app = protect(Router::new().route("/", get(fail)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    for _ in 0..20 {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answered");
        assert!(answer.starts_with(b"HTTP/1.1 50"), "500 or 503");
    }
    server.abort();
    hits.load(Ordering::Relaxed)
}

async fn unavailable<E>(_: CircuitBreakerError<E>) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

#[tokio::test]
async fn behind_a_server_five_failures_open_one_of_them() {
    let config = CircuitBreakerConfig::new();
    assert_eq!(served(|app| app.layer(CircuitBreakerLayer::new(config))).await, 5);

    // As it comes, only an `Err` is a failure, and a handler gives none.
    let plain = served(|app| {
        let errors = HandleErrorLayer::new(unavailable::<Infallible>);
        let breaker = layer(last_100().consecutive_failures(5));
        app.layer(tower::ServiceBuilder::new().layer(errors).layer(breaker))
    });
    assert_eq!(plain.await, 20);

    // With a classifier, each connection has a circuit of its own.
    let classified = served(|app| {
        let errors = HandleErrorLayer::new(unavailable::<Infallible>);
        let builder = last_100().consecutive_failures(5).failure_classifier_type(ServerErrors);
        let breaker = builder.build().expect("a right configuration");
        app.layer(tower::ServiceBuilder::new().layer(errors).layer(breaker))
    });
    assert_eq!(classified.await, 20);

    // With a classifier and a handle it works.
    let shared = served(|app| {
        let errors = HandleErrorLayer::new(unavailable::<Infallible>);
        let builder = last_100().consecutive_failures(5).failure_classifier_type(ServerErrors);
        let (breaker, _) = builder.build_with_handle().expect("a right configuration");
        app.layer(tower::ServiceBuilder::new().layer(errors).layer(breaker))
    });
    assert_eq!(shared.await, 5);
}

// ===== types =====

#[test]
fn the_error_of_the_service_is_kept_by_one_of_them() {
    fn is<E, S: Service<bool, Error = E>>(_: &S) {}
    is::<Failed, _>(&CircuitBreakerLayer::generic(CircuitBreakerConfig::new()).layer(Nothing));
    is::<CircuitBreakerError<Failed>, _>(&layer(last_100()).layer(Nothing));
    is::<ninelives::ResilienceError<Failed>, _>(&nine().layer(Nothing));
}

#[test]
fn a_refusal_says_when_to_come_back_in_one_of_them() {
    let ours = CircuitBreakerLayer::generic(CircuitBreakerConfig::new());
    let breaker = ours.handle();
    breaker.trip().expect("it is closed");
    let answer = call(&mut ours.layer(Nothing), false);
    assert!(matches!(answer, Some(Err(Failed::Refused(_)))));
    let refusal = breaker.try_acquire().expect_err("it is open");
    assert!(refusal.retry_after().is_some_and(|wait| !wait.is_zero()));

    // A unit; the other says how long it has been open, not how long it will be.
    let mut resilience = layer(last_100().consecutive_failures(1)).layer(Nothing);
    let _ = call(&mut resilience, true);
    let answer = call(&mut resilience, false);
    assert!(matches!(answer, Some(Err(CircuitBreakerError::OpenCircuit))));
    let mut nine = nine().layer(Nothing);
    (0..5).for_each(|_| assert!(matches!(call(&mut nine, true), Some(Err(_)))));
    let answer = call(&mut nine, false);
    let Some(Err(ninelives::ResilienceError::CircuitOpen { failure_count, open_duration })) =
        answer
    else {
        panic!("refused");
    };
    assert!(failure_count == 5 && open_duration < DAY);
}

// ===== readiness =====

#[test]
fn the_instance_that_was_readied_is_not_the_one_that_is_called_in_one_of_them() {
    let generic = CircuitBreakerLayer::generic(CircuitBreakerConfig::new());
    assert!(matches!(call(&mut generic.layer(Strict::default()), false), Some(Ok(()))));
    let resilience = layer(last_100());
    assert!(matches!(call(&mut resilience.layer(Strict::default()), false), Some(Ok(()))));
    assert!(matches!(call(&mut nine().layer(Strict::default()), false), Some(Err(_))));
}

/// Never becomes ready, as a client whose peer is gone.
#[derive(Clone, Copy, Debug)]
struct Gone;

impl Service<bool> for Gone {
    type Response = ();
    type Error = Failed;
    type Future = std::future::Ready<Result<(), Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Err(Failed::Inner))
    }

    fn call(&mut self, _: bool) -> Self::Future {
        unreachable!("it is never ready")
    }
}

/// Whether a circuit is still closed after a thousand clients failed to become ready.
fn still_asks<S: Service<bool> + Clone>(service: &S) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    (0..1_000).all(|_| matches!(service.clone().poll_ready(&mut cx), Poll::Ready(Err(_))))
}

#[test]
fn a_service_that_fails_to_become_ready_is_evidence_in_one_of_them() {
    let generic = CircuitBreakerLayer::generic(CircuitBreakerConfig::new());
    assert!(!still_asks(&generic.layer(Gone)));
    assert!(still_asks(&layer(last_100().consecutive_failures(3)).layer(Gone)));
    assert!(still_asks(&nine().layer(Gone)));
}

// ===== waiting and time =====

#[tokio::test]
async fn a_listener_that_dawdles_holds_up_the_refusals_of_others_in_one_of_them() {
    let (told, heard) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let builder = last_100().on_call_rejected(move || {
        told.send(()).expect("the test listens");
        wait.lock().expect("once").recv().expect("the test says when");
    });
    let (resilience, handle) = builder.build_with_handle().expect("a right configuration");
    handle.force_open().await;
    let service = resilience.layer(Replies);
    let mut other = service.clone();
    let dawdler = std::thread::spawn(move || {
        let mut service = service;
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        portcullis_benches::finish(service.call(common::Reply::now(true))).map_err(drop)
    });
    heard.recv().expect("it is refused, and the listener told");
    // Not refused: sent to sleep, on a timer of a millisecond.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(other.poll_ready(&mut cx).is_pending());
    go_on.send(()).expect("the listener waits");
    assert_eq!(dawdler.join().expect("no panic"), Err(()));
}

/// Dawdles until it is told to go on.
struct Dawdler {
    told: std::sync::Mutex<mpsc::Sender<()>>,
    wait: std::sync::Mutex<mpsc::Receiver<()>>,
}

impl portcullis::Observe for Dawdler {
    fn event(&self, _: &portcullis::Event<'_>) {
        if self.told.lock().expect("once").send(()).is_ok() {
            let _ = self.wait.lock().expect("once").recv_timeout(Duration::from_secs(10));
        }
    }

    fn interest(&self) -> portcullis::Interest {
        portcullis::Interest::REFUSALS
    }
}

#[test]
fn a_listener_that_dawdles_holds_up_nobody_in_ours() {
    let (told, heard) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let layer = CircuitBreakerLayer::generic(CircuitBreakerConfig::new());
    let breaker = layer.handle();
    breaker.trip().expect("it is closed");
    breaker.observe(Dawdler { told: told.into(), wait: wait.into() });
    let own = breaker.clone();
    let dawdler = std::thread::spawn(move || own.try_acquire().is_err());
    heard.recv().expect("it is refused, and the observer told");
    // The lock is free: the state can be read, and a permit asked for, by anybody.
    assert_eq!(breaker.state(), portcullis::State::Open);
    assert!(breaker.known_refusal().is_some());
    go_on.send(()).expect("the observer waits");
    assert!(dawdler.join().expect("no panic"));
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_paused_time_passes_for_one_of_them() {
    let minute = Duration::from_secs(60);
    let config = CircuitBreakerConfig::new().open_for(minute);
    let ours = CircuitBreakerLayer::with_clock(config, TokioClock::new())
        .classify(portcullis::ErrorsAreFailures)
        .refuse(portcullis::AsError);
    ours.handle().trip().expect("it is closed");
    let builder = last_100().consecutive_failures(1).wait_duration_in_open(minute);
    let mut resilience = layer(builder).layer(Nothing);
    let _ = call(&mut resilience, true);

    tokio::time::advance(minute * 60).await;
    assert!(matches!(call(&mut ours.layer(Nothing), false), Some(Ok(()))));
    let answer = call(&mut resilience, false);
    assert!(matches!(answer, Some(Err(CircuitBreakerError::OpenCircuit))));
}

// ===== memory =====

#[test]
fn the_memory_of_a_time_window_grows_with_its_traffic_in_one_of_them() {
    const CALLS: u64 = 10_000;
    const HOUR: Duration = Duration::from_secs(3_600);
    let builder = last_100()
        .sliding_window_type(tower_resilience_circuitbreaker::SlidingWindowType::TimeBased)
        .sliding_window_duration(HOUR);
    let grown = |run: &mut dyn FnMut()| allocation_counter::measure(run).bytes_current;
    let mut resilience = layer(builder).layer(Nothing);
    let theirs = grown(&mut || {
        (0..CALLS).for_each(|_| assert!(matches!(call(&mut resilience, false), Some(Ok(())))));
    });
    assert!(theirs >= 24 * CALLS as i64, "{theirs} B after {CALLS} calls");

    let window = portcullis::Window::over(HOUR);
    let rate = portcullis::Trip::failure_rate(portcullis::Percent::new(50), window);
    let config = CircuitBreakerConfig::new().trip(rate);
    let mut service = CircuitBreakerLayer::generic(config).layer(Nothing);
    let ours = grown(&mut || {
        (0..CALLS).for_each(|_| assert!(matches!(call(&mut service, false), Some(Ok(())))));
    });
    assert_eq!(ours, 0);
}
