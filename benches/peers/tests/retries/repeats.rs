//! What is repeated, and what it takes.

use std::future::Ready;
use std::panic::catch_unwind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, Request, Response};
use ninelives::ResilienceError;
use portcullis::{CircuitBreakerConfig, CircuitBreakerLayer, TokioClock};
use portcullis_backoff::{BackoffConfig, BackoffLayer, BoxError};
use portcullis_benches::Failed;
use tower::retry::{Policy, RetryLayer as TowerLayer};
use tower_layer::Layer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer as ResilienceBreaker;
use tower_service::Service;

use crate::support::{
    Ask, Callee, HOUR, MILLI, SECOND, THRICE, down, nine, now, ours, resilience, tower, whole,
};

#[tokio::test(start_paused = true)]
async fn no_attempts_at_all_are_refused_by_two_of_them_and_are_one_in_the_third() {
    let callee = down();
    let _ = whole(resilience().max_attempts(0).build().layer(callee.clone()), Ask::default()).await;
    assert_eq!(callee.attempts(), 1);
    assert!(ninelives::RetryPolicy::<Failed>::builder().max_attempts(0).build().is_err());
    assert!(catch_unwind(|| BackoffConfig::new().max_attempts(0)).is_err());
}

/// How often a request is cloned whose attempts are so many.
async fn clones<S>(layer: impl Layer<Callee<(), Failed>, Service = S>, attempts: usize) -> u32
where
    S: Service<Ask>,
{
    let callee = Callee::new(move |at| if at == attempts { Ok(()) } else { Err(Failed::Inner) });
    let ask = Ask::default();
    let count = ask.0.clone();
    assert!(whole(layer.layer(callee.clone()), ask).await.is_ok());
    assert_eq!(callee.attempts(), attempts);
    count.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_request_is_cloned_for_each_attempt_by_all_of_them() {
    for attempts in [1, 3] {
        let expected = attempts as u32;
        assert_eq!(clones(ours(THRICE), attempts).await, expected);
        assert_eq!(clones(tower(None), attempts).await, expected);
        assert_eq!(clones(resilience().build(), attempts).await, expected);
        assert_eq!(clones(nine(), attempts).await, expected);
    }
    // Of which the one for the only attempt there is could be spared.
    assert_eq!(clones(ours(THRICE.max_attempts(1)), 1).await, 1);
    assert_eq!(clones(resilience().max_attempts(1).build(), 1).await, 1);
}

/// How often a callee that cannot take a call sees it.
async fn attempts_of<S>(
    layer: impl Layer<Callee<Response<()>, Failed>, Service = S>,
    method: Method,
) -> (usize, Vec<Duration>)
where
    S: Service<Request<()>>,
{
    let callee = Callee::new(|_| {
        let response = Response::builder().status(503).header("retry-after", "5");
        Ok(response.body(()).expect("a response"))
    });
    let request = Request::builder().method(method).body(()).expect("a request");
    let _ = whole(layer.layer(callee.clone()), request).await;
    (callee.attempts(), callee.waits())
}

/// Ours, for HTTP.
fn ours_for_http() -> BackoffLayer {
    BackoffLayer::with_clock(THRICE.same_for_all_methods(), TokioClock::new())
}

#[tokio::test(start_paused = true)]
async fn a_503_that_says_when_to_come_back_is_heard_by_ours_only() {
    let (attempts, waits) = attempts_of(ours_for_http(), Method::GET).await;
    assert_eq!((attempts, waits), (3, vec![5 * SECOND; 2]));
    let unavailable = |response: &Response<()>| response.status() == 503;
    let told = resilience().retry_on_response(unavailable).build();
    let (attempts, waits) = attempts_of(told, Method::GET).await;
    assert_eq!((attempts, waits), (3, vec![MILLI; 2]));
    // Unless they are told what is a failure, an answer is none.
    assert_eq!(attempts_of(resilience().build(), Method::GET).await.0, 1);
    assert_eq!(attempts_of(nine(), Method::GET).await.0, 1);
}

/// How often a callee whose connections break sees a POST.
async fn posts<S>(layer: impl Layer<Callee<Response<()>, std::io::Error>, Service = S>) -> usize
where
    S: Service<Request<()>>,
{
    let callee = Callee::new(|_| Err(std::io::ErrorKind::ConnectionReset.into()));
    let request = Request::builder().method(Method::POST).body(()).expect("a request");
    let _ = whole(layer.layer(callee.clone()), request).await;
    callee.attempts()
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_connection_breaks_is_made_again_by_two_of_them_as_they_come() {
    assert_eq!(posts(ours_for_http()).await, 1);
    assert_eq!(posts(resilience().build()).await, 3);
    assert_eq!(posts(nine()).await, 3);
}

/// How long a call takes that an open circuit inside refuses.
async fn refused_after<R, S: Service<R>>(service: S, request: R) -> Duration {
    let begun = now();
    assert!(whole(service, request).await.is_err(), "it is open");
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_refusal_of_an_open_circuit_is_repeated_by_two_of_them_as_they_come() {
    let breaker = CircuitBreakerLayer::new(CircuitBreakerConfig::new());
    breaker.handle().force_open("on purpose");
    let callee = Callee::new(|_| Ok::<_, BoxError>(Response::new(())));
    let service = ours_for_http().layer(breaker.layer(callee));
    assert_eq!(refused_after(service, Request::new(())).await, Duration::ZERO);

    let breaker = ResilienceBreaker::builder().consecutive_failures(1).build().expect("right");
    let mut breaker = breaker.layer(down());
    let _ = whole(&mut breaker, true).await;
    let layer = resilience::<bool, (), _>().build();
    assert_eq!(refused_after(layer.layer(breaker), true).await, 2 * MILLI);

    let breaker = ninelives::CircuitBreakerConfig::new(1, HOUR, 1).expect("right");
    let breaker = ninelives::CircuitBreakerLayer::new(breaker).expect("right");
    let mut breaker = breaker.layer(down());
    let _ = whole(&mut breaker, true).await;
    let layer = nine::<ResilienceError<Failed>>();
    assert_eq!(refused_after(layer.layer(breaker), true).await, 2 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_within_an_error_of_its_own_is_repeated_by_ours_too_unless_it_watches_the_circuit()
 {
    let breaker = CircuitBreakerLayer::generic(CircuitBreakerConfig::new());
    let circuit = breaker.handle();
    circuit.force_open("on purpose");
    let service = breaker.layer(down());
    let blind = ours(THRICE).layer(service.clone());
    assert_eq!(refused_after(blind, true).await, 2 * MILLI);
    let watching = ours(THRICE).watch(&circuit).layer(service);
    assert_eq!(refused_after(watching, true).await, Duration::ZERO);
}

#[test]
fn a_request_that_is_no_clone_can_be_sent_through_two_of_them() {
    struct Once;
    /// tower's policy, which may say that there is no other.
    #[derive(Clone)]
    struct Never;
    impl<A, E> Policy<Once, A, E> for Never {
        type Future = Ready<()>;
        fn retry(&mut self, _: &mut Once, _: &mut Result<A, E>) -> Option<Ready<()>> {
            None
        }
        fn clone_request(&mut self, _: &Once) -> Option<Once> {
            None
        }
    }
    fn takes<S: Service<Once>>(_: &S) {}
    takes(&ours(THRICE).clone_request_fn(|_: &Once| None).layer(down()));
    takes(&TowerLayer::new(Never).layer(down()));
    // The services of the other two are none for it: their `Service` is bound to `Clone`.
}
