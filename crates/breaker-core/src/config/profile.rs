//! Ready-made configurations, named by use, and the closed list of strategies.

use std::time::Duration;

use super::{
    CircuitBreakerConfig, Cusum, Ramp, RampSpeed, Recovery, Trials, Trickle, Trip, Window,
};
use crate::percent::Percent;

/// The strategies that a configuration can name.
///
/// A strategy decides when to open, when to close, and which share of the traffic passes in
/// between. Your own is a [`Strategy`](crate::Strategy), given in code.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StrategyKind {
    /// Opens after 5 consecutive failures, closes after 3 good trials.
    #[default]
    Basic,
    /// Opens at 5 failures or 20 % within 20 calls, and recovers by a growing share.
    Gradual,
    /// Basic, and refuses while a dependency is down: see
    /// [`CircuitBreaker::set_dependency_gate`](crate::CircuitBreaker::set_dependency_gate).
    Dependency,
    /// Gradual, with steps that grow while all is well and shrink after errors, and with a
    /// [`Tuner`](crate::Tuner) that applies.
    Adaptive,
}

impl StrategyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Basic, Self::Gradual, Self::Dependency, Self::Adaptive];

    /// The name in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Gradual => "gradual",
            Self::Dependency => "dependency",
            Self::Adaptive => "adaptive",
        }
    }

    pub(crate) const fn trip(self) -> Trip {
        match self {
            Self::Basic | Self::Dependency => Trip::consecutive(5),
            Self::Gradual | Self::Adaptive => count_or_rate(5, 20, Window::last(20).min_calls(10)),
        }
    }

    pub(crate) const fn recovery(self) -> Recovery {
        match self {
            Self::Basic | Self::Dependency => Recovery::Trials(Trials::new(3)),
            Self::Gradual => Recovery::Ramp(Ramp::new()),
            Self::Adaptive => Recovery::Ramp(Ramp::new().speed(RampSpeed::Adaptive)),
        }
    }
}

const fn count_or_rate(failures: u32, percent: u8, window: Window) -> Trip {
    Trip::failure_count(failures, window).or(Trip::failure_rate(Percent::new(percent), window))
}

impl CircuitBreakerConfig {
    /// Opens at 5 failures or 50 % within the last 10 calls (at least 5); 2 trials.
    pub const fn windowed() -> Self {
        Self::new().trip(count_or_rate(5, 50, Window::last(10).min_calls(5))).permitted_calls(2)
    }

    /// Opens at 5 failures or 20 % within the last 20 calls (at least 10); recovers by a growing
    /// share of the traffic.
    pub const fn gradual() -> Self {
        Self::new().strategy(StrategyKind::Gradual)
    }

    /// Opens after 5 consecutive failures for 30 s; 3 trials within 5 s.
    pub const fn advanced() -> Self {
        Self::new()
            .open_for(Duration::from_secs(30))
            .recovery(Recovery::Trials(Trials::new(3).max_stay(Duration::from_secs(5))))
    }

    /// Opens when nearly everything fails, at any rate of traffic ([`Cusum::hard`]: after 8 failures
    /// in a row, and seldom while three calls in ten fail). While open, one call in ten or so passes
    /// as a probe; the first good one leads to a slow start, which closes at 16 calls in flight.
    pub const fn adaptive() -> Self {
        let recovery = Trickle::new().then_ramp(Ramp::slow_start(16));
        Self::new().trip(Trip::cusum(Cusum::hard())).recovery(Recovery::Trickle(recovery))
    }

    /// For calls to an HTTP service: half of the calls of the last 30 s (at least 20) failed, or
    /// 80 % were slower than 5 s; opens for 2.5 s to 5 s, longer each time, then 5 trials judged
    /// by rate.
    pub const fn http_client() -> Self {
        const WINDOW: Window = Window::over(Duration::from_secs(30)).min_calls(20);
        Self::new()
            .named("http-client")
            .trip(
                Trip::failure_rate(Percent::new(50), WINDOW)
                    .or(Trip::slow_rate(Percent::new(80), WINDOW)),
            )
            .slow_call_duration(Duration::from_secs(5))
            .open_for(Duration::from_secs(5))
            .recovery(Recovery::Trials(Trials::new(5).by_rate(Percent::new(50))))
    }

    /// For calls to a gRPC service: as [`http_client`](Self::http_client), with calls of 2 s
    /// counted as slow.
    pub const fn grpc_client() -> Self {
        Self::http_client().named("grpc-client").slow_call_duration(Duration::from_secs(2))
    }

    /// For a database or a pool: 5 failures in a row or half of the last 20 calls; opens for 1 s
    /// to 2 s, longer each time, then 2 trials.
    pub const fn database() -> Self {
        Self::new()
            .named("database")
            .trip(
                Trip::consecutive(5)
                    .or(Trip::failure_rate(Percent::new(50), Window::last(20).min_calls(10))),
            )
            .slow_call_duration(Duration::from_secs(2))
            .open_for(Duration::from_secs(2))
            .permitted_calls(2)
    }

    /// For somebody else's service: as [`http_client`](Self::http_client), but patient: calls of
    /// 15 s count as slow, and it opens for 15 s to 30 s, longer each time.
    pub const fn third_party_api() -> Self {
        Self::http_client()
            .named("third-party-api")
            .slow_call_duration(Duration::from_secs(15))
            .open_for(Duration::from_secs(30))
    }
}
