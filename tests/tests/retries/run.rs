//! A run: requests that were drawn before, the stacks of five callers, and the callee behind them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use breaker_core::Deadline;
use portcullis_tests::sim::{Ask, CLIENTS, SECOND, Scenario, Seen};
use tokio::time::{sleep, timeout};
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceExt as _};

use crate::callee::Callee;

/// So long an attempt may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// So long the caller waits for the answer, however many attempts that takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3);

/// The stack of one caller.
pub(crate) type Client = BoxCloneService<Ask, (), BoxError>;
/// Makes the stack of a caller; the number goes into the names of its streams of chance.
pub(crate) type Stack = dyn Fn(&Callee, u64) -> Client;

/// Virtual time, from its beginning.
pub(crate) fn in_virtual_time<T>(part: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(part)
}

/// Runs a scenario.
pub(crate) fn run(scenario: &Scenario, seed: u64, stack: &Stack) -> Seen {
    in_virtual_time(async {
        let callee = Callee::new(scenario, seed);
        let number = |client| (seed << 8) | client as u64;
        let clients: Vec<_> = (0..CLIENTS).map(|client| stack(&callee, number(client))).collect();
        let asks = scenario.asks(seed);
        let good = Arc::new(Mutex::new(vec![false; asks.len()]));
        for ask in &asks {
            wait_until(&callee, ask.at).await;
            let (client, good) = (clients[ask.client].clone(), good.clone());
            tokio::spawn(call(client, *ask, callee.clone(), good));
        }
        // Late requests end.
        wait_until(&callee, (scenario.ends + 4) * SECOND).await;
        let good = std::mem::take(&mut *good.lock().unwrap());
        Seen { scenario: *scenario, asks, good, attempts: callee.attempts() }
    })
}

async fn wait_until(callee: &Callee, at: u64) {
    if let Some(left) = at.checked_sub(callee.now()).filter(|left| *left > 0) {
        sleep(Duration::from_nanos(left)).await;
    }
}

async fn call(client: Client, ask: Ask, callee: Callee, good: Arc<Mutex<Vec<bool>>>) {
    let deadline = Deadline::after(callee.tick(callee.now()), DEADLINE);
    let answer = Within { deadline, part: pin!(client.oneshot(ask)) };
    if let Ok(Ok(())) = timeout(DEADLINE, answer).await {
        good.lock().unwrap()[ask.number] = true;
    }
}

/// A part of a call that knows until when its answer is of use.
struct Within<'a, F> {
    deadline: Deadline,
    part: Pin<&'a mut F>,
}

impl<F: Future> Future for Within<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let deadline = self.deadline;
        deadline.scope(|| self.part.as_mut().poll(cx))
    }
}
