//! The cases of this house for retries.

use std::rc::Rc;

use portcullis::Clock;
use portcullis_backoff::breaker_core::{Cloned, ErrorsAreFailures, Outcome};
use portcullis_backoff::{Backoff, BackoffConfig, BackoffLayer};
use tower_layer::Layer as _;

use crate::case::{Case, Live, Once, UntilDone, cloned, failing, requested, reused};
use crate::ours::OURS;
use crate::service::{Later, Nothing, Web};

const DEFAULT: BackoffConfig = BackoffConfig::new();

type Layer = BackoffLayer<ErrorsAreFailures, Cloned>;
type Maker = Rc<dyn Fn(BackoffConfig) -> Backoff>;

/// Every path through retries that the targets name, on this clock.
pub(crate) fn retries(clock: impl Clock + Clone + 'static) -> Vec<Case> {
    let maker: Maker = Rc::new(move |config| rested(Backoff::with_clock(config, clock.clone())));
    let case = |name, make: fn(&Maker) -> Live| {
        let maker = maker.clone();
        Case::new(OURS, name, move || make(&maker))
    };
    vec![
        case("retry", |make| {
            let backoff = make(DEFAULT);
            reused::<Once, _>(plain(&backoff).layer(Nothing)).beside(backoff)
        }),
        case("retry, cloned per call", |make| {
            cloned::<Once, _>(plain(&make(DEFAULT)).layer(Nothing))
        }),
        case("retry, answer at the second poll", |make| {
            let backoff = make(DEFAULT);
            reused::<UntilDone, _>(plain(&backoff).layer(Later)).beside(backoff)
        }),
        case("retry, 1 % failures that are not repeated", |make| {
            let backoff = make(DEFAULT);
            failing::<Once, _>(plain(&backoff).layer(Nothing), 100).beside(backoff)
        }),
        case("retry, request", |make| {
            let backoff = make(DEFAULT);
            requested(BackoffLayer::from_backoff(&backoff).layer(Web)).beside(backoff)
        }),
    ]
}

/// A failure of unknown kind, as the services here have it, is not repeated by default.
fn plain(backoff: &Backoff) -> Layer {
    BackoffLayer::from_backoff(backoff).classify(ErrorsAreFailures).replay(Cloned)
}

/// As it is after some hundreds of calls that went well: its budget is full.
fn rested(backoff: Backoff) -> Backoff {
    let budget = backoff.budget();
    for _ in 0..1_000 {
        budget.ended(Outcome::Success);
    }
    backoff
}
