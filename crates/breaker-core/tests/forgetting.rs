//! Which circuits a map of keys may forget to make room, and which it never does. Threat T1.

mod common;

use breaker_core::{CircuitBreakers, Jitter, ManualClock, Pace, Permit, State};
use common::{CORE, TOUCHY, fail, millis, secs};

/// One place for each sixteenth of the map, so that each new key looks at all there are.
const PLACES: usize = 16;

fn keyed(open_period: u64) -> (CircuitBreakers<u64>, ManualClock) {
    let clock = ManualClock::new();
    let pace = Pace::fixed(secs(open_period)).jitter(Jitter::None);
    let config = TOUCHY.open_period(pace);
    (CircuitBreakers::with_capacity_and_clock(config, PLACES, clock.clone()), clock)
}

/// Opens the circuits of new keys until there is no room left; hands out the keys.
fn fill(keys: &CircuitBreakers<u64>) -> Vec<u64> {
    let mut opened = Vec::new();
    for key in 0.. {
        let circuit = keys.get(&key);
        if !circuit.is_same(&keys.overflow()) {
            fail(&circuit, 1);
            opened.push(key);
        }
        if opened.len() == PLACES {
            break;
        }
    }
    opened
}

/// How many of a thousand new keys find a place.
fn find_room(keys: &CircuitBreakers<u64>, from: u64) -> usize {
    (from..from + 1_000).filter(|key| !keys.get(key).is_same(&keys.overflow())).count()
}

/// S-CORE-13: nobody asks for them any more: a quarter of an hour after their open period is
/// over, they lose their places.
#[test]
fn abandoned_open_circuits_make_room() {
    let (keys, clock) = keyed(60);
    let old = fill(&keys);
    clock.advance(secs(60 + 900) - millis(1));
    assert_eq!(find_room(&keys, 10_000), 0, "not yet");
    clock.advance(millis(1));
    assert_eq!(find_room(&keys, 20_000), 1_000);
    assert_eq!(keys.len(), PLACES);
    assert!(keys.all().iter().all(|(key, _)| !old.contains(key)));
}

/// S-CORE-13: the same for circuits that somebody has looked at meanwhile, so that they are
/// half-open.
#[test]
fn abandoned_half_open_circuits_make_room() {
    let (keys, clock) = keyed(60);
    fill(&keys);
    clock.advance(secs(60));
    assert!(keys.all().iter().all(|(_, circuit)| circuit.state() == State::HalfOpen));
    clock.advance(secs(900) - millis(1));
    assert_eq!(find_room(&keys, 10_000), 0, "not yet");
    clock.advance(millis(1));
    assert_eq!(find_room(&keys, 20_000), 1_000);
}

/// S-CORE-13, threat T1: what would refuse is not forgotten, however long nobody asks.
#[test]
fn threat_t1_a_circuit_that_would_still_refuse_is_never_forgotten() {
    let (keys, clock) = keyed(86_400);
    let old = fill(&keys);
    for hour in 1..24 {
        clock.advance(secs(3_600));
        assert_eq!(find_room(&keys, hour * 10_000), 0, "hour {hour}");
    }
    for key in &old {
        let circuit = keys.get(key);
        assert_eq!((circuit.state(), circuit.try_acquire().is_err()), (State::Open, true));
    }
}

/// S-CORE-13, S-CORE-04: nor is one whose trial is out, nor one under an order.
#[test]
fn a_circuit_with_a_trial_out_or_an_order_is_never_forgotten() {
    let (keys, clock) = keyed(60);
    let old = fill(&keys);
    clock.advance(secs(60));
    let trial = keys.get(&old[0]).try_acquire().unwrap();
    for key in &old[1..] {
        keys.get(key).force_open("maintenance");
    }
    clock.advance(secs(86_400));
    assert_eq!(find_room(&keys, 10_000), 0);
    assert!(keys.get(&old[0]).gave(&trial));
    drop::<Permit>(trial);
}

/// S-CORE-13: the bound can be chosen without a clock.
#[test]
fn a_map_holds_as_many_circuits_as_it_was_told() {
    for (capacity, holds) in [(0, 16), (16, 16), (17, 32), (320, 320)] {
        let keys = CircuitBreakers::with_capacity(CORE, capacity);
        for key in 0..20_000_u64 {
            let _ = keys.get(&key);
        }
        assert_eq!(keys.len(), holds, "capacity {capacity}");
    }
}
