//! The server of the model as a service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use breaker_core::{Clock as _, Tick, TokioClock};
use portcullis_tests::sim::{Answer, Ask, Scenario, Server};
use tokio::time::{Sleep, sleep};
use tower::{BoxError, Service};

/// Why a call was not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failed {
    Overload,
    Broken,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failed {}

/// It is always ready, so that whom it is sent is for others to decide.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    pub(crate) clock: TokioClock,
    began: Tick,
    server: Arc<Mutex<Server>>,
}

impl Callee {
    /// A server whose time begins now.
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Self {
        let clock = TokioClock::new();
        let server = Arc::new(Mutex::new(Server::new(scenario, seed)));
        Self { clock, began: clock.now(), server }
    }

    /// The nanosecond of the run.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().since(self.began).as_nanos() as u64
    }

    /// That nanosecond of the run, for layers.
    pub(crate) fn tick(&self, nanos: u64) -> Tick {
        self.began.after(Duration::from_nanos(nanos))
    }

    /// What only the oracle can know: how long a call would wait, in seconds.
    pub(crate) fn wait(&self) -> f64 {
        self.server.lock().unwrap().wait(self.now())
    }

    /// Which request came when.
    pub(crate) fn attempts(&self) -> Vec<(u64, usize)> {
        self.server.lock().unwrap().attempts().to_vec()
    }
}

impl Service<Ask> for Callee {
    type Response = ();
    type Error = BoxError;
    type Future = Coming;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Coming {
        let now = self.now();
        let (at, answer) = self.server.lock().unwrap().arrive(now, ask.number);
        Coming { sleep: Box::pin(sleep(Duration::from_nanos(at - now))), answer }
    }
}

/// Comes when the work is done; dropped, the work is done all the same.
#[derive(Debug)]
pub(crate) struct Coming {
    sleep: Pin<Box<Sleep>>,
    answer: Answer,
}

impl Future for Coming {
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(match self.answer {
            Answer::Done => Ok(()),
            Answer::Broken => Err(Failed::Broken.into()),
            Answer::Overload => Err(Failed::Overload.into()),
        })
    }
}
