//! The component `hedge`: [`Hedges`].

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use breaker_core::{Budget, Cloned, ErrorsAreFailures, Percent, RetryBudget, TokioClock};
use portcullis_timeout::{HedgeConfig, HedgeLayer, HedgeService};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::advance;
use tower_layer::Layer;
use tower_service::Service;

use super::answer::Seen;
use super::case::Manner;
use super::component::Subject;
use super::config::finish;
use super::fields::Fields;
use super::paused;
use super::verdict::Mismatch;

/// One call after the other, whose attempts end when the case says so.
pub(crate) struct Hedges {
    runtime: Runtime,
    service: HedgeService<Callee, ErrorsAreFailures, Cloned>,
    callee: Callee,
    budget: RetryBudget,
    now: Duration,
    call: Option<Running>,
    result: Option<&'static str>,
}

type Ended = Result<(), &'static str>;
type Running = Pin<Box<dyn Future<Output = Ended>>>;

/// Leaves its attempts open until they are told their end.
#[derive(Clone, Default)]
struct Callee(Arc<Mutex<Vec<Option<oneshot::Sender<Ended>>>>>);

/// Calls that wait for a while; they earn the share of all that may be sent again.
const BEFORE: usize = 4;

impl Hedges {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        for (key, most) in [("max_attempts", 2), ("max_hedged", 1)] {
            if fields.small_count(key)?.is_some_and(|number| number != most) {
                return Err(Mismatch::not_offered("more than one attempt beside the first"));
            }
        }
        let delay = fields.millis("delay_ms");
        let delay = fields.needed("delay_ms", delay)?;
        if !(HedgeConfig::SHORTEST..=HedgeConfig::LONGEST).contains(&delay) {
            return Err(Mismatch::new("a delay in 1 ms..=10 min", format!("{delay:?}")));
        }
        let budget = RetryBudget::new(match fields.small_count("max_tokens")? {
            None => Budget::unlimited(),
            Some(tokens @ 1..=Budget::MAX_TOKENS) => Budget::tokens(tokens, 0, 1, 1),
            Some(other) => return Err(Mismatch::new("1..=1000000 tokens", other.to_string())),
        });
        finish(&fields, manner)?;
        let config = HedgeConfig::new().min_delay(delay).max_delay(delay).initial(delay);
        let layer = HedgeLayer::with_clock(config.max_share(Percent::new(50)), TokioClock::new());
        let layer = layer.classify(ErrorsAreFailures).replay(Cloned).budget(&budget);
        let (runtime, callee) = (paused::runtime()?, Callee::default());
        let service = layer.layer(callee.clone());
        let (now, call, result) = (Duration::ZERO, None, None);
        Ok(Self { runtime, service, callee, budget, now, call, result })
    }

    fn start(&mut self) {
        for _ in 0..BEFORE {
            self.begin_call();
            self.end_attempt(0, Ok(()));
            self.poll();
        }
        self.begin_call();
        self.poll();
    }

    fn begin_call(&mut self) {
        self.callee.attempts().clear();
        self.result = None;
        let _entered = self.runtime.enter();
        self.call = Some(Box::pin(self.service.call(())));
        self.poll();
    }

    /// Polls the call, in the time of its runtime.
    fn poll(&mut self) {
        let _entered = self.runtime.enter();
        let Some(call) = &mut self.call else { return };
        if let Poll::Ready(result) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            self.call = None;
            self.result = Some(if result.is_ok() { "success" } else { "failure" });
        }
    }

    fn end_attempt(&self, place: usize, end: Ended) {
        let ends = self.callee.attempts().get_mut(place).and_then(Option::take);
        // Nobody hears it where the attempt was dropped.
        let _ = ends.map(|ends| ends.send(end));
    }

    /// The places of the attempts that are out.
    fn out(&self) -> Vec<usize> {
        let attempts = self.callee.attempts();
        let out = |attempt: &Option<oneshot::Sender<Ended>>| {
            attempt.as_ref().is_some_and(|attempt| !attempt.is_closed())
        };
        (0..attempts.len()).filter(|&place| out(&attempts[place])).collect()
    }
}

impl Callee {
    fn attempts(&self) -> MutexGuard<'_, Vec<Option<oneshot::Sender<Ended>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<()> for Callee {
    type Response = ();
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Ended>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Ended> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let (ends, ended) = oneshot::channel();
        self.attempts().push(Some(ends));
        Box::pin(async { ended.await.unwrap_or(Err("nobody ends it")) })
    }
}

impl Subject for Hedges {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        let further = at.checked_sub(self.now);
        let further = further.ok_or_else(|| Mismatch::new("a time that goes on", "an earlier"))?;
        self.runtime.block_on(advance(further));
        self.now = at;
        self.poll();
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "start" => self.start(),
            "tick" => {}
            "response" => {
                let outcome = fields.text("outcome");
                let end = match fields.needed("outcome", outcome)? {
                    "success" => Ok(()),
                    "failure" | "non_fatal" => Err("down"),
                    other => return Err(Mismatch::unknown("outcome", other)),
                };
                let oldest = self.out().first().map(|&place| place as u64 + 1);
                let Some(attempt @ 1..) = fields.count("attempt")?.or(oldest) else {
                    return Err(Mismatch::new("an attempt that is out", "none"));
                };
                self.end_attempt(attempt as usize - 1, end);
                self.poll();
            }
            "mode" => return Err(Mismatch::not_offered(op)),
            other => return Err(Mismatch::unknown("op", other)),
        }
        Ok(())
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        Ok(match key {
            "in_flight" => Seen::count(self.out().len() as u64),
            "attempts" => Seen::count(self.callee.attempts().len() as u64),
            "balance" => Seen::Number(Some(self.budget.balance())),
            "result" => Seen::OneOf(self.result.into_iter().collect()),
            "others" => Seen::OneOf(vec![match (self.result, &*self.out()) {
                (Some(_), []) => "cancelled",
                _ => "running",
            }]),
            "next_hedge" | "behaviour" => return Err(Mismatch::not_offered(key)),
            other => return Err(Mismatch::unknown("expectation", other)),
        })
    }
}
