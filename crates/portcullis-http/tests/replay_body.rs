//! Bodies that are kept while they are being sent.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use breaker_core::Replay;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use portcullis_http::replay::{self, Bodies, ReplayBody};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

type Boxed = UnsyncBoxBody<Bytes, io::Error>;

/// What a body does when it is polled.
#[derive(Clone, Debug)]
enum Step {
    Data(Vec<u8>),
    Shared(Bytes),
    Trailers,
    Wait,
    Break,
    Panic,
}

/// A body that goes by a script, and may know how long it is.
struct Script {
    steps: VecDeque<Step>,
    polls: Arc<AtomicUsize>,
    sized: bool,
}

fn trailers() -> HeaderMap {
    [(http::header::ETAG, HeaderValue::from_static("\"1\""))].into_iter().collect()
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            Some(Step::Shared(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers())))),
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Break) => Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into()))),
            Some(Step::Panic) => panic!("on purpose"),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.sized {
            return SizeHint::default();
        }
        let lengths = self.steps.iter().map(|step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        });
        SizeHint::with_exact(lengths.sum())
    }
}

fn data(text: &str) -> Step {
    Step::Data(text.into())
}

fn scripted(steps: Vec<Step>, sized: bool) -> Request<Boxed> {
    let polls = Arc::new(AtomicUsize::new(0));
    Request::new(Boxed::new(Script { steps: steps.into(), polls, sized }))
}

type Make = fn(ReplayBody<Boxed>) -> Boxed;

fn bodies() -> Bodies<Make> {
    replay::bodies(Boxed::new as Make)
}

type Kept = <Bodies<Make> as Replay<Request<Boxed>>>::Kept;

fn keep(steps: Vec<Step>, sized: bool) -> (Request<Boxed>, Kept) {
    let mut request = scripted(steps, sized);
    let kept = bodies().keep(&mut request).expect("it is kept");
    (request, kept)
}

fn poll(request: &mut Request<Boxed>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    Pin::new(request.body_mut()).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Reads so many bytes at least, or to the end; says what came, and whether trailers did.
fn read(request: &mut Request<Boxed>, most: usize) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        match poll(request) {
            Poll::Pending => {}
            Poll::Ready(None) => break,
            Poll::Ready(Some(frame)) => match frame.expect("no error").into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => {
                    assert_eq!(frame.into_trailers().ok(), Some(trailers()));
                    assert!(matches!(poll(request), Poll::Ready(None)), "they are the end");
                    return (bytes, true);
                }
            },
        }
    }
    (bytes, false)
}

fn all(request: &mut Request<Boxed>) -> (String, bool) {
    let (bytes, trailers) = read(request, usize::MAX);
    (String::from_utf8(bytes).expect("a text"), trailers)
}

fn again(kept: &Kept, attempt: u32) -> Option<Request<Boxed>> {
    bodies().again(kept, attempt)
}

// S-RETRY-05
#[test]
fn each_attempt_sends_the_whole_body() {
    let steps =
        vec![data("one "), Step::Wait, data("two "), data(""), data("three"), Step::Trailers];
    let (mut first, kept) = keep(steps, false);
    assert_eq!(all(&mut first), ("one two three".into(), true));
    for attempt in 2..5 {
        let mut next = again(&kept, attempt).expect("it was read to its end");
        assert_eq!(all(&mut next), ("one two three".into(), true));
    }
}

// S-RETRY-05
#[test]
fn an_attempt_that_is_given_up_leaves_the_rest_to_the_next_one() {
    let steps = vec![data("one "), data("two "), data("three "), data("four")];
    let (mut first, kept) = keep(steps, true);
    assert_eq!(read(&mut first, 8).0, b"one two ");
    drop(first);
    let mut second = again(&kept, 2).expect("the rest came back");
    assert_eq!(second.body().size_hint().exact(), Some(18));
    assert_eq!(read(&mut second, 14).0, b"one two three ");
    drop(second);
    let mut third = again(&kept, 3).expect("the rest came back");
    assert_eq!(all(&mut third).0, "one two three four");
    drop(third);
    // Before anything was read, while it was sent again, and at its end.
    drop(again(&kept, 4));
    let mut fifth = again(&kept, 5).expect("the memory came back");
    let _ = read(&mut fifth, 1);
    drop(fifth);
    assert_eq!(all(&mut again(&kept, 6).expect("the memory came back")).0, "one two three four");
}

