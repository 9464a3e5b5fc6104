//! The refusal that all layers share: [`Rejected`], [`Reason`], [`Refuse`], [`AsError`].

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::name::Name;
use crate::outcome::{FailureKind, Outcome};
use crate::priority::Priority;
use crate::quota::Quota;

/// A call that was not made: why, by whom, and when to come back.
///
/// Every refusal of every layer carries one, in the response's extensions or in the source chain
/// of the error, so that outer layers recognise it: they give back what they had taken, and do
/// not count it as evidence against the callee. An answer of your own should carry it, too; for
/// HTTP `portcullis_http::keep_refusal` puts it in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Rejected {
    by: Name,
    reason: Reason,
    retry_after: Option<Duration>,
    grounds: Grounds,
}

/// What a circuit or a limit has to say of it: never both, which keeps a refusal small.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Grounds {
    None,
    Cause(Cause),
    Quota(Quota),
    Priority(Priority),
}

/// Why a call was not made.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The circuit is open.
    Open,
    /// The circuit is half-open and all its trials are taken.
    NoTrialFree,
    /// The circuit is recovering and this call is not in the admitted share.
    BelowShare,
    /// An operator has forced the circuit open.
    ForcedOpen,
    /// A dependency of the callee is down.
    Dependency,
    /// The service was called without having been made ready.
    NotReady,
    /// The quota of the caller is used up.
    RateLimited,
    /// The call costs more than its quota ever holds.
    CostTooHigh,
    /// The store of a shared quota gives no answer, and without one nobody is admitted.
    StoreDown,
    /// All slots are taken, and calls do not wait for one.
    AtLimit,
    /// All slots are taken, and so are all places in the queue.
    QueueFull,
    /// It waited for a slot as long as its class may.
    QueueTimeout,
    /// It gave its place in the queue to a more important call, or to a newer one.
    Displaced,
    /// Calls of its priority are not admitted now.
    BelowMinimum,
    /// What is left of its deadline is less than it would need.
    TooLate,
    /// It waited while the queue did not get shorter.
    QueueStands,
    /// The callee refuses so many calls that this one is not worth the attempt.
    Throttled,
    /// Nobody waits for its answer any more.
    DeadlinePassed,
    /// No answer came in time. The call was made: it is evidence against the callee, and no refusal.
    TimedOut,
    /// Its deadline came before an answer could be expected. The call was made, and so this is no
    /// refusal; but neither is it evidence against the callee.
    CutShort,
}

/// What opened a circuit, with the numbers that did it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Cause {
    /// The condition that was met.
    pub condition: Condition,
    /// Failures (or slow calls, where slowness was the cause) that were counted.
    pub bad: u32,
    /// Calls that were counted.
    pub calls: u32,
}

/// The kind of condition that opened a circuit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// So many failures within the window.
    FailureCount,
    /// This share of the calls in the window failed.
    FailureRate,
    /// This share of the calls in the window was slow.
    SlowCallRate,
    /// The moving average of successes fell below its threshold.
    SuccessAverage,
    /// The score of the failures rose above its threshold.
    FailureScore,
    /// A strategy of the user's said so.
    Strategy,
    /// A trial failed.
    TrialFailed,
    /// The trials took too long to give a verdict.
    StayElapsed,
    /// Errors came back while the share was growing.
    RampRelapsed,
    /// An operator said so.
    Forced,
    /// The state was restored from a snapshot.
    Restored,
}

impl Condition {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 12] = [
        Self::ConsecutiveFailures,
        Self::FailureCount,
        Self::FailureRate,
        Self::SlowCallRate,
        Self::SuccessAverage,
        Self::FailureScore,
        Self::Strategy,
        Self::TrialFailed,
        Self::StayElapsed,
        Self::RampRelapsed,
        Self::Forced,
        Self::Restored,
    ];

    /// The reason text of events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureCount => "failure_count",
            Self::FailureRate => "failure_rate",
            Self::SlowCallRate => "slow_call_rate",
            Self::SuccessAverage => "success_average",
            Self::FailureScore => "failure_score",
            Self::Strategy => "strategy",
            Self::TrialFailed => "trial_failed",
            Self::StayElapsed => "half_open_stay_elapsed",
            Self::RampRelapsed => "ramp_relapsed",
            Self::Forced => "forced",
            Self::Restored => "restored",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bad, calls, .. } = self;
        match self.condition {
            Condition::ConsecutiveFailures => write!(f, "{bad} calls in a row failed"),
            Condition::FailureCount | Condition::FailureRate | Condition::FailureScore => {
                write!(f, "{bad} of {calls} calls failed")
            }
            Condition::SlowCallRate => write!(f, "{bad} of {calls} calls were slow"),
            Condition::SuccessAverage => {
                write!(f, "the average of successes fell below its threshold")
            }
            Condition::Strategy => write!(f, "the strategy in force opened it"),
            Condition::TrialFailed => write!(f, "{bad} of {calls} trial calls failed"),
            Condition::StayElapsed => write!(f, "its trial calls gave no verdict in time"),
            Condition::RampRelapsed => write!(f, "{bad} of {calls} calls failed in recovery"),
            Condition::Forced => write!(f, "an operator opened it"),
            Condition::Restored => write!(f, "it was restored open"),
        }
    }
}

