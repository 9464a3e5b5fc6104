//! What an HTTP status says about the callee.

use breaker_core::{FailureKind, Outcome};
use http::{HeaderMap, StatusCode};

use crate::retry_after::retry_after;

/// What an HTTP status says about the callee; the headers add how long a 503 asks to wait.
///
/// | status | outcome |
/// |---|---|
/// | 1xx, 2xx, 3xx | success |
/// | 408, 504 | [`FailureKind::Timeout`] |
/// | 429 | [`FailureKind::RateLimited`] |
/// | 502 | [`FailureKind::Connection`] |
/// | 503 | [`FailureKind::Overload`], with `Retry-After` |
/// | 507 | [`FailureKind::ResourceExhausted`] |
/// | other 4xx | [`FailureKind::InvalidRequest`] |
/// | other 5xx, and what is no status of HTTP | [`FailureKind::Internal`] |
#[must_use]
pub fn outcome_of_status(status: StatusCode, headers: &HeaderMap) -> Outcome {
    Outcome::Failure(match status.as_u16() {
        100..=399 => return Outcome::Success,
        408 | 504 => FailureKind::Timeout,
        429 => FailureKind::RateLimited,
        400..=499 => FailureKind::InvalidRequest,
        502 => FailureKind::Connection,
        503 => FailureKind::Overload { retry_after: retry_after(headers) },
        507 => FailureKind::ResourceExhausted,
        // RFC 9110 (15) has recipients treat 600 and above as a 5xx.
        _ => FailureKind::Internal,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    // S-CORE-08: every status there is.
    #[test]
    fn every_status_has_its_outcome() {
        for code in 100..=999 {
            let status = StatusCode::from_u16(code).expect("100..=999 are status codes");
            let expected = match code {
                ..400 => None,
                408 | 504 => Some(FailureKind::Timeout),
                429 => Some(FailureKind::RateLimited),
                502 => Some(FailureKind::Connection),
                503 => Some(FailureKind::Overload { retry_after: None }),
                507 => Some(FailureKind::ResourceExhausted),
                _ if code < 500 => Some(FailureKind::InvalidRequest),
                _ => Some(FailureKind::Internal),
            };
            let expected = expected.map_or(Outcome::Success, Outcome::Failure);
            assert_eq!(outcome_of_status(status, &HeaderMap::new()), expected, "{code}");
        }
    }

    // S-CORE-08
    #[test]
    fn only_a_503_carries_the_wait() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "9".parse().expect("a header value"));
        let wait = Some(Duration::from_secs(9));
        assert_eq!(
            outcome_of_status(StatusCode::SERVICE_UNAVAILABLE, &headers),
            Outcome::Failure(FailureKind::Overload { retry_after: wait })
        );
        assert_eq!(
            outcome_of_status(StatusCode::TOO_MANY_REQUESTS, &headers),
            Outcome::Failure(FailureKind::RateLimited)
        );
    }
}