#[test]
fn there_is_one_attempt_at_a_time() {
    let (mut first, kept) = keep(vec![data("one "), data("two")], false);
    assert!(again(&kept, 2).is_none(), "nobody has read it, but somebody may");
    let _ = read(&mut first, 1);
    assert!(again(&kept, 2).is_none(), "a connection still sends it");
    assert_eq!(all(&mut first).0, "two", "and was not disturbed");
    let second = again(&kept, 2).expect("it has ended, although it is still there");
    assert!(again(&kept, 3).is_none());
    drop((first, second));
    assert_eq!(all(&mut again(&kept, 3).expect("it came back")).0, "one two");
}

// S-RETRY-05
#[test]
fn what_is_longer_than_the_limit_goes_on_and_is_not_sent_again() {
    for (limit, fits) in [(12, false), (13, true), (0, false)] {
        let mut first = scripted(vec![data("one "), data("two "), data("three")], false);
        let bodies = bodies().limit(limit);
        let kept = bodies.keep(&mut first).expect("nobody knows how long it is");
        assert_eq!(all(&mut first).0, "one two three", "{limit}");
        assert_eq!(bodies.again(&kept, 2).is_some(), fits, "{limit}");
    }
    let mut trailed = scripted(vec![data("one"), Step::Trailers], false);
    let bodies = bodies().limit(20);
    let kept = bodies.keep(&mut trailed).expect("nobody knows how long it is");
    assert_eq!(all(&mut trailed), ("one".into(), true));
    assert!(bodies.again(&kept, 2).is_none(), "trailers count as well");
}

#[test]
fn what_is_known_to_be_too_long_is_left_as_it_is() {
    let mut request = scripted(vec![Step::Data(vec![7; 65_537])], true);
    assert!(bodies().keep(&mut request).is_none(), "65,536 are the default");
    assert_eq!(read(&mut request, usize::MAX).0.len(), 65_537);
    let mut request = scripted(vec![Step::Data(vec![7; 65_536])], true);
    assert!(bodies().keep(&mut request).is_some());
}

#[test]
fn a_limit_that_is_passed_by_the_second_attempt_ends_the_attempts() {
    let mut first = scripted(vec![data("one "), data("two "), data("three")], false);
    let bodies = bodies().limit(8);
    let kept = bodies.keep(&mut first).expect("nobody knows how long it is");
    assert_eq!(read(&mut first, 8).0, b"one two ");
    drop(first);
    let mut second = bodies.again(&kept, 2).expect("so far it fits");
    assert_eq!(all(&mut second).0, "one two three");
    drop(second);
    assert!(bodies.again(&kept, 3).is_none());
}

#[test]
fn the_length_is_known_where_the_original_knows_it() {
    let (mut first, kept) = keep(vec![data("one "), data("two")], true);
    assert_eq!((first.body().size_hint().exact(), first.body().is_end_stream()), (Some(7), false));
    let _ = read(&mut first, 1);
    assert_eq!((first.body().size_hint().exact(), first.body().is_end_stream()), (Some(3), false));
    let _ = read(&mut first, 1);
    assert_eq!((first.body().size_hint().exact(), first.body().is_end_stream()), (Some(0), true));
    let second = again(&kept, 2).expect("the last byte is the end");
    assert_eq!(
        (second.body().size_hint().exact(), second.body().is_end_stream()),
        (Some(7), false)
    );

    let (mut first, kept) = keep(vec![data("one")], false);
    assert_eq!(first.body().size_hint().upper(), None);
    let _ = read(&mut first, 1);
    drop(first);
    let hint = again(&kept, 2).expect("it came back").body().size_hint();
    assert_eq!((hint.lower(), hint.upper()), (3, None));
}

