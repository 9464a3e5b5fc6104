//! What happens to a server beside plain overload.

use std::time::Duration;

use breaker_core::{AsError, Class, ErrorsAreFailures, Priority};
use portcullis_priority::{ConcurrencyLimit, Limit, PriorityQueueLayer, QueueConfig};
use tower::Layer;

use crate::callee::{Ask, Away};
use crate::lines::{adaptive, queued};
use crate::run::{Gone, Load, Seen, TIMEOUT, run};

const CLASSES: [Priority; 5] =
    [Priority::BULK, Priority::LOW, Priority::NORMAL, Priority::HIGH, Priority::CRITICAL];

/// Five classes: a fifth more than can be done from the 10th second on, four times as much from the
/// 25th to the 40th. Critical calls alone are 0.4 of the capacity then.
fn storm() -> Load {
    let shares = [0.25, 0.2, 0.3, 0.15, 0.1];
    Load {
        times: vec![(0, 0.5), (10_000, 1.2), (25_000, 4.0)],
        ends: 40_000,
        priorities: shares.into_iter().zip(CLASSES).collect(),
        ..Load::overload(1, 4.0, 40_000)
    }
}

/// The share of each class that is answered in time, from bulk to critical.
fn by_class(seen: &Seen, from: u64, to: u64) -> [f64; 5] {
    CLASSES.map(|class| seen.served(from, to, |ask| ask.priority == class))
}

// "Overload 4x with five priorities"
// S-PRIO-02, S-PRIO-06
#[test]
fn bulk_calls_are_shed_first_and_critical_ones_are_served_at_four_times_the_load() {
    let seen = queued(&storm(), Gone::Dropped, &adaptive(), false);
    let little = by_class(&seen, 11_000, 25_000);
    let [bulk, low, others @ ..] = little;
    assert!(bulk < 0.6 && low >= 0.8, "{little:?}");
    assert!(others.iter().all(|&served| served >= 0.98), "{little:?}");
    let storm = by_class(&seen, 25_000, 39_000);
    println!("served from bulk to critical: 1.2x {little:.3?}, 4x {storm:.3?}");
    let [bulk, .., critical] = storm;
    assert!(critical >= 0.99 && bulk < 0.01, "{storm:?}");
    assert!(storm.is_sorted(), "{storm:?}");
}

// "Overload 4x with five priorities"
// S-PRIO-03
#[test]
fn no_more_calls_run_than_there_are_slots_reserved_ones_among_them() {
    let config = QueueConfig::slots(5).reserved(Class::Critical, 1).reserved(Class::High, 2);
    let seen = queued(&storm(), Gone::Dropped, &config.capacity(40), false);
    assert_eq!(seen.most_running, 8);
    let storm = by_class(&seen, 25_000, 39_000);
    assert!(storm[4] >= 0.99, "{storm:?}");
}

/// What one user who sends nine of ten calls leaves to twenty others, who ask for 0.3 of the
/// capacity in all.
fn others_served(fair: bool) -> f64 {
    let mut load = Load::overload(1, 3.0, 40_000);
    load.priorities = vec![(1.0, Priority::NORMAL)];
    load.users = (21, 0.9);
    let seen = run(&load, Gone::Dropped, |callee, clock| {
        let layer = PriorityQueueLayer::with_clock(adaptive(), clock)
            .priority_fn(|_: &Ask| None)
            .fair_by_fn(move |ask: &Ask| Some(if fair { ask.user } else { 0 }))
            .hold_to_head()
            .classify(ErrorsAreFailures)
            .refuse(AsError);
        let queue = layer.handle();
        (layer.layer(callee), Box::new(move || queue.snapshot().slots))
    });
    assert!(seen.goodput(25_000, 40_000, 5) >= 0.98);
    seen.served(25_000, 39_000, |ask| ask.user > 0)
}

