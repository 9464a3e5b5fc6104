//! What is true of all limits, and of one only.

use proptest::prelude::*;

use super::*;

#[test]
fn no_limit_grows_while_less_than_half_of_it_is_used() {
    for limit in all() {
        let mut it = limit.start(40).begin();
        let mut most = 0;
        for n in 0..100_000_u64 {
            it.sample(&call(1_000 + n, 10 + n % 3, 19, Verdict::Answered));
            most = most.max(it.limit());
        }
        println!("{}: {most} at most after 100,000 calls with 19 of 40 in flight", limit.name());
        assert!(most <= 40, "{}: {most}", limit.name());
    }
}

#[test]
fn overload_answers_of_one_round_trip_cut_once() {
    for (limit, cut) in all().into_iter().zip([28, 36, 38, 36, 36]) {
        let mut it = limit.start(40).begin();
        for n in 0..40 {
            it.sample(&call(1_000 + n, 100, 40 - n as u32, Verdict::Overloaded));
        }
        println!("{}: 40 -> {} after 40 overload answers", limit.name(), it.limit());
        assert_eq!(it.limit(), cut, "{}", limit.name());
        // The next round trip may cut again.
        for n in 0..20 {
            it.sample(&call(1_200 + n, 100, 36, Verdict::Overloaded));
        }
        assert!(it.limit() < cut, "{}", limit.name());
    }
}

#[test]
fn who_gives_up_early_says_nothing_and_who_gives_up_late_says_it_was_slow() {
    for limit in all() {
        let mut it = limit.start(40).begin();
        for n in 0..20 {
            it.sample(&call(10_000 + n, 200, 40, Verdict::Answered));
        }
        let before = it.limit();
        for n in 0..100 {
            it.sample(&call(20_000 + n, 100, 40, Verdict::Cancelled));
        }
        assert_eq!(it.limit(), before, "{}", limit.name());
        for n in 0..100 {
            it.sample(&call(30_000 + n, 4_000, 40, Verdict::Cancelled));
        }
        assert!(it.limit() < before, "{}: {before} -> {}", limit.name(), it.limit());
    }
}

#[test]
fn a_latency_that_no_cut_changes_cuts_three_times_and_is_overlooked_for_20_s() {
    let mut it = Limit::deadline(SECOND).begin();
    let (mut cuts, mut least, mut last) = (Vec::new(), u32::MAX, it.limit());
    // Each call takes 700 ms, and the limit is always used up.
    let mut now = 1_000;
    while now < 19_000 {
        now += 700 / u64::from(it.limit());
        it.sample(&call(now, 700, it.limit(), Verdict::Answered));
        if it.limit() < last {
            cuts.push(now);
        }
        least = least.min(it.limit());
        last = it.limit();
    }
    println!("cut at {cuts:?} ms, down to {least}; {last} at the end");
    assert_eq!((cuts.len(), least), (3, 6));
    assert!(last >= 20, "{last}");
    // It ends: after the 20 s the same latency cuts again.
    while now < 30_000 {
        now += 700 / u64::from(it.limit());
        it.sample(&call(now, 700, it.limit(), Verdict::Answered));
        cuts.extend((it.limit() < last).then_some(now));
        last = it.limit();
    }
    println!("cut at {cuts:?} ms");
    assert_eq!(cuts.len(), 6);
    assert!(cuts[3] - cuts[2] > 20_000);
}

#[test]
fn timeouts_cut_while_late_answers_are_overlooked() {
    let mut it = Limit::deadline(SECOND).begin();
    for n in 0..400 {
        it.sample(&call(1_000 + 20 * n, 700, it.limit(), Verdict::Answered));
    }
    let before = it.limit();
    assert!(before >= 20);
    for n in 0..20 {
        it.sample(&call(12_000 + n, 1_000, it.limit(), Verdict::TimedOut));
    }
    assert!(it.limit() < before);
}

