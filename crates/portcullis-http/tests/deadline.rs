//! Until when somebody waits for an answer: how it is read, passed on, and taken along.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use breaker_core::{Clock, Deadline, Tick};
use http::{HeaderName, HeaderValue, Request};
use portcullis_http::CarryDeadlineLayer;
use portcullis_http::deadline::{self, ReadDeadline, X_TIMEOUT_MS};
use tower_layer::Layer;
use tower_service::Service;

const NOW: Tick = Tick::from_millis(1_000);
const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for &(name, value) in headers {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    request
}

fn at(millis: u64) -> Deadline {
    Deadline::at(Tick::from_millis(millis))
}

/// What is read, and how often the clock was asked.
fn read(request: &Request<()>) -> (Option<Deadline>, u32) {
    let mut asked = 0;
    let until = deadline::from_request().deadline(request, || {
        asked += 1;
        NOW
    });
    (until, asked)
}

#[test]
fn the_earliest_of_what_is_said_counts() {
    for (headers, extension, around, expected, asked) in [
        (&[][..], None, None, None, 0),
        (&[], Some(at(5_000)), None, Some(at(5_000)), 0),
        (&[], None, Some(at(5_000)), Some(at(5_000)), 0),
        (&[], Some(at(5_000)), Some(at(4_000)), Some(at(4_000)), 0),
        (&[], Some(at(4_000)), Some(at(5_000)), Some(at(4_000)), 0),
        (&[("x-timeout-ms", "250")], None, None, Some(at(1_250)), 1),
        (&[("grpc-timeout", "3S")], None, None, Some(at(4_000)), 1),
        (&[("grpc-timeout", "3S"), ("x-timeout-ms", "250")], None, None, Some(at(1_250)), 1),
        (&[("grpc-timeout", "3m"), ("x-timeout-ms", "250")], None, None, Some(at(1_003)), 1),
        (&[("x-timeout-ms", "250")], Some(at(1_100)), None, Some(at(1_100)), 1),
        (&[("x-timeout-ms", "250")], Some(at(9_000)), Some(at(8_000)), Some(at(1_250)), 1),
        (&[("x-timeout-ms", "0")], None, None, Some(at(1_000)), 1),
    ] {
        let mut request = request(headers);
        if let Some(deadline) = extension {
            request.extensions_mut().insert(deadline);
        }
        let told = around.map_or_else(|| read(&request), |around| around.scope(|| read(&request)));
        assert_eq!(told, (expected, asked), "{headers:?} {extension:?} {around:?}");
    }
}

#[test]
fn nonsense_is_no_deadline_and_costs_no_look_at_the_clock() {
    for value in ["", "-1", "+1", "1.5", "1e3", "250ms", "0x10", "1 2", "soon"] {
        assert_eq!(read(&request(&[("x-timeout-ms", value)])), (None, 0), "{value:?}");
    }
    let twice = [("x-timeout-ms", "1"), ("x-timeout-ms", "1")];
    assert_eq!(read(&request(&twice)), (None, 0));
    let endless = [("x-timeout-ms", "99999999999999999999999")];
    assert_eq!(read(&request(&endless)).0, Some(Deadline::at(Tick::MAX)));
}

#[test]
fn a_closure_tells_the_time_that_is_left() {
    let of_own = |request: &u32| (*request > 0).then(|| Duration::from_millis((*request).into()));
    assert_eq!(of_own.deadline(&500, || NOW), Some(at(1_500)));
    assert_eq!(of_own.deadline(&0, || panic!("nobody needs the time")), None);
    let mut request = 500;
    of_own.pass_on(&mut request, at(1), NOW);
    assert_eq!(request, 500);
}

/// The lines of both headers.
fn lines(request: &Request<()>) -> [Vec<&str>; 2] {
    ["grpc-timeout", "x-timeout-ms"].map(|name| {
        let lines = request.headers().get_all(name).into_iter();
        lines.map(|line| line.to_str().expect("a text")).collect()
    })
}

#[test]
fn a_deadline_is_passed_on_in_the_words_of_the_protocol() {
    let passed = |headers: &[_], until| {
        let mut request = request(headers);
        deadline::from_request().pass_on(&mut request, until, NOW);
        assert_eq!(request.extensions().get(), Some(&until));
        request
    };
    assert_eq!(lines(&passed(&[], at(1_250))), [vec![], vec!["250"]]);
    assert_eq!(lines(&passed(&[("x-timeout-ms", "9999")], at(1_250))), [vec![], vec!["250"]]);
    assert_eq!(lines(&passed(&[GRPC], at(1_250))), [vec!["250000u"], vec![]]);
    assert_eq!(
        lines(&passed(&[GRPC, ("grpc-timeout", "9S")], at(1_250))),
        [vec!["250000u"], vec![]]
    );
    assert_eq!(lines(&passed(&[], at(900))), [vec![], vec!["0"]], "it has passed");
    assert_eq!(lines(&passed(&[GRPC], at(900))), [vec!["0n"], vec![]]);
    let almost = Deadline::after(NOW, Duration::from_nanos(1));
    assert_eq!(lines(&passed(&[], almost)), [vec![], vec!["1"]], "not yet");
}

/// A clock that stands, and counts who asks.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> Tick {
        self.0.fetch_add(1, Ordering::Relaxed);
        NOW
    }
}

/// Answers with the request that it got.
struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Request<()>;
    type Error = Infallible;
    type Future = Ready<Result<Request<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(request))
    }
}

/// What a client sends, and how often it asked the clock.
fn sent(request: Request<()>) -> (Request<()>, usize) {
    let clock = Counting::default();
    let mut service = CarryDeadlineLayer::with_clock(clock.clone()).layer(Echo);
    assert!(service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
    let Ok(request) = service.call(request).into_inner();
    (request, clock.0.load(Ordering::Relaxed))
}

#[test]
fn a_call_takes_along_how_long_somebody_waits() {
    let (silent, asked) = sent(request(&[("x-timeout-ms", "77")]));
    assert_eq!((lines(&silent), asked), ([vec![], vec!["77"]], 0));

    let around = at(1_250).scope(|| sent(request(&[])));
    assert_eq!((lines(&around.0), around.1), ([vec![], vec!["250"]], 1));
    let around = at(1_250).scope(|| sent(request(&[GRPC])));
    assert_eq!(lines(&around.0), [vec!["250000u"], vec![]]);

    let mut assigned = request(&[]);
    assigned.extensions_mut().insert(at(1_100));
    assert_eq!(lines(&sent(assigned).0), [vec![], vec!["100"]]);
}

#[test]
fn a_header_may_say_less_and_not_more() {
    for (said, told) in [("100", "100"), ("250", "250"), ("300", "250"), ("soon", "250")] {
        let mut request = request(&[]);
        request.headers_mut().insert(X_TIMEOUT_MS, HeaderValue::from_static(said));
        let (sent, _) = at(1_250).scope(|| sent(request));
        assert_eq!(lines(&sent), [vec![], vec![told]], "{said}");
    }
    let (sent, _) = at(900).scope(|| sent(request(&[("x-timeout-ms", "5")])));
    assert_eq!(lines(&sent), [vec![], vec!["0"]], "no time is left");
}

#[test]
fn what_a_client_sends_a_server_reads() {
    for headers in [&[][..], &[GRPC]] {
        let (sent, _) = at(61_234).scope(|| sent(request(headers)));
        assert_eq!(read(&sent).0, Some(at(61_234)));
    }
}
