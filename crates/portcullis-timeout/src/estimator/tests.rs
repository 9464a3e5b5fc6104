//! The rules of a timeout, and simulations of callees.

mod callee;
mod rules;
mod scenes;

use super::*;

/// In milliseconds.
const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An estimator after these answers, in milliseconds.
fn after(config: TimeoutConfig, answers: impl IntoIterator<Item = u64>) -> Estimator {
    let mut it = Estimator::new(config);
    for answer in answers {
        it.record(Tick::ZERO, Sample::Answered(ms(answer)), false);
    }
    it
}

/// Within a hundredth: what a bucket may be off.
#[track_caller]
fn near(found: Duration, millis: f64) {
    let found = found.as_secs_f64() * 1e3;
    assert!((found / millis - 1.0).abs() <= 0.01, "{found} ms is not {millis} ms");
}
