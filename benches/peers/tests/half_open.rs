//! What becomes of a circuit that probes.

mod common;

use common::{Call, OPEN_FOR, Peer, Reply, Verdict, each, poll};

/// Whether calls get through again, if the callee is well and there is plenty of time.
fn recovers(peer: &Peer) -> bool {
    (0..4).any(|_| {
        peer.pass(OPEN_FOR * 2);
        // Ours may stay half-open for a minute before it opens again.
        if peer.name == "portcullis" {
            peer.pass(std::time::Duration::from_secs(60));
        }
        (0..5).all(|_| peer.call(true) == Verdict::Good)
    })
}

#[test]
fn a_trial_that_hangs_holds_three_of_them_for_ever() {
    let outcomes = each(|peer| {
        peer.open_and_wait();
        // Held until the end of the scene; one of them admits a second trial.
        let _hung: Vec<_> = (0..2).map(|_| peer.begin(&Reply::default())).collect();
        recovers(peer)
    });
    assert_eq!(
        outcomes,
        [
            ("portcullis", true),
            ("tower-resilience", false),
            ("ninelives", false),
            ("failsafe", true),
            ("recloser", true),
            ("circuitbreaker-rs", false),
        ]
    );
}

#[test]
fn a_trial_that_is_dropped_holds_two_of_them_for_ever() {
    let outcomes = each(|peer| {
        peer.open_and_wait();
        (0..2).for_each(|_| drop(peer.begin(&Reply::default())));
        recovers(peer)
    });
    assert_eq!(
        outcomes,
        [
            ("portcullis", true),
            ("tower-resilience", true),
            ("ninelives", false),
            ("failsafe", true),
            ("recloser", true),
            ("circuitbreaker-rs", false),
        ]
    );
}

#[test]
fn two_of_them_let_everything_through_while_they_probe() {
    let admitted = each(|peer| {
        peer.open_and_wait();
        let calls: Vec<_> = (0..100).map(|_| peer.begin(&Reply::default())).collect();
        calls.iter().filter(|call| call.is_ok()).count()
    });
    assert_eq!(
        admitted,
        [
            ("portcullis", 1),
            ("tower-resilience", 1),
            ("ninelives", 1),
            ("failsafe", 100),
            ("recloser", 100),
            ("circuitbreaker-rs", 2),
        ]
    );
}

/// Calls that were admitted while the circuit was closed, and end when the scene wants it.
struct Late {
    replies: [Reply; 3],
    calls: Vec<Call>,
}

impl Late {
    fn begin(peer: &Peer) -> Self {
        let replies: [Reply; 3] = Default::default();
        let begin = |reply| peer.begin(reply).expect("closed admits");
        Self { calls: replies.iter().map(begin).collect(), replies }
    }

    fn end(mut self, good: bool) {
        self.replies.iter().for_each(|reply| reply.give(good));
        let ended = self.calls.iter_mut().all(|call| poll(call).is_some());
        assert!(ended, "an answer ends a call");
    }
}

#[test]
fn late_successes_close_the_half_open_circuit_of_all_but_one() {
    let closed = each(|peer| {
        let late = Late::begin(peer);
        peer.open_and_wait();
        let _trial = peer.begin(&Reply::default()).map_err(drop).expect("a trial is admitted");
        late.end(true);
        // Half-open refuses, or takes one failure as the end; closed does neither.
        peer.call(false) == Verdict::Bad && peer.call(true) == Verdict::Good
    });
    assert_eq!(
        closed,
        [
            ("portcullis", false),
            ("tower-resilience", true),
            ("ninelives", true),
            ("failsafe", true),
            ("recloser", true),
            ("circuitbreaker-rs", true),
        ]
    );
}

#[test]
fn late_failures_open_the_circuit_of_four_although_the_trial_succeeds() {
    let opened = each(|peer| {
        let late = Late::begin(peer);
        peer.open_and_wait();
        let reply = Reply::default();
        let mut trial = peer.begin(&reply).map_err(drop).expect("a trial is admitted");
        late.end(false);
        reply.give(true);
        assert_eq!(poll(&mut trial), Some(Verdict::Good), "the callee is well");
        peer.call(true) == Verdict::Refused
    });
    assert_eq!(
        opened,
        [
            ("portcullis", false),
            ("tower-resilience", true),
            ("ninelives", false),
            ("failsafe", true),
            ("recloser", true),
            ("circuitbreaker-rs", true),
        ]
    );
}

#[test]
fn a_late_success_closes_the_open_circuit_of_one() {
    let closed = each(|peer| {
        let late = Late::begin(peer);
        peer.open();
        late.end(true);
        peer.call(true) == Verdict::Good
    });
    assert_eq!(
        closed,
        [
            ("portcullis", false),
            ("tower-resilience", false),
            ("ninelives", true),
            ("failsafe", false),
            ("recloser", false),
            ("circuitbreaker-rs", false),
        ]
    );
}
