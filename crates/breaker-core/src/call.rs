//! The circuit without Tower: `run` a future, `call` a closure.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;

use crate::breaker::{CircuitBreaker, Permit};
use crate::outcome::{Classify, ErrorsAreFailures, Outcome};
use crate::rejected::Rejected;

/// Why a guarded call gave no value. What lies beneath is its `source()`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum CallError<E> {
    /// The circuit refused the call: it was not made.
    Refused(Rejected),
    /// The call was made and failed.
    Failed(E),
}

impl<E> CallError<E> {
    /// The refusal, if the call was not made.
    pub const fn refused(&self) -> Option<&Rejected> {
        match self {
            Self::Refused(rejected) => Some(rejected),
            Self::Failed(_) => None,
        }
    }

    /// The error of the call, if it was made.
    pub fn failed(self) -> Option<E> {
        match self {
            Self::Refused(_) => None,
            Self::Failed(error) => Some(error),
        }
    }
}

impl<E> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_) => f.write_str("the circuit refused the call"),
            Self::Failed(_) => f.write_str("the call failed"),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(rejected) => Some(rejected),
            Self::Failed(error) => Some(error),
        }
    }
}

impl CircuitBreaker {
    /// Runs a future under the circuit; an `Err` is a failure.
    ///
    /// ```
    /// # use breaker_core::{CircuitBreaker, CircuitBreakerConfig};
    /// # async fn fetch() -> Result<u32, std::io::Error> { Ok(7) }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let breaker = CircuitBreaker::new(CircuitBreakerConfig::database());
    /// let row = breaker.run(fetch()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CallError::Refused`] without touching the future, or what the future failed with.
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        self.run_judged(ErrorsAreFailures::of, future).await
    }

    /// Runs a future under the circuit; `classify` says what its result means.
    ///
    /// # Errors
    /// [`CallError::Refused`] without touching the future, or what the future failed with.
    pub async fn run_judged<T, E>(
        &self,
        classify: impl Classify<T, E>,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let mut permit = self.try_acquire_unstamped().map_err(CallError::Refused)?;
        let mut future = pin!(future);
        let result = poll_fn(|cx| {
            // Where a panic strikes tells whose it is: in here, the call's.
            let polled = permit.watch(|| future.as_mut().poll(cx));
            if polled.is_pending() {
                permit.stamp();
            }
            polled
        })
        .await;
        finish(permit, &classify, result)
    }

    /// Runs a future under the circuit, and gives `fallback` where it is refused or fails.
    pub async fn run_or<T, E>(&self, fallback: T, future: impl Future<Output = Result<T, E>>) -> T {
        self.run(future).await.unwrap_or(fallback)
    }

    /// Calls a closure under the circuit; an `Err` is a failure.
    ///
    /// ```
    /// # use breaker_core::{CircuitBreaker, CircuitBreakerConfig};
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let breaker = CircuitBreaker::new(CircuitBreakerConfig::new());
    /// let text = breaker.call(|| std::fs::read_to_string("/proc/uptime"))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CallError::Refused`] without calling it, or what it failed with.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        self.call_judged(ErrorsAreFailures::of, call)
    }

    /// Calls a closure under the circuit; `classify` says what its result means.
    ///
    /// # Errors
    /// [`CallError::Refused`] without calling it, or what it failed with.
    #[allow(clippy::needless_pass_by_value, reason = "closures are handed in by value")]
    pub fn call_judged<T, E>(
        &self,
        classify: impl Classify<T, E>,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, CallError<E>> {
        let mut permit = self.try_acquire().map_err(CallError::Refused)?;
        let result = permit.watch(call);
        finish(permit, &classify, result)
    }

    /// Calls a closure under the circuit, and gives `fallback` where it is refused or fails.
    pub fn call_or<T, E>(&self, fallback: T, call: impl FnOnce() -> Result<T, E>) -> T {
        self.call(call).unwrap_or(fallback)
    }
}

#[inline]
fn finish<T, E>(
    mut permit: Permit,
    classify: &impl Classify<T, E>,
    result: Result<T, E>,
) -> Result<T, CallError<E>> {
    // A classifier that panics is not the callee's fault.
    let outcome = permit.watch_as(Outcome::Ignored, || classify.classify(result.as_ref()));
    permit.record(outcome);
    result.map_err(CallError::Failed)
}
