//! What the hardware and the standard library ask for anything at all.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::case::{Case, Live, Once, UntilDone, requested, reused};
use crate::service::{Later, Nothing, Web};

pub(crate) const FLOOR: &str = "floor";
pub(crate) const BARE: &str = "bare call";
pub(crate) const ADDITION: &str = "atomic addition";
pub(crate) const CLOCK: &str = "clock read";

/// The cases that everything else is compared with.
#[must_use]
pub fn floor() -> Vec<Case> {
    vec![
        Case::new(FLOOR, BARE, || reused::<Once, _>(Nothing)),
        Case::new(FLOOR, "bare call, answer at the second poll", || reused::<UntilDone, _>(Later)),
        Case::new(FLOOR, "request built, its answer read", || requested(Web)),
        Case::new(FLOOR, "atomic load", || {
            let word = AtomicU64::new(0);
            repeated(move || word.load(Ordering::Acquire))
        }),
        Case::new(FLOOR, ADDITION, || {
            let word = AtomicU64::new(0);
            repeated(move || word.fetch_add(1, Ordering::Relaxed))
        }),
        Case::new(FLOOR, "compare-exchange loop", || {
            let word = AtomicU64::new(0);
            repeated(move || {
                word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |seen| Some(seen + 1))
            })
        }),
        Case::new(FLOOR, "mutex, locked and unlocked", || {
            let word = Mutex::new(0_u64);
            repeated(move || *word.lock().unwrap_or_else(PoisonError::into_inner) += 1)
        }),
        Case::new(FLOOR, CLOCK, || repeated(Instant::now)),
        Case::new(FLOOR, "reference count up and down", || {
            let counted = Arc::new(0_u64);
            repeated(move || drop(black_box(black_box(&counted).clone())))
        }),
    ]
}

fn repeated<T>(step: impl Fn() -> T + Send + Sync + 'static) -> Live {
    let step = move |calls| {
        for _ in 0..calls {
            black_box(black_box(&step)());
        }
    };
    Live::new(step)
}
