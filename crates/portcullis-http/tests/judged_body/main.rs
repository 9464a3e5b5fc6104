//! S-CORE-08: a call that is judged at the end of its body is judged once, at the right moment.

mod held;
mod script;

use std::cell::RefCell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use breaker_core::{FailureKind, Outcome};
use bytes::Bytes;
use http::{Method, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full};
use portcullis_http::JudgedBody;

use crate::script::{Call, Heard, Script, Step, Witness};

const UNKNOWN: Outcome = Outcome::Failure(FailureKind::Unknown);
const INTERNAL: Outcome = Outcome::Failure(FailureKind::Internal);
const CONNECTION: Outcome = Outcome::Failure(FailureKind::Connection);
const PANIC: Outcome = Outcome::Failure(FailureKind::Panic);
const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn get(pairs: &[(&'static str, &'static str)], steps: Vec<Step>) -> Call<Script> {
    Call::new(&Method::GET, 200, pairs, Script { steps, says_end: false })
}

fn verdict(outcome: Outcome) -> Vec<Heard> {
    vec![Heard::Verdict(outcome)]
}

#[test]
fn an_empty_body_is_judged_at_construction() {
    let call = Call::new(&Method::GET, 200, &[], Empty::<Bytes>::new());
    assert_eq!(call.heard(), verdict(Outcome::Success));
    assert_eq!(call.end(), verdict(Outcome::Success));
    let zero = get(&[("content-length", "0")], vec![Step::Wait]);
    assert_eq!(zero.end(), verdict(Outcome::Success));
}

#[test]
fn a_head_that_is_no_success_is_judged_at_construction() {
    for head in [INTERNAL, Outcome::Ignored, Outcome::Failure(FailureKind::InvalidRequest)] {
        let body = Script { steps: vec![Step::Data("x"), Step::Break], says_end: false };
        let mut call = Call::judged(head, &Method::GET, 500, &[], body);
        assert_eq!(call.heard(), verdict(head));
        while call.poll() {}
        assert_eq!(call.end(), verdict(head));
    }
}

#[test]
fn answers_without_a_body_are_judged_at_construction() {
    for (method, status) in [
        (Method::HEAD, 200),
        (Method::GET, 101),
        (Method::GET, 204),
        (Method::GET, 304),
        (Method::CONNECT, 200),
    ] {
        for pairs in [&[("content-length", "5")][..], &[GRPC]] {
            let body = Script { steps: vec![Step::Wait], says_end: false };
            let call = Call::new(&method, status, pairs, body);
            assert_eq!(call.end(), verdict(Outcome::Success), "{method} {status}");
        }
    }
}

#[test]
fn a_clean_end_is_a_success() {
    let mut call = get(&[], vec![Step::Data("a"), Step::Data("b")]);
    assert!(call.poll() && call.poll());
    assert_eq!(call.heard(), []);
    assert!(!call.poll());
    assert_eq!(call.end(), verdict(Outcome::Success));
}

#[test]
fn a_length_in_the_head_is_counted_down() {
    let steps = vec![Step::Data("abc"), Step::Data("de"), Step::Wait];
    let mut call = get(&[("content-length", "5")], steps);
    assert!(call.poll());
    assert_eq!(call.heard(), []);
    assert!(call.poll());
    assert_eq!(call.end(), verdict(Outcome::Success));
}

#[test]
fn a_length_that_the_body_knows_is_counted_down() {
    struct Sized(Script);
    impl Body for Sized {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(3)
        }
    }
    let script = Script { steps: vec![Step::Data("abc"), Step::Wait], says_end: false };
    let mut call = Call::new(&Method::GET, 200, &[], Sized(script));
    assert!(call.poll());
    assert_eq!(call.end(), verdict(Outcome::Success));
}

#[test]
fn more_bytes_than_promised_do_no_harm() {
    let mut call = get(&[("content-length", "1")], vec![Step::Data("abc"), Step::Data("d")]);
    assert!(call.poll() && call.poll());
    assert_eq!(call.end(), verdict(Outcome::Success));
}

#[test]
fn the_frame_after_which_the_body_calls_itself_ended_is_the_end() {
    let body = Script { steps: vec![Step::Data("a"), Step::Data("b")], says_end: true };
    let mut call = Call::new(&Method::GET, 200, &[], body);
    assert!(call.poll());
    assert_eq!(call.heard(), []);
    assert!(call.poll());
    assert_eq!(call.end(), verdict(Outcome::Success));

    let mut full = Call::new(&Method::GET, 200, &[], Full::new(Bytes::from_static(b"abc")));
    assert!(full.poll());
    assert_eq!(full.end(), verdict(Outcome::Success));
}

#[test]
fn grpc_waits_for_its_trailers() {
    for (code, outcome) in [
        ("0", Outcome::Success),
        ("1", Outcome::Ignored),
        ("13", INTERNAL),
        ("5", Outcome::Failure(FailureKind::InvalidRequest)),
        ("14", CONNECTION),
    ] {
        let trailers: &'static _ = Box::leak(Box::new([("grpc-status", code)]));
        let steps = vec![Step::Data("abcde"), Step::Trailers(trailers), Step::Wait];
        // The length does not count: the status comes after the last byte.
        let mut call = get(&[GRPC, ("content-length", "5")], steps);
        assert!(call.poll());
        assert_eq!(call.heard(), []);
        assert!(call.poll());
        assert_eq!(call.end(), verdict(outcome), "{code}");
    }
}

