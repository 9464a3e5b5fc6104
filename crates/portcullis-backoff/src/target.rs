//! One target of calls, shared by all that make them: [`Target`].

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use breaker_core::{
    Anchored, Chance, Event, EventKind, FailureKind, Interest, Name, RetryBudget, Tick,
};

use crate::config::BackoffConfig;
use crate::hub::Hub;
use crate::policy::{Circumstances, Decision, Failed, Memory, Plan, Why, credit};
use crate::record::{Next, Sequence};
use crate::snapshot::Counts;
use crate::sync::{Mutex, lock};

/// One target of calls: a callee, or one of its hosts.
pub(crate) struct Target {
    hub: Arc<Hub>,
    /// The name of its key, where there are several.
    label: Option<Name>,
    pub(crate) budget: RetryBudget,
    state: Mutex<State>,
}

struct State {
    memory: Memory,
    counts: Counts,
    chance: Chance,
}

/// A failed call on its way to the next attempt.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) sequence: Sequence,
    /// What the attempt that runs, or is waited for, was preceded by.
    pub(crate) next: Option<Next>,
    /// What the attempt that runs has cost, if it is not the first.
    pub(crate) cost: Option<Cost>,
}

/// What an attempt has cost: it was made after a failure of this kind, and paid at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    kind: FailureKind,
    at: Tick,
}

impl Target {
    pub(crate) fn open(hub: &Arc<Hub>, label: Option<Name>, budget: RetryBudget) -> Anchored<Self> {
        let state = State {
            memory: Memory::default(),
            counts: Counts::default(),
            chance: Chance::seeded(hub.draw()),
        };
        let target = Self { hub: hub.clone(), label, budget, state: Mutex::new(state) };
        let target = Anchored::new(target);
        target.rest(hub.config().max_elapsed.is_none());
        target
    }

    /// Another one of the same hub, with this budget.
    pub(crate) fn with_budget(&self, budget: &RetryBudget) -> Anchored<Self> {
        Self::open(&self.hub, self.label, budget.clone())
    }

