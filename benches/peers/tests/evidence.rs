//! What opens a circuit, and what does not.

mod common;

use std::time::Duration;

use circuitbreaker_rs::{CircuitBreaker as RatedBreaker, DefaultPolicy};
use common::{OPEN_FOR, Replies, Reply, Verdict, each};
use portcullis::{CircuitBreakerConfig, CircuitBreakerLayer, Percent, Trip, Window};
use portcullis_benches::{Failed, Nothing, call, finish};
use portcullis_peers::{Functional, tower_resilience};
use recloser::{AsyncRecloser, Recloser};
use tower_layer::Layer as _;
use tower_service::Service;

const DAY: Duration = Duration::from_secs(86_400);
const HALF: Percent = Percent::new(50);

/// How many failures in a row it takes until the inner service is no longer reached.
fn failures_until_open<S: Service<bool, Response = ()>>(
    service: &mut S,
    healthy: u32,
    refused: fn(&S::Error) -> bool,
) -> u32 {
    (0..healthy).for_each(|_| assert!(matches!(call(service, false), Some(Ok(())))));
    let fails = |service: &mut S| match call(service, true) {
        Some(Err(error)) => !refused(&error),
        _ => panic!("a failure, or a refusal"),
    };
    let mut count = 0;
    while fails(service) {
        count += 1;
        assert!(count <= 2 * healthy.max(200), "it never opens");
    }
    count
}

fn refused(error: &Failed) -> bool {
    matches!(error, Failed::Refused(..))
}

#[test]
fn after_long_health_half_of_the_last_hundred_is_fifty_failures_or_a_hundred_thousand() {
    const HEALTHY: u32 = 100_000;
    let config = CircuitBreakerConfig::new().trip(Trip::failure_rate(HALF, Window::last(100)));
    let mut ours = CircuitBreakerLayer::generic(config).layer(Nothing);
    assert_eq!(failures_until_open(&mut ours, HEALTHY, refused), 50);

    let layer = tower_resilience::layer(tower_resilience::last_100());
    let mut resilience = layer.layer(Nothing);
    assert_eq!(failures_until_open(&mut resilience, HEALTHY, |e| e.is_circuit_open()), HEALTHY);

    let ring = Recloser::custom().closed_len(100).error_rate(0.5).open_wait(DAY).build();
    let mut recloser = Functional::new(AsyncRecloser::from(ring));
    let rejected = |error: &recloser::Error<Failed>| matches!(error, recloser::Error::Rejected);
    assert_eq!(failures_until_open(&mut recloser, HEALTHY, rejected), 50);

    // Its other condition, failures in a row, is put out of reach.
    let rated = RatedBreaker::<DefaultPolicy, Failed>::builder()
        .failure_threshold(0.5)
        .min_throughput(100)
        .consecutive_failures(u64::MAX)
        .cooldown(DAY)
        .build();
    let answer = |good: bool| finish(rated.call_async(|| Reply::now(good)));
    (0..HEALTHY).for_each(|_| assert!(answer(true).is_ok()));
    let mut failures = 0;
    while !matches!(answer(false), Err(circuitbreaker_rs::BreakerError::Open)) {
        failures += 1;
    }
    assert_eq!(failures, HEALTHY);
}

#[test]
fn a_minimum_of_ten_calls_is_ten_calls_or_a_hundred() {
    let window = Window::last(100).min_calls(10);
    let config = CircuitBreakerConfig::new().trip(Trip::failure_rate(HALF, window));
    let mut ours = CircuitBreakerLayer::generic(config).layer(Nothing);
    assert_eq!(failures_until_open(&mut ours, 0, refused), 10);

    let builder = tower_resilience::last_100().minimum_number_of_calls(10);
    let mut resilience = tower_resilience::layer(builder).layer(Nothing);
    assert_eq!(failures_until_open(&mut resilience, 0, |e| e.is_circuit_open()), 100);
}

#[test]
fn calls_that_hang_until_they_are_dropped_open_one_of_them() {
    let opened = each(|peer| {
        for _ in 0..100 {
            let Ok(call) = peer.begin(&Reply::default()) else { return true };
            // Longer than a slow call. It is not waited for where real time would have to pass:
            // those ask a call that is dropped for nothing.
            if peer.name == "portcullis" || peer.name == "ninelives" {
                peer.pass(OPEN_FOR);
            }
            drop(call);
        }
        peer.call(true) == Verdict::Refused
    });
    assert_eq!(
        opened,
        [
            ("portcullis", true),
            ("tower-resilience", false),
            ("ninelives", false),
            ("failsafe", false),
            ("recloser", false),
            ("circuitbreaker-rs", false),
        ]
    );
}

#[test]
fn no_trials_at_all_are_refused_when_written_or_for_ever() {
    let written = std::panic::catch_unwind(|| CircuitBreakerConfig::new().permitted_calls(0));
    assert!(written.is_err(), "ours says so at once");

    let builder = tower_resilience::last_100()
        .consecutive_failures(1)
        .wait_duration_in_open(Duration::from_nanos(1))
        .permitted_calls_in_half_open(0);
    let mut resilience = builder.build().expect("it is taken").layer(Replies);
    let mut ask = |good| {
        let ready = finish(std::future::poll_fn(|cx| resilience.poll_ready(cx)));
        ready.expect("always ready");
        finish(resilience.call(Reply::now(good)))
    };
    assert!(ask(false).is_err());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let _entered = runtime.as_ref().expect("a runtime").enter();
    assert!((0..100).all(|_| ask(true).is_err_and(|error| error.is_circuit_open())));
}