impl Rejected {
    /// A refusal by the component called `by`.
    pub const fn new(by: Name, reason: Reason) -> Self {
        Self { by, reason, retry_after: None, grounds: Grounds::None }
    }

    /// The same refusal, with the time after which a new attempt makes sense.
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same refusal, with what opened the circuit.
    pub const fn with_cause(mut self, cause: Cause) -> Self {
        self.grounds = Grounds::Cause(cause);
        self
    }

    /// The same refusal, with the quota that is used up.
    pub const fn with_quota(mut self, quota: Quota) -> Self {
        self.grounds = Grounds::Quota(quota);
        self
    }

    /// The same, with the priority of the call that is refused; in place of a cause or a quota.
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.grounds = Grounds::Priority(priority);
        self
    }

    /// Who refused.
    #[must_use]
    pub const fn by(&self) -> &Name {
        &self.by
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// How long to wait before a new attempt makes sense; `None` if nobody knows.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What opened the circuit, where a circuit refused.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        match self.grounds {
            Grounds::Cause(cause) => Some(cause),
            _ => None,
        }
    }

    /// The quota that is used up, where a limit refused.
    #[must_use]
    pub const fn quota(&self) -> Option<Quota> {
        match self.grounds {
            Grounds::Quota(quota) => Some(quota),
            _ => None,
        }
    }

    /// How important the call was, where that was weighed.
    #[must_use]
    pub const fn priority(&self) -> Option<Priority> {
        match self.grounds {
            Grounds::Priority(priority) => Some(priority),
            _ => None,
        }
    }

    /// The state word of the refusal: `open`, `half_open` or `forced_open`; of a limit `limited`,
    /// or `store_down`; of a timeout `timeout`.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match self.reason {
            Reason::NoTrialFree | Reason::BelowShare => "half_open",
            Reason::ForcedOpen => "forced_open",
            Reason::Open | Reason::Dependency | Reason::NotReady => "open",
            Reason::RateLimited | Reason::CostTooHigh => "limited",
            Reason::StoreDown => "store_down",
            Reason::AtLimit
            | Reason::QueueFull
            | Reason::QueueTimeout
            | Reason::Displaced
            | Reason::TooLate
            | Reason::QueueStands => "busy",
            Reason::BelowMinimum => "shedding",
            Reason::Throttled => "throttling",
            Reason::DeadlinePassed | Reason::TimedOut | Reason::CutShort => "timeout",
        }
    }

    /// Whether the call was made all the same: it was given up on. What that is evidence of says its
    /// [`outcome`](Self::outcome).
    #[must_use]
    pub const fn was_made(&self) -> bool {
        matches!(self.reason, Reason::TimedOut | Reason::CutShort)
    }

    /// What it says about the callee: a timeout where no answer came [in time](Reason::TimedOut), and
    /// otherwise nothing.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self.reason {
            Reason::TimedOut => Outcome::Failure(FailureKind::Timeout),
            _ => Outcome::Ignored,
        }
    }

    /// The refusal in this error or in one of its sources.
    #[must_use]
    pub fn find<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let mut link = Some(error);
        while let Some(error) = link {
            if let Some(rejected) = error.downcast_ref() {
                return Some(rejected);
            }
            // An I/O error does not name what it wraps as its source, but as its inner error.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            link = match wrapped {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    /// `Retry-After` in whole seconds, rounded up, at least 1; `None` where the wait is unknown.
    #[must_use]
    pub const fn retry_after_secs(&self) -> Option<u64> {
        match self.retry_after {
            None => None,
            Some(wait) => {
                let up = wait.as_secs().saturating_add((wait.subsec_nanos() > 0) as u64);
                Some(if up == 0 { 1 } else { up })
            }
        }
    }

    /// Why, in a clause that names nobody: what a stranger may be told.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        match self.reason {
            Reason::Open => "the circuit is open",
            Reason::NoTrialFree => "the circuit is half-open and all its trials are taken",
            Reason::BelowShare => "the circuit is recovering and admits only a share of the calls",
            Reason::ForcedOpen => "the circuit was forced open",
            Reason::Dependency => "a dependency is down",
            Reason::NotReady => "the service was called without having been made ready",
            Reason::RateLimited => "the quota is used up",
            Reason::CostTooHigh => "the call costs more than the quota ever holds",
            Reason::StoreDown => "the quota cannot be asked for",
            Reason::AtLimit => "all slots are taken",
            Reason::QueueFull => "all slots are taken and the queue is full",
            Reason::QueueTimeout => "no slot became free in time",
            Reason::Displaced => "its place in the queue was given to another call",
            Reason::BelowMinimum => "calls of its priority are not admitted now",
            Reason::TooLate => "its deadline would pass before it is served",
            Reason::QueueStands => "the queue does not get shorter",
            Reason::Throttled => "the callee refuses too many calls",
            Reason::DeadlinePassed => "its deadline has passed",
            Reason::TimedOut => "no answer came in time",
            Reason::CutShort => "its deadline came before an answer could be expected",
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = if self.was_made() { "given up" } else { "refused" };
        write!(f, "call {done} by {}: {}", self.by, self.summary())?;
        if let Some(cause) = self.cause() {
            write!(f, ", because {cause}")?;
        }
        match self.retry_after {
            Some(wait) => write!(f, "; try again in {wait:.1?}"),
            None => Ok(()),
        }
    }
}

