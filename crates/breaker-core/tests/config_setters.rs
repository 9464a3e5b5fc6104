//! S-CORE-16: configurations in code: setters that refuse, and profiles that are what they say.

mod common;

use std::panic::catch_unwind;
use std::time::Duration;

use breaker_core::{
    CircuitBreakerConfig, CountAs, Counted, Cusum, FailureKind, Jitter, Name, OnDrop, OnRelapse,
    OnStayElapsed, Pace, Percent, Ramp, RampSpeed, Recovery, StrategyKind, Trials, Trickle, Trip,
    Window,
};
use common::{CORE, millis, secs};

const ZERO: Percent = Percent::ZERO;
const HALF: Percent = Percent::new(50);

/// What a setter says when it panics.
fn words(setter: fn()) -> String {
    let Err(panic) = catch_unwind(setter) else { return "it did not panic".to_owned() };
    match panic.downcast::<&str>() {
        Ok(text) => (*text).to_owned(),
        Err(panic) => panic.downcast::<String>().map_or_else(|_| String::new(), |text| *text),
    }
}

type Setter = (fn(), &'static str);

/// S-CORE-16 (R19), threat T12: a wrong value panics where it is written, in words that name the
/// field and what is allowed; in a constant it does not compile.
#[test]
fn threat_t12_setters_name_the_field_and_what_is_allowed() {
    let consecutive = "consecutive_failures lies in 1..=1000000";
    let size = "a count window holds 1..=65536 calls";
    let length = "a time window is 100 ms..=1 h long";
    let permitted = "permitted_calls lies in 1..=10000";
    let step = "min_step_time is below max_half_open_stay";
    let steps = "the 1..=8 shares of a ramp rise from above 0 %";
    let interval = "an interval between probes lies in 1 ms..=1 hour";
    let wait = "the first wait of a pace lies in 1 ms..=1 day";
    let outages = "outage_history lies in 3..=256";
    let entries = "a schedule has 1..=64 entries";
    let factor = "the factor of a pace lies in 1.0..=10.0";
    let rates = "cusum rates lie between 0 % and 100 %, both excluded";
    let h = "the threshold of a cusum lies in 0.1..=100";
    let table: &[Setter] = &[
        (|| drop(Trip::consecutive(0)), consecutive),
        (|| drop(CORE.outage_history(2)), outages),
        (|| drop(CORE.outage_history(257)), outages),
        (|| drop(Trip::consecutive(1_000_001)), consecutive),
        (|| drop(Trip::failure_count(0, Window::last(9))), "failure_count is at least 1"),
        (
            || drop(Trip::failure_count(11, Window::last(10))),
            "failure_count is not above the window's size",
        ),
        (|| drop(Trip::failure_rate(ZERO, Window::last(9))), "failure_rate is above zero"),
        (|| drop(Trip::slow_rate(ZERO, Window::last(9))), "slow_call_rate is above zero"),
        (|| drop(Trip::success_average(ZERO, 5)), "success_average is above zero"),
        (|| drop(Trip::success_average(HALF, 0)), "success_average_calls lies in 1..=1000000"),
        (|| drop(Trip::any(&[])), "a trip has at least one condition"),
        (|| drop(Trip::any(&[Trip::consecutive(1); 5])), "a trip has at most four conditions"),
        (|| drop(Window::last(0)), size),
        (|| drop(Window::last(65_537)), size),
        (|| drop(Window::over(millis(99))), length),
        (|| drop(Window::over(secs(3_601))), length),
        (|| drop(Window::in_buckets(secs(1), 0)), "a time window has 1..=120 buckets"),
        (|| drop(Window::in_buckets(secs(1), 121)), "a time window has 1..=120 buckets"),
        (
            || drop(Window::in_buckets(secs(1), 7)),
            "a bucket of a time window is a whole number of milliseconds long",
        ),
        (|| drop(Window::last(10).min_calls(0)), "min_calls is at least 1"),
        (
            || drop(Window::last(10).min_calls(11)),
            "min_calls is not above the window's size: it could never trip",
        ),
        (|| drop(Cusum::between(ZERO, HALF)), rates),
        (|| drop(Cusum::between(HALF, Percent::FULL)), rates),
        (
            || drop(Cusum::between(HALF, HALF)),
            "the healthy rate of a cusum is below the failing one",
        ),
        (|| drop(Cusum::hard().threshold(0.09)), h),
        (|| drop(Cusum::hard().threshold(100.1)), h),
        (|| drop(Cusum::hard().threshold(f64::NAN)), h),
        (|| drop(Trials::new(0)), permitted),
        (|| drop(Trials::new(10_001)), permitted),
        (|| drop(CircuitBreakerConfig::new().permitted_calls(0)), permitted),
        (|| drop(Trials::new(3).successes(0)), "success_threshold lies in 1..=permitted_calls"),
        (|| drop(Trials::new(3).successes(4)), "success_threshold lies in 1..=permitted_calls"),
        (|| drop(Trials::new(3).by_rate(ZERO)), "trial_failure_rate is above zero"),
        (|| drop(Trials::new(3).by_rate(HALF).slow_rate(ZERO)), "trial_slow_rate is above zero"),
        (|| drop(Trials::new(3).slow_rate(HALF)), "trial_slow_rate needs a verdict by rate"),
        (|| drop(Trials::new(3).max_stay(secs(0))), "max_half_open_stay is above zero"),
        (|| drop(Ramp::new().max_stay(secs(0))), "max_half_open_stay is above zero"),
        (
            || drop(Ramp::new().base_share(ZERO)),
            "base_share lies between 0 % and 100 %, both excluded",
        ),
        (
            || drop(Ramp::new().base_share(Percent::FULL)),
            "base_share lies between 0 % and 100 %, both excluded",
        ),
        (|| drop(Ramp::new().share_step(ZERO)), "share_step is above zero"),
        (
            || drop(Ramp::new().recovery_error_rate(Percent::FULL)),
            "recovery_error_rate is below 100 %",
        ),
        (|| drop(Ramp::new().successes(0)), "success_threshold lies in 1..=10000"),
        (|| drop(Ramp::new().min_step_time(secs(601))), "min_step_time lies in 0..=10 minutes"),
        (|| drop(Ramp::steps(&[])), steps),
        (|| drop(Ramp::steps(&[HALF; 2])), steps),
        (|| drop(Ramp::steps(&[ZERO, HALF])), steps),
        (|| drop(Ramp::linear(millis(999))), "ramp_time lies in 1 s..=1 hour"),
        (|| drop(Ramp::exponential(secs(3_601))), "ramp_time lies in 1 s..=1 hour"),
        (|| drop(Ramp::aggressive(secs(9), 0.0)), "the aggression of a ramp lies in 0.1..=10.0"),
        (
            || drop(Ramp::aggressive(secs(9), f64::NAN)),
            "the aggression of a ramp lies in 0.1..=10.0",
        ),
        (|| drop(Ramp::slow_start(3)), "slow_start_limit lies in 4..=10000"),
        (
            || drop(Ramp::slow_start(4).base_share(HALF)),
            "a ramp by steps and a slow start have no base_share",
        ),
        (
            || drop(Ramp::exponential(secs(9)).share_step(HALF)),
            "only a ramp by windows, linear or aggressive has a share_step",
        ),
        (|| drop(Trickle::new().probe_share(ZERO)), "probe_share is above zero"),
        (|| drop(Trickle::new().intervals(secs(0), secs(1))), interval),
        (|| drop(Trickle::new().intervals(secs(1), secs(3_601))), interval),
        (
            || drop(Trickle::new().intervals(secs(2), secs(1))),
            "probe_interval_min is not above probe_interval_max",
        ),
        (|| drop(Trickle::new().then_ramp(Ramp::new().min_step_time(secs(60)))), step),
        (|| drop(CORE.recovery(ramp_of(secs(60), secs(60)))), step),
        (|| drop(CORE.recovery(ramp_of(secs(61), secs(60)))), step),
        (|| drop(Pace::fixed(secs(0))), wait),
        (|| drop(Pace::exponential(secs(86_401))), wait),
        (|| drop(Pace::linear(secs(0), secs(1))), wait),
        (|| drop(Pace::fibonacci(Duration::MAX)), wait),
        (|| drop(CircuitBreakerConfig::new().open_for(secs(0))), wait),
        (|| drop(Pace::schedule(&[])), entries),
        (|| drop(Pace::schedule(&[secs(1); 65])), entries),
        (|| drop(Pace::schedule(&[secs(0)])), "an entry of a schedule lies in 1 ms..=1 day"),
        (|| drop(Pace::exponential(secs(1)).factor(0.9)), factor),
        (|| drop(Pace::exponential(secs(1)).factor(f64::NAN)), factor),
        (|| drop(Pace::fibonacci(secs(1)).factor(2.0)), "only an exponential pace has a factor"),
        (
            || drop(Pace::exponential(secs(2)).cap(secs(1))),
            "the cap of a pace is not below its first wait",
        ),
        (
            || drop(Pace::exponential(secs(2)).cap(Duration::MAX)),
            "the cap of a pace lies in 1 ms..=1 day",
        ),
        (
            || drop(CircuitBreakerConfig::new().slow_call_duration(secs(0))),
            "slow_call_duration is above zero",
        ),
        (|| drop(CircuitBreakerConfig::new().named("")), "a name has 1..=63 bytes"),
        (|| drop(Name::new(&"x".repeat(64))), "a name has 1..=63 bytes"),
        (|| drop(Percent::new(101)), "a percentage lies in 0..=100"),
        (|| drop(Percent::basis_points(10_001)), "a share in basis points lies in 0..=10000"),
    ];
    for (row, (setter, expected)) in table.iter().enumerate() {
        assert_eq!(words(*setter), *expected, "row {row}");
    }
}

const fn drop<T: Copy>(_: T) {}

const fn ramp_of(min_step_time: Duration, max_stay: Duration) -> Recovery {
    Recovery::Ramp(Ramp::new().min_step_time(min_step_time).max_stay(max_stay))
}

/// S-CORE-16: the borders themselves are allowed.
#[test]
fn the_borders_of_each_range_are_allowed() {
    let _ = (Trip::consecutive(1), Trip::consecutive(1_000_000));
    let _ = (Window::last(1).min_calls(1), Window::last(65_536).min_calls(65_536));
    let _ = (Window::in_buckets(millis(120), 120), Window::in_buckets(secs(3_600), 1));
    let _ = (Trials::new(1).successes(1), Trials::new(10_000).successes(10_000));
    let _ = (Pace::fixed(millis(1)), Pace::fixed(secs(86_400)), Pace::schedule(&[secs(1); 64]));
    let _ = Pace::exponential(secs(5)).factor(10.0).cap(secs(5));
    let _ = Ramp::new().base_share(Percent::basis_points(9_999)).share_step(Percent::FULL);
    let _ = CORE.recovery(ramp_of(millis(59_999), secs(60)));
    let _ = CircuitBreakerConfig::new().named(&"x".repeat(63));
    let _ = Trip::any(&[Trip::consecutive(1); 4]);
    let _ = (CORE.outage_history(3), CORE.outage_history(256));
    let _ = Cusum::between(Percent::basis_points(1), Percent::basis_points(9_999)).threshold(0.1);
    let _ = Cusum::between(Percent::basis_points(9_998), Percent::basis_points(9_999));
    let _ = Cusum::hard().threshold(100.0);
}

/// The settings of chapter 22, as values.
#[test]
fn the_core_profile_is_what_the_catalogue_says() {
    let core = CircuitBreakerConfig::new();
    let spelled_out = CircuitBreakerConfig::new()
        .named("circuit")
        .trip(Trip::consecutive(5))
        .slow_call_duration(secs(10))
        .open_period(Pace::exponential(secs(60)).factor(2.0).cap(secs(300)).jitter(Jitter::Equal))
        .recovery(Recovery::Trials(
            Trials::new(3).successes(3).max_stay(secs(60)).on_stay_elapsed(OnStayElapsed::Reopen),
        ))
        .on_drop(OnDrop::SlowIsFailure)
        .enforce(Percent::FULL)
        .open_refusal_share(Percent::FULL)
        .count_as(FailureKind::InvalidRequest, Counted::Success)
        .count_as(FailureKind::RateLimited, Counted::Ignored)
        .totals(false);
    assert_eq!(core, spelled_out);
    assert_eq!(core, CircuitBreakerConfig::default());
    assert_eq!((core.strategy_kind(), core.name().as_str()), (StrategyKind::Basic, "circuit"));
}

/// S-WIN-01, S-WIN-04, S-STRAT-03, S-STRAT-08: the other profiles of chapter 22.
#[test]
fn the_other_profiles_are_what_the_catalogue_says() {
    let core = CircuitBreakerConfig::new;
    let count_or_rate = |percent: u8, window: Window| {
        Trip::failure_count(5, window).or(Trip::failure_rate(Percent::new(percent), window))
    };
    let windowed = core().trip(count_or_rate(50, Window::last(10).min_calls(5)));
    assert_eq!(CircuitBreakerConfig::windowed(), windowed.permitted_calls(2));
    let ramp = Ramp::new()
        .base_share(Percent::new(10))
        .share_step(Percent::new(10))
        .recovery_error_rate(Percent::new(10))
        .successes(3)
        .min_step_time(secs(0))
        .on_relapse(OnRelapse::StepBack)
        .speed(RampSpeed::Fixed)
        .max_stay(secs(60))
        .on_stay_elapsed(OnStayElapsed::Reopen);
    let gradual = core()
        .strategy(StrategyKind::Gradual)
        .trip(count_or_rate(20, Window::last(20).min_calls(10)))
        .recovery(Recovery::Ramp(ramp));
    assert_eq!(CircuitBreakerConfig::gradual(), gradual);
    let stay = Trials::new(3).max_stay(secs(5));
    let advanced = core().open_for(secs(30)).recovery(Recovery::Trials(stay));
    assert_eq!(CircuitBreakerConfig::advanced(), advanced);
    let trickle = Trickle::new().then_ramp(Ramp::slow_start(16));
    let adaptive = core().trip(Trip::cusum(Cusum::hard())).recovery(Recovery::Trickle(trickle));
    assert_eq!(CircuitBreakerConfig::adaptive(), adaptive);
}

/// The profiles that are named by use, as they are documented.
#[test]
fn the_profiles_by_use_are_as_documented() {
    let window = Window::over(secs(30)).min_calls(20);
    let trip = Trip::failure_rate(HALF, window).or(Trip::slow_rate(Percent::new(80), window));
    let http = CircuitBreakerConfig::new()
        .named("http-client")
        .trip(trip)
        .slow_call_duration(secs(5))
        .open_for(secs(5))
        .recovery(Recovery::Trials(Trials::new(5).by_rate(HALF)));
    assert_eq!(CircuitBreakerConfig::http_client(), http);
    let grpc = http.named("grpc-client").slow_call_duration(secs(2));
    assert_eq!(CircuitBreakerConfig::grpc_client(), grpc);
    let patient = http.named("third-party-api").slow_call_duration(secs(15)).open_for(secs(30));
    assert_eq!(CircuitBreakerConfig::third_party_api(), patient);
    let trip = Trip::consecutive(5).or(Trip::failure_rate(HALF, Window::last(20).min_calls(10)));
    let database = CircuitBreakerConfig::new()
        .named("database")
        .trip(trip)
        .slow_call_duration(secs(2))
        .open_for(secs(2))
        .permitted_calls(2);
    assert_eq!(CircuitBreakerConfig::database(), database);
}

/// Equal windows are one window; different ones stay apart.
#[test]
fn conditions_over_equal_windows_share_one() {
    let (short, long) = (Window::last(10), Window::last(20));
    let rate = |window| Trip::failure_rate(HALF, window);
    let shared = [rate(short), Trip::slow_rate(HALF, short), Trip::failure_count(3, short)];
    let four = Trip::any(&[shared[0], shared[1], shared[2], rate(long), Trip::consecutive(5)]);
    let again = four.or(Trip::success_average(HALF, 10));
    assert_ne!(four, again, "three windowed conditions took one place");
}

/// The table of kinds is complete by construction.
#[test]
fn every_kind_counts_as_something() {
    let table = CountAs::new().with(FailureKind::Timeout, Counted::Ignored);
    assert_eq!(table.of(FailureKind::Timeout), Counted::Ignored);
    assert_eq!(table.of(FailureKind::Overload { retry_after: Some(secs(1)) }), Counted::Failure);
    assert_eq!(CountAs::default().of(FailureKind::InvalidRequest), Counted::Success);
}
