//! What all buckets of a limit share: [`Hub`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use breaker_core::{
    Clock, ConfigErrors, CountAs, Counted, Event, EventKind, Interest, MonotonicClock, Name,
    Observe, Observers, Outcome, Rejected, Tick,
};

use crate::config::RateLimit;
use crate::controller::RateController;
use crate::rate::Rate;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::terms::Terms;
use breaker_core::{ResourceGauge, ResourceProbe, Usage};

/// What all buckets of a limit share: the clock, the rate in force and what moves it, observers and
/// totals.
pub(crate) struct Hub {
    time: Time,
    rule: Mutex<Rule>,
    /// Grows with each change of the terms; a bucket with an older copy takes the new ones.
    version: AtomicU64,
    /// From when on the rate is to be looked at again; never, where nothing moves it.
    due: AtomicU64,
    /// Whether outcomes of calls move the rate.
    adjusts: AtomicBool,
    probe: Arc<dyn ResourceProbe>,
    observers: Mutex<Observers>,
    observed: AtomicBool,
    pub(crate) refused: AtomicU64,
    pub(crate) given_back: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) unmatched: AtomicU64,
    waiters: AtomicU32,
    max_waiters: AtomicU32,
}

/// What is in force.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) terms: Terms,
    pub(crate) config: Arc<RateLimit>,
    /// Grows with each reconfiguration: buckets of an older era have to be carried over.
    pub(crate) era: u32,
    pub(crate) version: u64,
}

/// The rate in force has moved.
struct RateMove {
    from: Rate,
    to: Rate,
    error_rate: f64,
}

struct Rule {
    now: InForce,
    controller: Option<RateController>,
    gauge: Option<Arc<ResourceGauge>>,
    usage: Usage,
    /// When the gauge is to be read again.
    reads: Tick,
}

impl Hub {
    pub(crate) fn new(config: RateLimit, clock: Time, probe: Arc<dyn ResourceProbe>) -> Self {
        let now = clock.now();
        let terms = Terms::new(config.rate, config.fastest(), config.burst, config.window, now);
        let hub = Self {
            time: clock,
            rule: Mutex::new(Rule {
                now: InForce { terms, config: Arc::new(config), era: 0, version: 0 },
                controller: config.adjust.map(|it| RateController::new(it, config.rate, now)),
                gauge: gauge(&config, &probe),
                usage: Usage::default(),
                reads: now,
            }),
            version: AtomicU64::new(0),
            due: AtomicU64::new(0),
            adjusts: AtomicBool::new(false),
            probe,
            observers: Mutex::default(),
            observed: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            given_back: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            unmatched: AtomicU64::new(0),
            waiters: AtomicU32::new(0),
            max_waiters: AtomicU32::new(config.max_waiters),
        };
        hub.agree(&lock(&hub.rule));
        hub
    }

    /// A new one, with the configuration, the clock, the probe and the observers of this one.
    pub(crate) fn again(&self) -> Self {
        let hub = Self::new(*self.in_force().config, self.time.clone(), self.probe.clone());
        lock(&hub.observers).clone_from(&lock(&self.observers));
        hub.observed.store(self.observed.load(Ordering::Relaxed), Ordering::Relaxed);
        hub
    }

