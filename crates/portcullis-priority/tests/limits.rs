//! What calls say of the callee's load moves the limit; what they say of themselves does not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker_core::{Class, FailureKind, ManualClock, Outcome, Percent, Priority, Reason};
use portcullis_priority::{
    ConcurrencyLimit, Limit, LimitAlgorithm, PriorityQueue, QueueConfig, Sample, Slot, Throttle,
    Verdict,
};

const MS: Duration = Duration::from_millis(1);
const OVERLOAD: FailureKind = FailureKind::Overload { retry_after: None };

/// A queue whose limit is cut by a tenth at each hard verdict, beginning with 10.
fn cut_by_a_tenth() -> (PriorityQueue, ManualClock) {
    let clock = ManualClock::new();
    let limit = Limit::aimd(Duration::from_secs(1)).start(10).max(20);
    let queue = PriorityQueue::with_clock(ConcurrencyLimit::adaptive(limit), clock.clone());
    (queue, clock)
}

fn call(queue: &PriorityQueue, clock: &ManualClock, outcome: Outcome) {
    let mut slot = queue.try_acquire(Priority::NORMAL).expect("a slot is free");
    clock.advance(MS * 10);
    slot.answered(outcome);
}

#[test]
fn application_errors_never_cut_a_limit_and_overload_answers_and_timeouts_do() {
    use FailureKind::{
        Connection, Internal, InvalidRequest, Panic, RateLimited, ResourceExhausted, Timeout,
        Unknown,
    };
    let own = [Connection, Internal, InvalidRequest, Panic, RateLimited, Unknown];
    for kind in own {
        let (queue, clock) = cut_by_a_tenth();
        for _ in 0..1_000 {
            call(&queue, &clock, Outcome::Failure(kind));
        }
        assert_eq!(queue.snapshot().slots, 10, "{kind}");
    }
    for kind in [Timeout, OVERLOAD, ResourceExhausted] {
        let (queue, clock) = cut_by_a_tenth();
        call(&queue, &clock, Outcome::Failure(kind));
        assert_eq!(queue.snapshot().slots, 9, "{kind}");
    }
}

#[test]
fn a_burst_of_overload_answers_to_one_round_of_calls_cuts_once() {
    let (queue, clock) = cut_by_a_tenth();
    let slots: Vec<Slot> = (0..10).map(|_| queue.try_acquire(Priority::LOW).unwrap()).collect();
    clock.advance(MS * 10);
    for mut slot in slots {
        slot.answered(Outcome::Failure(OVERLOAD));
    }
    assert_eq!(queue.snapshot().slots, 9);
}

#[test]
fn an_idle_load_lets_a_limit_stand() {
    let (queue, clock) = cut_by_a_tenth();
    for _ in 0..100_000 {
        call(&queue, &clock, Outcome::Success);
    }
    assert_eq!(queue.snapshot().slots, 10);
}

#[test]
fn a_full_load_lets_a_limit_grow_up_to_the_slots_of_the_configuration() {
    let clock = ManualClock::new();
    let limit = Limit::aimd(Duration::from_secs(1)).start(10).max(500);
    let config = QueueConfig::slots(24).reserved(Class::Critical, 6).limit(limit);
    let queue = PriorityQueue::with_clock(config, clock.clone());
    for _ in 0..100 {
        let fill = std::iter::from_fn(|| queue.try_acquire(Priority::CRITICAL).ok());
        let slots: Vec<Slot> = fill.collect();
        clock.advance(MS * 10);
        for mut slot in slots {
            slot.answered(Outcome::Success);
        }
    }
    assert_eq!(queue.snapshot().slots, 30);
}

// S-ADV-02
#[test]
fn a_call_that_was_refused_further_in_says_nothing() {
    let (queue, clock) = cut_by_a_tenth();
    for _ in 0..100 {
        let slot = queue.try_acquire(Priority::NORMAL).unwrap();
        // Longer than the timeout: given up, it would cut.
        clock.advance(MS * 2_000);
        slot.give_back();
    }
    assert_eq!((queue.snapshot().slots, queue.snapshot().running), (10, 0));
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    clock.advance(MS * 2_000);
    drop(slot);
    assert_eq!(queue.snapshot().slots, 9);
}

