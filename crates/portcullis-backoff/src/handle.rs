//! Retries without Tower: [`Backoff`].

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use breaker_core::{
    About, CircuitBreaker, Classify, Clock, ConfigErrors, ErrorsAreFailures, MonotonicClock,
    Observe, Outcome, ResourceProbe, RetryBudget, RetryPath,
};
use tokio::time::sleep;

use crate::config::BackoffConfig;
use crate::hub::Hub;
use crate::policy::Failed;
use crate::record::Sequence;
use crate::snapshot::Snapshot;
use crate::target::{Course, Further, Target};
use crate::targets::{ForAll, Mark, Registry, Targets as _, failure};

/// The retries of one callee, shared by its clones: for SDKs, pools and everything that is no
/// `Service`, and for admin routes.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use portcullis_backoff::{Backoff, BackoffConfig};
///
/// let backoff = Backoff::new(BackoffConfig::new().named("mail"));
/// let sent = backoff.run(|attempt| async move {
///     if attempt < 2 { Err("connection reset") } else { Ok("sent") }
/// });
/// assert_eq!(sent.await, Ok("sent"));
/// # }
/// ```
#[derive(Clone)]
pub struct Backoff {
    all: ForAll,
    whole: Arc<dyn Registry>,
}

impl Backoff {
    /// Retries on the machine's monotonic clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`BackoffConfig::check`].
    #[must_use]
    pub fn new(config: BackoffConfig) -> Self {
        Self::with_clock(config, MonotonicClock::new())
    }

    /// Retries on this clock. Waits are tokio's always.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`BackoffConfig::check`].
    #[must_use]
    pub fn with_clock(config: BackoffConfig, clock: impl Clock + 'static) -> Self {
        Self::with_clock_and_seed(config, clock, RandomState::new().hash_one(0))
    }

    /// The same with delays that are drawn from this seed, so that they can be foretold: for tests
    /// and simulations. Callers in production that had the same seed would come together.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`BackoffConfig::check`].
    #[must_use]
    pub fn with_clock_and_seed(
        config: BackoffConfig,
        clock: impl Clock + 'static,
        seed: u64,
    ) -> Self {
        if let Err(errors) = config.check() {
            panic!("{errors}");
        }
        let all = ForAll::open(&Hub::new(config, Arc::new(clock), seed));
        Self { whole: Arc::new(all.clone()), all }
    }

    pub(crate) fn of(whole: Arc<dyn Registry>) -> Self {
        Self { all: ForAll::new(whole.single().clone(), false), whole }
    }

    pub(crate) const fn all(&self) -> &ForAll {
        &self.all
    }

    /// Makes a call, and again where it fails with an error: each attempt is a future that `attempt`
    /// makes, given its number from 1 on. Every error is a failure that may be repeated.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn run<T, E, F>(&self, attempt: impl FnMut(u32) -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.run_with(ErrorsAreFailures::of, attempt).await
    }

    /// The same, where `classify` says what a result is: errors that it calls
    /// [unknown](breaker_core::FailureKind::Unknown) are repeated, too.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn run_with<T, E, F>(
        &self,
        classify: impl Classify<T, E>,
        mut attempt: impl FnMut(u32) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let target = self.all.target();
        let Mark { leads, .. } = self.all.mark(&());
        let began = target.hub().now();
        let mut course = Course { sequence: Sequence::default(), next: None, cost: None };
        let mut number = 1;
        loop {
            let result = attempt(number).await;
            let outcome = classify.classify(result.as_ref());
            let refused = outcome != Outcome::Success && classify.is_refusal(result.as_ref());
            if outcome == Outcome::Success {
                if number > 1 || !leads.is_at_rest() {
                    leads.well(Some(target), (number > 1).then_some(&course));
                }
                return result;
            }
            let Some(kind) = failure(outcome, refused) else { return result };
            if !refused {
                leads.ended(outcome);
            }
            let failed = Failed {
                attempt: number,
                kind,
                advice: classify.advice(result.as_ref()),
                refused,
                about: Some(About::here()),
                began,
                has_alternative: false,
                unknown_too: true,
            };
            let further = Target::failed(target, &mut course, &failed, || Some(()));
            let Further { delay, paid, .. } = match further {
                Ok(further) => further,
                Err(why) => {
                    if why.is_in_vain(number) {
                        RetryPath::spend();
                    }
                    return result;
                }
            };
            drop(result);
            if !delay.is_zero() {
                sleep(delay).await;
            }
            course.cost = Some(paid.made());
            number = number.saturating_add(1);
        }
    }

    /// Puts another configuration in force, as a whole. Budgets stay as they are: they are made with
    /// their targets.
    ///
    /// # Errors
    /// What [`BackoffConfig::check`] finds; then nothing is changed.
    pub fn reconfigure(&self, config: BackoffConfig) -> Result<(), ConfigErrors> {
        config.check()?;
        self.whole.hub().reconfigure(config);
        self.whole.reconfigured();
        Ok(())
    }

    /// The configuration in force.
    pub fn config(&self) -> BackoffConfig {
        *self.whole.hub().config()
    }

    /// The budget; of keyed targets, that of calls without a key.
    #[must_use]
    pub fn budget(&self) -> RetryBudget {
        self.whole.single().budget.clone()
    }

    /// Watches a circuit further in: see [`RetryBudget::watch`]. Of keyed targets all do, also those
    /// that are made later.
    pub fn watch(&self, circuit: &CircuitBreaker) {
        self.whole.watch(circuit);
    }

    /// Has `observer` told what happens from now on.
    pub fn observe(&self, observer: impl Observe + 'static) {
        self.whole.hub().observe(Arc::new(observer));
    }

    /// Who knows how busy the machine is, for delays that follow it.
    pub fn probe(&self, probe: impl ResourceProbe + 'static) {
        self.whole.hub().probe(probe);
    }

    /// All figures, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let name = self.whole.hub().config().name;
        self.whole.counts().shown(name, self.budget().snapshot())
    }

    /// What has happened, in a sentence or two.
    #[must_use]
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff").field("hub", self.whole.hub()).finish()
    }
}
