//! A callee that answers as it is told, and all of them alike around it.

use std::future::{Ready, poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use ninelives::{Backoff, Jitter};
use portcullis::{ErrorsAreFailures, TokioClock};
use portcullis_backoff::breaker_core::{Cloned, FailureKind, Percent};
use portcullis_backoff::{BackoffConfig, BackoffLayer, Budget, Delays};
use portcullis_benches::Failed;
use tokio::time::{Instant, Sleep, sleep};
use tower::retry::budget::{Budget as _, TpsBudget};
use tower::retry::{Policy, RetryLayer as TowerLayer};
use tower_resilience_retry::{RetryConfigBuilder, RetryLayer as ResilienceLayer};
use tower_service::Service;

pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// A request that counts its clones.
#[derive(Debug, Default)]
pub(crate) struct Ask(pub(crate) Arc<AtomicU32>);

impl Clone for Ask {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

pub(crate) type Answer<A, E> = dyn Fn(usize) -> Result<A, E> + Send + Sync;

/// Answers each attempt at once, by its number from 1 on.
pub(crate) struct Callee<A, E> {
    attempts: Arc<Mutex<Vec<Instant>>>,
    answer: Arc<Answer<A, E>>,
}

impl<A, E> Callee<A, E> {
    pub(crate) fn new(answer: impl Fn(usize) -> Result<A, E> + Send + Sync + 'static) -> Self {
        Self { attempts: Arc::default(), answer: Arc::new(answer) }
    }

    pub(crate) fn attempts(&self) -> usize {
        self.attempts.lock().unwrap().len()
    }

    /// How long after the attempt before it each one came.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.attempts.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

impl<A, E> Clone for Callee<A, E> {
    fn clone(&self) -> Self {
        Self { attempts: self.attempts.clone(), answer: self.answer.clone() }
    }
}

impl<R, A, E> Service<R> for Callee<A, E> {
    type Response = A;
    type Error = E;
    type Future = Ready<Result<A, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        let mut attempts = self.attempts.lock().unwrap();
        attempts.push(now());
        ready((self.answer)(attempts.len()))
    }
}

pub(crate) type Script = dyn Fn(u32) -> (Duration, Result<(), Failed>) + Send + Sync;

/// Answers each attempt after its time.
#[derive(Clone)]
pub(crate) struct Slow {
    attempts: Arc<AtomicU32>,
    script: Arc<Script>,
}

impl Slow {
    pub(crate) fn new(
        script: impl Fn(u32) -> (Duration, Result<(), Failed>) + Send + Sync + 'static,
    ) -> Self {
        Self { attempts: Arc::default(), script: Arc::new(script) }
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }
}

impl Service<bool> for Slow {
    type Response = ();
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: bool) -> Self::Future {
        let number = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let (time, answer) = (self.script)(number);
        Box::pin(async move {
            sleep(time).await;
            answer
        })
    }
}

/// Never well.
pub(crate) fn down() -> Callee<(), Failed> {
    Callee::new(|_| Err(Failed::Inner))
}

/// The present moment of tokio's time, which is paused.
#[allow(clippy::disallowed_methods, reason = "the scenes follow tokio's time, as the peers do")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A whole call, as `oneshot` makes it.
pub(crate) async fn whole<R, S: Service<R>>(
    mut service: S,
    request: R,
) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

// ===== all of them alike: three attempts, with a millisecond between =====

/// Ours, for any service.
pub(crate) fn ours(config: BackoffConfig) -> BackoffLayer<ErrorsAreFailures, Cloned> {
    let layer =
        BackoffLayer::with_clock(config.retry_on(FailureKind::Unknown, true), TokioClock::new());
    layer.classify(ErrorsAreFailures).replay(Cloned)
}

pub(crate) const THRICE: BackoffConfig = BackoffConfig::new()
    .max_attempts(3)
    .delays(Delays::fixed(MILLI).jitter(Percent::ZERO))
    .budget(Budget::unlimited());

/// tower's policy as its users write it: errors are repeated after a millisecond.
#[derive(Clone)]
pub(crate) struct Thrice {
    left: u8,
    budget: Option<Arc<TpsBudget>>,
}

impl<R: Clone, A, E> Policy<R, A, E> for Thrice {
    type Future = Sleep;

    fn retry(&mut self, _: &mut R, result: &mut Result<A, E>) -> Option<Sleep> {
        if result.is_ok() {
            if let Some(budget) = &self.budget {
                budget.deposit();
            }
            return None;
        }
        let granted = || self.budget.as_ref().is_none_or(|budget| budget.withdraw());
        if self.left == 0 || !granted() {
            return None;
        }
        self.left -= 1;
        Some(sleep(MILLI))
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        Some(request.clone())
    }
}

pub(crate) fn tower(budget: Option<TpsBudget>) -> TowerLayer<Thrice> {
    TowerLayer::new(Thrice { left: 2, budget: budget.map(Arc::new) })
}

pub(crate) fn resilience<R, A, E>() -> RetryConfigBuilder<R, A, E> {
    ResilienceLayer::builder().max_attempts(3).fixed_backoff(MILLI)
}

pub(crate) fn nine<E: std::error::Error + Send + Sync + 'static>() -> ninelives::RetryLayer<E> {
    let policy = ninelives::RetryPolicy::builder().max_attempts(3);
    let policy = policy.backoff(Backoff::constant(MILLI)).with_jitter(Jitter::None);
    policy.build().expect("right").into_layer()
}
