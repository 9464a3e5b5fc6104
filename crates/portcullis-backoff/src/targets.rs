//! Which target a call is for: one for all, or one per key.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use breaker_core::{
    Anchor, Anchored, BudgetMark, CircuitBreaker, FailureKind, Key, Outcome, RetryBudget,
};

use crate::hub::Hub;
use crate::keyed::Keyed;
use crate::snapshot::Counts;
use crate::target::{Course, Target};

/// Where a layer finds the target of a request, when its call begins.
///
/// [`ForAll`] is one for all requests, [`PerKey`] one per key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` finds no target for the request `{Req}`",
    note = "the key was made for another kind of request: see `.keyed(key)` and `.keyed_fn(f)`"
)]
pub trait Targets<Req> {
    /// The target of this request.
    fn mark(&self, request: &Req) -> Mark;
}

/// What a layer does with its targets apart from any request.
pub(crate) trait Registry: Send + Sync {
    fn hub(&self) -> &Arc<Hub>;

    /// The target of calls without a key.
    fn single(&self) -> &Anchored<Target>;

    /// Another configuration is in force.
    fn reconfigured(&self);

    /// Has all budgets watch this circuit.
    fn watch(&self, circuit: &CircuitBreaker);

    /// What all of them counted.
    fn counts(&self) -> Counts;
}

/// The targets of a layer, which can be given one budget.
pub trait Budgeted {
    /// The same targets, and this one budget for all of them.
    #[must_use]
    fn with_budget(self, budget: &RetryBudget) -> Self;
}

/// The mark by which a call finds its target again, without a reference count where that can be.
#[derive(Clone)]
pub struct Mark {
    pub(crate) leads: Leads,
    /// The target itself, where it could be gone before the call has ended.
    pub(crate) kept: Option<Anchored<Target>>,
}

/// Where a target and its budget are found, as long as they live.
#[derive(Clone, Copy)]
pub(crate) struct Leads {
    target: Anchor<Target>,
    budget: BudgetMark,
}

impl Mark {
    /// A mark that keeps its target.
    fn keeping(target: Anchored<Target>) -> Self {
        Self { leads: Leads::to(&target), kept: Some(target) }
    }
}

impl Leads {
    fn to(target: &Anchored<Target>) -> Self {
        Self { target: target.anchor(), budget: target.budget.mark() }
    }

    /// The target, if it lives still.
    pub(crate) fn target(&self) -> Option<Anchored<Target>> {
        self.target.get()
    }

    /// Whether it matters neither how a call goes nor when it began.
    #[inline]
    pub(crate) fn is_target_at_rest(&self) -> bool {
        self.target.is_at_rest()
    }

    /// Whether a call that goes well changes nothing.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.target.is_at_rest() && self.budget.is_at_rest()
    }

    /// Tells the budget how an attempt ended.
    pub(crate) fn ended(&self, outcome: Outcome) {
        self.budget.ended(outcome);
    }

    /// Tells that an attempt went well, of a call that has failed before or at a target that is not
    /// at rest.
    #[cold]
    pub(crate) fn well(&self, target: Option<&Anchored<Target>>, course: Option<&Course>) {
        self.budget.ended(Outcome::Success);
        if let Some(target) = target.filter(|_| course.is_some() || !self.target.is_at_rest()) {
            Target::ended_well(target, course);
        }
    }
}

/// Tells a budget that counts calls of one that begins.
#[cold]
fn counted(budget: BudgetMark) {
    if let Some(budget) = budget.budget() {
        budget.called();
    }
}

/// The kind of failure that an attempt ended with; `None` where it says nothing, of the target or of
/// another attempt. A refusal from further in counts as overload of whatever is there.
pub(crate) const fn failure(outcome: Outcome, refused: bool) -> Option<FailureKind> {
    match outcome {
        _ if refused => Some(FailureKind::Overload { retry_after: None }),
        Outcome::Failure(kind) => Some(kind),
        _ => None,
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mark").field(&self.leads.target).finish()
    }
}

