//! Anchors under a model checker: their places are used again while marks of former owners are out.

use std::sync::Arc;

use super::{Anchor, Anchored};

/// `LOOM_MAX_PREEMPTIONS` says another bound.
fn prove(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

/// What a call does at its end.
fn tell(mark: Anchor<u32>, owner: u32) {
    if !mark.is_at_rest() {
        let found = mark.get().map(|state| *state);
        assert!(found.is_none_or(|found| found == owner), "a mark led to a stranger");
    }
}

#[test]
fn a_mark_of_an_ended_state_tells_the_next_on_its_place_nothing() {
    prove(|| {
        let first = Anchored::new(1_u32);
        let mark = first.anchor();
        let other = loom::thread::spawn(move || {
            tell(mark, 1);
            tell(mark, 1);
        });
        drop(first);
        let next = Anchored::new(2_u32);
        next.rest(true);
        other.join().unwrap();
        assert!(mark.get().is_none(), "a mark led to a stranger");
        assert!(!mark.is_at_rest(), "the rest of a stranger");
        assert_eq!(next.anchor().get().map(|state| *state), Some(2));
    });
}

#[test]
fn a_state_that_is_found_lives_until_it_is_let_go() {
    prove(|| {
        let life = Arc::new(());
        let first = Anchored::new(life.clone());
        let mark = first.anchor();
        let other = loom::thread::spawn(move || mark.get().map(|found| Arc::strong_count(&found)));
        drop(first);
        let found = other.join().unwrap();
        assert!(found.is_none_or(|count| count == 2), "found, but gone");
        assert!(mark.get().is_none() && Arc::strong_count(&life) == 1, "it lives on");
    });
}
