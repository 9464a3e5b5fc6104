//! Callers as they are without us, and one who knows everything.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker_core::{Budget, Classify as _, Outcome, RetryBudget};
use portcullis_tests::sim::{Ask, Dice};
use tokio::time::{Sleep, sleep, timeout};
use tower::retry::{Policy, Retry};
use tower::timeout::Timeout;
use tower::{BoxError, ServiceExt as _, service_fn};

use crate::callee::{Callee, Failed};
use crate::judge::Judge;
use crate::run::{Client, DEADLINE, PATIENCE};

const ATTEMPTS: u32 = 3;
/// So much of the deadline must be left for another attempt to begin.
const LEAST_TIME: Duration = Duration::from_millis(20);

/// One attempt.
pub(crate) fn no_retry(callee: &Callee, _: u64) -> Client {
    Client::new(Timeout::new(callee.clone(), PATIENCE))
}

/// Three attempts with full jitter.
pub(crate) fn naive(callee: &Callee, number: u64) -> Client {
    retrying(callee, number, None)
}

/// The same, within a purse of ten tokens: a tenth of one for a success, one for a retry.
pub(crate) fn budgeted(callee: &Callee, number: u64) -> Client {
    let budget = RetryBudget::with_clock(Budget::tokens(10, 100, 1, 1), callee.clock);
    retrying(callee, number, Some(budget))
}

fn retrying(callee: &Callee, number: u64, budget: Option<RetryBudget>) -> Client {
    let dice = Arc::new(Mutex::new(Dice::stream("policy", number, 0)));
    let again = Again { callee: callee.clone(), dice, budget, failed: 0 };
    Client::new(Retry::new(again, Timeout::new(callee.clone(), PATIENCE)))
}

/// Waits up to 0.2 s after the first failed attempt, up to 0.4 s after the second.
fn backoff(failed: u32, dice: &Mutex<Dice>) -> Duration {
    let longest = (0.1 * f64::from(2_u32.pow(failed))).min(1.0);
    Duration::from_secs_f64(longest * dice.lock().unwrap().share())
}

fn fits(callee: &Callee, ask: &Ask, backoff: Duration) -> bool {
    let elapsed = Duration::from_nanos(callee.now().saturating_sub(ask.at));
    elapsed + backoff + LEAST_TIME < DEADLINE
}

#[derive(Clone)]
struct Again {
    callee: Callee,
    dice: Arc<Mutex<Dice>>,
    budget: Option<RetryBudget>,
    failed: u32,
}

impl Policy<Ask, (), BoxError> for Again {
    type Future = Sleep;

    fn retry(&mut self, ask: &mut Ask, result: &mut Result<(), BoxError>) -> Option<Sleep> {
        let outcome = Judge.classify(result.as_ref().map(|()| &()));
        if let Some(budget) = &self.budget {
            budget.ended(outcome);
        }
        let Outcome::Failure(kind) = outcome else { return None };
        self.failed += 1;
        if self.failed >= ATTEMPTS {
            return None;
        }
        let wait = backoff(self.failed, &self.dice);
        let granted = fits(&self.callee, ask, wait)
            && self.budget.as_ref().is_none_or(|budget| budget.try_retry(kind));
        granted.then(|| sleep(wait))
    }

    fn clone_request(&mut self, ask: &Ask) -> Option<Ask> {
        Some(*ask)
    }
}

/// Knows how long the line is, and sends nothing that would wait for half of its timeout; makes all
/// again but what has timed out.
pub(crate) fn oracle(callee: &Callee, number: u64) -> Client {
    let dice = Arc::new(Mutex::new(Dice::stream("policy", number, 0)));
    let callee = callee.clone();
    Client::new(service_fn(move |ask| foresee(callee.clone(), dice.clone(), ask)))
}

async fn foresee(callee: Callee, dice: Arc<Mutex<Dice>>, ask: Ask) -> Result<(), BoxError> {
    for failed in 1..=ATTEMPTS {
        if callee.wait() >= 0.5 * PATIENCE.as_secs_f64() {
            break;
        }
        let left = DEADLINE.saturating_sub(Duration::from_nanos(callee.now() - ask.at));
        let attempt = callee.clone().oneshot(ask);
        match timeout(PATIENCE.min(left), attempt).await? {
            Ok(()) => return Ok(()),
            Err(error) if failed == ATTEMPTS => return Err(error),
            Err(_) => {}
        }
        let wait = backoff(failed, &dice);
        if !fits(&callee, &ask, wait) {
            break;
        }
        sleep(wait).await;
    }
    Err(Failed::Overload.into())
}
