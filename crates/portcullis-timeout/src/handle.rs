//! A timeout without Tower: [`AdaptiveTimeout`].

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use breaker_core::{
    Anchored, CallError, Clock, ConfigErrors, Deadline, ErrorsAreFailures, MonotonicClock, Observe,
    RetryBudget,
};

use crate::config::TimeoutConfig;
use crate::estimator::Adjustment;
use crate::home::{Company, Home};
use crate::snapshot::Snapshot;
use crate::watch::{Lead, Polled, Timing, Watch};

/// How long calls of one callee may take, shared by its clones.
///
/// ```
/// use portcullis_timeout::{AdaptiveTimeout, TimeoutConfig};
/// use std::time::Duration;
///
/// let timeout = AdaptiveTimeout::new(TimeoutConfig::new().named("search"));
/// assert_eq!(timeout.timeout(), Duration::from_secs(1));
/// println!("{}", timeout.explain());    // search: calls may take 1s; no call was waited for yet
/// ```
#[derive(Clone)]
pub struct AdaptiveTimeout {
    pub(crate) home: Anchored<Home>,
}

impl AdaptiveTimeout {
    /// A timeout on the machine's monotonic clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`TimeoutConfig::check`].
    #[must_use]
    pub fn new(config: TimeoutConfig) -> Self {
        Self::with_clock(config, MonotonicClock::new())
    }

    /// A timeout that measures calls on this clock; the timer itself is tokio's.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`TimeoutConfig::check`].
    #[must_use]
    pub fn with_clock(config: TimeoutConfig, clock: impl Clock + 'static) -> Self {
        if let Err(errors) = config.check() {
            panic!("{errors}");
        }
        Self::within(Company::new(clock), config)
    }

    pub(crate) fn within(company: Arc<Company>, config: TimeoutConfig) -> Self {
        let home = Anchored::new(Home::new(company, config));
        Self { home }
    }

    /// The timeout of a call, which has to keep it where nobody else does: `service.oneshot(request)`
    /// lets go of the service, and so of the layer, before the call is first polled.
    #[inline]
    pub(crate) fn timing(&self, keep: bool) -> Timing {
        let home = if keep { Lead::kept(self.home.clone()) } else { Lead::mark(&self.home) };
        Timing { home, nanos: self.home.timeout() }
    }

    /// Runs a future for as long as it may take, and no longer than the deadline around it; an `Err`
    /// is a failure.
    ///
    /// # Errors
    /// [`CallError::Failed`] with the future's own error; [`CallError::Refused`] where it took too
    /// long (then [`was_made`](breaker_core::Rejected::was_made) says so), or where its deadline had
    /// passed and it was not polled at all.
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let (mut timing, mut until) = (self.timing(false), None);
        if let Some(deadline) = Deadline::current() {
            let now = self.home.now();
            if deadline.has_passed(now) {
                let rejected = self.home.company().too_late(self.home.name(), now);
                return Err(CallError::Refused(rejected));
            }
            until = Some(timing.until(now, deadline));
        }
        let mut future = pin!(Some(future));
        let mut watch = pin!(Watch::new(timing, until));
        poll_fn(|cx| {
            let Some(inner) = future.as_mut().as_pin_mut() else { return Poll::Pending };
            match watch.as_mut().poll(inner, cx) {
                Polled::Waits => Poll::Pending,
                Polled::Answered(result, since) => {
                    let outcome = || Some(ErrorsAreFailures::of(result.as_ref()));
                    watch.as_mut().answered(since, outcome);
                    Poll::Ready(result.map_err(CallError::Failed))
                }
                Polled::Over => {
                    future.set(None);
                    Poll::Ready(Err(CallError::Refused(watch.as_mut().give_up())))
                }
            }
        })
        .await
    }

    /// How long a call may take that begins now.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(self.home.timeout())
    }

    /// All figures, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.home.look(Snapshot::of)
    }

    /// Why it is as it is, in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }

    /// How it moved lately, the oldest first; see [`TimeoutConfig::history`].
    #[must_use]
    pub fn history(&self) -> Vec<Adjustment> {
        self.home.look(|estimator| estimator.history().collect())
    }

    /// The configuration in force.
    pub fn config(&self) -> TimeoutConfig {
        self.home.look(|estimator| *estimator.config())
    }

    /// Puts another configuration in force, as a whole. The timeout stays, within the new bounds, and
    /// so do the calls that are known, unless the window is another one. Calls that are waited for
    /// keep the timeout with which they began.
    ///
    /// # Errors
    /// What [`TimeoutConfig::check`] finds; then nothing is changed.
    pub fn reconfigure(&self, config: TimeoutConfig) -> Result<(), ConfigErrors> {
        self.home.reconfigure(config)
    }

    /// Forgets all calls, and begins with the initial timeout again.
    pub fn reset(&self) {
        self.home.reset();
    }

    /// Has `observer` told from now on when the timeout moves, and how calls end that had to be waited
    /// for.
    pub fn observe(&self, observer: impl Observe + 'static) {
        self.home.company().observe(Arc::new(observer));
    }

    /// Does not lower the timeout while this budget says that the callee is congested.
    pub fn budget(&self, budget: &RetryBudget) {
        self.home.company().budget(budget);
    }
}

impl fmt::Debug for AdaptiveTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveTimeout").field("home", &*self.home).finish()
    }
}
