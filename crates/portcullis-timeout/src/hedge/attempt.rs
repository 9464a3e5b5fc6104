//! The two attempts of a call: what the second one takes, and what their ends mean.

use std::task::{Context, Poll};

use breaker_core::{Classify, FailureKind, Outcome, Replay};
use tower_service::Service;

use super::rule::Not;
use super::watch::Watch;

/// The number of the second attempt.
const SECOND: u32 = 2;

/// What is kept for a second attempt.
pub(crate) struct Spare<S, K> {
    pub(crate) service: S,
    pub(crate) kept: K,
}

/// How an attempt ended.
pub(crate) enum End {
    /// It was not made.
    Refused,
    /// Nobody else would answer better.
    Answered(Outcome),
    Failed(Outcome),
}

impl End {
    pub(crate) fn of<C, Res, Err>(classify: &C, result: &Result<Res, Err>) -> Self
    where
        C: Classify<Res, Err>,
    {
        if classify.is_refusal(result.as_ref()) {
            return Self::Refused;
        }
        match classify.classify(result.as_ref()) {
            // An answer to a wrong request is the same a second time.
            outcome @ (Outcome::Success
            | Outcome::Ignored
            | Outcome::Failure(FailureKind::InvalidRequest)) => Self::Answered(outcome),
            outcome @ Outcome::Failure(_) => Self::Failed(outcome),
        }
    }

    pub(crate) const fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Refused => None,
            Self::Answered(outcome) | Self::Failed(outcome) => Some(*outcome),
        }
    }
}

/// The second attempt has failed.
pub(crate) fn lost(watch: &Watch, end: &End) {
    match end.outcome() {
        Some(outcome) => watch.unseen(outcome),
        None => watch.refused(),
    }
}

/// The second attempt, if there may be one now.
pub(crate) fn again<S, R, Req>(
    watch: &mut Watch,
    spare: Spare<S, R::Kept>,
    replay: &R,
    cx: &mut Context<'_>,
) -> Option<S::Future>
where
    S: Service<Req>,
    R: Replay<Req>,
{
    if !watch.is_late() {
        return None;
    }
    let Spare { mut service, kept } = spare;
    // Asked one time: a second attempt that had to wait for a place would take it from a first one.
    let is_ready = matches!(service.poll_ready(cx), Poll::Ready(Ok(())));
    let request = if is_ready { replay.again(&kept, SECOND) } else { None };
    let Some(request) = request else {
        watch.not_sent(Not::Ready);
        return None;
    };
    // Last, so that nobody pays for what is not sent.
    if !watch.pay() {
        return None;
    }
    let second = service.call(request);
    watch.sent();
    Some(second)
}
