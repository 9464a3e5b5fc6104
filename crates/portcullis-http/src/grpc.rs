//! What a gRPC status says about the callee.

use std::time::Duration;

use breaker_core::{FailureKind, Outcome};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};

use crate::details::Hints;
use crate::retry_after::delta_seconds;
use crate::{MAX_RETRY_AFTER, base64};

pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
pub(crate) const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// What a gRPC head says about the callee; without a `grpc-status` it is a success.
///
/// The status of a unary error is in the head; that of a stream comes in the trailers, for which
/// there is [`outcome_of_trailers`].
///
/// | code | outcome |
/// |---|---|
/// | `OK` | success |
/// | `CANCELLED` | ignored |
/// | `DEADLINE_EXCEEDED` | [`FailureKind::Timeout`] |
/// | `UNAVAILABLE` | [`FailureKind::Overload`] with RetryInfo or push-back, else [`FailureKind::Connection`] |
/// | `RESOURCE_EXHAUSTED` | [`FailureKind::RateLimited`] with RetryInfo or QuotaFailure, else [`FailureKind::ResourceExhausted`] |
/// | `INTERNAL`, `DATA_LOSS` | [`FailureKind::Internal`] |
/// | `UNKNOWN`, and what is no code of gRPC | [`FailureKind::Unknown`] |
/// | all others | [`FailureKind::InvalidRequest`] |
#[must_use]
pub fn outcome_of_grpc(headers: &HeaderMap) -> Outcome {
    if headers.contains_key(STATUS) { outcome_of_trailers(headers) } else { Outcome::Success }
}

/// What gRPC trailers say about the callee, by the table of [`outcome_of_grpc`].
///
/// Here the end of the stream is known, so a missing status is [`FailureKind::Unknown`], as
/// gRPC has it.
#[must_use]
pub fn outcome_of_trailers(trailers: &HeaderMap) -> Outcome {
    Outcome::Failure(match trailers.get(STATUS).and_then(|value| code(value.as_bytes())) {
        Some(0) => return Outcome::Success,
        Some(1) => return Outcome::Ignored,
        Some(4) => FailureKind::Timeout,
        Some(8) => resource_exhausted(trailers),
        Some(13 | 15) => FailureKind::Internal,
        Some(14) => unavailable(trailers),
        Some(3 | 5..=7 | 9..=12 | 16) => FailureKind::InvalidRequest,
        // 2 is UNKNOWN; clients treat a code that they do not know, or cannot read, as the same.
        _ => FailureKind::Unknown,
    })
}

/// Whether the content type is one of gRPC, gRPC-Web included.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let is_web = |rest: &[u8]| rest.get(..4).is_some_and(|web| web.eq_ignore_ascii_case(b"-web"));
    rest_of_type(headers).is_some_and(|rest| is_web(rest) || is_end(rest))
}

/// Whether the status comes in HTTP trailers; gRPC-Web hides them in the body.
pub(crate) fn has_trailers(headers: &HeaderMap) -> bool {
    rest_of_type(headers).is_some_and(is_end)
}

fn rest_of_type(headers: &HeaderMap) -> Option<&[u8]> {
    const TYPE: &[u8] = b"application/grpc";
    let (start, rest) = headers.get(CONTENT_TYPE)?.as_bytes().split_at_checked(TYPE.len())?;
    start.eq_ignore_ascii_case(TYPE).then_some(rest)
}

const fn is_end(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Two digits at most: gRPC has no longer codes.
fn code(text: &[u8]) -> Option<u8> {
    let plain = matches!(text.len(), 1 | 2) && text.iter().all(u8::is_ascii_digit);
    plain.then(|| text.iter().fold(0, |sum, byte| sum * 10 + (byte - b'0')))
}

fn unavailable(headers: &HeaderMap) -> FailureKind {
    let hints = hints(headers);
    let wait = match push_back(headers) {
        PushBack::Unsaid if !hints.retry_info => return FailureKind::Connection,
        PushBack::After(wait) => Some(wait),
        // Overload, for a time of which the details may know.
        PushBack::Unsaid | PushBack::Never => hints.retry_delay,
    };
    FailureKind::Overload { retry_after: wait.map(|wait| wait.min(MAX_RETRY_AFTER)) }
}

fn resource_exhausted(headers: &HeaderMap) -> FailureKind {
    let hints = hints(headers);
    if hints.retry_info || hints.quota_failure {
        FailureKind::RateLimited
    } else {
        FailureKind::ResourceExhausted
    }
}

/// What a server says of when to come back, or whether at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PushBack {
    Unsaid,
    After(Duration),
    /// It is negative, cannot be read, or is there twice: gRPC has it mean "do not retry" (A6).
    Never,
}

pub(crate) fn push_back(headers: &HeaderMap) -> PushBack {
    let mut values = headers.get_all(PUSHBACK).into_iter();
    let Some(value) = values.next() else { return PushBack::Unsaid };
    // What is longer than its 32 bits is still a long wait.
    match (delta_seconds(value.as_bytes().trim_ascii()), values.next()) {
        (Some(millis), None) => PushBack::After(Duration::from_millis(millis)),
        _ => PushBack::Never,
    }
}

