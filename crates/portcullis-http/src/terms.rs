//! What each reason is called by HTTP and by gRPC.

use breaker_core::Reason;
use http::StatusCode;

/// What a reason is called by HTTP and by gRPC.
pub(crate) struct Terms {
    pub(crate) status: StatusCode,
    pub(crate) problem: &'static str,
    pub(crate) title: &'static str,
    /// The kind of the component that refuses.
    pub(crate) policy: &'static str,
    pub(crate) code: u8,
    pub(crate) reason: &'static str,
    /// The caller's own quota stands behind it, and whoever is counted may know the name of the
    /// count.
    pub(crate) quota: bool,
    /// When the same call may be admitted.
    pub(crate) again: Again,
    /// It took too long, and the status of that can be chosen.
    pub(crate) timeout: bool,
}

/// When the same call may be admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Again {
    /// After a while.
    Later,
    /// Not as it is.
    Never,
    /// A deadline says nothing of when to come back.
    Unsaid,
}

/// The one place that knows how a reason is answered: a new one needs an arm here and no more.
pub(crate) const fn terms(reason: Reason) -> Terms {
    match reason {
        Reason::Open
        | Reason::NoTrialFree
        | Reason::BelowShare
        | Reason::ForcedOpen
        | Reason::Dependency
        | Reason::NotReady => Terms {
            problem: "urn:portcullis:problems/circuit-open",
            title: "Service temporarily unavailable",
            reason: "CIRCUIT_OPEN",
            policy: "circuit_breaker",
            ..UNAVAILABLE
        },
        Reason::RateLimited => EXCEEDED,
        Reason::CostTooHigh => Terms {
            title: "Call too large for its quota",
            reason: "COST_TOO_HIGH",
            again: Again::Never,
            ..EXCEEDED
        },
        Reason::StoreDown => Terms {
            problem: "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            title: "Quota cannot be checked",
            reason: "STORE_DOWN",
            policy: "rate_limit",
            ..UNAVAILABLE
        },
        Reason::AtLimit
        | Reason::QueueFull
        | Reason::QueueTimeout
        | Reason::Displaced
        | Reason::TooLate
        | Reason::QueueStands => BUSY,
        Reason::BelowMinimum => {
            Terms { title: "Only more important calls are served", reason: "SHED", ..BUSY }
        }
        Reason::Throttled => {
            Terms { title: "Too many calls are refused", reason: "THROTTLED", ..BUSY }
        }
        Reason::TimedOut => TIMEOUT,
        Reason::DeadlinePassed | Reason::CutShort => Terms {
            title: "The deadline of the call has passed",
            reason: "DEADLINE_PASSED",
            ..TIMEOUT
        },
        // A reason younger than this crate: unavailable is true of each.
        _ => UNAVAILABLE,
    }
}

/// We are short of something.
const UNAVAILABLE: Terms = Terms {
    status: StatusCode::SERVICE_UNAVAILABLE,
    problem: "about:blank",
    title: "Service Unavailable",
    policy: "portcullis",
    code: 14,
    reason: "REFUSED",
    quota: false,
    again: Again::Later,
    timeout: false,
};

/// More calls come than can be served.
const BUSY: Terms = Terms {
    problem: "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    title: "More calls than can be served",
    reason: "OVERLOADED",
    policy: "priority",
    ..UNAVAILABLE
};

/// The caller had too much of something.
const EXCEEDED: Terms = Terms {
    status: StatusCode::TOO_MANY_REQUESTS,
    problem: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    title: "Quota used up",
    policy: "rate_limit",
    code: 8,
    reason: "RATE_LIMITED",
    quota: true,
    again: Again::Later,
    timeout: false,
};

