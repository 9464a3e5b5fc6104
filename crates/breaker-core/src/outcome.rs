//! What a call says about the callee: [`Outcome`], [`FailureKind`], [`Classify`], [`CountAs`].

use std::fmt;
use std::time::Duration;

/// What the end of a call says about the callee.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Outcome {
    /// The callee did what it is for.
    Success,
    /// Something went wrong; [`CountAs`] decides whether it counts against the callee.
    Failure(FailureKind),
    /// The call says nothing about the callee.
    Ignored,
}

/// What went wrong. One taxonomy serves breaker, retry, fallback and telemetry.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FailureKind {
    /// No answer in time.
    Timeout,
    /// The callee could not be reached, or the connection broke.
    Connection,
    /// The callee says that it is short of capacity.
    Overload {
        /// How long the callee asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The caller has used up its own quota.
    RateLimited,
    /// The callee is out of something: memory, disk, handles.
    ResourceExhausted,
    /// The callee answered; the request was at fault.
    InvalidRequest,
    /// The callee failed.
    Internal,
    /// A failure of which nothing more is known.
    Unknown,
    /// The inner call or its future panicked.
    Panic,
}

impl FailureKind {
    /// The kinds that a message points to, most precise first; `None` if the text says nothing.
    ///
    /// Case is ignored: "rate limit" and "too many requests" are [`FailureKind::RateLimited`],
    /// "resource exhausted" and "out of memory" [`FailureKind::ResourceExhausted`],
    /// "connection refused" [`FailureKind::Connection`], "invalid"
    /// [`FailureKind::InvalidRequest`].
    #[must_use]
    pub fn from_message(message: &str) -> Option<Self> {
        const PATTERNS: [(&str, FailureKind); 6] = [
            ("rate limit", FailureKind::RateLimited),
            ("too many requests", FailureKind::RateLimited),
            ("resource exhausted", FailureKind::ResourceExhausted),
            ("out of memory", FailureKind::ResourceExhausted),
            ("connection refused", FailureKind::Connection),
            ("invalid", FailureKind::InvalidRequest),
        ];
        let message = message.to_ascii_lowercase();
        PATTERNS.iter().find(|(pattern, _)| message.contains(pattern)).map(|&(_, kind)| kind)
    }

    /// The name of the kind, as configurations and metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Overload { .. } => "overload",
            Self::RateLimited => "rate_limited",
            Self::ResourceExhausted => "resource_exhausted",
            Self::InvalidRequest => "invalid_request",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
            Self::Panic => "panic",
        }
    }

    pub(crate) const ALL: [Self; 9] = [
        Self::Timeout,
        Self::Connection,
        Self::Overload { retry_after: None },
        Self::RateLimited,
        Self::ResourceExhausted,
        Self::InvalidRequest,
        Self::Internal,
        Self::Unknown,
        Self::Panic,
    ];

    const fn index(self) -> usize {
        match self {
            Self::Timeout => 0,
            Self::Connection => 1,
            Self::Overload { .. } => 2,
            Self::RateLimited => 3,
            Self::ResourceExhausted => 4,
            Self::InvalidRequest => 5,
            Self::Internal => 6,
            Self::Unknown => 7,
            Self::Panic => 8,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a circuit counts a kind of failure.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Counted {
    /// Evidence for the callee.
    Success,
    /// Evidence against the callee.
    Failure,
    /// No evidence.
    Ignored,
}

/// The table that says how each kind of failure counts.
///
/// By default [`FailureKind::InvalidRequest`] counts as a success (the service answered),
/// [`FailureKind::RateLimited`] is ignored, and all other kinds count as failures.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CountAs([Counted; 9]);

impl CountAs {
    /// The default table.
    #[must_use]
    pub const fn new() -> Self {
        Self([Counted::Failure; 9])
            .with(FailureKind::InvalidRequest, Counted::Success)
            .with(FailureKind::RateLimited, Counted::Ignored)
    }

    /// The same table, with another entry for `kind`.
    #[must_use]
    pub const fn with(mut self, kind: FailureKind, counted: Counted) -> Self {
        self.0[kind.index()] = counted;
        self
    }

    /// How `kind` counts.
    #[must_use]
    pub const fn of(&self, kind: FailureKind) -> Counted {
        self.0[kind.index()]
    }

    /// How `outcome` counts.
    #[must_use]
    pub const fn outcome(&self, outcome: Outcome) -> Counted {
        match outcome {
            Outcome::Success => Counted::Success,
            Outcome::Failure(kind) => self.of(kind),
            Outcome::Ignored => Counted::Ignored,
        }
    }
}

impl Default for CountAs {
    fn default() -> Self {
        Self::new()
    }
}

/// What does this result say about the callee?
///
/// Closures `Fn(Result<&Res, &Err>) -> Outcome` classify, and so does [`ErrorsAreFailures`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot classify the results of this service",
    label = "response `{Res}` or error `{Err}` is not one that it knows",
    note = "for a service that is not HTTP: make the layer by its `generic(config)`; \
            for a rule of your own: `.classify_fn(|result| ..)`"
)]
pub trait Classify<Res, Err> {
    /// Turns the result of a call into an outcome.
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome;

    /// Whether the result is a refusal of a layer further in, so that the call was not made. Layers
    /// outside give back then what they had taken for it.
    ///
    /// By default no: a classifier has to know where a refusal stands.
    fn is_refusal(&self, result: Result<&Res, &Err>) -> bool {
        let _ = result;
        false
    }
}

#[diagnostic::do_not_recommend]
impl<F, Res, Err> Classify<Res, Err> for F
where
    F: Fn(Result<&Res, &Err>) -> Outcome,
{
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        self(result)
    }
}

/// The plainest classifier: `Ok` is a success, `Err` a failure of unknown kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorsAreFailures;

impl<Res, Err> Classify<Res, Err> for ErrorsAreFailures {
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure(FailureKind::Unknown),
        }
    }
}