impl Error for Rejected {}

/// What does a refused caller get?
///
/// Closures `Fn(&Req, Rejected) -> Result<Res, Err>` refuse, and so does [`AsError`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no answer for a refused call of this service",
    label = "request `{Req}`, response `{Res}`, error `{Err}`: one of the three does not fit",
    note = "if the error is `Infallible`, the response's body has no `Default`: put the layer that \
            changes the body outside, in a `.layer(..)` call of its own",
    note = "if the error is one of your own or of a client: add the layer `BoxErrors` beneath, \
            or `.refuse(AsError)` with `From<Rejected>` for the error, \
            or say what to answer with `.refuse_fn(|request, rejected| ..)`",
    note = "if the service is not HTTP: make the layer by its `generic(config)`; \
            the service's error needs `From<Rejected>`"
)]
pub trait Refuse<Req, Res, Err> {
    /// Turns a refusal into what the service answers.
    ///
    /// # Errors
    /// Whatever the caller is to see as an error of the service.
    fn refuse(&self, request: &Req, rejected: Rejected) -> Result<Res, Err>;
}

#[diagnostic::do_not_recommend]
impl<F, Req, Res, Err> Refuse<Req, Res, Err> for F
where
    F: Fn(&Req, Rejected) -> Result<Res, Err>,
{
    fn refuse(&self, request: &Req, rejected: Rejected) -> Result<Res, Err> {
        self(request, rejected)
    }
}

/// Answers with the service's own error, made from the [`Rejected`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AsError;

#[diagnostic::do_not_recommend]
impl<Req, Res, Err> Refuse<Req, Res, Err> for AsError
where
    Err: From<Rejected>,
{
    fn refuse(&self, _: &Req, rejected: Rejected) -> Result<Res, Err> {
        Err(Err::from(rejected))
    }
}

/// What does the caller of a call get that took too long?
///
/// By then the request is with the callee, so what the answer needs of it is kept before. Whatever
/// [refuses](Refuse) without a look at the request does it, as [`AsError`] does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no answer for a call of this service that takes too long",
    label = "request `{Req}`, response `{Res}`, error `{Err}`: one of the three does not fit",
    note = "if the error is `Infallible`, the response's body has no `Default`: put the layer that \
            changes the body outside, in a `.layer(..)` call of its own",
    note = "if the error is one of your own or of a client: add the layer `BoxErrors` beneath, \
            or `.expire(AsError)` with `From<Rejected>` for the error, \
            or say what to answer with `.expire_fn(|rejected| ..)`"
)]
pub trait Expire<Req, Res, Err> {
    /// What is kept of a request while it is on its way.
    type Note;

    /// Keeps what the answer needs of a request.
    fn note(&self, request: &Req) -> Self::Note;

    /// Turns a timeout, or a deadline that has passed, into what the service answers.
    ///
    /// # Errors
    /// Whatever the caller is to see as an error of the service.
    fn expire(&self, note: Self::Note, rejected: Rejected) -> Result<Res, Err>;
}

#[diagnostic::do_not_recommend]
impl<Req, Res, Err> Expire<Req, Res, Err> for AsError
where
    Err: From<Rejected>,
{
    type Note = ();

    #[inline]
    fn note(&self, _: &Req) {}

    fn expire(&self, (): (), rejected: Rejected) -> Result<Res, Err> {
        Err(Err::from(rejected))
    }
}

#[diagnostic::do_not_recommend]
impl<F, Req, Res, Err> Expire<Req, Res, Err> for F
where
    F: Fn(Rejected) -> Result<Res, Err>,
{
    type Note = ();

    #[inline]
    fn note(&self, _: &Req) {}

    fn expire(&self, (): (), rejected: Rejected) -> Result<Res, Err> {
        self(rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::Condition;

    #[test]
    fn conditions_are_listed_by_their_numbers_and_none_is_left_out() {
        for (number, condition) in Condition::ALL.into_iter().enumerate() {
            assert_eq!(condition as usize, number);
        }
        // The last one of the enum: whoever adds one after it has to say so here.
        assert_eq!(Condition::ALL.len(), Condition::Restored as usize + 1);
    }
}
