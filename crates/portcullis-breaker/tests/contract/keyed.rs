//! S-CORE-13: partial breaking. One circuit per key, and a share of the traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Request, Response};
use portcullis_breaker::CircuitBreakerLayer;
use portcullis_breaker::breaker_core::{
    AsError, CircuitBreakers, Event, EventKind, ManualClock, Observe, Percent, State,
};
use portcullis_breaker::portcullis_http::key::{self, KeyText};
use tower_layer::Layer as _;
use tower_service::Service;

use super::script::{Inner, Script, ScriptBody};
use super::support::{
    CONFIG, OPEN_PERIOD, Oops, call, circuit, circuit_of, finish, layer_of, panics, poll_ready,
    request, start, totals,
};

fn tenant(name: &str) -> Request<()> {
    Request::builder().header("x-tenant", name).body(()).expect("a request")
}

/// What axum's `MatchedPath` is like.
#[derive(Clone)]
struct Route(Arc<str>);

impl Route {
    fn as_str(&self) -> &str {
        &self.0
    }
}

fn route(path: &str) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(Route(path.into()));
    request
}

/// `a` fails until its circuit is open; `b` and requests without a key are not concerned.
fn only_a_opens<S>(mut service: S, inner: &Inner, a: impl Fn() -> Request<()>, b: Request<()>)
where
    S: Service<Request<()>, Response = Response<ScriptBody>, Error = Oops>,
{
    let remote = inner.remote();
    remote.script(Script::answers(500));
    for _ in 0..60 {
        let _ = call(&mut service, a());
    }
    assert_eq!(remote.calls(), 3);
    remote.script(Script::answers(200));
    assert!(matches!(call(&mut service, a()), Err(Oops::Refused(_))));
    assert!(call(&mut service, b).is_ok());
    assert!(call(&mut service, request()).is_ok());
    assert_eq!(remote.calls(), 5);
}

#[test]
fn one_circuit_per_value_of_a_header() {
    let inner = Inner::new(Script::answers(200));
    let layer = CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed(key::header("x-tenant"));
    only_a_opens(layer.layer(inner.clone()), &inner, || tenant("a"), tenant("b"));
    let a = layer.circuits().get(&KeyText::new("a").expect("short"));
    assert_eq!(a.state(), State::Open);
    assert_eq!(layer.circuits().len(), 2);
    assert_eq!(totals(&layer.circuits().unmatched()).successes, 1);
}

#[test]
fn one_circuit_per_route() {
    let inner = Inner::new(Script::answers(200));
    let layer =
        CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed(key::extension(Route::as_str));
    only_a_opens(layer.layer(inner.clone()), &inner, || route("/a"), route("/b"));
}

#[test]
fn one_circuit_per_key_of_a_closure() {
    let inner = Inner::new(Script::answers(200));
    let layer =
        CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed_fn(|request: &Request<()>| {
            Some(request.headers().get("x-tenant")?.to_str().ok()?.to_owned())
        });
    only_a_opens(layer.layer(inner.clone()), &inner, || tenant("a"), tenant("b"));
}

#[test]
fn requests_without_a_key_share_the_circuit_unmatched() {
    let layer = CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed(key::header("x-tenant"));
    let mut service = layer.layer(Inner::new(Script::answers(500)));
    for _ in 0..3 {
        assert!(call(&mut service, request()).is_ok());
    }
    assert!(matches!(call(&mut service, request()), Err(Oops::Refused(_))));
    assert!(call(&mut service, tenant("a")).is_ok());
    assert_eq!(layer.circuits().unmatched().state(), State::Open);
}

#[test]
fn circuits_that_exist_already_can_be_taken() {
    let clock = ManualClock::new();
    let circuits = CircuitBreakers::with_capacity_and_clock(CONFIG, 16, clock);
    let layer = CircuitBreakerLayer::new(CONFIG)
        .refuse(AsError)
        .keyed_by(|_: &Request<()>| Some("a"), circuits.clone());
    circuits.get(&"a").trip().unwrap();
    let mut service = layer.layer(Inner::new(Script::answers(200)));
    assert!(matches!(call(&mut service, request()), Err(Oops::Refused(_))));
}

