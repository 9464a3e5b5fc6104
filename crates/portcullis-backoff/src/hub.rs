//! What all targets of a layer share: [`Hub`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use breaker_core::{Clock, Observe, Observers, Percent, ResourceGauge, ResourceProbe, Tick};

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
}

/// How often a probe is asked at most.
const PROBED: Duration = Duration::from_secs(1);

impl Hub {
    pub(crate) fn new(config: BackoffConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (config, observers) = (Arc::new(config), Observers::default());
        let company = Company { config, observers, gauge: None };
        Arc::new(Self { clock, company: Mutex::new(company) })
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
