//! How many attempts a callee is sent beyond the first ones: [`RetryBudget`], [`Budget`].

mod adaptive;
mod config;
#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(any(loom, shuttle))))]
mod proofs;
mod ratio;
mod rules;
mod snapshot;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod tokens;
mod watched;

use std::fmt;
use std::time::Duration;

use crate::anchor::{Anchor, Anchored};
use crate::breaker::CircuitBreaker;
use crate::clock::{Clock, MonotonicClock, Tick};
use crate::outcome::{FailureKind, Outcome};
use crate::planted::planted;
use crate::sync::{Mutex, lock};

pub use config::Budget;
use rules::Rules;
pub use snapshot::BudgetSnapshot;
use watched::{Seen, Watched};

/// The attempts beyond the first ones that a callee is sent: cheap to clone, and all clones are the
/// same budget.
///
/// Retries help while failures are few, and bring down what was only short of breath while they are
/// many. So there is to be one budget for each callee, which all who call it share, and each retry
/// is asked for. [`Budget`] says by which rule.
///
/// ```
/// use breaker_core::{Budget, FailureKind, Outcome, RetryBudget};
///
/// let budget = RetryBudget::new(Budget::adaptive());
/// budget.called();
/// // The call fails, and shall be made again, if that is granted.
/// budget.ended(Outcome::Failure(FailureKind::Connection));
/// if budget.try_retry(FailureKind::Connection) {
///     budget.ended(Outcome::Success);
/// }
/// assert_eq!(budget.snapshot().taken, 1);
/// ```
///
/// Only one layer of a system should retry: three layers with three attempts each make 27 calls of
/// one.
///
/// While all goes well, the end of a call is one load of a word that nobody writes; whatever else
/// happens takes a lock for a few additions. Only a budget by [ratio](Budget::ratio) counts each
/// call.
#[derive(Clone)]
pub struct RetryBudget(Anchored<Shared>);

/// A mark of a [`RetryBudget`] that a call can carry: two words, and no reference count. A mark
/// whose budget has ended tells nobody anything.
#[derive(Clone, Copy, Debug)]
pub struct BudgetMark(Anchor<Shared>);

struct Shared {
    budget: Budget,
    /// As they were at first: which events they want is the same at all times.
    rules: Rules,
    clock: Box<dyn Clock>,
    account: Mutex<Account>,
    watched: Watched,
}

struct Account {
    rules: Rules,
    taken: u64,
    refunded: u64,
    refused: u64,
}

