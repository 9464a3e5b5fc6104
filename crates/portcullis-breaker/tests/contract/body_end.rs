//! Judged at the end of the body: S-CORE-07, S-CORE-08 for calls that go on after their head.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use portcullis_breaker::breaker_core::{AsError, State, Totals};
use portcullis_breaker::portcullis_http::{HttpOrGrpc, JudgedBody};
use portcullis_breaker::{BodyEndLayer, CircuitBreaker, PermitJudge, Single};
use tower_layer::Layer as _;

use super::script::{Inner, Script, ScriptBody, Step};
use super::support::{
    CountingClock, Oops, SLOW, assert_scripted, call, circuit, context, ended, half_open, layer_of,
    request, totals,
};

type Judged = JudgedBody<ScriptBody, PermitJudge>;

/// A circuit with one trial free, and a layer that judges at the end of the body.
struct Stage {
    breaker: CircuitBreaker,
    clock: CountingClock,
    layer: BodyEndLayer<HttpOrGrpc, AsError, Single>,
}

impl Stage {
    fn half_open() -> Self {
        let (breaker, clock) = circuit();
        half_open(&breaker);
        let layer = layer_of(&breaker).judge_at_end_of_body();
        Self { breaker, clock, layer }
    }

    /// The head of an answer with this body.
    fn head(&self, status: u16, grpc: bool, body: Vec<Step>) -> Response<Judged> {
        self.head_of(request(), Script { grpc, body, ..Script::answers(status) })
    }

    fn head_of(&self, request: Request<()>, script: Script) -> Response<Judged> {
        call(&mut self.layer.layer(Inner::new(script)), request).expect("admitted")
    }

    fn trials(&self) -> u32 {
        self.breaker.snapshot().trials_in_flight
    }

    /// State, successes, failures, cancelled.
    fn counts(&self) -> (State, u64, u64, u64) {
        let Totals { successes, failures, cancelled, .. } = totals(&self.breaker);
        (self.breaker.state(), successes, failures, cancelled)
    }
}

fn body(response: Response<Judged>) -> Pin<Box<Judged>> {
    Box::pin(response.into_body())
}

fn frame(body: &mut Pin<Box<Judged>>) -> Poll<Option<Result<Frame<Bytes>, Oops>>> {
    body.as_mut().poll_frame(&mut context())
}

