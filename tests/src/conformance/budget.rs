//! The component `retry_budget`: [`Purse`].

use std::time::Duration;

use breaker_core::{Budget, FailureKind, ManualClock, Outcome, Percent, RetryBudget, Tick};
use serde_json::{Map, Value};

use super::answer::{Answer, Seen};
use super::case::Manner;
use super::component::Subject;
use super::config::finish;
use super::fields::Fields;
use super::verdict::Mismatch;

/// A budget that is asked one time after the other.
pub(crate) struct Purse {
    budget: RetryBudget,
    clock: ManualClock,
    /// How many retries were granted in this step, and what was answered.
    withdrawn: u64,
    answers: Vec<Answer>,
}

/// What the retries of a case are for.
const KIND: FailureKind = FailureKind::Connection;

impl Purse {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let kind = fields.text("kind");
        let budget = match fields.needed("kind", kind)? {
            "token" => ratio(&mut fields)?,
            "token_ratio" => tokens(&mut fields)?,
            other @ "concurrency" => return Err(Mismatch::not_offered(other)),
            other => return Err(Mismatch::unknown("kind", other)),
        };
        finish(&fields, manner)?;
        let clock = ManualClock::new();
        let budget = RetryBudget::with_clock(budget, clock.clone());
        Ok(Self { budget, clock, withdrawn: 0, answers: Vec::new() })
    }

    fn try_retry(&mut self) {
        let granted = self.budget.try_retry(KIND);
        self.withdrawn += u64::from(granted);
        let refused = Answer::Refused { retry_after: None };
        self.answers.push(if granted { Answer::Admitted } else { refused });
    }

    /// Whether a retry is there, which is given back.
    fn can_retry(&self) -> bool {
        let granted = self.budget.try_retry(KIND);
        if granted {
            self.budget.refund(KIND, Duration::ZERO);
        }
        granted
    }
}

impl Subject for Purse {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.clock.set(Tick::ZERO.after(at));
        self.withdrawn = 0;
        self.answers.clear();
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "deposit" => self.budget.called(),
            "deposit_and_try_each" => {
                self.budget.called();
                self.try_retry();
            }
            "try_retry" => self.try_retry(),
            "release" => self.budget.refund(KIND, Duration::ZERO),
            "outcome" => {
                let outcome = fields.text("outcome");
                self.budget.ended(match fields.needed("outcome", outcome)? {
                    "success" => Outcome::Success,
                    "failure" => Outcome::Failure(KIND),
                    other => return Err(Mismatch::unknown("outcome", other)),
                });
            }
            "observe" => {}
            "limit" | "set" => return Err(Mismatch::not_offered(op)),
            other => return Err(Mismatch::unknown("op", other)),
        }
        Ok(())
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        Ok(match key {
            "balance" | "tokens" => Seen::Number(Some(self.budget.balance())),
            "withdrawn" => Seen::count(self.withdrawn),
            "can_retry" | "may_retry" => Seen::Flag(self.can_retry()),
            "permitted" => Seen::Answers(self.answers.clone()),
            "max_retries" => return Err(Mismatch::not_offered(key)),
            other => return Err(Mismatch::unknown("expectation", other)),
        })
    }
}

/// A share of the calls, and a floor.
fn ratio(fields: &mut Fields<'_>) -> Result<Budget, Mismatch> {
    let share = fields.number("percent");
    let share = fields.needed("percent", share)?;
    let wrong = || Mismatch::new("a share in 0..=1", share.to_string());
    let share = Percent::from_fraction(share).ok_or_else(wrong)?;
    let floor = fields.small_count("min_per_s")?.unwrap_or(0);
    if floor > Budget::MAX_TOKENS {
        return Err(Mismatch::new("a floor in 0..=1000000", floor.to_string()));
    }
    let window = fields.millis("ttl_ms")?.unwrap_or(Budget::WINDOW);
    let millis = window.subsec_nanos() % 1_000_000 == 0;
    if !millis || window.is_zero() || window > Budget::MAX_WINDOW {
        return Err(Mismatch::new("a window of 1 ms..=1 h", format!("{window:?}")));
    }
    Ok(Budget::ratio(share, floor).window(window))
}

/// Tokens that failures take and successes bring.
fn tokens(fields: &mut Fields<'_>) -> Result<Budget, Mismatch> {
    let most = fields.small_count("max_tokens");
    let most = fields.needed("max_tokens", most)?;
    let ratio = fields.number("token_ratio");
    let milli = (fields.needed("token_ratio", ratio)? * 1_000.0).floor();
    if !(1..=1_000).contains(&most) || !(1.0..=f64::from(most) * 1_000.0).contains(&milli) {
        return Err(Mismatch::new("tokens in 1..=1000", format!("{most} and {milli} thousandths")));
    }
    Ok(Budget::grpc(most, milli as u32))
}
