//! State lives in the layer value.

use portcullis_backoff::breaker_core::TokioClock;
use portcullis_backoff::{Backoff, BackoffLayer, Budget};
use tower_layer::Layer as _;

use super::support::{Act, CONFIG, Callee, get, layer_of, status};

const FEW: Budget = Budget::tokens(3, 0, 1, 1);

// S-BACKOFF-10
#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_and_of_its_clones_share_one_budget() {
    let layer = layer_of(CONFIG.budget(FEW));
    let callee = Callee::new(Act::Answer(503));
    // As a router does: the layer is applied again and again.
    for _ in 0..3 {
        assert_eq!(status(&mut layer.clone().layer(callee.clone()), get()).await, 503);
    }
    assert_eq!((callee.calls(), layer.handle().snapshot().retried), (6, 3));
    // Its clones with another classifier are the same.
    assert_eq!(status(&mut layer.clone().http().layer(callee.clone()), get()).await, 503);
    assert_eq!(callee.calls(), 7);
}

// S-RETRY-04: so they do the history.
#[tokio::test(start_paused = true)]
async fn two_services_of_a_layer_share_what_is_remembered() {
    let layer = layer_of(CONFIG);
    let (one, two) = (Callee::new(Act::Answer(507)), Callee::new(Act::Answer(507)));
    assert_eq!(status(&mut layer.layer(one.clone()), get()).await, 507);
    assert_eq!(status(&mut layer.layer(two.clone()), get()).await, 507);
    assert_eq!((one.calls(), two.calls()), (2, 1), "it is exhausted for both");
}

#[tokio::test(start_paused = true)]
async fn two_layers_have_two_histories_and_two_layers_of_one_handle_have_one() {
    for (shared, calls) in [(false, (4, 4)), (true, (4, 1))] {
        let config = CONFIG.budget(FEW);
        let make = || Backoff::with_clock(config, TokioClock::new());
        let one = make();
        let two = if shared { one.clone() } else { make() };
        let callees = [&one, &two].map(|_| Callee::new(Act::Answer(503)));
        for (backoff, callee) in [&one, &two].into_iter().zip(&callees) {
            let layer = BackoffLayer::from_backoff(backoff);
            assert_eq!(status(&mut layer.layer(callee.clone()), get()).await, 503);
        }
        assert_eq!((callees[0].calls(), callees[1].calls()), calls, "{shared}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_form_without_tower_has_the_same_rules() {
    let backoff = Backoff::with_clock(CONFIG.budget(FEW), TokioClock::new());
    let begin = super::support::Begin::now();
    let numbers = std::cell::RefCell::new(Vec::new());
    let failed = backoff.run(|number| {
        numbers.borrow_mut().push(number);
        std::future::ready(Err::<(), _>(number))
    });
    assert_eq!(failed.await, Err(3), "the error of the last attempt");
    assert_eq!(numbers.take(), [1, 2, 3]);
    assert_eq!(begin.elapsed(), super::support::ms(200));
    let layer = BackoffLayer::from_backoff(&backoff);
    let callee = Callee::new(Act::Answer(503));
    assert_eq!(status(&mut layer.layer(callee.clone()), get()).await, 503);
    assert_eq!((callee.calls(), backoff.snapshot().retried), (2, 3));
}

// S-BACKOFF-10: cancelled while it waits.
#[tokio::test(start_paused = true)]
async fn the_form_without_tower_gives_back_what_it_does_not_use() {
    let backoff = Backoff::with_clock(CONFIG.budget(FEW), TokioClock::new());
    let run = backoff.run(|_| std::future::ready(Err::<(), _>("no")));
    let late = tokio::time::timeout(super::support::ms(150), run).await;
    assert!(late.is_err());
    assert_eq!(super::support::paid(&backoff), (2, 1));
}