    /// Does something with the state, and finds out whether it is at rest then.
    fn with<T>(this: &Anchored<Self>, now: Tick, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&this.state);
        let done = work(&mut state);
        // Where it matters when a call began, it is never at rest.
        let timed = this.hub.config().max_elapsed.is_some();
        this.rest(!timed && state.memory.is_at_rest(now));
        done
    }

    /// Another configuration is in force, by which it may matter when a call began.
    pub(crate) fn reconfigured(this: &Anchored<Self>) {
        Self::with(this, this.hub.now(), |_| ());
    }

    /// Takes in that an attempt went well, or said nothing.
    pub(crate) fn ended_well(this: &Anchored<Self>, course: Option<&Course>) {
        let now = this.hub.now();
        let usage = this.hub.usage(now);
        let config = this.hub.config();
        let after = course.and_then(|course| course.next.as_ref().map(credit));
        Self::with(this, now, |state| {
            state.memory.record.ended(&config.delays, now, after, true, usage);
            if after.is_some() {
                state.counts.succeeded_after_retry += 1;
            }
        });
    }

    /// Decides what is done about an attempt that failed, pays for another, has it made by `again`,
    /// and tells it.
    pub(crate) fn failed<R>(
        this: &Anchored<Self>,
        course: &mut Course,
        failed: &Failed,
        again: impl FnOnce() -> Option<R>,
    ) -> Result<Further<R>, Why> {
        let now = this.hub.now();
        let usage = this.hub.usage(now);
        let config = this.hub.config();
        if let Some(cost) = course.cost.take().filter(|_| failed.refused) {
            // The callee never saw it.
            this.budget.refund(cost.kind, now.since(cost.at));
        }
        let credit = course.next.take().as_ref().map(credit);
        let plan = Self::with(this, now, |state| {
            let State { memory, chance, .. } = state;
            if !failed.refused {
                memory.record.ended(&config.delays, now, credit, false, usage);
                memory.note(&config, now, failed.kind);
            }
            let mut with = Circumstances { config: &config, now, usage, chance };
            memory.decide(&mut course.sequence, failed, &mut with)
        });
        let plan = this.paid(plan, failed.kind);
        let (delay, elsewhere) = match plan.decision {
            Decision::Retry(delay) | Decision::BackOff(delay) => (delay, false),
            Decision::Redirect(delay) => (delay, true),
            Decision::FailFast(why) => {
                Self::decided(this, now, failed, &plan);
                return Err(why);
            }
        };
        // Gives it back if the user's code says no, or panics.
        let paid = Paid::of(this, failed.kind, now);
        let Some(request) = again() else {
            Self::decided(this, now, failed, &plan.but(Why::NotKept));
            return Err(Why::NotKept);
        };
        course.next = plan.next;
        Self::decided(this, now, failed, &plan);
        Ok(Further { request, delay, elsewhere, paid: paid.waits() })
    }

    /// Remembers what has been decided, and tells it.
    fn decided(this: &Anchored<Self>, now: Tick, failed: &Failed, plan: &Plan) {
        Self::with(this, now, |state| {
            if let Decision::BackOff(delay) = plan.decision {
                state.memory.hold(now, delay);
            }
            state.counts.take_in(&plan.decision, failed);
        });
        if let Err(panic) = this.tell(now, failed, plan) {
            resume_unwind(panic);
        }
    }

    /// The same plan, if the budget bears it.
    fn paid(&self, plan: Plan, kind: FailureKind) -> Plan {
        if matches!(plan.decision, Decision::FailFast(_)) || self.budget.try_retry(kind) {
            return plan;
        }
        plan.but(Why::Budget)
    }

    /// Tells everybody what has been decided; the first panic of one of them is to go on.
    fn tell(&self, now: Tick, failed: &Failed, plan: &Plan) -> Result<(), Box<dyn Any + Send>> {
        let observers = self.hub.observers();
        if !observers.interest().includes(Interest::CALLS | Interest::CHANGES) {
            return Ok(());
        }
        let (attempt, kind) = (failed.attempt, failed.kind);
        let found = plan.next.as_ref().and_then(|next| next.found);
        let found = found.map(|found| EventKind::PatternFound {
            period: found.period,
            interval: found.interval,
        });
        let (held, decided) = match plan.decision {
            Decision::FailFast(why) => {
                (None, EventKind::NotRetried { attempt, kind, why: why.as_str() })
            }
            Decision::BackOff(delay) => {
                (Some(EventKind::BackedOff { delay }), EventKind::Retried { attempt, kind, delay })
            }
            Decision::Retry(delay) | Decision::Redirect(delay) => {
                (None, EventKind::Retried { attempt, kind, delay })
            }
        };
        let (name, partition) = (self.hub.config().name, self.label.as_ref());
        // All are told, also after a panic.
        let mut told = Ok(());
        for kind in found.iter().chain(&held).chain([&decided]) {
            told = told.and(observers.tell(&Event { circuit: &name, partition, at: now, kind }));
        }
        told
    }

    /// A call that waited has been given up.
    fn given_up(&self) {
        lock(&self.state).counts.given_up += 1;
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    pub(crate) fn is_forgettable(&self, config: &BackoffConfig, now: Tick) -> bool {
        lock(&self.state).memory.is_forgettable(config, now)
    }
}

/// The next attempt of a call that has failed.
pub(crate) struct Further<R> {
    pub(crate) request: R,
    pub(crate) delay: Duration,
    /// It goes to the alternative.
    pub(crate) elsewhere: bool,
    pub(crate) paid: Paid,
}

/// What was paid for an attempt: given back where that is not made.
#[derive(Debug)]
pub(crate) struct Paid {
    target: Anchored<Target>,
    cost: Cost,
    waits: bool,
    made: bool,
}

impl Paid {
    fn of(target: &Anchored<Target>, kind: FailureKind, at: Tick) -> Self {
        Self { target: target.clone(), cost: Cost { kind, at }, waits: false, made: false }
    }

    /// A call waits for it, which can be given up from now on.
    fn waits(mut self) -> Self {
        self.waits = true;
        self
    }

    /// The attempt is made.
    pub(crate) fn made(mut self) -> Cost {
        self.made = true;
        self.cost
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        if self.made {
            return;
        }
        let ago = self.target.hub.now().since(self.cost.at);
        self.target.budget.refund(self.cost.kind, ago);
        if self.waits {
            self.target.given_up();
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("label", &self.label).finish_non_exhaustive()
    }
}