/// One target for all requests.
///
/// Clones are counted here, and calls that keep the target are not: they count it itself.
#[derive(Clone)]
pub struct ForAll(Arc<All>);

struct All {
    target: Anchored<Target>,
    leads: Leads,
    /// Where the budget was given, it is for the keys, too.
    given: bool,
    /// The budget counts calls.
    counts: bool,
}

impl ForAll {
    pub(crate) fn open(hub: &Arc<Hub>) -> Self {
        let budget = hub.budget();
        Self::new(Target::open(hub, None, budget), false)
    }

    pub(crate) fn new(target: Anchored<Target>, given: bool) -> Self {
        let (leads, counts) = (Leads::to(&target), target.budget.counts_calls());
        Self(Arc::new(All { target, leads, given, counts }))
    }

    pub(crate) fn target(&self) -> &Anchored<Target> {
        &self.0.target
    }

    /// The budget that was given.
    pub(crate) fn given(&self) -> Option<&RetryBudget> {
        self.0.given.then(|| &self.0.target.budget)
    }
}

impl<Req> Targets<Req> for ForAll {
    #[inline]
    fn mark(&self, _: &Req) -> Mark {
        let all = &*self.0;
        if all.counts {
            counted(all.leads.budget);
        }
        // Nobody else has it: `service.oneshot(request)` lets go of the service, and so of the layer,
        // before the first answer. Where others have it, a call counts no reference.
        let kept = (Arc::strong_count(&self.0) == 1).then(|| all.target.clone());
        Mark { leads: all.leads, kept }
    }
}

impl Registry for ForAll {
    fn hub(&self) -> &Arc<Hub> {
        self.target().hub()
    }

    fn single(&self) -> &Anchored<Target> {
        self.target()
    }

    fn reconfigured(&self) {
        Target::reconfigured(self.target());
    }

    fn watch(&self, circuit: &CircuitBreaker) {
        self.target().hub().watch(circuit);
        self.target().budget.watch(circuit);
    }

    fn counts(&self) -> Counts {
        self.target().counts()
    }
}

impl Budgeted for ForAll {
    fn with_budget(self, budget: &RetryBudget) -> Self {
        self.target().hub().watched_by(budget);
        Self::new(self.target().with_budget(budget), true)
    }
}

impl fmt::Debug for ForAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForAll").field(self.target().hub()).finish()
    }
}

/// One target per key; requests without a key share one.
#[derive(Clone)]
pub struct PerKey<F, K> {
    pub(crate) key: F,
    pub(crate) keyed: Arc<Keyed<K>>,
}

impl<Req, F, K> Targets<Req> for PerKey<F, K>
where
    F: Key<Req, Key = K>,
    K: Clone + fmt::Display + Eq + Hash + Send + Sync + 'static,
{
    fn mark(&self, request: &Req) -> Mark {
        // A target may have to give way to another key while a call is under way.
        let target = self.keyed.target(self.key.key(request).as_ref());
        target.budget.called();
        Mark::keeping(target)
    }
}

impl<K> Registry for Keyed<K>
where
    K: Clone + fmt::Display + Eq + Hash + Send + Sync,
{
    fn hub(&self) -> &Arc<Hub> {
        self.hub()
    }

    fn single(&self) -> &Anchored<Target> {
        self.unmatched()
    }

    fn reconfigured(&self) {
        self.all().iter().for_each(Target::reconfigured);
    }

    fn watch(&self, circuit: &CircuitBreaker) {
        self.watch(circuit);
    }

    fn counts(&self) -> Counts {
        self.counts()
    }
}

impl<F, K: Clone + fmt::Display + Eq + Hash> Budgeted for PerKey<F, K> {
    fn with_budget(self, budget: &RetryBudget) -> Self {
        self.keyed.hub().watched_by(budget);
        let keyed = Arc::new(Keyed::new(self.keyed.hub(), Some(budget)));
        Self { key: self.key, keyed }
    }
}

impl<F, K> fmt::Debug for PerKey<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").finish_non_exhaustive()
    }
}
