//! S-CORE-16: every default is the figure that is documented.

mod common;

use std::ops::RangeInclusive;
use std::time::Duration;

use breaker_core::{
    Chance, CircuitBreakerConfig, CircuitBreakers, CountAs, Counted, Cusum, FailureKind, Jitter,
    OnDrop, OnRelapse, OnStayElapsed, Pace, Percent, Ramp, RampSpeed, Recovery, Snapshot, Strategy,
    StrategyKind, Trials, Trickle, Trip, Tuner, Window,
};
use common::{CORE, circuit, half_open, millis, secs};

/// S-CORE-01, S-CORE-03, S-CORE-05: the core profile, each setter with its default.
#[test]
fn each_setter_of_a_configuration_has_its_documented_default() {
    let spelled_out = CircuitBreakerConfig::new()
        .named("circuit")
        .strategy(StrategyKind::Basic)
        .trip(Trip::consecutive(5))
        .slow_call_duration(secs(10))
        .open_period(Pace::exponential(secs(60)).factor(2.0).cap(secs(300)).jitter(Jitter::Equal))
        .recovery(Recovery::Trials(
            Trials::new(3).successes(3).max_stay(secs(60)).on_stay_elapsed(OnStayElapsed::Reopen),
        ))
        .on_drop(OnDrop::SlowIsFailure)
        .enforce(Percent::new(100))
        .open_refusal_share(Percent::new(100))
        .totals(false)
        .tuner(Tuner::Off)
        .outage_history(16);
    assert_eq!(CircuitBreakerConfig::new(), spelled_out);
    assert_eq!(CircuitBreakerConfig::default(), spelled_out);
    assert_eq!(spelled_out.open_for(secs(60)), spelled_out);
    assert_eq!(spelled_out.permitted_calls(3), spelled_out);
    assert_eq!(Tuner::default(), Tuner::Off);
    let defaults = (OnDrop::default(), OnStayElapsed::default(), StrategyKind::default());
    assert_eq!(defaults, (OnDrop::SlowIsFailure, OnStayElapsed::Reopen, StrategyKind::Basic));
}

/// S-STRAT-03, S-STRAT-08: the ramp.
#[test]
fn each_setter_of_a_ramp_has_its_documented_default() {
    let spelled_out = Ramp::new()
        .base_share(Percent::new(10))
        .share_step(Percent::new(10))
        .recovery_error_rate(Percent::new(10))
        .successes(3)
        .min_step_time(secs(0))
        .on_relapse(OnRelapse::StepBack)
        .speed(RampSpeed::Fixed)
        .max_stay(secs(60))
        .on_stay_elapsed(OnStayElapsed::Reopen);
    assert_eq!((Ramp::new(), Ramp::default()), (spelled_out, spelled_out));
    assert_eq!(Ramp::linear(secs(9)), Ramp::aggressive(secs(9), 1.0).base_share(Percent::new(10)));
    assert_eq!(Ramp::linear(secs(9)), Ramp::linear(secs(9)).successes(3));
    assert_eq!(Ramp::exponential(secs(9)), Ramp::exponential(secs(9)).successes(3));
    let steps = Ramp::steps(&[Percent::new(50), Percent::FULL]);
    assert_eq!(steps, steps.successes(20));
    assert_eq!(
        (OnRelapse::default(), RampSpeed::default()),
        (OnRelapse::StepBack, RampSpeed::Fixed)
    );
}

/// The hypotheses of a cumulative sum, as they are documented.
#[test]
fn each_preset_of_a_cusum_has_its_documented_figures() {
    let between = |healthy, failing| {
        Cusum::between(Percent::new(healthy), Percent::new(failing)).threshold(7.0)
    };
    assert_eq!(Cusum::hard(), between(35, 95));
    assert_eq!(Cusum::classic(), between(10, 50));
    assert_eq!(Cusum::early_warning(), between(2, 20));
}