    /// The present moment, which never steps back.
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        self.time.now()
    }

    /// Looks at what moves the rate, where that is due; `stir` has those woken whom a move concerns.
    #[inline]
    pub(crate) fn look(&self, now: Tick, stir: impl FnOnce()) {
        if now.as_nanos() >= self.due.load(Ordering::Relaxed) {
            let change = self.settle(now);
            self.moved(change.as_ref(), now, stir);
        }
    }

    /// Has those woken whom a move of the rate concerns, and tells of it.
    fn moved(&self, change: Option<&RateMove>, now: Tick, stir: impl FnOnce()) {
        let Some(&RateMove { from, to, error_rate }) = change else { return };
        if self.waiters() > 0 {
            stir();
        }
        let (from, to) = (from.as_per_second(), to.as_per_second());
        let kind = || EventKind::RateChanged { from, to, error_rate };
        self.tell(now, Interest::CHANGES, kind);
    }

    #[cold]
    #[inline(never)]
    fn settle(&self, now: Tick) -> Option<RateMove> {
        // The probe is the user's code: asked by one caller at a time, and under no lock.
        let gauge = lock(&self.rule).gauge.clone();
        let asked = gauge.as_ref().and_then(|gauge| gauge.ask(now));
        let mut rule = lock(&self.rule);
        if let Some(usage) = asked {
            rule.usage = usage;
            let interval = rule.now.config.throttle.map_or(Duration::ZERO, |it| it.interval);
            rule.reads = now.after(interval);
        }
        if let Some(controller) = &mut rule.controller {
            let _ = controller.settle(now);
        }
        self.put_in_force(&mut rule, now)
    }

    /// Puts the rate in force that follows from all that moves it; hands out what was in force before
    /// and what is now, where they differ.
    fn put_in_force(&self, rule: &mut Rule, now: Tick) -> Option<RateMove> {
        let (from, to) = (rule.now.terms.rate(), rule.rate());
        if from != to {
            rule.now.terms = rule.now.terms.at_rate(to, now);
            rule.now.version += 1;
        }
        self.agree(rule);
        let error_rate = rule.controller.as_ref().and_then(RateController::last_error_rate);
        (from != to).then_some(RateMove { from, to, error_rate: error_rate.unwrap_or(0.0) })
    }

    /// Makes what is read without the lock agree with the rule.
    fn agree(&self, rule: &Rule) {
        let controller = rule.controller.as_ref().and_then(RateController::due);
        let reads = rule.gauge.as_ref().map(|_| rule.reads);
        let due = controller.into_iter().chain(reads).min().unwrap_or(Tick::MAX);
        self.due.store(due.as_nanos(), Ordering::Relaxed);
        self.adjusts.store(rule.controller.is_some(), Ordering::Relaxed);
        // Before those who wait are counted: who joins later has seen it.
        self.version.store(rule.now.version, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn in_force(&self) -> InForce {
        lock(&self.rule).now.clone()
    }

    pub(crate) fn controller(&self) -> Option<RateController> {
        lock(&self.rule).controller.clone()
    }

    /// What is in use of the machine, where that counts.
    pub(crate) fn usage(&self) -> Usage {
        lock(&self.rule).usage
    }

    /// Whether outcomes of calls are wanted.
    #[inline]
    pub(crate) fn adjusts(&self) -> bool {
        self.adjusts.load(Ordering::Relaxed)
    }

    /// Takes in what a call said.
    pub(crate) fn record(&self, outcome: Outcome, stir: impl FnOnce()) {
        const COUNT_AS: CountAs = CountAs::new();
        let failed = match COUNT_AS.outcome(outcome) {
            Counted::Ignored => return,
            Counted::Failure => true,
            Counted::Success => false,
        };
        let now = self.now();
        let change = {
            let mut rule = lock(&self.rule);
            if let Some(controller) = &mut rule.controller {
                let _ = controller.record(now, failed);
            }
            self.put_in_force(&mut rule, now)
        };
        self.moved(change.as_ref(), now, stir);
    }

    /// Puts what `change` makes of the configuration in force, has those woken whom it concerns, and
    /// tells of it: in this order, so that an observer that panics keeps nobody asleep. What has been
    /// learnt of errors is kept, unless the rate or its adjustment is another.
    pub(crate) fn reconfigure(
        &self,
        change: impl FnOnce(RateLimit) -> RateLimit,
        stir: impl FnOnce(),
    ) -> Result<(), ConfigErrors> {
        let now = self.now();
        let version = {
            let mut rule = lock(&self.rule);
            let before = rule.now.config.clone();
            let config = change(*before);
            config.check()?;
            if (config.adjust, config.rate) != (before.adjust, before.rate) {
                rule.controller = config.adjust.map(|it| RateController::new(it, config.rate, now));
            }
            if config.throttle != before.throttle {
                rule.gauge = gauge(&config, &self.probe);
                rule.usage = Usage::default();
                rule.reads = now;
            }
            let RateLimit { rate, burst, window, .. } = config;
            rule.now = InForce {
                terms: Terms::new(rate, config.fastest(), burst, window, now),
                config: Arc::new(config),
                era: rule.now.era.wrapping_add(1),
                version: rule.now.version + 1,
            };
            self.max_waiters.store(config.max_waiters, Ordering::Relaxed);
            let _ = self.put_in_force(&mut rule, now);
            rule.now.version
        };
        stir();
        self.tell(now, Interest::CHANGES, || EventKind::Reconfigured { version });
        Ok(())
    }

    /// Takes a place among those who wait, if there is one.
    pub(crate) fn wait(&self) -> bool {
        let most = self.max_waiters.load(Ordering::Relaxed);
        let more = |waiters| (waiters < most).then_some(waiters + 1);
        self.waiters.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Gives the place back.
    pub(crate) fn wait_no_more(&self) {
        self.waiters.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn waiters(&self) -> u32 {
        self.waiters.load(Ordering::SeqCst)
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observe>) {
        let mut observers = lock(&self.observers);
        *observers = observers.and(observer);
        self.observed.store(true, Ordering::Relaxed);
    }

    /// Counts a refusal and tells of it.
    pub(crate) fn refuse(&self, rejected: Rejected, now: Tick) -> Rejected {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.tell(now, Interest::REFUSALS, || EventKind::Refused(rejected));
        rejected
    }

    /// Tells an event, if somebody wants to hear of it, under no lock. The panic of an observer goes
    /// on in the call that caused the event.
    fn tell(&self, at: Tick, kind: Interest, make: impl FnOnce() -> EventKind) {
        if !self.observed.load(Ordering::Relaxed) {
            return;
        }
        let observers = lock(&self.observers).clone();
        if !observers.interest().includes(kind) {
            return;
        }
        let (kind, name) = (make(), self.name());
        let event = Event { circuit: &name, partition: None, at, kind: &kind };
        if let Err(panic) = observers.tell(&event) {
            std::panic::resume_unwind(panic);
        }
    }

    pub(crate) fn name(&self) -> Name {
        lock(&self.rule).now.config.name
    }
}

impl Rule {
    /// The rate that follows from all that moves it.
    fn rate(&self) -> Rate {
        let config = &self.now.config;
        let rate = self.controller.as_ref().map_or(config.rate, RateController::rate);
        match config.throttle {
            Some(throttle) => throttle.effective_rate(rate, self.usage, lowest(config)),
            None => rate,
        }
    }
}

fn gauge(config: &RateLimit, probe: &Arc<dyn ResourceProbe>) -> Option<Arc<ResourceGauge>> {
    config.throttle.map(|throttle| Arc::new(ResourceGauge::new(probe.clone(), throttle.interval)))
}

/// How low a busy machine may press the rate.
fn lowest(config: &RateLimit) -> Rate {
    config.adjust.map_or_else(|| config.rate.times(1, 100), |it| it.bounds(config.rate).0)
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.in_force();
        f.debug_struct("Hub").field("config", &now.config).field("terms", &now.terms).finish()
    }
}

/// The clock of a limit: the machine's own is asked without a detour, and any other one is held to
/// the latest moment that it has shown.
#[derive(Clone)]
pub(crate) enum Time {
    Monotonic(MonotonicClock),
    Other { clock: Arc<dyn Clock>, latest: Arc<AtomicU64> },
}

impl Time {
    pub(crate) fn of(clock: impl Clock + 'static) -> Self {
        if (&clock as &dyn std::any::Any).is::<MonotonicClock>() {
            Self::Monotonic(MonotonicClock::new())
        } else {
            Self::Other { clock: Arc::new(clock), latest: Arc::new(AtomicU64::new(0)) }
        }
    }

    #[inline]
    fn now(&self) -> Tick {
        match self {
            Self::Monotonic(clock) => clock.now(),
            Self::Other { clock, latest } => {
                let now = clock.now().as_nanos();
                Tick::from_nanos(latest.fetch_max(now, Ordering::Relaxed).max(now))
            }
        }
    }
}
