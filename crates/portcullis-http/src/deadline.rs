//! How long the caller of a request still waits: [`from_request`], [`grpc_timeout`].

mod request;
mod words;

use std::time::Duration;

use http::{HeaderMap, HeaderName, Request};

pub(crate) use self::request::known;
pub use self::request::{ReadDeadline, RequestDeadline, from_request};
#[cfg(feature = "reqwest-0-13")]
pub(crate) use self::request::{earliest, said_in};
pub(crate) use self::words::{own, write};

/// The header by which a request of HTTP says how long its caller still waits, in whole
/// milliseconds: `x-timeout-ms`.
pub const X_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-timeout-ms");

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How long the caller of this gRPC request still waited when it was sent, from `grpc-timeout`.
///
/// `None` where it does not say so, says it more than once, or says nonsense: whatever a stranger
/// sends, it shortens his own call at most. Zero is what clients send that have no time left.
///
/// The value is 1 to 8 digits and a unit, by "gRPC over HTTP2": `H` hours, `M` minutes, `S` seconds,
/// `m` milliseconds, `u` microseconds, `n` nanoseconds.
///
/// ```
/// # use std::time::Duration;
/// # use http::Request;
/// let request = Request::builder().header("grpc-timeout", "250m").body(()).unwrap();
/// let left = portcullis_http::deadline::grpc_timeout(&request);
/// assert_eq!(left, Some(Duration::from_millis(250)));
/// ```
#[must_use]
pub fn grpc_timeout<B>(request: &Request<B>) -> Option<Duration> {
    grpc_timeout_of(request.headers())
}

/// [`grpc_timeout`], where only the headers are at hand.
#[must_use]
pub fn grpc_timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all(GRPC_TIMEOUT).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (unit, digits) = value.as_bytes().split_last()?;
    if !matches!(digits.len(), 1..=8) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Eight digits fit, and so do as many hours.
    let number = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn left(values: &[&[u8]]) -> Option<Duration> {
        let mut request = Request::new(());
        for value in values {
            let value = HeaderValue::from_bytes(value).expect("a header value");
            request.headers_mut().append(GRPC_TIMEOUT, value);
        }
        grpc_timeout(&request)
    }

    // S-PRIO-02
    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0n", Duration::ZERO),
            ("00000001S", Duration::from_secs(1)),
            ("99999999H", Duration::from_secs(359_999_996_400)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ] {
            assert_eq!(left(&[text.as_bytes()]), Some(expected), "{text}");
        }
    }

    // S-PRIO-02
    #[test]
    fn nonsense_is_no_deadline() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "1h",
            "1 S",
            " 1S",
            "1S ",
            "+1S",
            "-1S",
            "1.5S",
            "0x1S",
            "1SS",
            "100000000S",
            "000000001S",
            "S1",
            "1S,2S",
        ] {
            assert_eq!(left(&[text.as_bytes()]), None, "{text:?}");
        }
        assert_eq!(left(&["٣S".as_bytes()]), None);
        assert_eq!(left(&[b"1\xff"]), None);
        assert_eq!(left(&["1".repeat(1 << 20).as_bytes()]), None);
        assert_eq!(left(&[b"1S", b"1S"]), None, "two of them contradict each other");
        assert_eq!(left(&[&b"1S"[..]; 10_000]), None);
        assert_eq!(left(&[]), None);
    }
}