#[test]
fn all_that_is_wrong_is_named_with_its_cure() {
    let problems = |limit: Limit| {
        let mut found = Vec::new();
        limit.check(&mut |path, value, allowed, fix| {
            found.push(format!("{path} = {value}: {allowed}; {fix}"));
        });
        found
    };
    assert!(all().into_iter().all(|limit| problems(limit).is_empty()));
    let crossed = problems(Limit::vegas().min(300));
    let cure = "lower limit_min or raise limit_max";
    assert_eq!(crossed, [format!("limit_min = 300: at most limit_max, 200; {cure}")]);
    let outside = problems(Limit::new(SECOND).max(10));
    assert_eq!(
        outside,
        ["limit_start = 20: 1..=10, from limit_min to limit_max; start between them"]
    );
    let swapped = problems(Vegas::new().queue(6, 3).into_limit());
    assert_eq!(
        swapped,
        ["limit_queue = 6: at most the queue at which the limit shrinks, 3; swap the two"]
    );
    // Whoever does not ask gets a limit all the same.
    assert_eq!(Limit::vegas().min(300).begin().limit(), 200);
}

#[test]
fn the_defaults_are_those_that_are_written_down() {
    for limit in all() {
        let Bounds { start, min, max } = limit.bounds;
        let (first, least) = if limit.name() == "service-time" { (8, 2) } else { (20, 1) };
        assert_eq!((start, min, max), (first, least, 200));
    }
    assert_eq!(Limit::new(SECOND), Limit::deadline(SECOND));
    let sizes = [
        size_of::<deadline::State>(),
        size_of::<gradient::State>(),
        size_of::<vegas::State>(),
        size_of::<aimd::State>(),
        size_of::<service_time::State>(),
    ];
    assert_eq!(sizes, [160, 128, 160, 56, 144]);
}

fn sample() -> impl Strategy<Value = Sample> {
    let tick = prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0..10_000_000_000_u64]
        .prop_map(Tick::from_nanos);
    let in_flight = prop_oneof![Just(0), Just(u32::MAX), any::<u32>(), 0..300_u32];
    let verdict = prop_oneof![
        3 => Just(Verdict::Answered),
        1 => Just(Verdict::Overloaded),
        1 => Just(Verdict::TimedOut),
        1 => Just(Verdict::Cancelled),
    ];
    let fields = (tick.clone(), tick, in_flight, verdict);
    fields.prop_map(|(started, ended, in_flight, verdict)| Sample {
        started,
        ended,
        in_flight,
        verdict,
    })
}

proptest! {
    #[test]
    fn whatever_comes_in_the_limit_stays_within_its_bounds(
        samples in prop::collection::vec(sample(), 0..400),
        window in prop_oneof![Just(1_u32), 1..30_u32],
        bounds in (1..100_u32, 1..100_u32),
    ) {
        let (min, max) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
        let small = [
            Gradient2::new().window(window).into_limit(),
            Vegas::new().window(window).probe_every(1).into_limit(),
            ServiceTime::new().window(window).probe_after(3).into_limit(),
        ];
        for limit in all().into_iter().chain(small) {
            let mut it = limit.min(min).max(max).begin();
            for sample in &samples {
                it.sample(sample);
                prop_assert!((min..=max).contains(&it.limit()), "{limit:?}: {}", it.limit());
            }
        }
    }

    #[test]
    fn after_whatever_came_in_calls_of_today_move_the_limit_again(
        samples in prop::collection::vec(sample(), 0..200),
    ) {
        for limit in all() {
            let mut it = limit.begin();
            samples.iter().for_each(|sample| it.sample(sample));
            for n in 0..2_000 {
                it.sample(&call(100_000 + 200 * n, 100, it.limit(), Verdict::TimedOut));
            }
            prop_assert!(it.limit() <= 2, "{}: {}", limit.name(), it.limit());
        }
    }
}
