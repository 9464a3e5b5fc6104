//! The cases of this house.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use portcullis::{
    AsError, CircuitBreakerConfig, CircuitBreakerLayer, CircuitBreakers, Clock, ErrorsAreFailures,
    Percent, Trip, Window,
};
use tower_layer::Layer as _;

use crate::case::{Case, Live, Once, UntilDone, cloned, failing, reused};
use crate::limits::limits;
use crate::queues::queues;
use crate::retries::retries;
use crate::service::{Later, Nothing};
use crate::timeouts::timeouts;

pub(crate) const OURS: &str = "portcullis";

/// How many keys the keyed cases hold.
pub(crate) const KEYS: u32 = 100_000;

const HOT: u32 = 77_777;
const HALF: Percent = Percent::new(50);
const DEFAULT: CircuitBreakerConfig = CircuitBreakerConfig::new();
const LAST: CircuitBreakerConfig = DEFAULT.trip(Trip::failure_rate(HALF, Window::last(100)));
const SECONDS: CircuitBreakerConfig =
    DEFAULT.trip(Trip::failure_rate(HALF, Window::in_buckets(Duration::from_secs(10), 10)));
const SLOW: CircuitBreakerConfig = DEFAULT.trip(Trip::slow_rate(HALF, Window::last(100)));

type Layer = CircuitBreakerLayer<ErrorsAreFailures, AsError>;
type Maker = Rc<dyn Fn(CircuitBreakerConfig) -> Layer>;

/// Every path through our layers that the targets name, on this clock.
#[must_use]
pub fn ours(clock: impl Clock + Clone + 'static) -> Vec<Case> {
    let mut cases = breakers(clock.clone());
    cases.extend(limits(clock.clone()));
    cases.extend(queues(clock.clone()));
    cases.extend(retries(clock.clone()));
    cases.extend(timeouts(clock));
    cases
}

fn breakers(clock: impl Clock + Clone + 'static) -> Vec<Case> {
    let layer: Maker = Rc::new(move |config| {
        CircuitBreakerLayer::with_clock(config, clock.clone())
            .classify(ErrorsAreFailures)
            .refuse(AsError)
    });
    let case = |name, make: fn(&Maker) -> Live| {
        let layer = layer.clone();
        Case::new(OURS, name, move || make(&layer))
    };
    vec![
        case("closed", |layer| reused::<Once, _>(layer(DEFAULT).layer(Nothing))),
        case("closed, cloned per call", |layer| cloned::<Once, _>(layer(DEFAULT).layer(Nothing))),
        case("closed, answer at the second poll", |layer| {
            reused::<UntilDone, _>(layer(DEFAULT).layer(Later))
        }),
        case("closed, 1 % failures", |layer| {
            failing::<Once, _>(layer(DEFAULT).layer(Nothing), 100)
        }),
        case("closed, call(closure)", |layer| {
            let breaker = layer(DEFAULT).handle();
            Live::new(move |calls| {
                for _ in 0..calls {
                    black_box(&black_box(&breaker).call(|| black_box(Ok::<_, ()>(7))));
                }
            })
        }),
        case("last 100 calls", |layer| reused::<Once, _>(layer(LAST).layer(Nothing))),
        case("last 100 calls, cloned per call", |layer| {
            cloned::<Once, _>(layer(LAST).layer(Nothing))
        }),
        case("last 100 calls, 1 % failures", |layer| {
            failing::<Once, _>(layer(LAST).layer(Nothing), 100)
        }),
        case("10 x 1 s, 100 calls in it", |layer| within_ten_seconds(layer, 100))
            .in_batches_of(1_000),
        case("10 x 1 s, 1,000,000 calls in it", |layer| within_ten_seconds(layer, 1_000_000))
            .in_batches_of(1_000),
        case("10 x 1 s, 1 % failures", |layer| {
            failing::<Once, _>(layer(SECONDS).layer(Nothing), 100)
        }),
        case("slow calls, answer at the second poll", |layer| {
            reused::<UntilDone, _>(layer(SLOW).layer(Later))
        }),
        case("open, refusal", |layer| {
            let layer = layer(DEFAULT.open_for(Duration::from_secs(86_400)));
            layer.handle().trip().unwrap_or_else(|problem| panic!("{problem}"));
            reused::<Once, _>(layer.layer(Nothing))
        }),
        case("keyed, look-up of one of 100,000", |layer| {
            let circuits = full(&layer(DEFAULT));
            Live::new(move |calls| {
                for _ in 0..calls {
                    if let Ok(permit) = black_box(circuits.try_acquire_unstamped(black_box(&HOT))) {
                        permit.success();
                    }
                }
            })
        })
        .counted_over(500_000),
        case("keyed, call of one of 100,000", |layer| {
            let layer = layer(DEFAULT);
            let circuits = full(&layer);
            let layer = layer.keyed_by(|_: &bool| Some(black_box(HOT)), circuits);
            reused::<Once, _>(layer.layer(Nothing))
        })
        .counted_over(500_000),
    ]
}

/// A window of ten seconds that holds so many calls before each batch.
fn within_ten_seconds(layer: &Maker, held: u64) -> Live {
    let layer = layer(SECONDS);
    let breaker = layer.handle();
    reused::<Once, _>(layer.layer(Nothing)).prepared_by(move || {
        breaker.reset();
        for _ in 0..held {
            if let Ok(permit) = breaker.try_acquire_unstamped() {
                permit.success();
            }
        }
    })
}

/// A circuit for each of the keys.
pub(crate) fn full(layer: &Layer) -> CircuitBreakers<u32> {
    // Twice the room: keys do not fall evenly into the shards of a map.
    let circuits = CircuitBreakers::like(&layer.handle(), KEYS as usize * 2);
    (0..KEYS).for_each(|key| drop(circuits.get(&key)));
    circuits
}
