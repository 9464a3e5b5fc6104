//! What a circuit costs, beside the floor: a bare call and an atomic addition.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, CircuitBreakers, Percent, Trip,
    Window,
};
use portcullis_benches::{Nothing, call};
use tower_layer::Layer;

fn floor(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("floor");
    group.bench_function("bare call", |bencher| {
        let mut service = Nothing;
        bencher.iter(|| call(black_box(&mut service), false));
    });
    group.bench_function("atomic addition", |bencher| {
        let counter = AtomicU64::new(0);
        bencher.iter(|| counter.fetch_add(black_box(1), Ordering::Relaxed));
    });
    group.finish();
}

fn evidence() -> [(&'static str, Trip); 4] {
    let half = Percent::new(50);
    [
        ("consecutive 5", Trip::consecutive(5)),
        ("last 100 calls", Trip::failure_rate(half, Window::last(100))),
        ("last 10 s", Trip::failure_rate(half, Window::over(Duration::from_secs(10)))),
        ("slow calls", Trip::slow_rate(half, Window::last(100))),
    ]
}

fn closed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("closed");
    for (name, trip) in evidence() {
        let layer = CircuitBreakerLayer::generic(CircuitBreakerConfig::new().trip(trip));
        let mut service = layer.layer(Nothing);
        group.bench_function(format!("{name}, reused"), |bencher| {
            bencher.iter(|| call(black_box(&mut service), false));
        });
        group.bench_function(format!("{name}, cloned"), |bencher| {
            bencher.iter(|| call(&mut black_box(&service).clone(), false));
        });
        let mut count = 0_u32;
        group.bench_function(format!("{name}, 1 % failures"), |bencher| {
            bencher.iter(|| {
                count = count.wrapping_add(1);
                call(black_box(&mut service), count.is_multiple_of(100))
            });
        });
    }
    group.finish();
}

fn open(criterion: &mut Criterion) {
    let layer = CircuitBreakerLayer::generic(CircuitBreakerConfig::new());
    layer.handle().force_open("benchmark");
    let mut service = layer.layer(Nothing);
    criterion.bench_function("open/refusal", |bencher| {
        bencher.iter(|| call(black_box(&mut service), false));
    });
}

fn call_style(criterion: &mut Criterion) {
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::new());
    criterion.bench_function("closed/call(closure)", |bencher| {
        bencher.iter(|| breaker.call(|| black_box(Ok::<_, ()>(7))));
    });
}

fn keyed(criterion: &mut Criterion) {
    let clock = portcullis::MonotonicClock::new();
    let config = CircuitBreakerConfig::new();
    let circuits = CircuitBreakers::with_capacity_and_clock(config, 100_000, clock);
    for key in 0..100_000_u32 {
        let _ = circuits.get(&key);
    }
    criterion.bench_function("keyed/look up one of 100,000", |bencher| {
        bencher.iter(|| circuits.get(black_box(&77_777)));
    });
}

criterion_group!(benches, floor, closed, open, call_style, keyed);
criterion_main!(benches);
