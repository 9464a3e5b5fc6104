//! How calls end, in the words of the cases: [`Ended`].

use std::time::Duration;

use breaker_core::{FailureKind, Outcome};

use super::fields::Fields;
use super::verdict::Mismatch;

/// How a call ended.
#[derive(Clone, Copy)]
pub(crate) struct Ended<'v> {
    word: &'v str,
    status: Option<u64>,
    latency: Duration,
    slow: bool,
}

/// What the circuit at hand calls slow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slow {
    /// A call from this duration on.
    From(Duration),
    /// Nothing.
    Never,
    /// A call that is called slow; the circuit knows no durations and counts it as a failure.
    IsFailure,
}

impl<'v> Ended<'v> {
    /// The end of the step's call; `None` where the step names no outcome.
    pub(crate) fn read(fields: &mut Fields<'v>) -> Result<Option<Self>, Mismatch> {
        let word = fields.text("outcome")?;
        let details = Self::details(fields)?;
        Ok(word.map(|word| details.with_word(word)))
    }

    /// What a step says of its calls, but for the outcome.
    pub(crate) fn details(fields: &mut Fields<'v>) -> Result<Self, Mismatch> {
        Ok(Self {
            word: "",
            status: fields.count("status")?,
            latency: fields.millis("latency_ms")?.unwrap_or_default(),
            slow: fields.flag("slow")?.unwrap_or(false),
        })
    }

    pub(crate) const fn with_word(self, word: &'v str) -> Self {
        Self { word, ..self }
    }

    /// The same end, with slowness only where it is called so.
    pub(crate) const fn without_latency(self) -> Self {
        Self { latency: Duration::ZERO, ..self }
    }

    /// What to tell a circuit, and how long the call took.
    pub(crate) fn told(self, slow: Slow) -> Result<(Outcome, Duration), Mismatch> {
        let outcome = match self.word {
            "success" | "slow" => Outcome::Success,
            "failure" => Outcome::Failure(FailureKind::Internal),
            "ignored" | "excluded" => Outcome::Ignored,
            "not_handled" | "filtered" => self.unhandled(),
            other => return Err(Mismatch::unknown("outcome", other)),
        };
        if !self.slow && self.word != "slow" {
            return Ok((outcome, self.latency));
        }
        match slow {
            Slow::From(threshold) => Ok((outcome, self.latency.max(threshold))),
            Slow::IsFailure => Ok((Outcome::Failure(FailureKind::Timeout), self.latency)),
            Slow::Never => Err(Mismatch::new("a slow-call duration for a slow call", "none")),
        }
    }

    /// An error that the source does not call a failure: below 500 the request was at fault,
    /// which counts as a success; where no status is given, it is neutral.
    const fn unhandled(self) -> Outcome {
        match self.status {
            Some(status) if status < 500 => Outcome::Failure(FailureKind::InvalidRequest),
            Some(_) | None => Outcome::Ignored,
        }
    }
}
