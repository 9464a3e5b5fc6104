//! What bulkheads and adaptive limits of others do, and ours in the same scene. Calls are polled by
//! hand, and tokio's time is paused where somebody follows it; nothing here waits for real time to
//! pass.

mod common;

use std::any::type_name;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use common::{Replies, Reply};
use little_loadshedder::{LoadShedLayer as LittleLayer, LoadShedResponse};
use ninelives::BulkheadLayer as NineLayer;
use portcullis::{AsError, ErrorsAreFailures, TokioClock};
use portcullis_benches::{Failed, Later, Web, call, finish};
use portcullis_priority::{
    ConcurrencyLayer, ConcurrencyLimit, Priority, PriorityQueue, PriorityQueueLayer, QueueConfig,
    ToHead,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower_layer::Layer;
use tower_resilience_bulkhead::{BulkheadConfigBuilder, BulkheadLayer, BulkheadServiceError};
use tower_service::Service;

const DAY: Duration = Duration::from_secs(86_400);

/// Ours, with so many slots.
fn ours(slots: u32) -> ConcurrencyLayer<ErrorsAreFailures, AsError, ToHead> {
    ConcurrencyLayer::generic(ConcurrencyLimit::new(slots))
}

/// Ours, whose callers wait.
fn patient() -> ConcurrencyLayer<ErrorsAreFailures, AsError, ToHead> {
    let limit = ConcurrencyLimit::new(1).max_wait(Duration::from_secs(5));
    let layer = ConcurrencyLayer::with_clock(limit, TokioClock::new());
    layer.classify(ErrorsAreFailures).refuse(AsError).hold_to_head()
}

fn shed(slots: usize) -> (LoadShedLayer, ConcurrencyLimitLayer) {
    (LoadShedLayer::new(), ConcurrencyLimitLayer::new(slots))
}

fn resilience(slots: usize) -> BulkheadConfigBuilder {
    BulkheadLayer::builder().max_concurrent_calls(slots)
}

fn built(builder: BulkheadConfigBuilder) -> BulkheadLayer {
    builder.build().expect("right")
}

fn nine(slots: usize) -> NineLayer {
    NineLayer::new(slots).expect("right")
}

fn little() -> LittleLayer {
    LittleLayer::new(0.1, Duration::from_secs(1))
}

/// A whole call, as `oneshot` makes it.
async fn whole<S: Service<Reply>>(mut service: S, reply: Reply) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(reply).await
}

/// What one poll of it says.
fn poll<F: Future + ?Sized>(future: &mut std::pin::Pin<Box<F>>) -> Option<F::Output> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A call that nobody answers yet, begun.
fn begun<S>(service: S) -> std::pin::Pin<Box<impl Future<Output = Result<S::Response, S::Error>>>>
where
    S: Service<Reply>,
{
    let mut call = Box::pin(whole(service, Reply::default()));
    assert!(poll(&mut call).is_none(), "nobody answers it");
    call
}

// ===== when all slots are taken =====

#[tokio::test(start_paused = true)]
async fn a_call_too_many_waits_for_ever_in_two_of_them_and_has_a_bound_in_ours() {
    async fn waits_a_day<S: Service<Reply> + Clone>(service: S) -> bool {
        let _first = begun(service.clone());
        tokio::time::timeout(DAY, whole(service, Reply::now(true))).await.is_err()
    }
    assert!(waits_a_day(ConcurrencyLimitLayer::new(1).layer(Replies)).await);
    assert!(waits_a_day(built(resilience(1)).layer(Replies)).await, "as it comes");
    assert!(!waits_a_day(built(resilience(1).max_wait_duration(DAY / 2)).layer(Replies)).await);
    assert!(!waits_a_day(patient().layer(Replies)).await);
    assert!(!waits_a_day(ours(1).layer(Replies)).await);
}

