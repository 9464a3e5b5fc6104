//! What there is to know of a request before it is sent again, and how it is marked then.

use breaker_core::{About, Deadline, Priority, Replay, RetryPath, Tick, Verb};
use http::{HeaderName, HeaderValue, Method, Request};
use portcullis_http::replay::{self, Attempt, Idempotent};

fn request(method: &str, headers: &[(&'static str, &'static str)]) -> Request<&'static str> {
    let mut request = Request::new("body");
    *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method");
    for &(name, value) in headers {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    request
}

fn about(mut request: Request<&'static str>) -> About {
    let kept = replay::clones().keep(&mut request).expect("it can be cloned");
    Replay::<Request<&str>>::about(&replay::clones(), &kept)
}

// S-RETRY-05
#[test]
fn the_method_says_whether_it_may_be_made_twice() {
    for (method, idempotent, verb) in [
        ("GET", true, Some(Verb::Get)),
        ("HEAD", true, Some(Verb::Head)),
        ("OPTIONS", true, Some(Verb::Options)),
        ("TRACE", true, None),
        ("PUT", true, Some(Verb::Put)),
        ("DELETE", true, Some(Verb::Delete)),
        ("POST", false, Some(Verb::Post)),
        ("PATCH", false, Some(Verb::Patch)),
        ("CONNECT", false, None),
        ("BREW", false, None),
        ("get", false, None),
    ] {
        let about = about(request(method, &[]));
        assert_eq!((about.idempotent, about.verb), (idempotent, verb), "{method}");
        assert!(!about.repeated_elsewhere);
    }
}

// S-RETRY-05
#[test]
fn a_key_or_a_mark_makes_a_post_one_that_may_be_made_twice() {
    for (key, idempotent) in [("8e03978e", true), ("", false), ("  ", false)] {
        let about = about(request("POST", &[("idempotency-key", key)]));
        assert_eq!(about.idempotent, idempotent, "{key:?}");
    }
    let mut marked = request("PATCH", &[]);
    marked.extensions_mut().insert(Idempotent);
    assert!(about(marked).idempotent);

    let by_path = |request: &Request<&str>| request.uri().path() == "/search";
    let replay = replay::idempotent_fn(replay::clones(), by_path);
    for (path, idempotent) in [("/search", true), ("/pay", false)] {
        let mut request = request("POST", &[]);
        *request.uri_mut() = path.parse().expect("a path");
        let kept = replay.keep(&mut request).expect("it can be cloned");
        assert_eq!(Replay::<Request<&str>>::about(&replay, &kept).idempotent, idempotent);
        let again = replay.again(&kept, 2).expect("it can be cloned");
        assert_eq!(again.uri().path(), path);
    }
}

// S-RETRY-05
#[test]
fn the_method_of_grpc_says_nothing() {
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web"] {
        for method in ["POST", "GET"] {
            let mut request = request(method, &[("content-type", content_type)]);
            let plain = about(request.clone());
            assert_eq!((plain.idempotent, plain.verb), (false, None), "{content_type}");
            request.extensions_mut().insert(Idempotent);
            assert!(about(request).idempotent);
        }
    }
}

#[test]
fn priority_and_deadline_stand_in_the_extensions_or_around_the_call() {
    let deadline = |millis| Deadline::at(Tick::from_millis(millis));
    let plain = about(request("GET", &[]));
    assert_eq!((plain.priority, plain.deadline), (None, None));
    let around = || {
        let plain = about(request("GET", &[]));
        assert_eq!((plain.priority, plain.deadline), (Some(Priority::LOW), Some(deadline(9))));
        let mut marked = request("GET", &[]);
        marked.extensions_mut().insert(Priority::HIGH);
        marked.extensions_mut().insert(deadline(5));
        let marked = about(marked);
        assert_eq!((marked.priority, marked.deadline), (Some(Priority::HIGH), Some(deadline(5))));
    };
    Priority::LOW.scope(|| deadline(9).scope(around));
}

#[test]
fn a_repetition_or_a_wish_not_to_be_one_is_known() {
    for (headers, elsewhere) in [
        (&[("x-retry-attempt", "1")][..], false),
        (&[("x-retry-attempt", "2")], true),
        (&[("x-retry-attempt", "99999999999999999999")], true),
        (&[("x-retry-attempt", "-2")], false),
        (&[("x-retry-attempt", "0")], false),
        (&[("x-retry-attempt", "two")], false),
        (&[("x-retry-attempt", "")], false),
        (&[("x-retry-attempt", "2"), ("x-retry-attempt", "2")], true),
        (&[("x-should-retry", "false")], true),
        (&[("x-should-retry", "true")], false),
    ] {
        assert_eq!(about(request("GET", headers)).repeated_elsewhere, elsewhere, "{headers:?}");
    }
    let elsewhere =
        |mut path: RetryPath| path.scope(|| about(request("GET", &[])).repeated_elsewhere);
    assert!(!elsewhere(RetryPath::attempt(1)));
    assert!(elsewhere(RetryPath::attempt(2)) && elsewhere(RetryPath::attempt(1).forbid()));
    let mut marked = request("GET", &[]);
    marked.extensions_mut().insert(RetryPath::attempt(3));
    assert!(about(marked).repeated_elsewhere);
}

// S-RETRY-05
#[test]
fn a_repetition_is_the_same_request_with_its_number() {
    let mut first = request("PUT", &[("x-own", "1")]);
    *first.uri_mut() = "https://shop.example/cart?x=1".parse().expect("an address");
    first.extensions_mut().insert(Priority::LOW);
    let kept = replay::clones().keep(&mut first).expect("it can be cloned");
    assert_eq!(
        (first.headers().len(), first.extensions().len()),
        (1, 1),
        "the first costs nothing"
    );
    for number in [2, 3, 100] {
        let again: Request<&str> = replay::clones().again(&kept, number).expect("again");
        assert_eq!((again.method(), again.uri()), (first.method(), first.uri()));
        assert_eq!((again.headers()["x-own"].as_bytes(), again.body()), (&b"1"[..], first.body()));
        assert_eq!(again.headers()["x-retry-attempt"], number.to_string());
        assert_eq!(
            again.extensions().get().map(|attempt: &Attempt| attempt.number()),
            Some(number)
        );
        assert_eq!(again.extensions().get(), Some(&Priority::LOW));
    }
    let once: Request<&str> = replay::clones().again(&kept, 1).expect("again");
    assert_eq!((once.headers().len(), once.extensions().len()), (1, 1));
}