/// Reads on until there is no more; whether it ended well.
fn read(response: Response<Judged>) -> bool {
    let mut body = body(response);
    for _ in 0..100 {
        match frame(&mut body) {
            Poll::Ready(None) => return true,
            Poll::Ready(Some(Err(_))) => return false,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
    }
    panic!("no end after 100 polls")
}

#[test]
fn a_trial_is_out_until_its_body_has_ended() {
    let stage = Stage::half_open();
    let response = stage.head(200, false, vec![Step::Give, Step::Wait]);
    assert_eq!((stage.trials(), ended(&stage.breaker)), (1, 0));
    let mut service = stage.layer.layer(Inner::new(Script::answers(200)));
    assert!(matches!(call(&mut service, request()), Err(Oops::Refused(_))));
    assert!(read(response));
    assert_eq!(stage.counts(), (State::Closed, 1, 0, 0));
}

#[test]
fn a_status_in_the_trailers_counts() {
    for (status, expected) in [
        ("0", (State::Closed, 1, 0, 0)),
        ("13", (State::Open, 0, 1, 0)),
        ("14", (State::Open, 0, 1, 0)),
        ("5", (State::Closed, 0, 0, 0)),
    ] {
        let stage = Stage::half_open();
        let steps = vec![Step::Give, Step::Wait, Step::Give, Step::Trailers(status)];
        assert!(read(stage.head(200, true, steps)));
        let (state, successes, failures, cancelled) = expected;
        // What the callee did right counts as a success, whatever it is called.
        let successes = if status == "5" { 1 } else { successes };
        assert_eq!(stage.counts(), (state, successes, failures, cancelled), "grpc-status {status}");
    }
}

#[test]
fn a_body_that_breaks_is_a_failure() {
    let stage = Stage::half_open();
    assert!(!read(stage.head(200, false, vec![Step::Give, Step::Fail])));
    assert_eq!(stage.counts(), (State::Open, 0, 1, 0));
}

#[test]
fn a_body_that_panics_is_a_failure_and_the_panic_goes_on() {
    let stage = Stage::half_open();
    let response = stage.head(200, false, vec![Step::Give, Step::Panic]);
    let panic = catch_unwind(AssertUnwindSafe(|| read(response)));
    assert_scripted(panic.expect_err("it reaches the reader"));
    assert_eq!(stage.counts(), (State::Open, 0, 1, 0));
}

#[test]
fn a_body_that_is_dropped_is_cancelled_and_frees_the_trial() {
    let stage = Stage::half_open();
    for cancelled in 1..=3 {
        let mut body = body(stage.head(200, false, vec![Step::Give, Step::Wait]));
        assert!(matches!(frame(&mut body), Poll::Ready(Some(Ok(_)))));
        assert!(frame(&mut body).is_pending());
        drop(body);
        assert_eq!(stage.counts(), (State::HalfOpen, 0, 0, cancelled));
        assert_eq!(stage.trials(), 0);
    }
    drop(stage.head(200, false, vec![Step::Give]));
    assert_eq!(stage.counts(), (State::HalfOpen, 0, 0, 4), "not read at all");
    assert!(read(stage.head(200, false, vec![])));
    assert_eq!(stage.breaker.state(), State::Closed);
}

#[test]
fn a_slow_body_that_is_given_up_is_a_failure() {
    let stage = Stage::half_open();
    let mut body = body(stage.head(200, false, vec![Step::Give, Step::Wait]));
    assert!(frame(&mut body).is_ready());
    assert!(frame(&mut body).is_pending());
    stage.clock.advance(SLOW);
    drop(body);
    assert_eq!(stage.counts(), (State::Open, 0, 1, 0));
}

#[test]
fn a_long_stream_whose_frames_flow_is_not_slow() {
    for read_to_its_end in [false, true] {
        let stage = Stage::half_open();
        let steps = [Step::Wait, Step::Give].repeat(3);
        let mut body = body(stage.head(200, false, steps));
        // Nobody reads yet, for as long as it takes: that is not the callee's doing.
        stage.clock.advance(SLOW * 10);
        for _ in 0..3 {
            assert!(frame(&mut body).is_pending());
            stage.clock.advance(SLOW - std::time::Duration::from_millis(1));
            assert!(frame(&mut body).is_ready());
        }
        stage.clock.advance(SLOW * 10);
        if read_to_its_end {
            assert!(matches!(frame(&mut body), Poll::Ready(None)));
            assert_eq!(stage.counts(), (State::Closed, 1, 0, 0));
        } else {
            drop(body);
            assert_eq!(stage.counts(), (State::HalfOpen, 0, 0, 1));
        }
        assert_eq!(totals(&stage.breaker).slow, 0);
    }
}

#[test]
fn a_slow_body_that_ends_well_is_a_slow_success() {
    let stage = Stage::half_open();
    let mut body = body(stage.head(200, false, vec![Step::Wait, Step::Give, Step::Give]));
    assert!(frame(&mut body).is_pending());
    stage.clock.advance(SLOW);
    while matches!(frame(&mut body), Poll::Ready(Some(Ok(_)))) {}
    assert_eq!(stage.counts(), (State::Closed, 1, 0, 0));
    assert_eq!(totals(&stage.breaker).slow, 1);
}

#[test]
fn a_head_that_decides_is_not_waited_for() {
    let stage = Stage::half_open();
    let response = stage.head(500, false, vec![Step::Wait, Step::Give]);
    assert_eq!(stage.counts(), (State::Open, 0, 1, 0));
    assert!(read(response));
    assert_eq!(ended(&stage.breaker), 1);
}

#[test]
fn the_answer_to_a_head_request_has_no_body_to_wait_for() {
    let stage = Stage::half_open();
    let request = Request::builder().method(Method::HEAD).body(()).expect("a request");
    drop(stage.head_of(request, Script { body: vec![Step::Give], ..Script::answers(200) }));
    assert_eq!(stage.counts(), (State::Closed, 1, 0, 0));
}

#[test]
fn an_error_instead_of_a_head_is_a_failure() {
    let stage = Stage::half_open();
    let script = Script { answer: vec![Step::Fail], ..Script::answers(200) };
    let mut service = stage.layer.layer(Inner::new(script));
    assert_eq!(call(&mut service, request()).err(), Some(Oops::Broken));
    assert_eq!(stage.counts(), (State::Open, 0, 1, 0));
}

#[test]
fn a_refused_response_has_the_same_type_and_nobody_judges_it() {
    use portcullis_breaker::portcullis_http::refusal_of;
    let (breaker, _) = circuit();
    breaker.trip().unwrap();
    let layer = layer_of(&breaker)
        .refuse_fn(|_: &Request<()>, rejected| {
            let mut page = Response::new(ScriptBody::default());
            page.extensions_mut().insert(rejected);
            Ok::<_, Oops>(page)
        })
        .judge_at_end_of_body();
    let mut service = layer.layer(Inner::new(Script::answers(200)));
    let refused: Response<Judged> = call(&mut service, request()).expect("a response");
    assert!(refusal_of(&refused).is_some());
    half_open(&breaker);
    assert!(read(refused));
    assert_eq!((breaker.state(), ended(&breaker)), (State::HalfOpen, 0));
}

#[test]
fn the_layer_hands_out_its_circuit() {
    let stage = Stage::half_open();
    assert!(stage.layer.handle().is_same(&stage.breaker));
    assert!(stage.layer.handle().is_same(&stage.layer.get_ref().handle()));
}