/// Whether the second call is refused at its first poll.
fn refuses<S>(service: &S, refused: fn(Result<S::Response, S::Error>) -> bool) -> bool
where
    S: Service<Reply> + Clone,
{
    let _first = begun(service.clone());
    poll(&mut Box::pin(whole(service.clone(), Reply::now(true)))).is_some_and(refused)
}

#[tokio::test(start_paused = true)]
async fn to_refuse_at_once_one_of_them_waits_for_a_timer() {
    assert!(refuses(&ours(1).layer(Replies), |answer| answer.is_err()));
    assert!(refuses(&shed(1).layer(Replies), |answer| answer.is_err()));
    assert!(refuses(&nine(1).layer(Replies), |answer| answer.is_err()));
    let service = built(resilience(1).reject_when_full()).layer(Replies);
    // Timers are of whole milliseconds.
    tokio::time::advance(Duration::from_micros(500)).await;
    assert!(!refuses(&service, |answer| answer.is_err()), "not at its first poll");
    let _first = begun(service.clone());
    assert!(whole(service, Reply::now(true)).await.is_err(), "but after a timer");
}

#[test]
fn a_refusal_says_when_to_come_back_in_ours_only() {
    let refusal = |error: &dyn std::error::Error| error.to_string();
    let queue = PriorityQueue::new(ConcurrencyLimit::new(1));
    let _held = queue.try_acquire(Priority::NORMAL).expect("it is free");
    let rejected = queue.try_acquire(Priority::NORMAL).expect_err("it is taken");
    assert!(rejected.retry_after() >= Some(Duration::from_secs(1)));

    let service = shed(1).layer(Replies);
    let _first = begun(service.clone());
    let error = poll(&mut Box::pin(whole(service, Reply::now(true)))).expect("at once");
    assert_eq!(refusal(&*error.expect_err("refused")), "service overloaded");

    let service = nine(1).layer(Replies);
    let _first = begun(service.clone());
    let error = poll(&mut Box::pin(whole(service, Reply::now(true)))).expect("at once");
    let said = refusal(&error.expect_err("refused"));
    assert_eq!(said, "bulkhead rejected request (1 in-flight, max 1)");
}

#[test]
fn of_ten_calls_at_once_little_loadshedder_takes_two_to_begin_with() {
    let service = little().layer(Replies);
    let mut calls: Vec<_> =
        (0..10).map(|_| Box::pin(whole(service.clone(), Reply::default()))).collect();
    let answers = calls.iter_mut().filter_map(poll);
    let shed = answers.filter(|answer| matches!(answer, Ok(LoadShedResponse::Overload)));
    assert_eq!(shed.count(), 8);
    assert_eq!((service.concurrency(), service.queue_capacity()), (1, 2));
}

// ===== who waits =====

