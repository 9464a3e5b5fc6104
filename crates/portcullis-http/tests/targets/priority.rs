//! Any bytes as the headers by which a caller asks for a priority: nobody makes himself important.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use breaker_core::{Prioritize, Priority};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use portcullis_http::CarryPriorityLayer;
use portcullis_http::deadline::grpc_timeout;
use portcullis_http::priority::from_request;
use tower_layer::Layer;
use tower_service::Service;

/// How many lines a header can have of them. The first byte says how many of the lines are of
/// `x-priority`; the others are of `priority`. All of them are tried as `grpc-timeout`, too.
pub(crate) fn run(bytes: &[u8]) -> usize {
    let Some((&asked, sent)) = bytes.split_first() else { return 0 };
    let values = sent.split(|byte| *byte == b'\n').filter_map(|l| HeaderValue::from_bytes(l).ok());
    let mut request = Request::new(());
    for (index, value) in values.enumerate() {
        let name = if index < usize::from(asked % 4) { "x-priority" } else { "priority" };
        request.headers_mut().append(HeaderName::from_static(name), value.clone());
        let mut timed = Request::new(());
        timed.headers_mut().insert("grpc-timeout", value);
        let _ = grpc_timeout(&timed);
    }
    let lines = request.headers().len();

    // A stranger lowers himself at most.
    let stranger = from_request().priority(&request);
    assert!(stranger <= Some(Priority::NORMAL), "a stranger got {stranger:?}");
    let capped = from_request().max_external(Priority::LOW).priority(&request);
    let capped = capped.expect("silence is no way around the bound");
    assert!(capped <= Priority::LOW, "a stranger got {capped}");

    // Whoever is trusted gets what the plainest reading finds.
    let trusting = from_request().trusted_fn(|_: &Request<()>| true);
    let trusted = trusting.priority(&request);
    if are_plain(request.headers()) {
        assert_eq!(trusted, plainly(request.headers()), "{:?}", request.headers());
    }
    assert!(trusted.is_none() || stranger == trusted.min(Some(Priority::NORMAL)));

    // What goes out under a low priority asks for no more.
    let sent = Priority::LOW.scope(|| CarryPriorityLayer::new().layer(Sent).call(request));
    let Ok(sent) = sent.into_inner();
    let heard = trusting.priority(&sent).expect("there is a header");
    assert!(heard <= Priority::LOW, "a service spoke louder than its caller: {heard}");
    lines
}

/// No strings, no long texts, not many lines.
fn are_plain(headers: &HeaderMap) -> bool {
    let plain = |line: &HeaderValue| line.len() <= 32 && !line.as_bytes().contains(&b'"');
    headers.values().all(plain) && headers.get_all("priority").iter().count() <= 4
}

/// What such headers ask for.
fn plainly(headers: &HeaderMap) -> Option<Priority> {
    let lines = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let level = match &*lines("x-priority") {
        [only] => std::str::from_utf8(only).ok().and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    level.or_else(|| urgency(&lines("priority").join(&b',')))
}

fn urgency(dictionary: &[u8]) -> Option<Priority> {
    let members: Vec<_> = dictionary.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).collect();
    let is_key = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*');
    let is_u = |member: &&[u8]| member.iter().take_while(|byte| is_key(byte)).eq(b"u");
    let last = members.into_iter().rfind(is_u)?;
    let text = String::from_utf8_lossy(last);
    let value = text.split(';').next()?.strip_prefix("u=")?;
    let integer = value.trim_start_matches('-').len() <= 15 && !value.starts_with('+');
    let value: i64 = value.parse().ok().filter(|_| integer)?;
    let levels = [100, 75, 75, 50, 25, 25, 0, 0];
    Some(Priority::new(*levels.get(usize::try_from(value).ok()?)?))
}

/// Answers with the request that is sent.
struct Sent;

impl Service<Request<()>> for Sent {
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
