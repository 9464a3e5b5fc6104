//! A limit without a queue whose priorities have shares: plainly, as others do it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use breaker_core::{Clock, Priority, TokioClock};
use portcullis_priority::{Limit, LimitAlgorithm, Sample, Verdict};
use tower::Service;

use crate::callee::{Answer, Ask, Callee, Failed};

/// Refuses a call where the limit is reached, and its priority has more than its share of it.
#[derive(Clone, Debug)]
pub(crate) struct Partitions {
    inner: Callee,
    clock: TokioClock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    limit: Box<dyn LimitAlgorithm>,
    /// The share of those of high priority; without one, all are alike.
    high_share: Option<f64>,
    /// Calls that run: of high priority, and others.
    running: [u32; 2],
}

impl Partitions {
    pub(crate) fn new(
        inner: Callee,
        clock: TokioClock,
        limit: Limit,
        high_share: Option<f64>,
    ) -> Self {
        let state = State { limit: limit.begin(), high_share, running: [0; 2] };
        Self { inner, clock, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.state.lock().unwrap().limit.limit()
    }
}

impl State {
    fn admits(&mut self, kind: usize) -> bool {
        let limit = self.limit.limit();
        let own = self.high_share.is_some_and(|high| {
            let share = [high, 1.0 - high][kind];
            f64::from(self.running[kind]) < (share * f64::from(limit)).max(1.0)
        });
        let admits = own || self.running.iter().sum::<u32>() < limit;
        self.running[kind] += u32::from(admits);
        admits
    }
}

type Boxed = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send>>;

impl Service<Ask> for Partitions {
    type Response = ();
    type Error = Failed;
    type Future = Boxed;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, ask: Ask) -> Boxed {
        let kind = usize::from(ask.priority < Priority::HIGH);
        let Self { clock, state, .. } = self.clone();
        if !state.lock().unwrap().admits(kind) {
            return Box::pin(std::future::ready(Err(Failed::Refused)));
        }
        let (started, answer) = (clock.now(), self.inner.call(ask));
        Box::pin(through(answer, move || {
            let mut state = state.lock().unwrap();
            let (ended, verdict) = (clock.now(), Verdict::Answered);
            let in_flight = state.running.iter().sum();
            state.limit.sample(&Sample { started, ended, in_flight, verdict });
            state.running[kind] -= 1;
        }))
    }
}

async fn through(answer: Answer, end: impl FnOnce()) -> Result<(), Failed> {
    let answered = answer.await;
    end();
    answered
}
