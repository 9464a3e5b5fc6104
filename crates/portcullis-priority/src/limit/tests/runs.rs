//! Limits before a callee that has less to give than is wanted of it.

use super::callee::Callee;
use super::*;

/// How long each phase lasts, in seconds.
const PHASE: f64 = 60.0;

/// How many round trips it takes, after the step at `from`, until the limit lies within 30 % of what
/// it is in the mean of the second half of the phase, and does so in the mean of the next round trip.
fn round_trips(callee: &Callee, from: f64) -> (f64, f64, f64) {
    let (mut calls, mut limits, mut times) = (0.0, 0.0, 0.0);
    for mark in callee.since(from + PHASE / 2.0) {
        calls += 1.0;
        limits += f64::from(mark.limit);
        times += mark.took;
    }
    let (limit, round_trip) = (limits / calls, times / calls);
    let near = |value: f64| (value - limit).abs() <= 0.3 * limit;
    let marks: Vec<_> = callee.since(from).collect();
    let there = marks.iter().enumerate().find(|(place, mark)| {
        let next = marks[*place..].iter().take_while(|next| next.at <= mark.at + round_trip);
        let (sum, count) =
            next.fold((0.0, 0.0), |(sum, count), next| (sum + f64::from(next.limit), count + 1.0));
        near(f64::from(mark.limit)) && near(sum / count)
    });
    let (_, mark) = there.expect("it comes there");
    (limit, round_trip, (mark.at - from) / round_trip)
}

#[test]
fn limits_follow_a_step_of_the_capacity_the_defaults_within_ten_round_trips() {
    let mut worst = Vec::new();
    for limit in all() {
        let (mut up, mut down) = (0.0_f64, 0.0_f64);
        for seed in 0..6 {
            let mut callee = Callee::new(&limit.max(1_000), seed);
            callee.run(PHASE);
            callee.workers = 20;
            callee.run(PHASE);
            let (high, far, rises) = round_trips(&callee, PHASE);
            let full = callee.goodput(1.5 * PHASE) / 400.0;
            callee.workers = 10;
            callee.run(PHASE);
            let (low, near, falls) = round_trips(&callee, 2.0 * PHASE);
            let half = callee.goodput(2.5 * PHASE) / 200.0;
            println!(
                "{:12} up: {rises:4.1} round trips to {high:5.1} ({:3.0} ms, goodput {full:.3}); \
                 down: {falls:4.1} to {low:5.1} ({:3.0} ms, goodput {half:.3})",
                limit.name(),
                far * 1e3,
                near * 1e3,
            );
            (up, down) = (up.max(rises), down.max(falls));
        }
        worst.push((limit.name(), up, down));
    }
    for (name, up, down) in worst {
        println!("{name}: {up:.1} round trips up and {down:.1} down at worst");
        let (most_up, most_down) = match name {
            // It goes up by less than one call per window.
            "gradient2" => (35.0, 10.0),
            // It does not see how much there is to gain while its queue seems long enough: one
            // quick window makes all others look slow, until the next probe.
            "vegas" => (40.0, 25.0),
            "aimd" => (12.0, 10.0),
            _ => (10.0, 10.0),
        };
        assert!(up <= most_up && down <= most_down, "{name}: {up:.1}, {down:.1}");
    }
}

#[test]
fn by_service_time_a_queue_that_never_goes_away_is_not_taken_for_the_usual() {
    let mean_at_the_end = |limit: Limit| {
        let mut callee = Callee::new(&limit.max(1_000), 1);
        callee.run(600.0);
        let marks: Vec<_> = callee.since(500.0).map(|mark| f64::from(mark.limit)).collect();
        (marks.iter().sum::<f64>() / marks.len() as f64, callee.goodput(500.0) / 200.0)
    };
    let (drifts, _) = mean_at_the_end(ServiceTime::new().probe_after(0).into_limit());
    let (stays, goodput) = mean_at_the_end(Limit::service_time());
    println!("ten minutes of three times the load: {drifts:.0} without probes, {stays:.0} with");
    assert!(drifts > 40.0 && stays < 25.0, "{drifts:.0}, {stays:.0}");
    assert!(goodput > 0.95, "{goodput:.3}");
}

#[test]
fn by_service_time_work_that_got_slower_for_good_is_not_taken_for_a_queue() {
    let mut callee = Callee::new(&Limit::service_time(), 2);
    callee.run(60.0);
    callee.work *= 3.0;
    callee.run(60.0);
    let goodput = callee.goodput(90.0) / (200.0 / 3.0);
    println!("three times the work: {} calls, goodput {goodput:.3}", callee.limits[0].limit());
    assert!(goodput > 0.95, "{goodput:.3}");
}

/// Goodput of five clients by deadline, as a share of what is possible, while each of ten callees
/// needs this much work per call or is this far away for 40 s.
fn in_trouble(limit: &Limit, offered: f64, work: f64, far: f64) -> (f64, f64) {
    let goodputs = (0..10).map(|seed| {
        let mut callee = Callee::new(limit, seed).clients(5, limit);
        (callee.workers, callee.work, callee.offered) = (5, 0.025, offered);
        callee.run(20.0);
        (callee.work, callee.far) = (work, far);
        callee.run(40.0);
        callee.goodput(20.0) / offered.min(5.0 / work)
    });
    goodputs.fold((0.0, 1.0), |(mean, worst), goodput| (mean + goodput / 10.0, worst.min(goodput)))
}

#[test]
fn by_deadline_a_queue_is_no_latency_of_its_own_and_the_other_way_round() {
    let guarded = Limit::deadline(SECOND);
    let bare = DeadlineAimd::new(SECOND).blind_for(Duration::ZERO).into_limit();
    let cases = [
        ("half the capacity, 1.4 times as many calls", 140.0, 0.05, 0.0),
        ("half the capacity, three times as many calls", 300.0, 0.05, 0.0),
        ("a quarter of the capacity, 2.8 times as many calls", 140.0, 0.1, 0.0),
        ("700 ms away", 120.0, 0.025, 0.7),
        ("700 ms away, 1.5 times as many calls", 300.0, 0.025, 0.7),
    ];
    for (name, offered, work, far) in cases {
        let (mean, worst) = in_trouble(&guarded, offered, work, far);
        let (without, _) = in_trouble(&bare, offered, work, far);
        println!("{name}: goodput {mean:.3}, {worst:.3} at worst; without the guard {without:.3}");
        if far > 0.0 {
            assert!(without < 0.2 && mean > 0.65, "{name}: {mean:.3}, {without:.3}");
        } else {
            assert!(mean > without - 0.01, "{name}: {mean:.3}, {without:.3}");
        }
    }
}