#[test]
fn circuits_have_the_clock_and_the_observers_of_the_layer() {
    #[derive(Default)]
    struct Openings(AtomicU64);
    impl Observe for Openings {
        fn event(&self, event: &Event<'_>) {
            if let EventKind::StateChanged { .. } = event.kind {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    let (breaker, clock) = circuit();
    let openings = Arc::new(Openings::default());
    let layer = layer_of(&breaker).observe(openings.clone()).keyed_fn(|_: &Request<()>| Some("a"));
    let a = layer.circuits().get(&"a");
    a.trip().unwrap();
    assert_eq!(openings.0.load(Ordering::Relaxed), 1);
    assert_eq!((a.state(), breaker.state()), (State::Open, State::Closed));
    clock.advance(OPEN_PERIOD);
    assert_eq!(a.state(), State::HalfOpen);
}

#[test]
fn the_inner_service_is_asked_although_a_circuit_is_open_since_it_may_be_anothers_request() {
    let layer =
        CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed_fn(|_: &Request<()>| Some("a"));
    layer.circuits().get(&"a").trip().unwrap();
    let mut service = layer.layer(Inner::new(Script::never_ready()));
    assert!(poll_ready(&mut service).is_pending());
}

#[test]
fn readiness_errors_belong_to_no_key() {
    let layer =
        CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed_fn(|_: &Request<()>| Some("a"));
    let service = layer.layer(Inner::new(Script::fails_to_be_ready()));
    for _ in 0..10 {
        assert_eq!(poll_ready(&mut service.clone()), std::task::Poll::Ready(Err(Oops::Broken)));
    }
    assert!(layer.circuits().is_empty());
    assert_eq!(totals(&layer.circuits().unmatched()).failures, 0);
}

#[test]
fn an_instance_that_is_not_ready_is_refused_by_the_circuit_of_the_request() {
    let layer =
        CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed_fn(|_: &Request<()>| Some("a"));
    let mut service = layer.layer(Inner::new(Script::answers(200)));
    match finish(service.call(request())) {
        Err(Oops::Refused(rejected)) => assert_eq!(&**rejected.by(), "payments"),
        _ => panic!("it is not ready"),
    }
    assert_eq!(totals(&layer.circuits().get(&"a")).refused, 1);
}

#[test]
fn a_call_holds_the_circuit_of_its_key_while_it_is_out() {
    let layer =
        CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed_fn(|_: &Request<()>| Some("a"));
    let breaker = layer.circuits().get(&"a");
    super::support::half_open(&breaker);
    let mut service = layer.layer(Inner::new(Script::answers(200)));
    let trial = start(&mut service, request());
    assert_eq!(breaker.snapshot().trials_in_flight, 1);
    assert!(!panics(|| drop(trial)));
    assert_eq!(breaker.snapshot().trials_in_flight, 0);
}

#[test]
fn a_share_of_the_traffic_can_be_broken() {
    let (breaker, _) = circuit_of(CONFIG.open_refusal_share(Percent::new(80)));
    breaker.trip().unwrap();
    let inner = Inner::new(Script::answers(200));
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    for _ in 0..10 {
        let _ = call(&mut service, request());
    }
    assert_eq!((remote.calls(), totals(&breaker).refused), (2, 8));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn enforcement_can_begin_with_a_share() {
    let (breaker, _) = circuit_of(CONFIG.enforce(Percent::new(50)));
    breaker.trip().unwrap();
    let inner = Inner::new(Script::answers(200));
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    for _ in 0..10 {
        let _ = call(&mut service, request());
    }
    assert_eq!(remote.calls(), 5);
}

#[test]
fn a_layer_holds_about_as_many_circuits_as_it_was_told() {
    let (breaker, clock) = circuit();
    let layer = layer_of(&breaker).keyed_up_to(20, key::header("x-tenant"));
    let mut service = layer.layer(Inner::new(Script::answers(200)));
    for number in 0..1_000 {
        assert!(call(&mut service, tenant(&number.to_string())).is_ok());
    }
    // Rounded up to a multiple of 16.
    assert_eq!(layer.circuits().len(), 32);
    // As with `keyed`, configuration and clock are those of the layer.
    let overflow = layer.circuits().overflow();
    overflow.trip().unwrap();
    clock.advance(OPEN_PERIOD);
    assert_eq!(overflow.state(), State::HalfOpen);
}