/// Whether a call gets the slot of one that ended, after others gave up: one while it waited, one
/// when it had been woken and had not come yet.
fn gives_back<S: Service<Reply> + Clone>(service: &S) -> bool {
    let first = begun(service.clone());
    let (gone, woken) = (begun(service.clone()), begun(service.clone()));
    drop(gone);
    drop(first);
    drop(woken);
    poll(&mut Box::pin(whole(service.clone(), Reply::now(true)))).is_some_and(|it| it.is_ok())
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_nothing_behind_in_any_of_them() {
    assert!(gives_back(&patient().layer(Replies)));
    assert!(gives_back(&ConcurrencyLimitLayer::new(1).layer(Replies)));
    assert!(gives_back(&built(resilience(1)).layer(Replies)));
}

#[tokio::test(start_paused = true)]
async fn the_important_call_is_served_first_in_ours_only() {
    /// Whether the first or the second of two that wait gets the slot.
    fn first_is_served<S: Service<Reply> + Clone>(service: &S, other: &S) -> bool {
        let runs = begun(service.clone());
        let mut waits = [service, other].map(|service| {
            let mut call = Box::pin(whole(service.clone(), Reply::now(true)));
            assert!(poll(&mut call).is_none(), "it waits");
            call
        });
        drop(runs);
        poll(&mut waits[0]).is_some()
    }
    let tower = ConcurrencyLimitLayer::new(1).layer(Replies);
    assert!(first_is_served(&tower, &tower));
    let resilience = built(resilience(1)).layer(Replies);
    assert!(first_is_served(&resilience, &resilience));

    // The first is of bulk, the second critical.
    let bulk = PriorityQueueLayer::with_clock(QueueConfig::slots(1), TokioClock::new());
    let critical = PriorityQueueLayer::from_queue(bulk.handle());
    let says = |priority| move |_: &Reply| Some(priority);
    let plain = |layer: PriorityQueueLayer, priority| {
        let layer = layer.classify(ErrorsAreFailures).refuse(AsError).priority_fn(says(priority));
        layer.hold_to_head().layer(Replies)
    };
    let (bulk, critical) = (plain(bulk, Priority::BULK), plain(critical, Priority::CRITICAL));
    assert!(!first_is_served(&bulk, &critical));
}

#[test]
fn a_clone_that_is_readied_and_not_called_holds_a_slot_of_two_of_them() {
    fn holds<S: Service<Reply> + Clone>(service: &S) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut readied = service.clone();
        assert!(readied.poll_ready(&mut cx).is_ready());
        let other = poll(&mut Box::pin(whole(service.clone(), Reply::now(true))));
        other.is_none_or(|answer| answer.is_err())
    }
    assert!(!holds(&ours(1).layer(Replies)));
    assert!(holds(&ConcurrencyLimitLayer::new(1).layer(Replies)));
    assert!(!holds(&built(resilience(1)).layer(Replies)), "as it comes");
    assert!(holds(&built(resilience(1).backpressure()).layer(Replies)));
    assert!(!holds(&nine(1).layer(Replies)));
    assert!(!holds(&little().layer(Replies)));
}

// ===== how long a slot is held, and by whom it is shared =====

/// Whether a second request is let through while the body of the first answer is still being sent.
fn lets_through<S>(mut service: S) -> bool
where
    S: Service<Request<()>> + Clone,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut answered = |service: &mut S| {
        if service.poll_ready(&mut cx).is_pending() {
            return None;
        }
        poll(&mut Box::pin(service.call(Request::new(()))))?.ok()
    };
    let mut second = service.clone();
    let first = answered(&mut service).expect("there is a slot");
    let second = answered(&mut second);
    drop(first);
    second.is_some()
}

#[test]
fn a_slot_is_held_to_the_end_of_the_body_by_ours_only() {
    let mut service = ConcurrencyLayer::new(ConcurrencyLimit::new(1)).layer(Web);
    let mut answer = || finish(service.call(Request::new(()))).expect("infallible");
    let first = answer();
    assert_eq!(answer().status(), StatusCode::SERVICE_UNAVAILABLE, "the body is still being sent");
    drop(first);
    assert_eq!(answer().status(), StatusCode::OK);

    assert!(lets_through(ConcurrencyLimitLayer::new(1).layer(Web)));
    assert!(lets_through(built(resilience(1)).layer(Web)));
    assert!(lets_through(nine(1).layer(Web)));
}

/// How many of ten calls run at a time, if each goes to a service of its own from one layer.
fn at_a_time<L>(layer: &L) -> usize
where
    L: Layer<Later>,
    L::Service: Service<bool>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut services: Vec<_> = (0..10).map(|_| layer.layer(Later)).collect();
    let calls = services.iter_mut().filter_map(|service| {
        let readied = service.poll_ready(&mut cx).is_ready();
        readied.then(|| Box::pin(service.call(false)))
    });
    let mut calls: Vec<_> = calls.collect();
    // At its first poll, a call that is not refused is not answered yet.
    calls.iter_mut().filter_map(|call| poll(call).is_none().then_some(())).count()
}

