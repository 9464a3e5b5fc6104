//! S-CORE-07: wherever a call ends, and however, its permit ends with it.
//!
//! Every script, under every layer and state, is stopped after each of its polls in each of five
//! ways.

use http::{Request, Response};
use http_body::Body;
use portcullis_breaker::breaker_core::State;
use portcullis_breaker::{CircuitBreaker, CircuitBreakerLayer};
use tower_layer::Layer;
use tower_service::Service;

use super::matrix_walk::{End, Stop, Walk};
use super::script::{Inner, Remote, Script, Step};
use super::support::{Oops, circuit, ended, half_open, layer_of, totals};

/// How many cells there are: a matrix that shrinks unnoticed shows less than it says.
const CELLS: usize = 8_640;

#[test]
fn whatever_happens_to_a_call_its_permit_ends_once() {
    let mut cells = 0;
    for start in [State::Closed, State::HalfOpen] {
        for script in scripts() {
            let plain = |breaker: &CircuitBreaker| layer_of(breaker);
            cells += stops(&script, start, false, plain);
            let body_end = |breaker: &CircuitBreaker| layer_of(breaker).judge_at_end_of_body();
            cells += stops(&script, start, true, body_end);
        }
    }
    println!("{cells} cells");
    assert_eq!(cells, CELLS);
}

/// All orders in which the parts of a call may keep one waiting.
fn scripts() -> Vec<Script> {
    let mut scripts = Vec::new();
    for ready in 0..3 {
        for answer in 0..4 {
            for body in [
                vec![],
                vec![Step::Give],
                vec![Step::Wait, Step::Give],
                vec![Step::Give, Step::Wait, Step::Give],
            ] {
                scripts.push(Script {
                    ready: vec![Step::Wait; ready],
                    answer: vec![Step::Wait; answer],
                    body,
                    ..Script::answers(200)
                });
            }
        }
    }
    scripts
}

/// Stops a script everywhere and in every way; says in how many cells.
fn stops<L, B>(
    script: &Script,
    start: State,
    at_body_end: bool,
    layer: impl Fn(&CircuitBreaker) -> L,
) -> usize
where
    L: Layer<Inner>,
    L::Service: Service<Request<()>, Response = Response<B>, Error = Oops> + Clone,
    B: Body,
{
    let steps = script.ready.len() + script.answer.len() + script.body.len() + 4;
    let mut cells = 0;
    for after in 0..=steps {
        for stop in Stop::ALL {
            let (breaker, _) = circuit();
            if start == State::HalfOpen {
                half_open(&breaker);
            }
            let inner = Inner::new(script.clone());
            let remote = inner.remote();
            let service = layer(&breaker).layer(inner);
            let mut walk = Walk::new(service.clone(), remote.clone(), at_body_end);
            for _ in 0..after {
                walk.step();
            }
            let end = walk.stop(stop);
            let cell = format!("{start} {script:?} {stop:?} after {after}, body {at_body_end}");
            check(&breaker, &remote, end, &cell);
            fresh_call(&breaker, &remote, &service, &cell);
            cells += 1;
        }
    }
    cells
}

/// What has been counted by the time that everything is dropped.
fn check(breaker: &CircuitBreaker, remote: &Remote, end: End, cell: &str) {
    let totals = totals(breaker);
    let counted = [totals.successes, totals.failures, totals.cancelled, totals.ignored];
    let expected = match end {
        End::Nothing => [0, 0, 0, 0],
        End::Success => [1, 0, 0, 0],
        End::Failure => [0, 1, 0, 0],
        End::Cancelled => [0, 0, 1, 0],
        End::Unready => [0, 1, 0, 0],
    };
    assert_eq!(counted, expected, "{cell}");
    let unready = u64::from(end == End::Unready);
    assert_eq!(ended(breaker), remote.calls() + unready, "started is ended: {cell}");
    assert_eq!(breaker.snapshot().trials_in_flight, 0, "{cell}");
}

/// A good call succeeds as if nothing had been.
fn fresh_call<S, B>(breaker: &CircuitBreaker, remote: &Remote, service: &S, cell: &str)
where
    S: Service<Request<()>, Response = Response<B>, Error = Oops> + Clone,
    B: Body,
{
    if breaker.state() == State::Open {
        half_open(breaker);
    }
    remote.script(Script::answers(200));
    let before = totals(breaker).successes;
    let mut walk = Walk::new(service.clone(), remote.clone(), true);
    for _ in 0..4 {
        walk.step();
    }
    assert_eq!(walk.stop(Stop::Drop), End::Success, "{cell}");
    assert_eq!(totals(breaker).successes, before + 1, "{cell}");
    assert_eq!(breaker.state(), State::Closed, "{cell}");
}

#[test]
fn a_circuit_per_key_ends_its_permits_too() {
    let mut cells = 0;
    for script in scripts() {
        let steps = script.ready.len() + script.answer.len() + script.body.len() + 4;
        for after in 0..=steps {
            for stop in Stop::ALL {
                let layer = CircuitBreakerLayer::new(super::support::CONFIG)
                    .refuse(portcullis_breaker::breaker_core::AsError)
                    .keyed_fn(|_: &Request<()>| Some("a"));
                let breaker = layer.circuits().get(&"a");
                half_open(&breaker);
                let inner = Inner::new(script.clone());
                let remote = inner.remote();
                let service = layer.layer(inner);
                let mut walk = Walk::new(service.clone(), remote.clone(), false);
                for _ in 0..after {
                    walk.step();
                }
                // Nobody knows whose readiness it was that failed.
                let end = match walk.stop(stop) {
                    End::Unready => End::Nothing,
                    end => end,
                };
                let cell = format!("{script:?} {stop:?} after {after}");
                check(&breaker, &remote, end, &cell);
                fresh_call(&breaker, &remote, &service, &cell);
                cells += 1;
            }
        }
    }
    println!("{cells} cells");
    assert_eq!(cells, CELLS / 4);
}
