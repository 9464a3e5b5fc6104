//! One limit of a case, those who wait for it, and what can be seen of it: [`Limit`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use breaker_core::{Clock as _, ManualClock, Rejected, Tick};
use portcullis::{Acquire, Grant, RateLimit};
use tokio::runtime::{Builder, Runtime};

use super::answer::{Answer, Seen};
use super::bucket::Bucket;
use super::verdict::Mismatch;

/// One limit under a clock of its own.
pub(super) struct Limit {
    clock: ManualClock,
    bucket: Bucket,
    /// Who asked last, where that is told apart.
    key: Option<String>,
    waiting: Vec<Reservation>,
    /// Who waits no more: since when, unless he was refused.
    settled: BTreeMap<String, Option<(Tick, Grant)>>,
    /// The latest moment that the limit has seen.
    latest: Tick,
    /// Whether those who wait move up, so that they are served before the moment they were told.
    upset: bool,
    step: Step,
    /// Nobody waits for its timers: it is there for those who sleep.
    runtime: Runtime,
}

/// Somebody who waits.
struct Reservation {
    id: Option<String>,
    /// The moment at which he was told that his turn comes.
    ready: Tick,
    cost: u32,
    acquire: Acquire,
}

/// What was answered in the present step.
#[derive(Default)]
struct Step {
    answers: Vec<Answer>,
    /// Whether a turn was asked for.
    reserved: bool,
    /// How long the last one waits for its turn, and until when; nothing if it was refused.
    told: Option<(Duration, Tick)>,
    queued: u32,
}