pub(crate) fn hints(headers: &HeaderMap) -> Hints {
    let status = headers.get(DETAILS).and_then(|value| base64::decode(value.as_bytes()));
    status.map_or_else(Hints::default, |status| Hints::read(&status))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::details::Details;
    use crate::wire::Message;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|&(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
        });
        pairs.collect()
    }

    fn outcome(pairs: &[(&'static str, &str)]) -> Outcome {
        let headers = headers(pairs);
        assert_eq!(outcome_of_grpc(&headers), outcome_of_trailers(&headers));
        outcome_of_grpc(&headers)
    }

    fn retry_info(delay: Duration) -> String {
        let details = Details {
            code: 14,
            message: "",
            retry_delay: Some(delay),
            violation: None,
            reason: "X",
            policy: None,
            priority: None,
        };
        base64::encode(details.encode().as_bytes())
    }

    // S-CORE-08: every code there is, and some that are none.
    #[test]
    fn every_code_has_its_outcome() {
        for code in 0..=99 {
            let expected = match code {
                0 => Outcome::Success,
                1 => Outcome::Ignored,
                4 => Outcome::Failure(FailureKind::Timeout),
                8 => Outcome::Failure(FailureKind::ResourceExhausted),
                13 | 15 => Outcome::Failure(FailureKind::Internal),
                14 => Outcome::Failure(FailureKind::Connection),
                3 | 5 | 6 | 7 | 9 | 10 | 11 | 12 | 16 => {
                    Outcome::Failure(FailureKind::InvalidRequest)
                }
                _ => Outcome::Failure(FailureKind::Unknown),
            };
            assert_eq!(outcome(&[("grpc-status", &code.to_string())]), expected, "{code}");
        }
        for rubbish in ["", "-1", "+1", " 0", "0x0", "100", "4294967296", "OK"] {
            let expected = Outcome::Failure(FailureKind::Unknown);
            assert_eq!(outcome(&[("grpc-status", rubbish)]), expected, "{rubbish}");
        }
    }

    // S-CORE-08
    #[test]
    fn a_missing_status_is_a_success_in_the_head_only() {
        assert_eq!(outcome_of_grpc(&HeaderMap::new()), Outcome::Success);
        let unknown = Outcome::Failure(FailureKind::Unknown);
        assert_eq!(outcome_of_trailers(&HeaderMap::new()), unknown);
    }

    // S-CORE-08
    #[test]
    fn unavailable_with_a_hint_is_overload() {
        let overload = |pairs: &[(&'static str, &str)]| match outcome(pairs) {
            Outcome::Failure(FailureKind::Overload { retry_after }) => retry_after,
            other => panic!("{other:?}"),
        };
        let status = ("grpc-status", "14");
        let info = retry_info(Duration::from_millis(1_500));
        let long = retry_info(Duration::from_secs(999_999));
        let info = ("grpc-status-details-bin", &*info);
        let long = ("grpc-status-details-bin", &*long);
        let push = |value| ("grpc-retry-pushback-ms", value);
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(overload(&[status, info]), ms(1_500));
        assert_eq!(overload(&[status, push("250")]), ms(250));
        assert_eq!(overload(&[status, info, push("250")]), ms(250));
        assert_eq!(overload(&[status, info, push("-1")]), ms(1_500));
        assert_eq!(overload(&[status, push("-1")]), None);
        assert_eq!(overload(&[status, push("soon")]), None);
        assert_eq!(overload(&[status, long]), Some(MAX_RETRY_AFTER));
        assert_eq!(overload(&[status, push("4294967295")]), Some(MAX_RETRY_AFTER));
        let rubbish = ("grpc-status-details-bin", "!!!");
        assert_eq!(outcome(&[status, rubbish]), Outcome::Failure(FailureKind::Connection));
    }

    // S-CORE-08
    #[test]
    fn resource_exhausted_with_a_hint_is_the_callers_quota() {
        let status = ("grpc-status", "8");
        let info = retry_info(Duration::ZERO);
        let quota = Message::default().any(
            3,
            "type.googleapis.com/google.rpc.QuotaFailure",
            &Message::default(),
        );
        let limited = Outcome::Failure(FailureKind::RateLimited);
        assert_eq!(outcome(&[status, ("grpc-status-details-bin", &info)]), limited);
        let quota = base64::encode(quota.as_bytes());
        assert_eq!(outcome(&[status, ("grpc-status-details-bin", &quota)]), limited);
        let push = ("grpc-retry-pushback-ms", "5");
        let exhausted = Outcome::Failure(FailureKind::ResourceExhausted);
        assert_eq!(outcome(&[status, push]), exhausted);
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for (value, grpc, trailers) in [
            ("application/grpc", true, true),
            ("application/grpc+proto", true, true),
            ("Application/gRPC; charset=x", true, true),
            ("application/grpc-web", true, false),
            ("application/grpc-web-text+proto", true, false),
            ("application/grpcx", false, false),
            ("application/json", false, false),
            ("text/plain, application/grpc", false, false),
        ] {
            let headers = headers(&[("content-type", value)]);
            assert_eq!((is_grpc(&headers), has_trailers(&headers)), (grpc, trailers), "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
