//! A guard that is held until the body has ended.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use http::{Method, Response};
use http_body::Body;
use http_body_util::Empty;
use portcullis_http::{Held, JudgedBody};

use crate::GRPC;
use crate::script::{Script, Step};

/// Counts how often it was dropped.
struct Slot(Rc<Cell<u32>>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

type HeldBody = JudgedBody<Script, Held<Slot>>;

/// A body with its slot, and how often that was freed.
struct Call {
    body: Option<Pin<Box<HeldBody>>>,
    freed: Rc<Cell<u32>>,
}

impl Call {
    fn new(
        method: &Method,
        status: u16,
        pairs: &[(&'static str, &'static str)],
        steps: Vec<Step>,
    ) -> Self {
        let mut builder = Response::builder().status(status);
        for &(name, value) in pairs {
            builder = builder.header(name, value);
        }
        let script = Script { steps, says_end: false };
        let response = builder.body(script).expect("a response");
        let freed = Rc::new(Cell::new(0));
        let held = JudgedBody::hold(method, response, Slot(Rc::clone(&freed)));
        Self { body: Some(Box::pin(held.into_body())), freed }
    }

    fn get(pairs: &[(&'static str, &'static str)], steps: Vec<Step>) -> Self {
        Self::new(&Method::GET, 200, pairs, steps)
    }

    /// How often the slot was freed after so many polls.
    fn polled(&mut self, times: usize) -> u32 {
        let body = self.body.as_mut().expect("not dropped yet");
        for _ in 0..times {
            let _ = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
        }
        self.freed.get()
    }

    fn dropped(&mut self) -> u32 {
        self.body = None;
        self.freed.get()
    }
}

// S-PRIO-05
#[test]
fn the_slot_of_a_stream_is_free_when_it_has_ended_and_not_before() {
    for status in [200, 206, 404, 500, 503] {
        let steps = vec![Step::Data("a"), Step::Wait, Step::Data("b")];
        let mut call = Call::new(&Method::GET, status, &[], steps);
        assert_eq!((call.polled(3), call.polled(1)), (0, 1), "{status}");
        assert_eq!((call.polled(1), call.dropped()), (1, 1), "once: {status}");
    }
}

// S-PRIO-05
#[test]
fn the_slot_is_free_with_the_last_byte_where_the_length_is_known() {
    let steps = vec![Step::Data("abc"), Step::Data("de"), Step::Wait];
    let mut call = Call::get(&[("content-length", "5")], steps);
    assert_eq!((call.polled(1), call.polled(1), call.dropped()), (0, 1, 1));
}

// S-PRIO-05
#[test]
fn the_slot_of_an_answer_without_a_body_is_free_at_once() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
        let mut call = Call::new(&method, status, &[("content-length", "5")], vec![Step::Wait]);
        assert_eq!((call.polled(0), call.polled(1), call.dropped()), (1, 1, 1), "{status}");
    }
    let freed = Rc::new(Cell::new(0));
    let empty = Response::new(Empty::<bytes::Bytes>::new());
    let held = JudgedBody::hold(&Method::GET, empty, Slot(Rc::clone(&freed)));
    assert_eq!(freed.get(), 1);
    drop(held);
    assert_eq!(freed.get(), 1);
}

// S-PRIO-05: whatever the status says, the stream has ended.
#[test]
fn the_slot_of_a_grpc_stream_is_free_with_its_trailers() {
    for status in ["0", "13", "14"] {
        let trailers: &'static _ = Box::leak(Box::new([("grpc-status", status)]));
        let steps = vec![Step::Data("abcde"), Step::Trailers(trailers), Step::Wait];
        let mut call = Call::get(&[GRPC, ("content-length", "5")], steps);
        assert_eq!((call.polled(1), call.polled(1), call.dropped()), (0, 1, 1));
    }
    let mut plain = Call::get(&[], vec![Step::Trailers(&[("x", "y")]), Step::Wait]);
    assert_eq!((plain.polled(1), plain.dropped()), (1, 1));
}

// S-PRIO-05
#[test]
fn the_slot_of_a_body_that_breaks_is_free() {
    let mut call = Call::get(&[], vec![Step::Data("a"), Step::Break, Step::Data("b")]);
    assert_eq!((call.polled(1), call.polled(1)), (0, 1));
    assert_eq!((call.polled(2), call.dropped()), (1, 1));
}

// S-PRIO-05
#[test]
fn the_slot_of_a_body_that_is_given_up_is_free() {
    let mut call = Call::get(&[], vec![Step::Data("a"), Step::Wait]);
    assert_eq!((call.polled(2), call.dropped()), (0, 1));
    assert_eq!(Call::get(&[GRPC], vec![]).dropped(), 1);
    let mut taken = Call::get(&[], vec![]);
    let inner = Pin::into_inner(taken.body.take().expect("the body")).into_inner();
    assert_eq!(taken.freed.get(), 1);
    drop(inner);
}

// S-PRIO-05
#[test]
fn the_slot_of_a_body_that_panics_is_free() {
    let mut call = Call::get(&[], vec![Step::Panic, Step::Wait]);
    assert!(catch_unwind(AssertUnwindSafe(|| call.polled(1))).is_err());
    assert_eq!(call.freed.get(), 1);
    assert_eq!((call.polled(1), call.dropped()), (1, 1));
}

// S-PRIO-05: what the body holds is given back before the slot is.
#[test]
fn a_slot_outlives_the_body_that_is_given_up() {
    struct Late(Rc<Cell<u32>>);
    impl Body for Late {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    impl Drop for Late {
        fn drop(&mut self) {
            assert_eq!(self.0.get(), 0, "the slot was free while the body still ended");
        }
    }
    let freed = Rc::new(Cell::new(0));
    let response = Response::new(Late(Rc::clone(&freed)));
    let held = JudgedBody::hold(&Method::GET, response, Slot(Rc::clone(&freed)));
    drop(held);
    assert_eq!(freed.get(), 1);
}