impl Limit {
    pub(super) fn new(config: RateLimit, keyed: bool) -> Result<Self, Mismatch> {
        let clock = ManualClock::new();
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| Mismatch::new("a runtime", error.to_string()))?;
        let bucket = Bucket::new(config, keyed, &clock);
        Ok(Self {
            clock,
            bucket,
            key: None,
            waiting: Vec::new(),
            settled: BTreeMap::new(),
            latest: Tick::ZERO,
            upset: false,
            step: Step::default(),
            runtime,
        })
    }

    /// Lets time pass until a step begins.
    pub(super) fn begin(&mut self, at: Tick) -> Result<(), Mismatch> {
        while let Some(next) = self.next_moment().filter(|next| *next < at) {
            self.look(next)?;
        }
        self.step = Step::default();
        self.look(at)
    }

    /// Lets time pass until nobody waits any more.
    pub(super) fn end(&mut self) -> Result<(), Mismatch> {
        let last = self.waiting.iter().map(|one| one.ready).max();
        last.map_or(Ok(()), |last| self.begin(last))?;
        match self.waiting.len() {
            0 => Ok(()),
            some => Err(Mismatch::new("nobody who waits for ever", some.to_string())),
        }
    }

    /// When something may become of somebody: at the moment that he was told, and not a nanosecond
    /// before; or, where those who wait move up, in each millisecond.
    fn next_moment(&self) -> Option<Tick> {
        let now = self.clock.now();
        if self.upset {
            return Some(Tick::from_millis(now.as_nanos() / 1_000_000 + 1));
        }
        let told = self.waiting.iter().map(|one| one.ready.as_nanos());
        let moments = told.flat_map(|ready| [ready.saturating_sub(1), ready]);
        moments.map(Tick::from_nanos).filter(|moment| *moment > now).min()
    }

    /// Sees at this moment what became of those who wait, in the order in which they came.
    fn look(&mut self, at: Tick) -> Result<(), Mismatch> {
        self.clock.set(at);
        self.latest = self.latest.max(at);
        let _sleeps = self.runtime.enter();
        for mut one in std::mem::take(&mut self.waiting) {
            let due = self.latest >= one.ready;
            match poll(&mut one.acquire) {
                Poll::Pending if due && !self.upset => return Err(one.told("nothing", at)),
                Poll::Pending => self.waiting.push(one),
                Poll::Ready(Ok(_)) if self.latest != one.ready && !self.upset => {
                    return Err(one.told("a turn", at));
                }
                Poll::Ready(Ok(grant)) => self.settle(one.id, Some((self.latest, grant))),
                Poll::Ready(Err(_)) if !self.upset => return Err(one.told("a refusal", at)),
                Poll::Ready(Err(_)) => self.settle(one.id, None),
            }
        }
        self.upset &= !self.waiting.is_empty();
        Ok(())
    }

    fn settle(&mut self, id: Option<String>, served: Option<(Tick, Grant)>) {
        if let Some(id) = id {
            self.settled.insert(id, served);
        }
    }

    // ===== what is done in a step =====

    pub(super) fn try_acquire(&mut self, key: Option<&str>, cost: u32) -> Result<(), Mismatch> {
        self.key = key.map(str::to_owned);
        let admitted = self.bucket.try_acquire(self.key.as_ref(), cost);
        self.step.answers.push(answer(admitted.map(drop)));
        Ok(())
    }

    /// Takes a turn. What is told of it is what a refusal says at the same moment.
    pub(super) fn reserve(
        &mut self,
        key: Option<&str>,
        id: Option<&str>,
        cost: u32,
    ) -> Result<(), Mismatch> {
        self.key = key.map(str::to_owned);
        let id = id.map(str::to_owned);
        if id.as_ref().is_some_and(|id| self.knows(id)) {
            return Err(Mismatch::new("an id of its own", format!("{id:?} again")));
        }
        let told = match self.bucket.try_acquire(self.key.as_ref(), cost) {
            Ok(grant) => {
                grant.give_back();
                Some(Duration::ZERO)
            }
            Err(rejected) => rejected.retry_after(),
        };
        let _sleeps = self.runtime.enter();
        let mut acquire = self.bucket.acquire(self.key.as_ref(), cost);
        let (answer, told) = match (poll(&mut acquire), told) {
            (Poll::Ready(Ok(grant)), Some(Duration::ZERO)) => {
                self.settle(id, Some((self.latest, grant)));
                (Answer::Admitted, Some((Duration::ZERO, self.latest)))
            }
            (Poll::Pending, Some(wait)) => {
                let ready = self.latest.after(wait);
                self.waiting.push(Reservation { id, ready, cost, acquire });
                self.step.queued += 1;
                (Answer::Admitted, Some((wait, ready)))
            }
            (Poll::Ready(Err(rejected)), told) if rejected.retry_after() == told => {
                self.settle(id, None);
                (Answer::Refused { retry_after: told }, None)
            }
            (decision, told) => {
                return Err(Mismatch::new(format!("a wait of {told:?}"), format!("{decision:?}")));
            }
        };
        (self.step.reserved, self.step.told) = (true, told);
        self.step.answers.push(answer);
        Ok(())
    }

    /// Gives a turn back: whoever waits for it leaves the line. Once the moment is past, the call
    /// has been made.
    pub(super) fn cancel(&mut self, id: &str) -> Result<(), Mismatch> {
        if let Some(place) = self.waiting.iter().position(|one| one.id.as_deref() == Some(id)) {
            drop(self.waiting.remove(place));
        } else {
            match self.settled.remove(id) {
                None => return Err(Mismatch::unknown("reservation", id)),
                Some(Some((served, grant))) if served == self.latest => grant.give_back(),
                Some(_) => return Ok(()),
            }
        }
        self.upset = true;
        self.look(self.clock.now())
    }

    pub(super) fn config(&self) -> RateLimit {
        self.bucket.config()
    }

    pub(super) fn reconfigure(&mut self, config: RateLimit) -> Result<(), Mismatch> {
        let old = self.config();
        if config == old {
            return Ok(());
        }
        self.bucket.reconfigure(config)?;
        // A longest wait is for those who come.
        self.upset |= config.max_wait(Duration::ZERO) != old.max_wait(Duration::ZERO);
        self.look(self.clock.now())
    }

    fn knows(&self, id: &str) -> bool {
        let waits = self.waiting.iter().any(|one| one.id.as_deref() == Some(id));
        waits || self.settled.contains_key(id)
    }

    // ===== what is seen after it =====

    pub(super) fn seen(&self, key: &str) -> Result<Seen, Mismatch> {
        let Step { answers, reserved, told, queued } = &self.step;
        let told = || match reserved {
            true => Ok(*told),
            false => Err(Mismatch::new("a reservation", "none")),
        };
        let wait = |told: Option<(Duration, _)>, unit: f64| {
            Seen::Number(Some(told.map_or(-1.0, |(wait, _)| wait.as_nanos() as f64 / unit)))
        };
        let quota = || self.bucket.quota(self.key.as_ref());
        Ok(match key {
            "permitted" => Seen::Answers(answers.clone()),
            "retry_after_ms" => match answers.last() {
                Some(Answer::Refused { retry_after }) => Seen::millis(*retry_after),
                Some(_) => Seen::Number(None),
                None => return Err(Mismatch::new("somebody who asked", "nobody")),
            },
            "wait_ms" => wait(told()?, 1e6),
            "wait_ns" => wait(told()?, 1.0),
            "ready_at_ms" => Seen::Moment(told()?.map(|(_, ready)| ready)),
            "queued" => Seen::count(*queued),
            "rejected" => {
                let refused = |answer: &&Answer| matches!(answer, Answer::Refused { .. });
                Seen::count(answers.iter().filter(refused).count() as u64)
            }
            "remaining" => Seen::count(quota().remaining()),
            "reset_after_ms" => Seen::millis(Some(quota().reset())),
            // What is owed to those who wait is less than nothing.
            "available" => {
                let owed: f64 = self.waiting.iter().map(|one| f64::from(one.cost)).sum();
                Seen::Number(Some(f64::from(quota().remaining()) - owed))
            }
            other => return Err(Mismatch::unknown("expectation", other)),
        })
    }
}

impl Reservation {
    fn told(&self, got: &str, at: Tick) -> Mismatch {
        let expected = format!("a turn at {} ns", self.ready.as_nanos());
        Mismatch::new(expected, format!("{got} at {} ns", at.as_nanos()))
    }
}

fn poll(acquire: &mut Acquire) -> Poll<Result<Grant, Rejected>> {
    Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop()))
}

fn answer(decision: Result<(), Rejected>) -> Answer {
    match decision {
        Ok(()) => Answer::Admitted,
        Err(rejected) => Answer::Refused { retry_after: rejected.retry_after() },
    }
}