impl RetryBudget {
    /// A budget on the machine's monotonic clock.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self::with_clock(budget, MonotonicClock::new())
    }

    /// A budget on another clock: a [`ManualClock`](crate::ManualClock) in tests.
    #[must_use]
    pub fn with_clock(budget: Budget, clock: impl Clock + 'static) -> Self {
        Self::begun(budget, budget.rules(), clock)
    }

    fn begun(budget: Budget, rules: Rules, clock: impl Clock + 'static) -> Self {
        let account = Mutex::new(Account { rules, taken: 0, refunded: 0, refused: 0 });
        let (clock, watched) = (Box::new(clock), Watched::default());
        let anchored = Anchored::new(Shared { budget, rules, clock, account, watched });
        anchored.rest(rules.is_at_rest());
        Self(anchored)
    }

    /// A call begins: its first attempt, and not those that follow.
    #[inline]
    pub fn called(&self) {
        if self.0.rules.counts_calls() {
            let now = self.0.clock.now();
            // Whether it is at rest is not changed by calls.
            lock(&self.0.account).rules.called(now);
        }
    }

    /// Whether it wants to be told of calls that [begin](Self::called).
    #[must_use]
    pub fn counts_calls(&self) -> bool {
        self.0.rules.counts_calls()
    }

    /// An attempt ended: the first of a call or any other.
    #[inline]
    pub fn ended(&self, outcome: Outcome) {
        if outcome != Outcome::Success || !self.mark().is_at_rest() {
            self.note(outcome);
        }
    }

    #[cold]
    fn note(&self, outcome: Outcome) {
        if self.0.rules.hears(outcome) {
            let now = self.now_if(self.0.rules.dates_results());
            self.step(|account| account.rules.ended(outcome, now));
        }
    }

    /// Takes what another attempt costs after this failure; `false` where that is not there, and
    /// while the circuit that is [watched](Self::watch) is open.
    #[must_use]
    pub fn try_retry(&self, kind: FailureKind) -> bool {
        self.take(self.0.rules.dates_retries(), |rules, now| rules.retry(kind, now))
    }

    /// Takes what a second call beside one that is under way costs; `false` where that is not
    /// there, while the callee is [congested](Self::is_congested), and while the circuit that is
    /// [watched](Self::watch) is open.
    #[must_use]
    pub fn try_hedge(&self) -> bool {
        self.take(self.0.rules.dates_hedges(), Rules::hedge)
    }

    fn take(&self, dated: bool, take: impl FnOnce(&mut Rules, Tick) -> bool) -> bool {
        // A circuit that is looked at may end here, so it is let go of after the lock.
        let seen = self.0.watched.look();
        let now = self.now_if(dated);
        self.step(|account| {
            if seen.as_ref().is_some_and(Seen::has_closed) {
                account.rules.closed();
            }
            let open = seen.as_ref().is_some_and(Seen::is_open);
            let granted = !open && take(&mut account.rules, now);
            let count = if granted { &mut account.taken } else { &mut account.refused };
            *count = count.saturating_add(1);
            granted
        })
    }

    /// Gives back what [`try_retry`](Self::try_retry) took so long ago, after a failure of this kind,
    /// where the retry is not made: the call was dropped while it waited for its turn.
    pub fn refund(&self, kind: FailureKind, held: Duration) {
        let now = self.now_if(self.0.rules.dates_retries());
        self.step(|account| {
            account.rules.refund(kind, held, now);
            account.refunded = account.refunded.saturating_add(1);
        });
    }

    /// Has the budget look at this circuit when it is asked for a retry, in place of an earlier
    /// one. While the circuit is open, half-open or forced open there are none, so that no trial is
    /// a retry; and the adaptive budget has at most 2 tokens at the first one after it has closed or
    /// was reset.
    ///
    /// The budget holds a handle of the circuit, so that it lives as long as the budget does.
    pub fn watch(&self, circuit: &CircuitBreaker) {
        self.0.watched.set(circuit);
    }

    /// Whether the callee has been short of capacity in the last 3 s, by what the
    /// [adaptive](Budget::adaptive) budget has seen; `false` for the others, which do not look.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        let now = self.now_if(self.0.rules.dates_results());
        lock(&self.0.account).rules.is_congested(now)
    }

    /// What there is to be spent, in tokens; for a budget by [ratio](Budget::ratio), in retries.
    /// A [gRPC](Budget::grpc) budget grants retries only above the half of it. Infinite for
    /// [`Budget::unlimited`].
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.snapshot().tokens
    }

    /// All figures.
    #[must_use]
    pub fn snapshot(&self) -> BudgetSnapshot {
        let now = self.now_if(self.0.rules.dates_hedges());
        let mut account = lock(&self.0.account);
        BudgetSnapshot {
            rule: self.0.budget.as_str(),
            tokens: account.rules.balance(now),
            refill: account.rules.refill(),
            congested: account.rules.is_congested(now),
            taken: account.taken,
            refunded: account.refunded,
            refused: account.refused,
        }
    }

    /// By which rule it goes.
    pub fn budget(&self) -> Budget {
        self.0.budget
    }

    /// The mark by which calls find it again.
    #[inline]
    #[must_use]
    pub fn mark(&self) -> BudgetMark {
        BudgetMark(self.0.anchor())
    }

    /// Whether this and `other` are the same budget.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }

    /// The present moment, for those who need it; before the lock.
    fn now_if(&self, needed: bool) -> Tick {
        if needed { self.0.clock.now() } else { Tick::ZERO }
    }

    /// Changes the account, and says in the same breath whether it is at rest.
    fn step<T>(&self, step: impl FnOnce(&mut Account) -> T) -> T {
        let mut account = lock(&self.0.account);
        let answer = step(&mut account);
        let at_rest = account.rules.is_at_rest();
        let account = (!planted("rests-late")).then_some(account);
        if at_rest || !planted("stirs-unseen") {
            self.0.rest(at_rest);
        }
        drop(account);
        answer
    }
}

impl BudgetMark {
    /// Whether a success changes nothing at present: one load. It is false where the budget has
    /// ended.
    #[inline]
    #[must_use]
    pub fn is_at_rest(self) -> bool {
        self.0.is_at_rest()
    }

    /// The same as [`RetryBudget::ended`], if the budget lives still.
    #[inline]
    pub fn ended(self, outcome: Outcome) {
        if outcome != Outcome::Success || !self.is_at_rest() {
            self.note(outcome);
        }
    }

    #[cold]
    fn note(self, outcome: Outcome) {
        if let Some(budget) = self.budget() {
            budget.note(outcome);
        }
    }

    /// The budget, if it lives still.
    #[must_use]
    pub fn budget(self) -> Option<RetryBudget> {
        self.0.get().map(RetryBudget)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = lock(&self.account).rules;
        f.debug_struct("Shared")
            .field("budget", &self.budget)
            .field("rules", &rules)
            .field("watched", &self.watched)
            .finish_non_exhaustive()
    }
}