#[test]
fn services_of_one_layer_share_their_slots_or_have_their_own() {
    assert_eq!(at_a_time(&ours(3)), 3);
    assert_eq!(at_a_time(&ConcurrencyLimitLayer::new(3)), 10);
    assert_eq!(at_a_time(&GlobalConcurrencyLimitLayer::new(3)), 3);
    assert_eq!(at_a_time(&nine(3)), 10);
    assert_eq!(at_a_time(&little()), 10, "of two: one that runs, and one that waits");
}

/// Sends five requests at a time to a handler that hangs, each on a connection of its own; says how
/// many of them reached it when all that are refused have been answered.
async fn reached(protect: impl FnOnce(Router) -> Router, expected: u32) -> u32 {
    let hits = Arc::new(AtomicU32::new(0));
    let counted = hits.clone();
    let hang = move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<StatusCode>().await
    };
    let app = protect(Router::new().route("/", get(hang)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut open = Vec::new();
    let mut refused = 0;
    for number in 0..5 {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        if number < expected {
            while hits.load(Ordering::Relaxed) <= number {
                tokio::task::yield_now().await;
            }
            open.push(stream);
        } else {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("answered");
            refused += u32::from(answer.starts_with(b"HTTP/1.1 503"));
        }
    }
    server.abort();
    assert_eq!(refused, 5 - expected);
    hits.load(Ordering::Relaxed)
}

#[tokio::test]
async fn behind_a_server_one_at_a_time_is_one_for_each_connection_in_three_of_them() {
    async fn unavailable<E>(_: BulkheadServiceError<E>) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
    async fn nine_unavailable(_: ninelives::ResilienceError<Infallible>) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
    let limit = ConcurrencyLimit::new(1);
    assert_eq!(reached(|app| app.layer(ConcurrencyLayer::new(limit)), 1).await, 1);
    assert_eq!(reached(|app| app.layer(ConcurrencyLimitLayer::new(1)), 5).await, 5);
    let handled = |layer: BulkheadLayer| (HandleErrorLayer::new(unavailable), layer);
    let plain = built(resilience(1).reject_when_full());
    assert_eq!(reached(|app| app.layer(handled(plain)), 5).await, 5);
    let (shared, _) = resilience(1).reject_when_full().build_with_handle().expect("right");
    assert_eq!(reached(|app| app.layer(handled(shared)), 1).await, 1);
    let nine = (HandleErrorLayer::new(nine_unavailable), nine(1));
    assert_eq!(reached(|app| app.layer(nine), 5).await, 5);
}

// ===== types and readiness =====

#[test]
fn the_types_of_the_service_are_kept_by_two_of_them() {
    fn types<S: Service<Reply>>(_: &S) -> (bool, bool) {
        let kept = type_name::<S::Response>() == type_name::<()>();
        (kept, type_name::<S::Error>() == type_name::<Failed>())
    }
    assert_eq!(types(&ours(1).layer(Replies)), (true, true));
    assert_eq!(types(&ConcurrencyLimitLayer::new(1).layer(Replies)), (true, true));
    assert_eq!(types(&shed(1).layer(Replies)), (true, false));
    assert_eq!(types(&built(resilience(1)).layer(Replies)), (true, false));
    assert_eq!(types(&nine(1).layer(Replies)), (true, false));
    assert_eq!(types(&little().layer(Replies)), (false, true));
}

#[test]
fn the_instance_that_was_readied_is_not_the_one_that_is_called_in_one_of_them() {
    assert!(matches!(call(&mut ours(1).layer(common::Strict::default()), false), Some(Ok(()))));
    let service = &mut ConcurrencyLimitLayer::new(1).layer(common::Strict::default());
    assert!(matches!(call(service, false), Some(Ok(()))));
    let service = &mut built(resilience(1)).layer(common::Strict::default());
    assert!(matches!(call(service, false), Some(Ok(()))));
    assert!(matches!(call(&mut nine(1).layer(common::Strict::default()), false), Some(Err(_))));
}