// S-RETRY-05
#[test]
fn a_body_that_failed_is_not_sent_again() {
    let (mut first, kept) = keep(vec![data("one"), Step::Break, data("two")], false);
    let _ = read(&mut first, 3);
    assert!(matches!(poll(&mut first), Poll::Ready(Some(Err(_)))));
    drop(first);
    assert!(again(&kept, 2).is_none());

    let (mut first, kept) = keep(vec![data("one"), Step::Panic], false);
    let _ = read(&mut first, 3);
    let poll = std::panic::AssertUnwindSafe(|| drop(poll(&mut first)));
    assert!(std::panic::catch_unwind(poll).is_err());
    drop(first);
    assert!(again(&kept, 2).is_none());
}

#[test]
fn an_empty_body_is_left_alone() {
    let (first, kept) = keep(vec![], true);
    assert!(first.body().is_end_stream());
    let second = again(&kept, 2).expect("there is nothing to send");
    assert!(second.body().is_end_stream() && again(&kept, 2).is_some());

    // One that does not know that it is empty says so when it is read.
    let (mut first, kept) = keep(vec![], false);
    assert_eq!(all(&mut first), (String::new(), false));
    assert!(again(&kept, 2).expect("it has ended").body().is_end_stream());
}

#[test]
fn nothing_is_remembered_for_nobody() {
    let frame = Bytes::from(vec![7; 1_000]);
    let (mut first, kept) = keep(vec![Step::Shared(frame.clone()), data("and more")], false);
    drop(kept);
    let sent = poll(&mut first);
    drop(sent);
    assert!(frame.is_unique(), "the answer is there, and the body is still held");
}

#[test]
fn the_body_is_read_no_further_than_somebody_asks() {
    let polls = Arc::new(AtomicUsize::new(0));
    let steps = VecDeque::from(vec![data("one"), data("two")]);
    let script = Script { steps, polls: polls.clone(), sized: false };
    let mut first = Request::new(Boxed::new(script));
    let kept = bodies().keep(&mut first).expect("it is kept");
    drop(first);
    let mut second = again(&kept, 2).expect("it came back");
    assert_eq!(polls.load(Ordering::Relaxed), 0);
    let _ = read(&mut second, 1);
    assert_eq!(polls.load(Ordering::Relaxed), 1);
}

#[test]
#[should_panic(expected = "16 MiB")]
fn no_limit_is_greater_than_a_server_can_afford() {
    let _ = bodies().limit((16 << 20) + 1);
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let long = proptest::collection::vec(any::<u8>(), 200..600);
    let short = proptest::collection::vec(any::<u8>(), 0..9);
    let step =
        prop_oneof![short.prop_map(Step::Data), long.prop_map(Step::Data), Just(Step::Wait),];
    proptest::collection::vec(step, 0..12)
}

proptest! {
    #[test]
    fn whatever_is_given_up_when_the_next_attempt_sends_the_same(
        mut steps in steps(),
        trailed in any::<bool>(),
        sized in any::<bool>(),
        stops in proptest::collection::vec(0_usize..3_000, 0..5),
    ) {
        steps.extend(trailed.then_some(Step::Trailers));
        let expected: Vec<u8> = steps.iter().flat_map(|step| match step {
            Step::Data(data) => data.clone(),
            _ => Vec::new(),
        }).collect();
        let (mut request, kept) = keep(steps, sized);
        for (stop, attempt) in stops.into_iter().zip(2..) {
            if sized {
                assert_eq!(request.body().size_hint().exact(), Some(expected.len() as u64));
            }
            let (sent, _) = read(&mut request, stop);
            assert!(expected.starts_with(&sent));
            drop(request);
            request = again(&kept, attempt).expect("it came back");
        }
        assert_eq!(read(&mut request, usize::MAX), (expected, trailed));
    }
}