#[test]
fn grpc_that_ends_without_a_status_has_failed() {
    let mut call = get(&[GRPC], vec![Step::Data("a")]);
    assert!(call.poll() && !call.poll());
    assert_eq!(call.end(), verdict(UNKNOWN));
    let mut strange = get(&[GRPC], vec![Step::Trailers(&[("x", "y")])]);
    assert!(strange.poll());
    assert_eq!(strange.end(), verdict(UNKNOWN));
    let body = Script { steps: vec![Step::Data("a")], says_end: true };
    let mut cut = Call::new(&Method::POST, 200, &[GRPC], body);
    assert!(cut.poll());
    assert_eq!(cut.end(), verdict(UNKNOWN));
}

#[test]
fn grpc_with_its_status_in_the_head_does_not_wait_for_trailers() {
    let empty = Empty::<Bytes>::new();
    let call = Call::new(&Method::POST, 200, &[GRPC, ("grpc-status", "0")], empty);
    assert_eq!(call.end(), verdict(Outcome::Success));
}

#[test]
fn grpc_web_has_its_trailers_in_the_body() {
    let web = ("content-type", "application/grpc-web+proto");
    let mut call = get(&[web], vec![Step::Data("a")]);
    while call.poll() {}
    assert_eq!(call.end(), verdict(Outcome::Success));
}

#[test]
fn the_trailers_of_plain_http_end_the_body() {
    let mut call = get(&[], vec![Step::Trailers(&[("grpc-status", "13")]), Step::Wait]);
    assert!(call.poll());
    assert_eq!(call.end(), verdict(Outcome::Success));
}

#[test]
fn a_body_that_breaks_is_a_connection_failure() {
    for pairs in [&[][..], &[GRPC], &[("content-length", "5")]] {
        let mut call = get(pairs, vec![Step::Data("a"), Step::Break]);
        assert!(call.poll() && !call.poll());
        assert_eq!(call.end(), verdict(CONNECTION));
    }
}

#[test]
fn a_body_that_is_given_up_is_cancelled() {
    assert_eq!(get(&[], vec![Step::Data("a")]).end(), [Heard::Dropped]);
    let mut started = get(&[GRPC], vec![Step::Data("a"), Step::Wait]);
    assert!(started.poll() && !started.poll());
    assert_eq!(started.end(), [Heard::Pending, Heard::Dropped]);
}

#[test]
fn every_pending_poll_is_told_until_the_verdict() {
    let steps = vec![Step::Wait, Step::Wait, Step::Data("a"), Step::Wait];
    let mut call = get(&[("content-length", "1")], steps);
    for frame in [false, false, true, false] {
        assert_eq!(call.poll(), frame);
    }
    let expected = [Heard::Pending, Heard::Pending, Heard::Verdict(Outcome::Success)];
    assert_eq!(call.end(), expected);
}

#[test]
fn a_body_that_panics_is_told_so() {
    let mut call = get(&[], vec![Step::Panic, Step::Data("a")]);
    let panicked = catch_unwind(AssertUnwindSafe(|| call.poll()));
    assert!(panicked.is_err());
    assert_eq!(call.heard(), verdict(PANIC));
    assert!(call.poll(), "the body itself goes on as it likes");
    assert_eq!(call.end(), verdict(PANIC));
}

#[test]
fn a_panic_in_the_first_question_is_told_too() {
    struct Rude;
    impl Body for Rude {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }

        fn is_end_stream(&self) -> bool {
            panic!("the body panics")
        }
    }
    let log = Rc::new(RefCell::new(Vec::new()));
    let witness = Witness::new(&log);
    let watch = || {
        JudgedBody::watch(&Method::GET, Outcome::Success, Response::new(Rude), witness);
    };
    assert!(catch_unwind(AssertUnwindSafe(watch)).is_err());
    assert_eq!(*log.borrow(), verdict(PANIC));
}

// A body that is polled while an unrelated panic unwinds is not the one that panics.
#[test]
fn a_panic_of_somebody_else_is_not_held_against_the_body() {
    struct PollOnDrop(Call<Script>);
    impl Drop for PollOnDrop {
        fn drop(&mut self) {
            while self.0.poll() {}
        }
    }
    let call = get(&[], vec![Step::Data("a")]);
    let log = Rc::clone(&call.log);
    let unrelated = catch_unwind(AssertUnwindSafe(|| {
        let _late = PollOnDrop(call);
        panic!("unrelated");
    }));
    assert!(unrelated.is_err());
    assert_eq!(*log.borrow(), verdict(Outcome::Success));
}

#[test]
fn a_body_without_a_judge_is_the_body_itself() {
    let mut plain: JudgedBody<Full<Bytes>, Witness> = JudgedBody::default();
    assert!(plain.is_end_stream());
    let polled = Pin::new(&mut plain).poll_frame(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(None)));
    let body = JudgedBody::<_, Witness>::unjudged(Full::new(Bytes::from_static(b"abc")));
    assert_eq!(body.size_hint().exact(), Some(3));
    assert_eq!(body.get_ref().size_hint().exact(), Some(3));
    assert!(!body.into_inner().is_end_stream());
}

#[test]
fn a_closure_is_a_judge() {
    let heard = RefCell::new(None);
    let judge = |outcome| *heard.borrow_mut() = Some(outcome);
    let response = Response::new(Empty::<Bytes>::new());
    JudgedBody::watch(&Method::GET, Outcome::Success, response, judge);
    assert_eq!(*heard.borrow(), Some(Outcome::Success));
}