/// Nobody waited any longer.
const TIMEOUT: Terms = Terms {
    status: StatusCode::GATEWAY_TIMEOUT,
    problem: "urn:portcullis:problems/timeout",
    title: "No answer came in time",
    policy: "timeout",
    code: 4,
    reason: "TIMED_OUT",
    quota: false,
    again: Again::Unsaid,
    timeout: true,
};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use breaker_core::{Name, Priority, Rejected};
    use serde_json::json;

    use super::*;
    use crate::answer::Style;
    use crate::details::Hints;
    use crate::{Dialect, answer, base64};

    const BUSY: &str = "More calls than can be served";
    const CROWD: [(Reason, &str, &str, &str); 8] = [
        (Reason::AtLimit, BUSY, "OVERLOADED", "busy"),
        (Reason::QueueFull, BUSY, "OVERLOADED", "busy"),
        (Reason::QueueTimeout, BUSY, "OVERLOADED", "busy"),
        (Reason::Displaced, BUSY, "OVERLOADED", "busy"),
        (Reason::TooLate, BUSY, "OVERLOADED", "busy"),
        (Reason::QueueStands, BUSY, "OVERLOADED", "busy"),
        (Reason::BelowMinimum, "Only more important calls are served", "SHED", "shedding"),
        (Reason::Throttled, "Too many calls are refused", "THROTTLED", "throttling"),
    ];
    const WAITS: [(Option<Duration>, &str, u64); 5] = [
        (None, "1", 1_000),
        (Some(Duration::ZERO), "1", 0),
        (Some(Duration::from_millis(250)), "1", 250),
        (Some(Duration::from_nanos(1_000_000_001)), "2", 1_001),
        (Some(Duration::from_secs(90)), "90", 90_000),
    ];

    fn refusal(reason: Reason, wait: Option<Duration>) -> Rejected {
        let rejected = Rejected::new(Name::new("search"), reason);
        wait.map_or(rejected, |wait| rejected.with_retry_after(wait))
    }

    // S-CORE-09, S-PRIO-01, S-PRIO-08
    #[test]
    fn whoever_is_refused_for_want_of_room_gets_a_503() {
        for (reason, title, _, state) in CROWD {
            for (wait, seconds, ms) in WAITS {
                for (priority, named) in
                    [(None, None), (Some(25), Some("low")), (Some(80), Some("80"))]
                {
                    let mut rejected = refusal(reason, wait);
                    if let Some(level) = priority {
                        rejected = rejected.with_priority(Priority::new(level));
                    }
                    let (head, text) = answer::problem(rejected, Some("/pay"), Style::default());
                    assert_eq!(head.status(), 503, "{reason:?}");
                    assert_eq!(head.headers()["retry-after"], seconds, "{reason:?}");
                    assert_eq!(head.headers().len(), 1, "no fields of a quota");
                    let mut body: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                    let detail = body["detail"].take();
                    assert!(
                        detail.as_str().is_some_and(|said| said.starts_with(rejected.summary()))
                    );
                    let mut expected = json!({
                        "type":
                            "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
                        "title": title,
                        "status": 503,
                        "detail": null,
                        "instance": "/pay",
                        "policy": "priority",
                        "state": state,
                        "retry_after_ms": ms,
                    });
                    if let Some(name) = named {
                        expected["priority"] = name.into();
                    }
                    assert_eq!(body, expected, "{reason:?}");
                }
            }
        }
    }

    // S-CORE-09, S-PRIO-01, S-PRIO-08
    #[test]
    fn whoever_is_refused_for_want_of_room_gets_an_unavailable() {
        for (reason, _, word, _) in CROWD {
            for (wait, _, ms) in WAITS {
                let rejected = refusal(reason, wait).with_priority(Priority::new(80));
                let head = answer::trailers_only(rejected, Dialect::PLAIN_GRPC, false);
                assert_eq!(head.status(), 200, "{reason:?}");
                assert_eq!(head.headers()["grpc-status"], "14", "{reason:?}");
                assert_eq!(head.headers()["grpc-retry-pushback-ms"], ms.to_string(), "{reason:?}");
                let details = head.headers()["grpc-status-details-bin"].as_bytes();
                let details = base64::decode(details).expect("base64");
                let retry_delay = Some(wait.unwrap_or(Duration::from_secs(1)));
                let hints = Hints { retry_info: true, retry_delay, quota_failure: false };
                assert_eq!(Hints::read(&details), hints, "{reason:?}");
                let says = |text: &[u8]| details.windows(text.len()).any(|part| part == text);
                assert!(says(word.as_bytes()), "{reason:?} {word}");
                assert!(says(b"\x0a\x08priority\x12\x0280"), "{reason:?}");
                assert!(!says(b"search"), "names are for those who may see the inside");
            }
        }
    }

    const LATE: [(Reason, &str, &str); 3] = [
        (Reason::TimedOut, "No answer came in time", "TIMED_OUT"),
        (Reason::DeadlinePassed, "The deadline of the call has passed", "DEADLINE_PASSED"),
        (Reason::CutShort, "The deadline of the call has passed", "DEADLINE_PASSED"),
    ];

    // S-CORE-09
    #[test]
    fn a_timeout_is_a_504_that_says_nothing_of_when_to_come_back() {
        for (reason, title, _) in LATE {
            for (wait, _, _) in WAITS {
                for (chosen, status) in [(None, 504), (Some(StatusCode::SERVICE_UNAVAILABLE), 503)]
                {
                    let style = Style { timeouts_as: chosen, ..Style::default() };
                    let rejected = refusal(reason, wait);
                    let (head, text) = answer::problem(rejected, None, style);
                    assert_eq!(head.status(), status, "{reason:?}");
                    assert!(head.headers().is_empty(), "{reason:?}: {:?}", head.headers());
                    let body: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                    let expected = json!({
                        "type": "urn:portcullis:problems/timeout",
                        "title": title,
                        "status": status,
                        "detail": rejected.summary(),
                        "policy": "timeout",
                        "state": "timeout",
                    });
                    assert_eq!(body, expected, "{reason:?}");
                }
            }
        }
    }

    // S-CORE-09
    #[test]
    fn a_timeout_is_a_deadline_exceeded_without_a_push_back() {
        for (reason, _, word) in LATE {
            for (wait, _, _) in WAITS {
                let rejected = refusal(reason, wait);
                let head = answer::trailers_only(rejected, Dialect::PLAIN_GRPC, false);
                assert_eq!(head.status(), 200, "{reason:?}");
                assert_eq!(head.headers()["grpc-status"], "4", "{reason:?}");
                assert!(!head.headers().contains_key("grpc-retry-pushback-ms"), "{reason:?}");
                let details = head.headers()["grpc-status-details-bin"].as_bytes();
                let details = base64::decode(details).expect("base64");
                assert_eq!(Hints::read(&details), Hints::default(), "{reason:?}");
                let says = |text: &[u8]| details.windows(text.len()).any(|part| part == text);
                assert!(says(word.as_bytes()), "{reason:?} {word}");
            }
        }
    }

    #[test]
    fn only_timeouts_have_a_status_of_choice() {
        let style = Style { timeouts_as: Some(StatusCode::REQUEST_TIMEOUT), ..Style::default() };
        for (reason, status) in
            [(Reason::Open, 503), (Reason::RateLimited, 429), (Reason::TimedOut, 408)]
        {
            let (head, _) = answer::problem(refusal(reason, None), None, style);
            assert_eq!(head.status(), status, "{reason:?}");
        }
    }
}
