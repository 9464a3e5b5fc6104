//! What all targets of a layer share: [`Hub`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use breaker_core::{
    Chance, CircuitBreaker, Clock, Observe, Observers, Percent, ResourceGauge, ResourceProbe,
    RetryBudget, Tick,
};

use crate::config::BackoffConfig;
use crate::sync::{Mutex, lock};

/// Configuration, clock, probe and observers.
pub(crate) struct Hub {
    clock: Arc<dyn Clock>,
    company: Mutex<Company>,
}

struct Company {
    config: Arc<BackoffConfig>,
    observers: Observers,
    gauge: Option<Arc<ResourceGauge>>,
    /// The circuit that budgets watch, also those of targets that are made later.
    circuit: Option<CircuitBreaker>,
    /// From where targets have their chance.
    chance: Chance,
}

/// How often a probe is asked at most.
const PROBED: Duration = Duration::from_secs(1);

impl Hub {
    #[allow(clippy::large_types_passed_by_value, reason = "it goes on into an `Arc`")]
    pub(crate) fn new(config: BackoffConfig, clock: Arc<dyn Clock>, seed: u64) -> Arc<Self> {
        let (config, observers) = (Arc::new(config), Observers::default());
        let chance = Chance::seeded(seed);
        let company = Company { config, observers, gauge: None, circuit: None, chance };
        Arc::new(Self { clock, company: Mutex::new(company) })
    }

    /// The seed of another target.
    pub(crate) fn draw(&self) -> u64 {
        lock(&self.company).chance.draw()
    }

    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn config(&self) -> Arc<BackoffConfig> {
        lock(&self.company).config.clone()
    }

    #[allow(clippy::large_types_passed_by_value, reason = "it goes on into an `Arc`")]
    pub(crate) fn reconfigure(&self, config: BackoffConfig) {
        let config = Arc::new(config);
        let old = std::mem::replace(&mut lock(&self.company).config, config);
        drop(old);
    }

    pub(crate) fn observers(&self) -> Observers {
        lock(&self.company).observers.clone()
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observe>) {
        let old = {
            let mut company = lock(&self.company);
            let all = company.observers.and(observer);
            std::mem::replace(&mut company.observers, all)
        };
        drop(old);
    }

    pub(crate) fn probe(&self, probe: impl ResourceProbe + 'static) {
        let gauge = Some(Arc::new(ResourceGauge::new(probe, PROBED)));
        let old = std::mem::replace(&mut lock(&self.company).gauge, gauge);
        drop(old);
    }

    pub(crate) fn watch(&self, circuit: &CircuitBreaker) {
        let circuit = Some(circuit.keep());
        let old = std::mem::replace(&mut lock(&self.company).circuit, circuit);
        drop(old);
    }

    /// Has this budget watch the circuit, where there is one.
    pub(crate) fn watched_by(&self, budget: &RetryBudget) {
        let circuit = lock(&self.company).circuit.clone();
        if let Some(circuit) = circuit {
            budget.watch(&circuit);
        }
    }

    /// A budget of its own for a target.
    pub(crate) fn budget(&self) -> RetryBudget {
        let budget = RetryBudget::with_clock(self.config().budget, self.clock());
        self.watched_by(&budget);
        budget
    }

    /// How busy the machine is, where somebody knows.
    pub(crate) fn usage(&self, now: Tick) -> Option<Percent> {
        // The probe is the user's code: not under the lock.
        let gauge = lock(&self.company).gauge.clone();
        gauge.and_then(|gauge| gauge.usage(now).worst())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("config", &self.config()).finish_non_exhaustive()
    }
}
