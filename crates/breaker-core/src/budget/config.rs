//! Which budget it is, in numbers: [`Budget`].

use std::time::Duration;

use super::adaptive::Adaptive;
use super::ratio::Ratio;
use super::rules::{MILLI, Rules};
use super::tokens::{Throttle, Tokens};
use crate::clock::{Tick, saturating_nanos};
use crate::percent::Percent;

/// How many retries a callee is sent, in numbers; a [`RetryBudget`](crate::RetryBudget) keeps to
/// it.
///
/// | budget | what it does | take it |
/// |---|---|---|
/// | [`adaptive`](Self::adaptive) | follows what the callee bears | unless there is a reason not to; the default |
/// | [`ratio`](Self::ratio) | a share of the calls, and a floor | where the load of retries has to have a figure |
/// | [`tokens`](Self::tokens) | a purse that successes fill | for the habits of another client |
/// | [`grpc`](Self::grpc) | stops while too many calls fail | for gRPC's own habits |
/// | [`unlimited`](Self::unlimited), [`none`](Self::none) | all, nothing | in tests, or where somebody else retries |
///
/// A fixed share is blind: what is right while a callee drowns is too little while a third of its
/// instances answers with errors, and the other way round. The adaptive budget tells the two apart.
///
/// ```
/// use breaker_core::{Budget, Percent};
///
/// // At most one retry for ten calls, and 5 each second on top of that.
/// const TENTH: Budget = Budget::ratio(Percent::new(10), 5);
/// assert_ne!(TENTH, Budget::default());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Budget(Rule);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rule {
    Adaptive,
    Ratio(Share),
    Tokens { capacity: u32, per_success_milli: u32, cost: u32, cost_after_timeout: u32 },
    Grpc { max_tokens: u32, ratio_milli: u32 },
    Unlimited,
    Nothing,
}

/// A share of the calls of a window, and a floor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Share {
    ratio: Percent,
    floor_per_second: u32,
    window: Duration,
}

impl Budget {
    /// The share of [`ratio`](Self::ratio) that Finagle has by default: 20 %.
    pub const RATIO: Percent = Percent::new(20);
    /// The floor of [`ratio`](Self::ratio) that Finagle has by default: 10 retries per second.
    pub const FLOOR_PER_SECOND: u32 = 10;
    /// The window of [`ratio`](Self::ratio): 10 s.
    pub const WINDOW: Duration = Duration::from_secs(10);
    /// The longest window: an hour.
    pub const MAX_WINDOW: Duration = Duration::from_secs(3_600);
    /// The most tokens there can be, and the most that a retry can cost.
    pub const MAX_TOKENS: u32 = 1_000_000;

    /// Follows what the callee bears: generous while calls fail for reasons of their own, sparing
    /// while the callee is short of capacity.
    ///
    /// There are 10 tokens at first and 20 at most. A retry costs 1, after a
    /// [timeout](crate::FailureKind::Timeout) 2; a hedge costs 1. A success brings *beta* tokens,
    /// 0.3 at first. Results are judged in windows of 10, or of 4 to 9 once a window is older than
    /// 0.5 s. Where more than 20 % of them, and at least two, are timeouts or answers that say
    /// [overloaded](crate::FailureKind::Overload) or
    /// [exhausted](crate::FailureKind::ResourceExhausted), the callee is congested: beta is halved,
    /// down to 0.02, and at most 3 tokens are left. Each other window that ends more than 3 s after
    /// the last congestion raises beta by 0.02, up to 1. After a watched circuit has closed there
    /// are at most 2 tokens.
    ///
    /// With all tokens there and beta at 1 nothing is counted, until a bad result comes; the window
    /// begins after that one.
    ///
    /// So where 30 % of all calls fail by errors of the application, nearly each is tried again;
    /// where 80 % time out, next to none.
    pub const fn adaptive() -> Self {
        Self(Rule::Adaptive)
    }

    /// At most this share of the calls of the last 10 s, and so many retries per second on top of
    /// it: Finagle's budget, which tower has, too. The usual figures are [`RATIO`](Self::RATIO) and
    /// [`FLOOR_PER_SECOND`](Self::FLOOR_PER_SECOND).
    ///
    /// It holds for the window that ends at any retry, to the call; for up to a tenth of the window
    /// longer, retries that were made still weigh. The floor can be spent at once: 10 per second
    /// are 100 within 10 s. A retry counts from when it is decided on, so that those which wait are
    /// in. Each call is counted under the budget's lock, and reads the clock for it; the other
    /// budgets do neither.
    ///
    /// # Panics
    /// When the floor is over 1,000,000 retries per second; in a constant this is a compile error.
    pub const fn ratio(ratio: Percent, floor_per_second: u32) -> Self {
        assert!(floor_per_second <= Self::MAX_TOKENS, "a floor lies in 0..=1,000,000 per second");
        Self(Rule::Ratio(Share { ratio, floor_per_second, window: Self::WINDOW }))
    }

    /// Over which time a [`ratio`](Self::ratio) is taken; default 10 s.
    ///
    /// # Panics
    /// When the window lies outside 1 ms..=1 h or is not in whole milliseconds, and for any other
    /// budget; in a constant this is a compile error.
    pub const fn window(self, window: Duration) -> Self {
        let whole = window.subsec_nanos() % 1_000_000 == 0;
        assert!(whole, "the window of a budget is in whole milliseconds");
        let millis = window.as_millis();
        let fits = millis >= 1 && millis <= Self::MAX_WINDOW.as_millis();
        assert!(fits, "the window of a budget lies in 1 ms..=1 h");
        match self.0 {
            Rule::Ratio(share) => Self(Rule::Ratio(Share { window, ..share })),
            _ => panic!("only a budget by ratio has a window"),
        }
    }

