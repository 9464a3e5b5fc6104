//! A service that does as it is told, and writes down what is asked of it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use breaker_core::{
    About, Classify, Clock, FailureKind, Outcome, Percent, Replay, Tick, TokioClock,
};
use portcullis_timeout::{Hedge, HedgeConfig, HedgeLayer, HedgeService};
use tower_layer::Layer;
use tower_service::Service;

/// Always after half a second, for every second call.
pub(crate) const FIXED: HedgeConfig = HedgeConfig::new()
    .min_delay(Duration::from_millis(500))
    .max_delay(Duration::from_millis(500))
    .initial(Duration::from_millis(500))
    .max_share(Percent::new(50));

/// How an attempt ends, after so many milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Answer(u64),
    Fail(u64, &'static str),
    Panic(u64),
    PanicInCall,
}

/// How the service answers when it is asked whether it is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    Pending,
    Fails,
    Panics,
}

/// What went wrong: `wrong` is the request's fault, `refused` is a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fault(pub(crate) &'static str);

/// Judges [`Fault`]s.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge;

impl<T> Classify<T, Fault> for Judge {
    fn classify(&self, result: Result<&T, &Fault>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(Fault("wrong")) => Outcome::Failure(FailureKind::InvalidRequest),
            Err(Fault("refused")) => Outcome::Ignored,
            Err(Fault("overload")) => Outcome::Failure(FailureKind::ResourceExhausted),
            Err(_) => Outcome::Failure(FailureKind::Unknown),
        }
    }

    fn is_refusal(&self, result: Result<&T, &Fault>) -> bool {
        result.is_err_and(|fault| fault.0 == "refused")
    }
}

/// Sends a number again as one that is a hundred higher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again(pub(crate) About);

impl Replay<u32> for Again {
    type Kept = u32;

    fn keep(&self, request: &mut u32) -> Option<u32> {
        Some(*request)
    }

    fn again(&self, kept: &u32, attempt: u32) -> Option<u32> {
        Some(kept + 100 * (attempt - 1))
    }

    fn about(&self, _: &u32) -> About {
        self.0
    }
}

/// Does what it is told, one after the other; then answers after a millisecond.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    play: Arc<Play>,
}

struct Play {
    began: Tick,
    acts: Mutex<VecDeque<Act>>,
    ready: Mutex<Option<Ready>>,
    log: Mutex<Vec<String>>,
}

impl Default for Play {
    fn default() -> Self {
        let (acts, ready, log) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { began: TokioClock::new().now(), acts, ready, log }
    }
}

impl Play {
    fn write(&self, what: impl fmt::Display) {
        let at = TokioClock::new().now().since(self.began).as_millis();
        self.log.lock().unwrap().push(format!("{at} {what}"));
    }
}

impl Scripted {
    pub(crate) fn acts(&self, acts: impl IntoIterator<Item = Act>) {
        self.play.acts.lock().unwrap().extend(acts);
    }

    pub(crate) fn ready(&self, ready: Ready) {
        *self.play.ready.lock().unwrap() = Some(ready);
    }

    /// What happened since this was last asked.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.play.log.lock().unwrap())
    }
}

/// Says when it is dropped before its end.
struct Attempt {
    play: Arc<Play>,
    number: u32,
    ended: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            self.play.write(format_args!("{} dropped", self.number));
        }
    }
}

impl Service<u32> for Scripted {
    type Response = u32;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match self.play.ready.lock().unwrap().take() {
            None => Poll::Ready(Ok(())),
            Some(Ready::Pending) => Poll::Pending,
            Some(Ready::Fails) => Poll::Ready(Err(Fault("broken"))),
            Some(Ready::Panics) => panic!("on purpose"),
        }
    }

    fn call(&mut self, number: u32) -> Self::Future {
        let act = self.play.acts.lock().unwrap().pop_front().unwrap_or(Act::Answer(1));
        self.play.write(format_args!("{number} sent"));
        assert!(!matches!(act, Act::PanicInCall), "on purpose");
        let attempt = Attempt { play: self.play.clone(), number, ended: false };
        Box::pin(async move {
            // As a whole: a field of it alone would be copied.
            let mut attempt = attempt;
            let (Act::Answer(after) | Act::Fail(after, _) | Act::Panic(after)) = act else {
                unreachable!("it has panicked")
            };
            if after > 0 {
                tokio::time::sleep(Duration::from_millis(after)).await;
            }
            attempt.ended = true;
            match act {
                Act::Fail(_, fault) => Err(Fault(fault)),
                Act::Panic(_) => panic!("on purpose"),
                _ => Ok(number),
            }
        })
    }
}

pub(crate) type Hedged = HedgeService<Scripted, Judge, Again>;

/// A scripted service behind a layer with this configuration, which has earned a hedge.
pub(crate) async fn hedged(config: HedgeConfig, about: About) -> (Hedged, Scripted, Hedge) {
    let layer = HedgeLayer::with_clock(config, TokioClock::new()).classify(Judge);
    let layer = layer.replay(Again(about));
    let mut service = layer.layer(Scripted::default());
    assert_eq!(service.call(0).await, Ok(0));
    // Times are those since here.
    let script = Scripted::default();
    *service.get_mut() = script.clone();
    (service, script, layer.handle())
}
