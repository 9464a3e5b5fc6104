//! The figures of a budget: [`BudgetSnapshot`].

/// The figures of a [`RetryBudget`](crate::RetryBudget) at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BudgetSnapshot {
    /// The name of the rule: see [`Budget::as_str`](crate::Budget::as_str).
    pub rule: &'static str,
    /// What there is to be spent; see [`RetryBudget::balance`](crate::RetryBudget::balance).
    pub tokens: f64,
    /// What a success brings, in tokens: the beta of the adaptive budget. `None` where successes
    /// bring nothing.
    pub refill: Option<f64>,
    /// Whether the callee has been short of capacity in the last 3 s, by what the adaptive budget
    /// has seen; `false` for the others, which do not look.
    pub congested: bool,
    /// Retries and hedges that were granted, from the beginning.
    pub taken: u64,
    /// Those among them that were given back.
    pub refunded: u64,
    /// Retries and hedges that were not granted, from the beginning.
    pub refused: u64,
}