/// S-STRAT-03: the probes.
#[test]
fn each_setter_of_a_trickle_has_its_documented_default() {
    let spelled_out = Trickle::new().probe_share(Percent::new(10)).intervals(millis(200), secs(5));
    assert_eq!((Trickle::new(), Trickle::default()), (spelled_out, spelled_out));
}

/// S-WIN-01, S-WIN-02: rates are judged from 5 calls on, or from as many as there are; a time
/// window has ten buckets.
#[test]
fn windows_have_their_documented_defaults() {
    for (calls, min_calls) in [(1, 1), (4, 4), (5, 5), (10, 5), (65_536, 5)] {
        assert_eq!(Window::last(calls), Window::last(calls).min_calls(min_calls));
    }
    assert_eq!(Window::over(secs(30)), Window::in_buckets(secs(30), 10).min_calls(5));
}

/// S-WIN-05, S-WIN-06: growth and cap of each pace.
#[test]
fn paces_grow_and_stop_as_documented() {
    let waits =
        |pace: Pace| (1..=7).map(|number| pace.longest(number).as_secs()).collect::<Vec<_>>();
    assert_eq!(waits(Pace::exponential(secs(60))), [60, 120, 240, 300, 300, 300, 300]);
    assert_eq!(waits(Pace::exponential(secs(400))), [400; 7]);
    assert_eq!(waits(Pace::linear(secs(60), secs(100))), [60, 160, 260, 300, 300, 300, 300]);
    assert_eq!(waits(Pace::fibonacci(secs(60))), [60, 60, 120, 180, 300, 300, 300]);
    assert_eq!(waits(Pace::fixed(secs(60))), [60; 7]);
    assert_eq!(waits(Pace::fixed(secs(400))), [400; 7]);
    assert_eq!(waits(Pace::schedule(&[secs(7), secs(400), secs(3)])), [7, 400, 3, 3, 3, 3, 3]);
    let limits = (Pace::MIN_WAIT, Pace::MAX_WAIT, Pace::MAX_ENTRIES);
    assert_eq!(limits, (millis(1), secs(86_400), 64));
}

/// S-WIN-05: half the wait to the wait, and none for fixed waits and schedules.
#[test]
fn paces_are_spread_as_documented() {
    let drawn = |pace: Pace| -> RangeInclusive<Duration> {
        let mut chance = Chance::seeded(3);
        let waits: Vec<_> = (0..1_000).map(|_| pace.wait(1, &mut chance)).collect();
        *waits.iter().min().unwrap()..=*waits.iter().max().unwrap()
    };
    let spread =
        [Pace::exponential(secs(60)), Pace::linear(secs(60), secs(1)), Pace::fibonacci(secs(60))];
    for pace in spread {
        let (low, high) = drawn(pace).into_inner();
        assert!(low >= secs(30) && low < secs(31) && high <= secs(60) && high > secs(59));
    }
    for pace in [Pace::fixed(secs(60)), Pace::schedule(&[secs(60)])] {
        assert_eq!(drawn(pace), secs(60)..=secs(60));
    }
}

/// S-CORE-08: how each kind counts.
#[test]
fn each_kind_counts_as_documented() {
    use FailureKind::{
        Connection, Internal, InvalidRequest, Overload, Panic, RateLimited, ResourceExhausted,
        Timeout, Unknown,
    };
    let overload = Overload { retry_after: None };
    for kind in [Timeout, Connection, overload, ResourceExhausted, Internal, Unknown, Panic] {
        assert_eq!(CountAs::new().of(kind), Counted::Failure, "{kind:?}");
    }
    assert_eq!(CountAs::new().of(InvalidRequest), Counted::Success);
    assert_eq!(CountAs::new().of(RateLimited), Counted::Ignored);
    let (breaker, _) = circuit(CORE);
    breaker.call(|| Err::<(), _>("untyped")).unwrap_err();
    assert_eq!(breaker.snapshot().consecutive_failures, Some(1));
}

