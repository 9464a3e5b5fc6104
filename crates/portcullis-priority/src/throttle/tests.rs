use std::fs;

use serde_json::Value;

use super::*;

#[test]
fn every_fact_about_a_throttle_that_is_ours_too_holds() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/adaptive-throttle.json");
    let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut held = 0;
    for case in cases.iter().filter(|case| case["scope"] == "universal") {
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let mut throttle = throttle_of(&case["config"]);
            if let Some(aggression) = step["aggression"].as_f64() {
                throttle = throttle.aggression(aggression);
            }
            let field = |name: &str| step[name].as_u64().unwrap();
            let share = throttle.share_of(field("requests"), field("accepts"));
            let expected = &case["expect"][number];
            assert_eq!(expected["step"], number);
            let wanted = expected["rejection_rate"].as_f64().unwrap();
            // The facts are written down to this many decimals.
            let tolerance = if case["id"] == "AT-005" { 5e-5 } else { 5e-7 };
            assert!((share - wanted).abs() <= tolerance, "{} step {number}: {share}", case["id"]);
            held += 1;
        }
    }
    assert_eq!(held, 10);
}

/// What AT-002 and AT-006 have instead of ours.
#[test]
fn one_failure_alone_gives_a_half() {
    assert_eq!(Throttle::new().share_of(1, 0).to_bits(), 0.5_f64.to_bits());
}

fn throttle_of(config: &Value) -> Throttle {
    match (config["K"].as_f64(), config["success_threshold"].as_f64()) {
        (Some(k), None) => Throttle::sre(k),
        (None, Some(threshold)) => {
            let share = |fraction| Percent::from_fraction(fraction).unwrap();
            let most = share(config["max_rate"].as_f64().unwrap());
            Throttle::admission(share(threshold)).max_share(most)
        }
        _ => panic!("not offered: {config}"),
    }
}

/// A throttle whose callee takes each call of what is sent with this probability, and how many calls
/// of each class came and were sent, after a while.
fn sent(throttle: &Throttle, accepts: f64, classes: &[(Class, u32)]) -> [[f64; 2]; 5] {
    let mut throttling = Throttling::new(throttle);
    let mut chance = Chance::seeded(1);
    let mut counts = [[0.0; 2]; 5];
    let rounds = 4_000;
    // The callee takes this much of all that comes, whatever is sent.
    let each: u32 = classes.iter().map(|(_, calls)| calls).sum();
    let mut room = 0.0;
    for round in 0..rounds {
        let now = Tick::from_millis(100 * round);
        room = accepts.mul_add(f64::from(each), room).min(f64::from(each));
        for &(class, calls) in classes {
            for _ in 0..calls {
                let sends = throttling.admit(throttle, now, class, &mut chance);
                if sends {
                    let accepted = room >= 1.0;
                    room -= f64::from(u8::from(accepted));
                    throttling.ended(throttle, now, class, accepted);
                }
                if round > rounds / 2 {
                    counts[class.index()][0] += 1.0;
                    counts[class.index()][1] += f64::from(u8::from(sends));
                }
            }
        }
    }
    counts
}

#[test]
fn twice_as_many_calls_are_sent_as_are_accepted() {
    let counts = sent(&Throttle::new(), 0.2, &[(Class::Normal, 10)]);
    let [came, sent] = counts[Class::Normal.index()];
    println!("of calls of which 0.2 are accepted, {:.3} are sent", sent / came);
    assert!((0.35..0.45).contains(&(sent / came)), "{}", sent / came);
}

#[test]
fn nothing_is_refused_while_half_of_the_calls_are_accepted() {
    let counts = sent(&Throttle::new(), 0.55, &[(Class::Normal, 10)]);
    let [came, sent] = counts[Class::Normal.index()];
    assert_eq!(came.to_bits(), sent.to_bits());
}