#[test]
fn an_algorithm_of_ones_own_moves_the_limit_and_sees_each_call() {
    #[derive(Debug)]
    struct Written(u32, Arc<Mutex<Vec<Sample>>>);
    impl LimitAlgorithm for Written {
        fn limit(&self) -> u32 {
            self.0
        }

        fn sample(&mut self, sample: &Sample) {
            self.0 = if sample.verdict == Verdict::Answered { 3 } else { 0 };
            self.1.lock().unwrap().push(*sample);
        }
    }
    let clock = ManualClock::new();
    let queue = PriorityQueue::with_clock(QueueConfig::slots(8), clock.clone());
    let seen = Arc::new(Mutex::new(Vec::new()));
    queue.limit_by(Written(2, seen.clone()));
    assert_eq!(queue.snapshot().slots, 2);
    call(&queue, &clock, Outcome::Success);
    assert_eq!(queue.snapshot().slots, 3);
    call(&queue, &clock, Outcome::Failure(FailureKind::Timeout));
    assert_eq!(queue.snapshot().slots, 1, "nobody may run no call at all");
    let seen = seen.lock().unwrap();
    let verdicts: Vec<_> = seen.iter().map(|sample| (sample.verdict, sample.took())).collect();
    assert_eq!(verdicts, [(Verdict::Answered, MS * 10), (Verdict::TimedOut, MS * 10)]);
    assert!(seen.iter().all(|sample| sample.in_flight == 1));
}

#[test]
fn a_throttle_counts_what_the_callee_refuses_and_nothing_else() {
    let clock = ManualClock::new();
    let throttle = Throttle::sre(2.0).max_share(Percent::new(95));
    let config = QueueConfig::slots(1).throttle(throttle);
    let queue = PriorityQueue::with_clock(config, clock.clone());
    for _ in 0..500 {
        call(&queue, &clock, Outcome::Failure(FailureKind::Internal));
    }
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    for _ in 0..5_000 {
        assert_eq!(queue.try_acquire(Priority::HIGH).unwrap_err().reason(), Reason::AtLimit);
    }
    slot.give_back();
    assert_eq!(queue.snapshot().throttled_share, 0.0);
    clock.advance(Duration::from_secs(600));
    let mut sent = 0;
    for _ in 0..500 {
        if let Ok(mut slot) = queue.try_acquire(Priority::NORMAL) {
            sent += 1;
            slot.answered(Outcome::Failure(OVERLOAD));
        }
    }
    let snapshot = queue.snapshot();
    assert!(sent < 100, "{sent} of 500 were sent to a callee that takes none");
    assert_eq!((snapshot.throttled, snapshot.running), (500 - sent, 0));
    let said = "95 % of the calls are refused, as the callee would";
    assert!(queue.explain().ends_with(said), "{}", queue.explain());
}

#[test]
fn a_throttle_takes_the_lowest_class_first() {
    let clock = ManualClock::new();
    let queue = PriorityQueue::with_clock(
        QueueConfig::slots(10).throttle(Throttle::sre(1.0)),
        clock.clone(),
    );
    let mut refused = [0_u32; 5];
    for _ in 0..2_000 {
        clock.advance(MS);
        // What the callee takes in a millisecond.
        let mut room = 4;
        for class in Class::ALL {
            match queue.try_acquire(class.priority()) {
                Ok(mut slot) if room > 0 => {
                    room -= 1;
                    slot.answered(Outcome::Success);
                }
                Ok(mut slot) => slot.answered(Outcome::Failure(OVERLOAD)),
                Err(_) => refused[class.index()] += 1,
            }
        }
    }
    assert!(refused[0] > 1_500, "{refused:?}");
    assert_eq!(refused[2..], [0, 0, 0], "{refused:?}");
}