/// S-CORE-13: ten thousand keys have circuits of their own.
#[test]
fn a_map_holds_ten_thousand_circuits() {
    let keys = CircuitBreakers::new(CORE);
    assert_eq!(CircuitBreakers::<u32>::DEFAULT_CAPACITY, 10_000);
    (0..15_000_u32).for_each(|key| drop(keys.get(&key)));
    assert_eq!(keys.len(), 10_000);
}

/// S-STRAT-01: a strategy that says no more than it must is called custom and admits a tenth.
#[test]
fn a_strategy_of_the_users_admits_a_tenth() {
    struct Terse;
    impl Strategy for Terse {
        fn open(&self, _: &Snapshot) -> bool {
            false
        }
        fn close(&self, _: &Snapshot) -> bool {
            false
        }
    }
    let (breaker, _) = half_open(CORE);
    breaker.set_custom_strategy(Terse);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.strategy, snapshot.share), (Some("custom"), Some(Percent::new(10))));
}

#[cfg(feature = "serde")]
mod written {
    use breaker_core::{CircuitBreakerConfig, StrategyKind, Value};

    fn read(text: &str) -> CircuitBreakerConfig {
        let value: Value = toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        CircuitBreakerConfig::from_value(&value).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// What has to be written for a field to have a meaning; the field; its default; another value.
    const FIELDS: &[(&str, &str, &str, &str)] = &[
        ("", "name", "'circuit'", "'x'"),
        ("", "strategy", "'basic'", "'gradual'"),
        ("", "consecutive_failures", "5", "6"),
        ("", "failure_count", "'off'", "5"),
        ("", "failure_rate", "'off'", "0.5"),
        ("", "slow_call_rate", "'off'", "0.5"),
        ("", "success_average", "'off'", "0.5"),
        ("failure_rate = 0.5", "window", "10", "11"),
        ("failure_rate = 0.5", "min_calls", "5", "6"),
        ("failure_rate = 0.5\nwindow = '30s'", "buckets", "10", "15"),
        ("failure_rate = 0.5\nwindow = '30s'", "min_calls", "5", "6"),
        ("success_average = 0.5", "success_average_calls", "100", "99"),
        ("", "cusum", "'off'", "'hard'"),
        ("cusum = 'hard'", "cusum_healthy_rate", "0.35", "0.3"),
        ("cusum = 'hard'", "cusum_failing_rate", "0.95", "0.9"),
        ("cusum = 'hard'", "cusum_threshold", "7.0", "6.5"),
        ("cusum = 'classic'", "cusum_healthy_rate", "0.1", "0.2"),
        ("cusum = 'classic'", "cusum_failing_rate", "0.5", "0.6"),
        ("cusum = 'early_warning'", "cusum_healthy_rate", "0.02", "0.03"),
        ("cusum = 'early_warning'", "cusum_failing_rate", "0.2", "0.3"),
        ("", "slow_call_duration", "'10s'", "'9s'"),
        ("", "open_period", "'60s'", "'59s'"),
        ("", "open_period_factor", "2.0", "1.5"),
        ("", "open_period_cap", "'300s'", "'299s'"),
        ("", "jitter", "'equal'", "'full'"),
        ("schedule = ['1s']", "jitter", "'none'", "'equal'"),
        ("", "permitted_calls", "3", "4"),
        ("", "success_threshold", "3", "2"),
        ("permitted_calls = 7", "success_threshold", "7", "6"),
        ("", "verdict", "'all_succeed'", "'rate'"),
        ("verdict = 'rate'", "trial_failure_rate", "0.5", "0.4"),
        ("verdict = 'rate'", "trial_slow_rate", "'off'", "0.5"),
        ("verdict = 'rate'\nfailure_rate = 0.3", "trial_failure_rate", "0.3", "0.5"),
        ("verdict = 'rate'\nslow_call_rate = 0.7", "trial_slow_rate", "0.7", "'off'"),
        ("", "max_half_open_stay", "'60s'", "'59s'"),
        ("", "on_stay_elapsed", "'reopen'", "'close'"),
        ("", "on_drop", "'slow_is_failure'", "'neutral'"),
        ("", "enforce", "1.0", "0.9"),
        ("", "open_refusal_share", "1.0", "0.9"),
        ("", "totals", "false", "true"),
        ("", "outage_history", "16", "17"),
        ("failure_rate = 0.5", "tuner", "'off'", "'suggest'"),
        ("strategy = 'adaptive'", "tuner", "'apply'", "'off'"),
        ("strategy = 'gradual'", "consecutive_failures", "'off'", "5"),
        ("strategy = 'gradual'", "failure_count", "5", "6"),
        ("strategy = 'gradual'", "failure_rate", "0.2", "0.3"),
        ("strategy = 'gradual'", "window", "20", "21"),
        ("strategy = 'gradual'", "min_calls", "10", "9"),
        ("strategy = 'gradual'", "base_share", "0.1", "0.2"),
        ("strategy = 'gradual'", "share_step", "0.1", "0.2"),
        ("strategy = 'gradual'", "recovery_error_rate", "0.1", "0.2"),
        ("strategy = 'gradual'", "success_threshold", "3", "4"),
        ("strategy = 'gradual'", "min_step_time", "'0s'", "'1s'"),
        ("strategy = 'gradual'", "on_relapse", "'step_back'", "'reopen'"),
        ("strategy = 'gradual'", "ramp_speed", "'fixed'", "'adaptive'"),
        ("strategy = 'gradual'", "max_half_open_stay", "'60s'", "'59s'"),
        ("strategy = 'gradual'", "on_stay_elapsed", "'reopen'", "'close'"),
        ("strategy = 'adaptive'", "ramp_speed", "'adaptive'", "'fixed'"),
        ("", "recovery", "'trials'", "'ramp'"),
        ("strategy = 'gradual'", "recovery", "'ramp'", "'trials'"),
        ("strategy = 'gradual'", "ramp_form", "'windows'", "'linear'\nramp_time = '9s'"),
        ("recovery = 'ramp'", "base_share", "0.1", "0.2"),
        ("recovery = 'ramp'\nramp_form = 'linear'\nramp_time = '9s'", "ramp_aggression", "1", "2"),
        ("recovery = 'ramp'\nramp_form = 'linear'\nramp_time = '9s'", "base_share", "0.1", "0.2"),
        (
            "recovery = 'ramp'\nramp_form = 'exponential'\nramp_time = '9s'",
            "success_threshold",
            "3",
            "4",
        ),
        (
            "recovery = 'ramp'\nramp_form = 'steps'\nramp_steps = [1]",
            "success_threshold",
            "20",
            "3",
        ),
        (
            "strategy = 'adaptive'\nramp_form = 'steps'\nramp_steps = [1]",
            "ramp_speed",
            "'adaptive'",
            "'fixed'",
        ),
        ("recovery = 'trickle'", "probe_share", "0.1", "0.2"),
        ("recovery = 'trickle'", "probe_interval_min", "'200ms'", "'201ms'"),
        ("recovery = 'trickle'", "probe_interval_max", "'5s'", "'6s'"),
        ("recovery = 'trickle'", "jitter", "'equal'", "'none'"),
        ("recovery = 'trickle'", "open_period_cap", "'300s'", "'299s'"),
        ("recovery = 'trickle'\nramp_form = 'windows'", "max_half_open_stay", "'60s'", "'59s'"),
        ("strategy = 'dependency'", "consecutive_failures", "5", "6"),
    ];

    /// S-CORE-16: to write a default down changes nothing, and to write another value does.
    #[test]
    fn each_field_has_its_documented_default() {
        for (context, field, default, other) in FIELDS {
            let with = |value: &str| read(&format!("{context}\n{field} = {value}"));
            assert_eq!(with(default), read(context), "{field} after {context:?}");
            assert_ne!(with(other), read(context), "{field} after {context:?}");
        }
        for kind in StrategyKind::ALL {
            let code = CircuitBreakerConfig::new().strategy(kind);
            assert_eq!(read(&format!("strategy = '{}'", kind.as_str())), code);
        }
    }

    /// What all profiles have in common.
    const COMMON: &str = "open_period_factor = 2.0\nopen_period_cap = '300s'\njitter = 'equal'\n\
                          on_stay_elapsed = 'reopen'\non_drop = 'slow_is_failure'\n\
                          enforce = 1.0\nopen_refusal_share = 1.0\ntotals = false\n";

    /// The profiles, and the figures of their documentation.
    const PROFILES: [(CircuitBreakerConfig, &str); 8] = [
        (
            CircuitBreakerConfig::new(),
            "consecutive_failures = 5\nopen_period = '60s'\n\
         permitted_calls = 3\nmax_half_open_stay = '60s'\nslow_call_duration = '10s'",
        ),
        (
            CircuitBreakerConfig::windowed(),
            "consecutive_failures = 'off'\nfailure_count = 5\n\
         failure_rate = 0.5\nwindow = 10\nmin_calls = 5\nopen_period = '60s'\n\
         permitted_calls = 2\nmax_half_open_stay = '60s'\nslow_call_duration = '10s'",
        ),
        (
            CircuitBreakerConfig::gradual(),
            "strategy = 'gradual'\nfailure_count = 5\n\
         failure_rate = 0.2\nwindow = 20\nmin_calls = 10\nopen_period = '60s'\n\
         base_share = 0.1\nshare_step = 0.1\nsuccess_threshold = 3\nmax_half_open_stay = '60s'",
        ),
        (
            CircuitBreakerConfig::advanced(),
            "consecutive_failures = 5\nopen_period = '30s'\n\
         permitted_calls = 3\nmax_half_open_stay = '5s'\nslow_call_duration = '10s'",
        ),
        (
            CircuitBreakerConfig::http_client(),
            "name = 'http-client'\n\
         consecutive_failures = 'off'\nfailure_rate = 0.5\nslow_call_rate = 0.8\n\
         window = '30s'\nmin_calls = 20\nslow_call_duration = '5s'\nopen_period = '5s'\n\
         permitted_calls = 5\nverdict = 'rate'\ntrial_failure_rate = 0.5\ntrial_slow_rate = 'off'",
        ),
        (
            CircuitBreakerConfig::grpc_client(),
            "name = 'grpc-client'\n\
         consecutive_failures = 'off'\nfailure_rate = 0.5\nslow_call_rate = 0.8\n\
         window = '30s'\nmin_calls = 20\nslow_call_duration = '2s'\nopen_period = '5s'\n\
         permitted_calls = 5\nverdict = 'rate'\ntrial_failure_rate = 0.5\ntrial_slow_rate = 'off'",
        ),
        (
            CircuitBreakerConfig::database(),
            "name = 'database'\nconsecutive_failures = 5\n\
         failure_rate = 0.5\nwindow = 20\nmin_calls = 10\nslow_call_duration = '2s'\n\
         open_period = '2s'\npermitted_calls = 2",
        ),
        (
            CircuitBreakerConfig::third_party_api(),
            "name = 'third-party-api'\n\
         consecutive_failures = 'off'\nfailure_rate = 0.5\nslow_call_rate = 0.8\n\
         window = '30s'\nmin_calls = 20\nslow_call_duration = '15s'\nopen_period = '30s'\n\
         permitted_calls = 5\nverdict = 'rate'\ntrial_failure_rate = 0.5\ntrial_slow_rate = 'off'",
        ),
    ];

    /// S-WIN-01, S-STRAT-03: each profile, spelled out.
    #[test]
    fn each_profile_has_its_documented_figures() {
        for (profile, text) in PROFILES {
            assert_eq!(read(&format!("{COMMON}{text}")), profile, "{text}");
        }
    }
}