// S-PRIO-06
#[test]
fn a_user_who_sends_nearly_all_calls_takes_nothing_from_others_who_take_turns_with_him() {
    let (fair, unfair) = (others_served(true), others_served(false));
    println!("served of the other users' calls: {fair:.3} in turns, {unfair:.3} without");
    // Some of the twenty may share his cohort, by chance.
    assert!(fair >= 0.85, "{fair}");
    assert!(unfair <= 0.4, "{unfair}");
}

fn mean(limits: &[u32]) -> f64 {
    f64::from(limits.iter().sum::<u32>()) / limits.len() as f64
}

/// Three of five workers are away from the 30th second to the 50th. The goodput per capacity with
/// two of them and with five, each from ten round trips of so many milliseconds later; and the mean
/// limit before, meanwhile and afterwards.
fn with_three_away(config: &QueueConfig, round_trip: u64) -> ([f64; 2], [f64; 3]) {
    let mut load = Load::overload(1, 3.0, 70_000);
    load.away = Some(Away { workers: 3, from: 30_000, to: 50_000 });
    let seen = queued(&load, Gone::Dropped, config, false);
    let (away, back) = (30_000 + 10 * round_trip, 50_000 + 10 * round_trip);
    let goodput = [seen.goodput(away, 50_000, 2), seen.goodput(back, 70_000, 5)];
    let limits = [(25_000, 30_000), (away, 50_000), (back, 70_000)];
    (goodput, limits.map(|(from, to)| mean(&seen.limits(from, to))))
}

#[test]
fn ten_round_trips_after_the_capacity_has_changed_it_is_used_up_and_the_limit_fits_it() {
    let timeout = Duration::from_millis(TIMEOUT);
    let deadline = ConcurrencyLimit::adaptive(Limit::deadline(timeout)).into_queue();
    for (name, config, round_trip) in [("adaptive", adaptive(), 100), ("deadline", deadline, 500)] {
        let (goodput, limits) = with_three_away(&config, round_trip);
        println!("{name}: goodput with two workers, and with five again: {goodput:.3?}");
        println!("{name}: limit before, meanwhile and afterwards: {limits:.1?}");
        assert!(goodput.iter().all(|goodput| (0.98..=1.02).contains(goodput)), "{goodput:?}");
        let [before, away, back] = limits;
        assert!(away < 0.75 * before && away < 0.75 * back, "{limits:?}");
    }
}

/// Half of all calls fail by errors of their own from the 30th second to the 60th, or none does;
/// the limits meanwhile.
fn limits_with_errors(limit: Limit, times: f64, share: f64) -> Vec<u32> {
    let mut load = Load::overload(1, times, 60_000);
    load.broken = (30_000, 60_000, share);
    queued(&load, Gone::Dropped, &adaptive().limit(limit), false).limits(30_000, 60_000)
}

#[test]
fn a_burst_of_errors_of_the_application_does_not_move_the_limit() {
    let deadline = Limit::deadline(Duration::from_millis(TIMEOUT));
    let limits = limits_with_errors(deadline, 0.5, 0.5);
    assert!(limits.iter().all(|&limit| limit == limits[0]), "{limits:?}");
    let [with, without] =
        [0.5, 0.0].map(|share| mean(&limits_with_errors(Limit::service_time(), 3.0, share)));
    println!("mean limit by service time: {with:.2} with errors, {without:.2} without");
    assert!((with / without - 1.0).abs() <= 0.25, "{with} with errors, {without} without");
}

#[test]
fn a_limit_that_is_hardly_used_does_not_drift_upwards() {
    let timeout = Duration::from_millis(TIMEOUT);
    for limit in [
        Limit::service_time(),
        Limit::deadline(timeout),
        Limit::gradient2(),
        Limit::vegas(),
        Limit::aimd(timeout),
    ] {
        let load = Load { times: vec![(0, 0.02)], ..Load::overload(1, 0.0, 80_000) };
        let limits =
            queued(&load, Gone::Dropped, &adaptive().limit(limit), false).limits(0, 80_000);
        assert!(limits.iter().all(|&now| now <= limits[0]), "{}: {limits:?}", limit.name());
    }
}
