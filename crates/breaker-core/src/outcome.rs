//! What a call says about the callee: [`Outcome`], [`FailureKind`], [`Classify`], [`CountAs`].

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::rejected::Rejected;

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

    /// What the result says about another attempt; asked of failures and refusals.
    ///
    /// By default nothing but the wait that an [`Overload`](FailureKind::Overload) names.
    fn advice(&self, result: Result<&Res, &Err>) -> Advice {
        match self.classify(result) {
            Outcome::Failure(kind) => Advice::of(kind),
            _ => Advice::NONE,
        }
    }
}

/// What a result says about another attempt.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Advice {
    /// How long the callee asks to be left alone.
    pub wait: Option<Duration>,
    /// There is to be none: the callee says so, or somebody further in has tried in vain.
    pub never: bool,
    /// The callee has not begun with the call: the connection was refused, or the call itself.
    pub unsent: bool,
}

impl Advice {
    /// Nothing.
    pub const NONE: Self = Self { wait: None, never: false, unsent: false };

    /// What the kind of a failure says by itself.
    pub const fn of(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Overload { retry_after } => Self { wait: retry_after, ..Self::NONE },
            _ => Self::NONE,
        }
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

/// Judges by a closure, and recognises refusals, and what is said of further attempts, as another
/// classifier does.
#[derive(Clone, Copy)]
pub struct OutcomeFn<F, C> {
    outcome: F,
    classify: C,
}

impl<F, C> OutcomeFn<F, C> {
    /// Judges by `outcome`, all else as `classify` has it.
    pub const fn new(outcome: F, classify: C) -> Self {
        Self { outcome, classify }
    }
}

impl<F, C, Res, Err> Classify<Res, Err> for OutcomeFn<F, C>
where
    F: Fn(Result<&Res, &Err>) -> Outcome,
    C: Classify<Res, Err>,
{
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        (self.outcome)(result)
    }

    fn is_refusal(&self, result: Result<&Res, &Err>) -> bool {
        self.classify.is_refusal(result)
    }

    fn advice(&self, result: Result<&Res, &Err>) -> Advice {
        self.classify.advice(result)
    }
}

impl<F, C> fmt::Debug for OutcomeFn<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutcomeFn").finish_non_exhaustive()
    }
}

/// The plainest classifier: `Ok` is a success, `Err` a failure of unknown kind.
///
/// A [`Rejected`] of a layer further in is neither, where the error is one, or a
/// `Box<dyn Error + Send + Sync>` with one in it: what it stands for is told by
/// [`Rejected::outcome`]. An error type of your own is not looked into.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorsAreFailures;

impl ErrorsAreFailures {
    /// What a result says about the callee, where the error is no refusal.
    #[inline]
    #[must_use]
    pub const fn of<Res, Err>(result: Result<&Res, &Err>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure(FailureKind::Unknown),
        }
    }
}

impl<Res, Err: 'static> Classify<Res, Err> for ErrorsAreFailures {
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        result
            .err()
            .and_then(|error| rejected(error))
            .map_or_else(|| Self::of(result), Rejected::outcome)
    }

    fn is_refusal(&self, result: Result<&Res, &Err>) -> bool {
        result.err().and_then(|error| rejected(error)).is_some_and(|rejected| !rejected.was_made())
    }

    fn advice(&self, result: Result<&Res, &Err>) -> Advice {
        match result.err().and_then(|error| rejected(error)).filter(|rejected| !rejected.was_made())
        {
            Some(rejected) => Advice { wait: rejected.retry_after(), unsent: true, ..Advice::NONE },
            None => Advice::NONE,
        }
    }
}

/// The refusal in an error of a type that can be looked into.
fn rejected(error: &dyn Any) -> Option<&Rejected> {
    let boxed = error.downcast_ref::<Box<dyn Error + Send + Sync>>();
    error.downcast_ref().or_else(|| Rejected::find(&**boxed?))
}
