//! State lives in the layer value.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_breaker::breaker_core::{Event, EventKind, Observe, Outcome, State};
use portcullis_breaker::{CircuitBreaker, CircuitBreakerLayer};
use tower_layer::Layer as _;

use super::script::{Inner, Script};
use super::support::{CONFIG, call, layer_of, request};

#[test]
fn all_services_of_a_layer_and_of_its_clones_share_one_circuit() {
    let breaker = CircuitBreaker::new(CONFIG);
    let layer = layer_of(&breaker);
    let inner = Inner::new(Script::answers(500));
    let remote = inner.remote();
    // As a router does: the layer is applied again and again.
    for _ in 0..60 {
        let mut service = layer.clone().layer(inner.clone());
        let _ = call(&mut service, request());
    }
    assert_eq!(remote.calls(), 3);
    assert!(layer.handle().is_same(&breaker));
    assert_eq!(layer.handle().state(), State::Open);
}

#[test]
fn two_layers_have_two_circuits() {
    let (a, b) = (CircuitBreakerLayer::new(CONFIG), CircuitBreakerLayer::new(CONFIG));
    a.handle().trip().unwrap();
    assert_eq!(b.handle().state(), State::Closed);
    assert!(a.handle().is_same(&a.clone().http().handle()), "another answer, the same circuit");
}

#[test]
fn a_layer_that_judges_at_the_end_of_the_body_shows_its_handle() {
    let layer = CircuitBreakerLayer::new(CONFIG);
    let breaker = layer.handle();
    assert!(layer.judge_at_end_of_body().get_ref().handle().is_same(&breaker));
}

#[test]
fn what_the_layer_answers_with_belongs_to_the_layer_and_not_to_the_circuit() {
    let breaker = CircuitBreaker::new(CONFIG);
    let strict = layer_of(&breaker).classify_fn(|_: Result<&_, &_>| Outcome::Ignored);
    let mut deaf = strict.layer(Inner::new(Script::answers(500)));
    let mut alert = layer_of(&breaker).layer(Inner::new(Script::answers(500)));
    for _ in 0..10 {
        let _ = call(&mut deaf, request());
    }
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..3 {
        let _ = call(&mut alert, request());
    }
    assert!(call(&mut deaf, request()).is_err());
}

/// Counts refusals.
#[derive(Default)]
struct Refusals(AtomicU64);

impl Observe for Refusals {
    fn event(&self, event: &Event<'_>) {
        if let EventKind::Refused(_) = event.kind {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_observer_hears_of_all_services() {
    let breaker = CircuitBreaker::new(CONFIG);
    let refusals = Arc::new(Refusals::default());
    let early = layer_of(&breaker).layer(Inner::new(Script::answers(200)));
    let layer = layer_of(&breaker).observe(refusals.clone());
    breaker.trip().unwrap();
    for mut service in [early.clone(), early, layer.layer(Inner::new(Script::answers(200)))] {
        assert!(call(&mut service, request()).is_err());
    }
    assert_eq!(refusals.0.load(Ordering::Relaxed), 3);
}