#[test]
fn the_lowest_classes_are_refused_first_and_a_higher_one_only_for_the_rest() {
    let classes = [(Class::Critical, 1), (Class::High, 3), (Class::Normal, 3), (Class::Bulk, 3)];
    let shares = |accepts: f64| {
        let counts = sent(&Throttle::new(), accepts, &classes);
        let shares = counts.map(|[came, sent]| if came > 0.0 { sent / came } else { f64::NAN });
        println!("accepted {accepts}: bulk, low, normal, high and critical are sent {shares:.2?}");
        shares
    };
    // Half is refused: all of bulk, and two thirds of normal.
    let [bulk, _, normal, high, critical] = shares(0.25);
    assert!(bulk < 0.01 && (0.2..0.5).contains(&normal) && high > 0.99 && critical > 0.999);
    // All but a tenth: critical calls come through, and nobody else.
    let [bulk, _, normal, high, critical] = shares(0.05);
    assert!(bulk < 0.01 && normal < 0.01 && high < 0.05 && critical > 0.9);
    // All but 0.02: now critical calls, too.
    let critical = shares(0.01)[Class::Critical.index()];
    assert!((0.1..0.4).contains(&critical), "{critical}");
}

/// How many seconds after two minutes, in which nothing was accepted, all is sent again.
fn back_after(throttle: &Throttle) -> u64 {
    let mut throttling = Throttling::new(throttle);
    let mut chance = Chance::seeded(3);
    for step in 0..1_200 {
        let now = Tick::from_millis(100 * step);
        if throttling.admit(throttle, now, Class::Bulk, &mut chance) {
            throttling.ended(throttle, now, Class::Bulk, false);
        }
    }
    let dead = throttling.share(throttle, Tick::from_millis(120_000));
    assert!(dead >= 0.9, "{dead}");
    let mut now = 120_000;
    while throttling.share(throttle, Tick::from_millis(now)) > 0.0 {
        now += 100;
        assert!(now < 1_200_000, "it is not found");
        if throttling.admit(throttle, Tick::from_millis(now), Class::Bulk, &mut chance) {
            throttling.ended(throttle, Tick::from_millis(now), Class::Bulk, true);
        }
    }
    (now - 120_000) / 1_000
}

#[test]
fn a_callee_that_is_back_is_found_by_what_is_still_sent_and_sooner_where_that_is_more() {
    let all = back_after(&Throttle::new());
    let most = back_after(&Throttle::new().max_share(Percent::new(95)));
    println!("after two dead minutes all is sent after {all} s, where 0.95 is the most {most} s");
    assert!(most < 300 && (most..900).contains(&all), "{most}, {all}");
}

#[test]
fn what_is_too_old_is_forgotten_in_memory_that_does_not_grow() {
    let throttle = Throttle::new();
    let mut throttling = Throttling::new(&throttle);
    for _ in 0..100 {
        throttling.ended(&throttle, Tick::ZERO, Class::Low, false);
    }
    let at = |millis| throttling.share(&throttle, Tick::from_millis(millis));
    assert!(at(119_999) > 0.9);
    assert_eq!(at(120_000).to_bits(), 0);
    assert_eq!(throttling.share(&throttle, Tick::MAX).to_bits(), 0);
    // A clock that steps back forgets nothing.
    throttling.ended(&throttle, Tick::from_millis(60_000), Class::Low, false);
    throttling.ended(&throttle, Tick::ZERO, Class::Low, false);
    assert_eq!(throttling.recent.requests(), 102);
    assert!(size_of::<Throttling>() <= 640, "{}", size_of::<Throttling>());
}

#[test]
fn the_defaults_are_those_that_are_written_down() {
    let admission = Throttle::admission(Percent::new(50));
    let secs = |throttle: Throttle| throttle.window.as_secs();
    assert_eq!(Throttle::new(), Throttle::sre(2.0).aggression(1.0).max_share(Percent::FULL));
    assert_eq!((secs(Throttle::new()), secs(admission)), (120, 30));
    assert_eq!(admission, Throttle::new().max_share(Percent::new(80)).window(admission.window));
}

#[test]
fn what_is_still_under_way_is_no_reason_to_refuse() {
    let throttle = Throttle::sre(1.0);
    let mut throttling = Throttling::new(&throttle);
    let mut chance = Chance::seeded(7);
    for _ in 0..1_000 {
        assert!(throttling.admit(&throttle, Tick::ZERO, Class::Bulk, &mut chance));
    }
}