    /// A purse of so many tokens, full at first. A success brings `per_success_milli` thousandths
    /// of a token; a retry costs `cost` tokens, after a [timeout](crate::FailureKind::Timeout)
    /// `cost_after_timeout`. A hedge costs `cost`.
    ///
    /// `tokens(10, 100, 1, 1)` is the token bucket that Marc Brooker of AWS writes of: a tenth of a
    /// token for a success, one for a retry.
    ///
    /// # Panics
    /// When the capacity lies outside 1..=1,000,000, when a cost lies outside 1..=capacity, or when
    /// a success brings more than the capacity; in a constant this is a compile error.
    pub const fn tokens(
        capacity: u32,
        per_success_milli: u32,
        cost: u32,
        cost_after_timeout: u32,
    ) -> Self {
        assert!(
            1 <= capacity && capacity <= Self::MAX_TOKENS,
            "a purse holds 1..=1,000,000 tokens"
        );
        assert!(per_success_milli <= capacity * MILLI, "a success brings at most a full purse");
        assert!(1 <= cost && cost <= capacity, "a retry costs from one token to a full purse");
        let fits = 1 <= cost_after_timeout && cost_after_timeout <= capacity;
        assert!(fits, "a retry after a timeout costs from one token to a full purse");
        Self(Rule::Tokens { capacity, per_success_milli, cost, cost_after_timeout })
    }

    /// The quota of the AWS SDKs' standard mode: 500 tokens, 5 for a retry, 10 after a timeout.
    ///
    /// A success brings 1 token. There, one that came by a retry gives back what that retry cost;
    /// a budget is not told which attempt it was, so here it brings 1 like any other. This is the
    /// stricter reading.
    pub const fn aws_sdk() -> Self {
        Self::tokens(500, 1_000, 5, 10)
    }

    /// gRPC's retry throttling (proposal A6): as many tokens at first as there can be; a failure
    /// takes one, a success brings `ratio_milli` thousandths, and there are retries and hedges
    /// while more than half of the tokens are there. They cost nothing by themselves.
    ///
    /// Each failure counts but [`InvalidRequest`](crate::FailureKind::InvalidRequest): gRPC counts
    /// the codes that a policy names, and a budget does not know the policy.
    ///
    /// # Panics
    /// When `max_tokens` lies outside 1..=1,000, or when the ratio is 0 or brings more than
    /// `max_tokens`; in a constant this is a compile error.
    pub const fn grpc(max_tokens: u32, ratio_milli: u32) -> Self {
        assert!(1 <= max_tokens && max_tokens <= 1_000, "gRPC has 1..=1,000 tokens");
        let fits = 1 <= ratio_milli && ratio_milli <= max_tokens * MILLI;
        assert!(fits, "the ratio of tokens lies above 0, and brings at most all tokens");
        Self(Rule::Grpc { max_tokens, ratio_milli })
    }

    /// All retries.
    pub const fn unlimited() -> Self {
        Self(Rule::Unlimited)
    }

    /// No retries.
    pub const fn none() -> Self {
        Self(Rule::Nothing)
    }

    /// The name of the rule, as configurations and metrics spell it: `adaptive`, `ratio`,
    /// `tokens`, `grpc`, `unlimited` or `none`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self.0 {
            Rule::Adaptive => "adaptive",
            Rule::Ratio(_) => "ratio",
            Rule::Tokens { .. } => "tokens",
            Rule::Grpc { .. } => "grpc",
            Rule::Unlimited => "unlimited",
            Rule::Nothing => "none",
        }
    }

    /// The rules as they are at first.
    pub(super) const fn rules(self) -> Rules {
        match self.0 {
            Rule::Adaptive => Rules::Adaptive(Adaptive::new()),
            Rule::Ratio(share) => Rules::Ratio(Ratio::new(share)),
            Rule::Tokens { capacity, per_success_milli, cost, cost_after_timeout } => {
                let (cost, after_timeout) = (cost * MILLI, cost_after_timeout * MILLI);
                let capacity = capacity * MILLI;
                Rules::Tokens(Tokens::new(capacity, per_success_milli, cost, after_timeout))
            }
            Rule::Grpc { max_tokens, ratio_milli } => {
                Rules::Grpc(Throttle::new(max_tokens * MILLI, ratio_milli))
            }
            Rule::Unlimited => Rules::Unlimited,
            Rule::Nothing => Rules::Nothing,
        }
    }
}

impl Default for Budget {
    /// [`Budget::adaptive`].
    fn default() -> Self {
        Self::adaptive()
    }
}

impl Share {
    /// So many buckets are the window exactly: it is in whole milliseconds.
    pub(super) const BUCKETS: u64 = 10;

    /// In which bucket a moment lies.
    pub(super) const fn bucket(&self, now: Tick) -> u64 {
        now.as_nanos() / (saturating_nanos(self.window) / Self::BUCKETS)
    }

    /// How many retries there are for so many calls of a window.
    pub(super) fn of(&self, calls: u64) -> u64 {
        let share = calls * u64::from(self.ratio.as_basis_points())
            / u64::from(Percent::FULL.as_basis_points());
        // An hour at most: both factors have their bounds.
        let floor = u64::from(self.floor_per_second) * self.window.as_millis() as u64 / 1_000;
        share + floor
    }
}
