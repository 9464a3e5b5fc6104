//! What an answer says of the callee.

use breaker_core::{Classify, FailureKind, Outcome, Rejected};
use tower::BoxError;
use tower::timeout::error::Elapsed;

use crate::callee::Failed;

/// Tells timeouts, overload and errors apart, and knows refusals of layers further in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge;

impl Classify<(), BoxError> for Judge {
    fn classify(&self, result: Result<&(), &BoxError>) -> Outcome {
        let Err(error) = result else { return Outcome::Success };
        if let Some(rejected) = Rejected::find(error.as_ref()) {
            return rejected.outcome();
        }
        Outcome::Failure(match error.downcast_ref() {
            Some(Failed::Overload) => FailureKind::Overload { retry_after: None },
            Some(Failed::Broken) => FailureKind::Internal,
            None if error.is::<Elapsed>() => FailureKind::Timeout,
            None => FailureKind::Unknown,
        })
    }

    fn is_refusal(&self, result: Result<&(), &BoxError>) -> bool {
        let rejected = result.err().and_then(|error| Rejected::find(error.as_ref()));
        rejected.is_some_and(|rejected| !rejected.was_made())
    }
}
