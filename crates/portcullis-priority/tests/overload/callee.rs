//! A service with some workers, who take calls in the order in which they come.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use breaker_core::{Clock, Priority, Rejected, Tick, TokioClock};
use std::time::Duration;
use tokio::time::Sleep;
use tower::Service;

/// A call, as its caller sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) priority: Priority,
    pub(crate) user: u32,
    /// When it was sent, in milliseconds of the run.
    pub(crate) sent: u64,
    /// How long it takes, in milliseconds.
    pub(crate) work: u64,
    /// Whether it ends by an error of its own.
    pub(crate) fails: bool,
}

/// Why a call was not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failed {
    Refused,
    Broken,
}

impl From<Rejected> for Failed {
    fn from(_: Rejected) -> Self {
        Self::Refused
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failed {}

/// Some of the workers are away for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away {
    pub(crate) workers: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A call that was worked on, whether or not somebody still waited for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) ask: Ask,
    pub(crate) ended: u64,
}

/// Five workers, or fewer. What a worker has begun is ended, also where the caller has gone.
///
/// Since calls are taken in order, and it is known how long each takes, it is known at once when a
/// call ends.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    time: RunTime,
    state: Arc<Mutex<State>>,
    running: Arc<AtomicU32>,
}

#[derive(Debug)]
struct State {
    /// When each worker is free.
    free: Vec<u64>,
    away: Option<Away>,
    works: Vec<Work>,
    most_running: u32,
}

impl Callee {
    pub(crate) fn new(clock: TokioClock, workers: usize, away: Option<Away>) -> Self {
        let state = State { free: vec![0; workers], away, works: Vec::new(), most_running: 0 };
        Self {
            time: RunTime::of(clock),
            state: Arc::new(Mutex::new(state)),
            running: Arc::default(),
        }
    }

    /// The time of the run that it is part of.
    pub(crate) const fn time(&self) -> RunTime {
        self.time
    }

    /// All that was worked on.
    pub(crate) fn works(&self) -> Vec<Work> {
        self.state.lock().unwrap().works.clone()
    }

    /// The most calls that were here at a time.
    pub(crate) fn most_running(&self) -> u32 {
        self.state.lock().unwrap().most_running
    }
}

impl State {
    /// Puts a call on the worker who is free first; when it ends.
    fn take(&mut self, ask: Ask, now: u64) -> u64 {
        let away = self.away;
        let begins = |(worker, free): (usize, u64)| {
            let begin = free.max(now);
            match away {
                Some(away) if worker < away.workers && (away.from..away.to).contains(&begin) => {
                    away.to
                }
                _ => begin,
            }
        };
        let workers = self.free.iter().copied().enumerate();
        let first = workers.map(|worker| (begins(worker), worker.0)).min();
        let (begin, worker) = first.expect("somebody works");
        let ended = begin + ask.work;
        self.free[worker] = ended;
        self.works.push(Work { ask, ended });
        ended
    }
}

impl Service<Ask> for Callee {
    type Response = ();
    type Error = Failed;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Answer {
        let now = self.time.millis();
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        let mut state = self.state.lock().unwrap();
        state.most_running = state.most_running.max(running);
        let left = Duration::from_millis(state.take(ask, now) - now);
        let sleep = Box::pin(tokio::time::sleep(left));
        Answer { sleep, fails: ask.fails, running: self.running.clone() }
    }
}

/// The time since a run began: a clock of tokio's may have begun long before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunTime {
    clock: TokioClock,
    begun: Tick,
}

impl RunTime {
    fn of(clock: TokioClock) -> Self {
        Self { clock, begun: clock.now() }
    }

    /// The moment in milliseconds.
    pub(crate) fn millis(self) -> u64 {
        self.clock.now().since(self.begun).as_millis() as u64
    }
}

/// Comes when the work is done.
#[derive(Debug)]
pub(crate) struct Answer {
    sleep: Pin<Box<Sleep>>,
    fails: bool,
    running: Arc<AtomicU32>,
}

impl Future for Answer {
    type Output = Result<(), Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let fails = self.fails;
        let end = || if fails { Err(Failed::Broken) } else { Ok(()) };
        self.sleep.as_mut().poll(cx).map(|()| end())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}
