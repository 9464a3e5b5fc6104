//! The cases of this house for timeouts and hedges.

use std::rc::Rc;

use portcullis::{AsError, Clock, ErrorsAreFailures};
use portcullis_timeout::breaker_core::Cloned;
use portcullis_timeout::{
    AdaptiveTimeout, AdaptiveTimeoutLayer, FromScope, Hedge, HedgeConfig, HedgeLayer, TimeoutConfig,
};
use tower_layer::Layer as _;

use crate::case::{Case, Live, Once, UntilDone, cloned, requested, reused, runtime};
use crate::ours::OURS;
use crate::service::{Later, Nothing, Web};

type Layer = AdaptiveTimeoutLayer<ErrorsAreFailures, AsError, FromScope>;

/// Every path through timeouts and hedges that the targets name, on this clock.
pub(crate) fn timeouts(clock: impl Clock + Clone + 'static) -> Vec<Case> {
    let mut cases = adaptive(clock.clone());
    cases.extend(hedges(clock));
    cases
}

fn adaptive(clock: impl Clock + Clone + 'static) -> Vec<Case> {
    type Maker = Rc<dyn Fn() -> AdaptiveTimeout>;

    let maker: Maker =
        Rc::new(move || AdaptiveTimeout::with_clock(TimeoutConfig::new(), clock.clone()));
    let case = |name, make: fn(AdaptiveTimeout) -> Live| {
        let maker = maker.clone();
        Case::new(OURS, name, move || make(maker()))
    };
    vec![
        case("timeout", |timeout| {
            reused::<Once, _>(plain(timeout.clone()).layer(Nothing)).beside(timeout)
        }),
        case("timeout, cloned per call", |timeout| {
            cloned::<Once, _>(plain(timeout).layer(Nothing))
        }),
        case("timeout, answer at the second poll", |timeout| {
            reused::<UntilDone, _>(plain(timeout.clone()).layer(Later))
                .beside(timeout)
                .within(runtime())
        }),
        case("timeout, request", |timeout| {
            requested(AdaptiveTimeoutLayer::from_timeout(timeout.clone()).layer(Web))
                .beside(timeout)
        }),
    ]
}

fn hedges(clock: impl Clock + Clone + 'static) -> Vec<Case> {
    type Maker = Rc<dyn Fn() -> HedgeLayer<ErrorsAreFailures, Cloned>>;

    let maker: Maker = Rc::new(move || {
        let hedge = Hedge::with_clock(HedgeConfig::new(), clock.clone());
        HedgeLayer::from_hedge(hedge).classify(ErrorsAreFailures).replay(Cloned)
    });
    let case = |name, make: fn(HedgeLayer<ErrorsAreFailures, Cloned>) -> Live| {
        let maker = maker.clone();
        Case::new(OURS, name, move || make(maker()))
    };
    vec![
        case("hedge", |layer| reused::<Once, _>(layer.layer(Nothing))),
        case("hedge, answer at the second poll", |layer| {
            reused::<UntilDone, _>(layer.layer(Later)).within(runtime())
        }),
    ]
}

/// As [`AdaptiveTimeoutLayer::generic`] has it.
fn plain(timeout: AdaptiveTimeout) -> Layer {
    let layer = AdaptiveTimeoutLayer::from_timeout(timeout);
    layer.classify(ErrorsAreFailures).expire(AsError).deadline(FromScope)
}
