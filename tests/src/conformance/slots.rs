//! The components `bulkhead`, `lifo_queue` and `partitioned_limiter`: [`Slots`].

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use breaker_core::{ManualClock, Tick};
use portcullis_priority::{Call, Class, PriorityQueue, Slot, Wait};
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};

use super::answer::{Answer, Seen};
use super::case::Manner;
use super::component::Subject;
use super::config::finish;
use super::fields::Fields;
use super::slot_plan::Plan;
use super::verdict::Mismatch;

/// The slots of a case, who holds one, and who waits.
pub(crate) struct Slots {
    plan: Plan,
    clock: ManualClock,
    queue: PriorityQueue,
    /// The latest moment that the queue has seen: to wait within a step may have taken it beyond.
    now: Tick,
    held: Vec<Slot>,
    waiting: Vec<(Value, Wait)>,
    /// Who waited and got a slot, from the beginning.
    order: Vec<Value>,
    step: Step,
    /// Nobody waits for its timers: it is there for those who sleep.
    runtime: Runtime,
}

/// What comes first when a wait ends and a slot becomes free.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Race {
    /// The slot is given to the one who waits, who looks at it at the same moment.
    Given,
    /// The same, but it was given a nanosecond before.
    GivenBefore,
    /// The wait ends.
    TimedOut,
    /// It was given a nanosecond before to the one who waits, who goes without it.
    Left,
}

/// What was answered in the present step.
#[derive(Default)]
struct Step {
    answers: Vec<Answer>,
    /// Who waited and got a slot, or was refused.
    admitted: Vec<Value>,
    refused: Vec<Value>,
    enqueued: Vec<Value>,
    decided_at: Option<Tick>,
    /// How many slots could be taken after the races.
    races: Option<u32>,
}

impl Slots {
    pub(crate) fn build(
        component: &str,
        config: &Map<String, Value>,
        manner: Manner<'_>,
    ) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let plan = Plan::read(component, &mut fields)?;
        finish(&fields, manner)?;
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| Mismatch::new("a runtime", error.to_string()))?;
        let clock = ManualClock::new();
        let queue = PriorityQueue::with_clock(plan.config()?, clock.clone());
        Ok(Self {
            plan,
            clock,
            queue,
            now: Tick::ZERO,
            held: Vec::new(),
            waiting: Vec::new(),
            order: Vec::new(),
            step: Step::default(),
            runtime,
        })
    }

    /// Takes a slot, or waits for one until that is decided, whatever time that takes.
    fn acquire(&mut self, call: Call) -> Result<(), Mismatch> {
        let wait = self.queue.acquire(call);
        let id = Value::from("this call");
        self.waiting.push((id.clone(), wait));
        self.look();
        let longest = self.plan.wait();
        if !longest.is_zero() && self.is_waiting(&id) {
            let latest = self.now.after(longest);
            self.pass(Tick::from_nanos(latest.as_nanos() - 1));
            if !self.is_waiting(&id) {
                return Err(Mismatch::new("a call that waits to the end", "a decision before"));
            }
            self.pass(latest);
        }
        let admitted = forget(&mut self.step.admitted, &id);
        let refused = forget(&mut self.step.refused, &id);
        forget(&mut self.order, &id);
        self.step.decided_at = Some(self.now);
        self.step.answers.push(match (admitted, refused) {
            (true, false) => Answer::Admitted,
            (false, true) => Answer::Refused { retry_after: None },
            _ => return Err(Mismatch::new("one decision", "another number of them")),
        });
        Ok(())
    }

    fn enqueue(&mut self, id: &Value) {
        let _sleeps = self.runtime.enter();
        self.waiting.push((id.clone(), self.queue.acquire(Call::new(Plan::CLASS.priority()))));
        self.step.enqueued.push(id.clone());
        self.look();
    }

    /// Ends the call that has run longest.
    fn complete(&mut self) -> Result<(), Mismatch> {
        if self.held.is_empty() {
            return Err(Mismatch::new("a call that runs", "none"));
        }
        drop(self.held.remove(0));
        self.look();
        Ok(())
    }

    fn pass(&mut self, to: Tick) {
        self.now = self.now.max(to);
        self.clock.set(self.now);
        self.look();
    }

    /// Sees what became of those who wait, until nothing more does.
    fn look(&mut self) {
        let _sleeps = self.runtime.enter();
        let mut decided = true;
        while std::mem::take(&mut decided) {
            for (id, mut wait) in std::mem::take(&mut self.waiting) {
                match poll(&mut wait) {
                    Poll::Pending => self.waiting.push((id, wait)),
                    Poll::Ready(Ok(slot)) => {
                        self.held.push(slot);
                        self.order.push(id.clone());
                        self.step.admitted.push(id);
                        decided = true;
                    }
                    Poll::Ready(Err(_)) => self.step.refused.push(id),
                }
            }
        }
    }

    fn is_waiting(&self, id: &Value) -> bool {
        self.waiting.iter().any(|(waits, _)| waits == id)
    }

    /// A slot becomes free in the very moment in which a wait for one ends, in all orders. Then as
    /// many slots are taken as can be.
    fn races(&mut self) -> Result<(), Mismatch> {
        for order in [Race::Given, Race::GivenBefore, Race::TimedOut, Race::Left] {
            self.take_all();
            self.race(order)?;
        }
        self.take_all();
        let (held, running) = (self.held.len() as u32, self.queue.snapshot().running);
        if held != running {
            return Err(Mismatch::new(format!("{held} that run"), running.to_string()));
        }
        self.step.races = Some(held);
        Ok(())
    }

    fn race(&mut self, order: Race) -> Result<(), Mismatch> {
        let _sleeps = self.runtime.enter();
        let freed = self.held.pop().ok_or_else(|| Mismatch::new("a call that runs", "none"))?;
        let mut wait = self.queue.acquire(Plan::CLASS.priority());
        if poll(&mut wait).is_ready() {
            return Err(Mismatch::new("a call that waits", "a decision"));
        }
        let end = self.now.after(self.plan.wait());
        self.now = end;
        self.clock.set(match order {
            Race::Given | Race::TimedOut => end,
            Race::GivenBefore | Race::Left => Tick::from_nanos(end.as_nanos() - 1),
        });
        if order == Race::TimedOut {
            drop(poll(&mut wait));
        }
        drop(freed);
        self.clock.set(end);
        if matches!(order, Race::Given | Race::GivenBefore) {
            drop(poll(&mut wait));
        }
        Ok(())
    }

    fn take_all(&mut self) {
        while let Ok(slot) = self.queue.try_acquire(Plan::CLASS.priority()) {
            self.held.push(slot);
        }
    }

    fn partition(&self, name: &str) -> Result<Class, Mismatch> {
        let unknown = || Mismatch::unknown("partition", name);
        self.plan.class(name).ok_or_else(unknown)
    }
}

