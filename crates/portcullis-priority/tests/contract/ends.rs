//! Every slot that was taken is given back, once, however the call ends.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use portcullis_priority::breaker_core::{Outcome, Priority, Reason, Rejected};
use portcullis_priority::{PriorityQueueLayer, QueueConfig, Verdict};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{
    Act, CONFIG, Inner, call, layer, layer_of, panics, request, running, watched,
};

// S-PRIO-05
#[test]
fn an_answer_gives_the_slot_back() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Service::<Request<()>>::poll_ready(&mut service, cx).is_ready());
    let mut answer = pin!(service.call(request()));
    assert_eq!(running(&layer.handle()), 1);
    assert!(answer.as_mut().poll(cx).is_ready());
    assert_eq!(running(&layer.handle()), 0, "while the future is still there");
}

// S-PRIO-05: more of them than there are slots.
#[test]
fn a_call_that_is_dropped_gives_its_slot_back() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::Never));
    let cx = &mut Context::from_waker(Waker::noop());
    for polls in 0..10 {
        assert!(Service::<Request<()>>::poll_ready(&mut service, cx).is_ready());
        let mut answer = Box::pin(service.call(request()));
        assert_eq!(running(&layer.handle()), 1);
        for _ in 0..polls {
            assert!(answer.as_mut().poll(cx).is_pending());
        }
        drop(answer);
        assert_eq!(running(&layer.handle()), 0);
    }
}

// S-PRIO-05
#[test]
fn a_panic_gives_the_slot_back_and_goes_on() {
    for act in [Act::PanicInCall, Act::PanicInFuture] {
        let layer = layer();
        let mut service = layer.layer(Inner::new(act));
        (0..10).for_each(|_| panics(&mut service));
        assert_eq!(running(&layer.handle()), 0, "{act:?}");
    }
}

// S-PRIO-05
#[test]
fn so_does_a_panic_of_what_is_asked_about_the_call() {
    let inner = Inner::new(Act::Answer(200));
    let calls = inner.calls();
    let (layer, shown) = watched();
    let judge = |_: Result<&Response<String>, &Infallible>| -> Outcome { panic!("judge") };
    panics(&mut layer.clone().classify_fn(judge).layer(inner.clone()));
    assert_eq!((calls.load(Ordering::Relaxed), running(&layer.handle())), (1, 0));
    assert_eq!(shown.verdicts(), [], "it is not the callee's fault");
    let ask = |_: &Request<()>| -> Option<Priority> { panic!("ask") };
    panics(&mut layer.clone().priority_fn(ask).layer(inner.clone()));
    let user = |_: &Request<()>| -> Option<u8> { panic!("user") };
    panics(&mut layer.clone().fair_by_fn(user).layer(inner.clone()));
    layer.handle().min_priority(Priority::CRITICAL).expect("it fits");
    let refuse =
        |_: &Request<()>, _: Rejected| -> Result<Response<String>, Infallible> { panic!("refuse") };
    panics(&mut layer.clone().refuse_fn(refuse).layer(inner));
    assert_eq!((calls.load(Ordering::Relaxed), running(&layer.handle())), (1, 0));
}

// S-ADV-02
#[test]
fn a_refusal_from_further_in_gives_the_slot_back_and_says_nothing_of_the_callee() {
    let (layer, shown) = watched();
    let mut service = layer.layer(Inner::new(Act::Refuse));
    for _ in 0..100 {
        assert_eq!(call(&mut service, request()).status(), 200);
    }
    assert_eq!((running(&layer.handle()), shown.verdicts()), (0, vec![]));
}

// S-ADV-02: also with a classifier of one's own.
#[test]
fn a_closure_that_classifies_leaves_refusals_to_the_classifier_before_it() {
    let (layer, shown) = watched();
    let judge = |_: Result<&Response<String>, &Infallible>| Outcome::Success;
    let _ = call(&mut layer.clone().classify_fn(judge).layer(Inner::new(Act::Refuse)), request());
    assert_eq!(shown.verdicts(), []);
    let _ = call(&mut layer.classify_fn(judge).layer(Inner::new(Act::Answer(500))), request());
    assert_eq!(shown.verdicts(), [Verdict::Answered]);
}

// S-ADV-02: two queues, one inside the other.
#[test]
fn a_queue_outside_of_a_queue_holds_no_slot_for_what_the_inner_refuses() {
    let ((outer, shown), inner) = (watched(), layer_of(QueueConfig::slots(1).capacity(0)));
    let _slot = inner.handle().try_acquire(Priority::NORMAL).expect("it is free");
    let mut stack = outer.layer(inner.layer(Inner::new(Act::Answer(200))));
    for _ in 0..20 {
        assert_eq!(call(&mut stack, request()).status(), 503);
    }
    assert_eq!((running(&outer.handle()), inner.handle().snapshot().full), (0, 20));
    assert_eq!(shown.verdicts(), []);
}

#[test]
fn the_limit_is_shown_what_says_something_of_the_load() {
    use Verdict::{Answered, Cancelled, Overloaded, TimedOut};
    for (act, expected) in [
        (Act::Answer(200), vec![Answered]),
        (Act::Answer(404), vec![Answered]),
        (Act::Answer(500), vec![]),
        (Act::Answer(503), vec![Overloaded]),
        (Act::Answer(504), vec![TimedOut]),
        (Act::PanicInCall, vec![]),
        (Act::PanicInFuture, vec![]),
        (Act::Never, vec![Cancelled]),
    ] {
        let (layer, shown) = watched();
        let mut service = layer.layer(Inner::new(act));
        let once = AssertUnwindSafe(|| {
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(Service::<Request<()>>::poll_ready(&mut service, cx).is_ready());
            let _ = pin!(service.call(request())).poll(cx);
        });
        let _ = catch_unwind(once);
        assert_eq!(shown.verdicts(), expected, "{act:?}");
    }
}

#[test]
fn an_error_of_any_service_is_passed_on_and_a_refusal_an_error() {
    #[derive(Debug, PartialEq)]
    enum Oops {
        Broken,
        Refused(Reason),
    }
    impl From<Rejected> for Oops {
        fn from(rejected: Rejected) -> Self {
            Self::Refused(rejected.reason())
        }
    }
    let layer = PriorityQueueLayer::generic(CONFIG, |level: &u8| Priority::checked(*level));
    layer.handle().min_priority(Priority::LOW).expect("it fits");
    let inner = tower::service_fn(|_: u8| std::future::ready(Err::<u8, _>(Oops::Broken)));
    let mut service = layer.layer(inner);
    let cx = &mut Context::from_waker(Waker::noop());
    // 200 is no priority, and normal therefore.
    for (level, expected) in
        [(7, Oops::Refused(Reason::BelowMinimum)), (30, Oops::Broken), (200, Oops::Broken)]
    {
        assert!(service.poll_ready(cx).is_ready());
        let answer = pin!(service.call(level)).poll(cx);
        assert_eq!(answer, Poll::Ready(Err(expected)));
    }
    assert_eq!(running(&layer.handle()), 0);
}
