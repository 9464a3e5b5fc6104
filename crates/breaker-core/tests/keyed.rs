//! One circuit per key, in bounded memory. Threats T1 and T4.

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use breaker_core::{
    Chance, CircuitBreaker, CircuitBreakers, ManualClock, Percent, State, Trip, Window,
};
use common::{CORE, TOUCHY, fail, secs, slow, succeed};

const CAPACITY: usize = 1_600;

fn keyed(capacity: usize) -> (CircuitBreakers<u64>, ManualClock) {
    let clock = ManualClock::new();
    (CircuitBreakers::with_capacity_and_clock(TOUCHY, capacity, clock.clone()), clock)
}

/// S-CORE-13: the same key is the same circuit, another key is another.
#[test]
fn a_key_has_one_circuit() {
    let (keys, _) = keyed(CAPACITY);
    assert!(keys.is_empty());
    let first = keys.get(&1);
    assert!(keys.get(&1).is_same(&first) && keys.clone().get(&1).is_same(&first));
    assert!(!keys.get(&2).is_same(&first));
    assert_eq!(keys.len(), 2);
    let all: HashSet<_> = keys.all().into_iter().map(|(key, _)| key).collect();
    assert_eq!(all, HashSet::from([1, 2]));
}

/// S-CORE-13: also when a thousand threads ask for it first.
#[test]
fn many_threads_that_ask_first_get_the_same_circuit() {
    let (keys, _) = keyed(CAPACITY);
    let circuits: Vec<CircuitBreaker> = std::thread::scope(|scope| {
        let ask = |_| scope.spawn(|| (0..100).map(|key| keys.get(&key)).collect::<Vec<_>>());
        let threads: Vec<_> = (0..16).map(ask).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(keys.len(), 100);
    for (n, circuit) in circuits.iter().enumerate() {
        assert!(circuit.is_same(&circuits[n % 100]));
    }
}

/// Resident memory, in bytes.
fn resident() -> u64 {
    // Elsewhere than on Linux nobody says; then only the number of circuits is looked at.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .map_or(0, |pages: u64| pages * 4_096)
}

/// S-CORE-13, threat T1: a flood of random keys costs no memory, and forgets no open circuit.
#[test]
fn threat_t1_a_flood_of_keys_is_bounded_and_forgets_no_open_circuit() {
    let deep = std::env::var_os("PORTCULLIS_DEEP").is_some();
    let flood = if deep { 10_000_000 } else { 1_000_000 };
    let (keys, _) = keyed(CAPACITY);
    let victims: Vec<u64> = (0..10).collect();
    victims.iter().for_each(|key| fail(&keys.get(key), 1));
    let mut chance = Chance::seeded(99);
    // First fill it, so that what is measured is the flood.
    for _ in 0..10 * CAPACITY {
        let _ = keys.get(&chance.draw());
    }
    let (before, mut opened) = (resident(), 0);
    for n in 0..flood {
        let circuit = keys.get(&chance.draw());
        // The attacker's own calls fail, too: that may take up places, but none of a victim.
        if n % 1_000 == 0 && opened < CAPACITY / 2 && !circuit.is_same(&keys.overflow()) {
            fail(&circuit, 1);
            opened += 1;
        }
        if n % 65_536 == 0 {
            assert!(keys.len() <= CAPACITY);
        }
    }
    assert!(keys.len() <= CAPACITY, "{} circuits", keys.len());
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {} MiB", grown >> 20);
    for key in victims {
        assert_eq!(keys.get(&key).state(), State::Open, "victim {key} was forgotten");
    }
}

/// Threat T1: a map that is full of open circuits sends new keys to one they share.
#[test]
fn threat_t1_a_full_map_sends_new_keys_to_the_overflow_circuit() {
    let (keys, clock) = keyed(CAPACITY);
    let mut chance = Chance::seeded(5);
    let mut opened = Vec::new();
    for _ in 0..20 * CAPACITY {
        let (key, before) = (chance.draw(), keys.len());
        let circuit = keys.get(&key);
        if keys.len() > before {
            fail(&circuit, 1);
            opened.push(key);
        }
    }
    assert_eq!((opened.len(), keys.len()), (CAPACITY, CAPACITY));
    let overflow = keys.get(&chance.draw());
    assert!(overflow.is_same(&keys.overflow()) && overflow.is_same(&keys.get(&chance.draw())));
    succeed(&overflow, 1);
    for key in &opened {
        assert_eq!(keys.get(key).state(), State::Open);
    }
    // Once they have recovered their places are free again.
    clock.advance(secs(60));
    for key in &opened {
        succeed(&keys.get(key), 3);
    }
    assert!(!keys.get(&chance.draw()).is_same(&keys.overflow()));
}

/// Threat T1: failures that are not yet enough are not forgotten for a newcomer either.
#[test]
fn threat_t1_evidence_is_kept_for_a_quarter_of_an_hour() {
    let clock = ManualClock::new();
    let keys = CircuitBreakers::with_capacity_and_clock(CORE, 1, clock.clone());
    for key in 0..1_000_u64 {
        let circuit = keys.get(&key);
        if !circuit.is_same(&keys.overflow()) {
            fail(&circuit, 4);
        }
    }
    assert_eq!(keys.len(), 16);
    assert!(keys.get(&5_000).is_same(&keys.overflow()));
    clock.advance(secs(899));
    assert!(keys.get(&5_000).is_same(&keys.overflow()));
    clock.advance(secs(1));
    assert!(!keys.get(&5_000).is_same(&keys.overflow()));
}

/// S-CORE-15, threat T1: nor are slow calls, where nothing has failed.
#[test]
fn threat_t1_slow_calls_are_kept_as_well() {
    let clock = ManualClock::new();
    let trip = Trip::slow_rate(Percent::new(50), Window::last(10));
    let keys = CircuitBreakers::with_capacity_and_clock(CORE.trip(trip), 16, clock.clone());
    slow(&keys.get(&1), &clock, secs(10));
    let mut chance = Chance::seeded(1);
    (0..10_000).for_each(|_| drop(keys.get(&chance.draw())));
    assert_eq!(keys.get(&1).snapshot().tally.slow, 1);
    clock.advance(secs(900));
    (0..10_000).for_each(|_| drop(keys.get(&chance.draw())));
    assert_eq!(keys.get(&1).snapshot().tally.slow, 0, "a quarter of an hour later it is");
}

/// S-CORE-13: who holds a circuit keeps it; a permit alone does not.
#[test]
fn a_circuit_that_is_held_is_never_replaced() {
    // Two places in each part, or both keys might meet in one, where the held one leaves none.
    let (keys, _) = keyed(32);
    let held = keys.get(&1);
    let permit = keys.get(&2).try_acquire().unwrap();
    assert!(keys.get(&2).gave(&permit));
    let mut chance = Chance::seeded(1);
    for _ in 0..100_000 {
        let _ = keys.get(&chance.draw());
    }
    assert!(keys.get(&1).is_same(&held));
    let other = keys.get(&2);
    assert!(!other.gave(&permit));
    permit.failure(breaker_core::FailureKind::Internal);
    assert_eq!(other.snapshot().totals.failures, 0, "a stranger's failure says nothing");
    assert_eq!(keys.len(), 32);
}

/// S-CORE-11: an order keeps a circuit as well.
#[test]
fn a_circuit_under_an_order_is_not_forgotten() {
    let (keys, _) = keyed(CAPACITY);
    keys.get(&1).force_open("maintenance");
    keys.get(&2).disable("off");
    let own = TOUCHY.permitted_calls(9);
    keys.get(&3).reconfigure(own);
    keys.get(&4).set_dependency_gate(|| breaker_core::GateVerdict::Admit);
    let mut chance = Chance::seeded(1);
    (0..100_000).for_each(|_| drop(keys.get(&chance.draw())));
    assert_eq!(keys.get(&1).state(), State::ForcedOpen);
    assert_eq!(keys.get(&2).state(), State::Disabled);
    assert_eq!(keys.get(&3).snapshot().config, own);
    assert!(keys.all().iter().any(|(key, _)| *key == 4));
}

/// Threat T4: which keys share a part of the map is different in each process, since attackers
/// choose keys.
#[test]
fn threat_t4_keys_are_hashed_with_a_random_seed() {
    let places = || {
        let (keys, _) = keyed(16);
        // One place per sixteenth of the map: whose key came second overflows.
        let mut held = Vec::new();
        (0..200_u64)
            .filter(|key| {
                let circuit = keys.get(key);
                let own = !circuit.is_same(&keys.overflow());
                held.push(circuit);
                own
            })
            .collect::<Vec<_>>()
    };
    let first = places();
    assert!((0..8).any(|_| places() != first), "the same keys collide in every map");
}

/// A key that counts how often it is written out.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Loud(u64, Counter);

#[derive(Clone, Debug)]
struct Counter(Arc<AtomicUsize>);

impl PartialEq for Counter {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Counter {}

impl std::hash::Hash for Counter {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl std::fmt::Display for Loud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.1.0.fetch_add(1, Ordering::SeqCst);
        write!(f, "{:0>200}", self.0)
    }
}

/// R17: a key that is known costs no text; a label that is too long is cut.
#[test]
fn a_known_key_is_not_written_out_again() {
    let keys = CircuitBreakers::with_capacity_and_clock(CORE, 16, ManualClock::new());
    let key = Loud(7, Counter(Arc::default()));
    let mut events = keys.subscribe();
    (0..100).for_each(|_| drop(keys.get(&key)));
    assert_eq!(key.1.0.load(Ordering::SeqCst), 1);
    keys.get(&key).trip().unwrap();
    let Some(breaker_core::Next::Change(change)) = events.try_next() else { panic!("no change") };
    assert_eq!(change.partition.unwrap().len(), 63);
}

/// S-CORE-13, S-CORE-16: two changes at a time end as one: all circuits, and those to come, have
/// the same configuration.
#[test]
fn two_configurations_at_a_time_end_as_one_everywhere() {
    /// Lets the other threads go on wherever a circuit has another configuration.
    struct Gives;
    impl breaker_core::Observe for Gives {
        fn event(&self, _: &breaker_core::Event<'_>) {
            std::thread::yield_now();
        }
    }
    let keys = CircuitBreakers::with_capacity_and_clock(CORE, 160, ManualClock::new());
    keys.observe(Gives);
    (0..100_u64).for_each(|key| drop(keys.get(&key)));
    for round in 0..20 {
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for calls in 1..=4 {
                let (keys, start) = (&keys, &start);
                scope.spawn(move || {
                    start.wait();
                    keys.reconfigure(CORE.permitted_calls(calls));
                });
            }
        });
        let config = keys.get(&(1_000 + round)).snapshot().config;
        let own = keys.all().into_iter().map(|(_, circuit)| circuit);
        for circuit in own.chain([keys.overflow(), keys.unmatched()]) {
            assert_eq!(circuit.snapshot().config, config, "round {round}");
        }
    }
}
