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
    /// Whether the same call may be admitted later.
    pub(crate) repeatable: bool,
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
            repeatable: false,
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
    repeatable: true,
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
    repeatable: true,
};
