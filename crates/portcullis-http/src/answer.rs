//! How a refusal looks on the wire.

use std::time::Duration;

use breaker_core::Rejected;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::details::{Details, Violation};
use crate::json::Object;
use crate::terms::{Again, terms};
use crate::{Dialect, RateLimitHeaders, base64, grpc, rate_limit_headers};

/// What an HTTP refusal leaves to choose.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Style {
    /// Whether it tells who refused and what opened the circuit.
    pub(crate) expose: bool,
    /// The status of a timeout, where it is not 504.
    pub(crate) timeouts_as: Option<StatusCode>,
}

/// The head of an HTTP refusal, without a content type, and the text for its body.
///
/// `path` is left out where the request is gone already.
pub(crate) fn problem(
    rejected: Rejected,
    path: Option<&str>,
    style: Style,
) -> (Response<()>, String) {
    let terms = terms(rejected.reason());
    let expose = style.expose;
    let status = style.timeouts_as.filter(|_| terms.timeout).unwrap_or(terms.status);
    let mut body = Object::new()
        .text("type", terms.problem)
        .text("title", terms.title)
        .number("status", u64::from(status.as_u16()))
        .text("detail", &detail(&rejected, expose));
    if let Some(path) = path {
        body = body.text("instance", path);
    }
    let policy = if expose { rejected.by() } else { terms.policy };
    body = body.text("policy", policy).text("state", rejected.state());
    // It is the caller's own, so that strangers are told it, too.
    if let Some(priority) = rejected.priority() {
        body = body.text("priority", &priority.to_string());
    }
    let mut head = Response::new(());
    *head.status_mut() = status;
    let headers = head.headers_mut();
    if let Some(wait) = wait(&rejected) {
        body = body.number("retry_after_ms", millis(wait));
    }
    if let Some(seconds) = retry_after_secs(&rejected) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if terms.quota {
        let name = rate_limit_headers::shown(rejected.by());
        body = body.texts("violated-policies", &[&name]);
        rate_limit_headers::refused(RateLimitHeaders::draft10(), headers, &rejected);
    }
    (keep_refusal(rejected, head), body.finish())
}

/// The content type of the text that [`problem`] makes.
pub(crate) const PROBLEM_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A gRPC refusal: all of it is in the head, and the body stays empty.
pub(crate) fn trailers_only(rejected: Rejected, kind: Dialect, expose: bool) -> Response<()> {
    let terms = terms(rejected.reason());
    let message = detail(&rejected, expose);
    let priority = rejected.priority().map(|priority| priority.to_string());
    let details = Details {
        code: terms.code,
        message: &message,
        retry_delay: wait(&rejected),
        violation: terms.quota.then(|| Violation {
            subject: rejected.by().as_str(),
            description: rejected.summary(),
        }),
        reason: terms.reason,
        policy: expose.then_some(rejected.by().as_str()),
        priority: priority.as_deref(),
    };
    let details = base64::encode(details.encode().as_bytes());
    let mut head = Response::new(());
    let headers = head.headers_mut();
    headers.insert(CONTENT_TYPE, kind.grpc_type());
    headers.insert(grpc::STATUS, HeaderValue::from(u16::from(terms.code)));
    insert(headers, grpc::MESSAGE, &percent_encoded(&message));
    insert(headers, grpc::DETAILS, &details);
    // The header is a signed number of 32 bits; a negative one says never to come back.
    let millis = match terms.again {
        Again::Later => wait(&rejected).map(|wait| i32::try_from(millis(wait)).unwrap_or(i32::MAX)),
        Again::Never => Some(-1),
        Again::Unsaid => None,
    };
    if let Some(millis) = millis {
        headers.insert(grpc::PUSHBACK, HeaderValue::from(millis));
    }
    keep_refusal(rejected, head)
}

/// Puts the mark of a refusal into an answer of your own.
///
/// A handler that turns the [`Rejected`] of an inner call into a response should send it through
/// here. Without the mark, outer layers take the answer for a failure of the handler.
///
/// ```
/// # use breaker_core::{Name, Reason, Rejected};
/// # use http::Response;
/// # use portcullis_http::{keep_refusal, refusal_of};
/// # let rejected = Rejected::new(Name::new("payments"), Reason::Open);
/// let response = keep_refusal(rejected, Response::new("try the other till"));
/// assert_eq!(refusal_of(&response), Some(&rejected));
/// ```
pub fn keep_refusal<B>(rejected: Rejected, mut response: Response<B>) -> Response<B> {
    response.extensions_mut().insert(rejected);
    response
}

/// The refusal that an answer carries, if it is one; or the timeout, which [was
/// made](Rejected::was_made).
#[must_use]
pub fn refusal_of<B>(response: &Response<B>) -> Option<&Rejected> {
    response.extensions().get()
}

/// Names and figures are for those who may see the inside; a stranger hears what and how long.
fn detail(rejected: &Rejected, expose: bool) -> String {
    if expose {
        return rejected.to_string();
    }
    match (rejected.retry_after_secs(), terms(rejected.reason()).again) {
        (Some(seconds), Again::Later) => {
            format!("{}; try again in {seconds} s", rejected.summary())
        }
        _ => rejected.summary().to_owned(),
    }
}

/// What a caller is told where nobody knows how long it will take: an order without an end, a
/// dependency that is down.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

/// `None` where no wait would help, or nothing is known of one.
fn wait(rejected: &Rejected) -> Option<Duration> {
    let later = terms(rejected.reason()).again == Again::Later;
    later.then(|| rejected.retry_after().unwrap_or(UNKNOWN_WAIT))
}

/// The same wait in whole seconds, as HTTP wants it.
pub(crate) fn retry_after_secs(rejected: &Rejected) -> Option<u64> {
    let later = terms(rejected.reason()).again == Again::Later;
    later.then(|| rejected.retry_after_secs().unwrap_or(UNKNOWN_WAIT.as_secs()))
}

/// Rounded up: who waits as long as he was told must not come too early.
fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What gRPC asks of `grpc-message`: visible ASCII stays, but for the percent sign.
fn percent_encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for nibble in [byte >> 4, byte & 0xf] {
                text.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
    text
}

/// Both texts are visible ASCII by now, so none is ever left out.
fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use breaker_core::{Name, Reason};
    use proptest::prelude::{any, proptest};

    use super::*;

    // S-CORE-09
    #[test]
    fn the_details_name_the_policy_on_request_only() {
        for expose in [false, true] {
            let rejected = Rejected::new(Name::new("payments"), Reason::Open);
            let head = trailers_only(rejected, Dialect::PLAIN_GRPC, expose);
            let details = base64::decode(head.headers()[grpc::DETAILS].as_bytes());
            let details = details.expect("base64");
            assert_eq!(details.windows(8).any(|bytes| bytes == b"payments"), expose);
        }
    }

    #[test]
    fn a_wait_is_rounded_up_and_never_overflows() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(3_870)), 3_870);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("100 % \n é~"), "100 %25 %0A %C3%A9~");
    }

    proptest! {
        #[test]
        fn every_message_becomes_a_header(message in any::<String>()) {
            assert!(HeaderValue::from_str(&percent_encoded(&message)).is_ok());
        }
    }
}