impl Subject for Slots {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.step = Step::default();
        self.pass(Tick::ZERO.after(at));
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "acquire" => {
                let mut call = Call::new(Plan::CLASS.priority());
                if let Some(name) = fields.text("partition")? {
                    call = Call::new(self.partition(name)?.priority());
                }
                if let Some(key) = fields.text("key")? {
                    call = call.user(key);
                }
                self.acquire(call)
            }
            "acquire_async" => {
                let id = fields.take("id").cloned();
                self.enqueue(&fields.needed("id", Ok(id))?);
                Ok(())
            }
            "enqueue" => {
                let ids = fields.list("ids");
                fields.needed("ids", ids)?.iter().for_each(|id| self.enqueue(id));
                Ok(())
            }
            "complete" => self.complete(),
            "resize" | "set_limit" => {
                let to = match fields.small_count("max_concurrent")? {
                    Some(to) => Ok(Some(to)),
                    None => fields.small_count("limit"),
                };
                self.plan.resize(fields.needed("max_concurrent", to)?);
                let sound = self.queue.reconfigure(self.plan.config()?);
                sound.map_err(|errors| Mismatch::new("a sound config", errors.to_string()))?;
                self.look();
                Ok(())
            }
            "note" => self.races(),
            "derive" | "observe" => Ok(()),
            other => Err(Mismatch::unknown("op", other)),
        }
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        let snapshot = self.queue.snapshot();
        let Step { answers, admitted, refused, enqueued, decided_at, races } = &self.step;
        let decided = || decided_at.ok_or_else(|| Mismatch::new("a decision", "none"));
        let accepted = || enqueued.iter().filter(|id| !refused.contains(id)).cloned().collect();
        Ok(match key {
            "permitted" => Seen::Answers(answers.clone()),
            "available" => Seen::count(snapshot.slots.saturating_sub(snapshot.running)),
            "inflight" => Seen::count(snapshot.running),
            "waiting" => Seen::count(snapshot.depth()),
            "max_concurrent" => Seen::count(snapshot.slots),
            "admitted" => Seen::Ids(admitted.clone()),
            "admission_order" => Seen::Ids(self.order.clone()),
            "accepted" => Seen::Ids(accepted()),
            "decided" => Seen::Ids([admitted.as_slice(), refused].concat()),
            "decided_at_ms_min" => Seen::AtLeast(decided()?.as_nanos() as f64 / 1e6),
            "decided_at_ms_max" => Seen::AtMost(decided()?.as_nanos() as f64 / 1e6),
            "inflight_after_races" => match races {
                Some(held) => Seen::count(*held),
                None => return Err(Mismatch::new("a race", "none")),
            },
            other => match other.strip_suffix("_limit").and_then(|name| self.plan.class(name)) {
                Some(_) => Seen::count(self.plan.reserved(other.trim_end_matches("_limit"))),
                None => return Err(Mismatch::unknown("expectation", other)),
            },
        })
    }
}

fn forget(ids: &mut Vec<Value>, id: &Value) -> bool {
    let before = ids.len();
    ids.retain(|other| other != id);
    ids.len() < before
}

fn poll(wait: &mut Wait) -> Poll<Result<Slot, breaker_core::Rejected>> {
    Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
}
