//! The queue by its handle: who gets a slot, who waits, who is refused. In virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Class, Event, EventKind, Observe, Priority, Reason,
    TokioClock,
};
use portcullis_priority::{Call, Discipline, Displace, PriorityQueue, QueueConfig, Slot, Wait};
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

const MS: Duration = Duration::from_millis(1);

fn queue(config: &QueueConfig) -> PriorityQueue {
    PriorityQueue::with_clock(*config, TokioClock::new())
}

/// Takes all slots that a class can get.
fn fill(queue: &PriorityQueue, priority: Priority) -> Vec<Slot> {
    std::iter::from_fn(|| queue.try_acquire(priority).ok()).collect()
}

/// Lets a call wait in a task of its own; what becomes of it.
fn waits(queue: &PriorityQueue, call: impl Into<Call>) -> JoinHandle<Result<Slot, Reason>> {
    let wait: Wait = queue.acquire(call);
    tokio::spawn(async move { wait.await.map_err(|rejected| rejected.reason()) })
}

/// Lets all tasks do what they can do now.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

async fn reason(wait: JoinHandle<Result<Slot, Reason>>) -> Reason {
    wait.await.expect("it does not panic").expect_err("it is refused")
}

// S-PRIO-02
#[tokio::test(start_paused = true)]
async fn a_free_slot_is_taken_at_once_and_given_back_when_the_call_ends() {
    let queue = queue(&QueueConfig::new());
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    assert_eq!(queue.snapshot().running, 1);
    drop(slot);
    assert_eq!(queue.snapshot().running, 0);
}

// S-PRIO-03
#[tokio::test(start_paused = true)]
async fn classes_without_slots_of_their_own_run_in_the_shared_ones() {
    let queue = queue(&QueueConfig::new());
    let low = fill(&queue, Priority::LOW);
    assert_eq!(low.len(), 15);
    assert_eq!(queue.try_acquire(Priority::BULK).unwrap_err().reason(), Reason::AtLimit);
    let normal = fill(&queue, Priority::NORMAL);
    assert_eq!(normal.len(), 20, "its own; nobody lower took them");
    let high = fill(&queue, Priority::HIGH);
    assert_eq!(high.len(), 10);
    let critical = fill(&queue, Priority::CRITICAL);
    assert_eq!(critical.len(), 5, "critical calls are bounded, too");
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.running, snapshot.slots), (50, 50));
    assert_eq!(snapshot.reserved_running, [0, 0, 20, 10, 5]);
}

// S-PRIO-03
#[tokio::test(start_paused = true)]
async fn a_class_whose_slots_are_busy_takes_a_shared_one_and_then_those_of_lower_classes() {
    let queue = queue(&QueueConfig::new());
    let mut high = Vec::new();
    for _ in 0..10 {
        high.push(queue.try_acquire(Priority::HIGH).unwrap());
    }
    assert_eq!(queue.snapshot().reserved_running, [0, 0, 0, 10, 0]);
    high.push(queue.try_acquire(Priority::HIGH).unwrap());
    assert_eq!(queue.snapshot().reserved_running, [0, 0, 0, 10, 0], "a shared one");
    high.extend(fill(&queue, Priority::HIGH));
    assert_eq!(high.len(), 45);
    assert_eq!(queue.snapshot().reserved_running, [0, 0, 20, 10, 0], "never those of a higher one");
}

// S-PRIO-02
#[tokio::test(start_paused = true)]
async fn each_class_waits_for_as_long_as_it_may() {
    let queue = queue(&QueueConfig::new());
    let _all = fill(&queue, Priority::CRITICAL);
    for (priority, millis) in [(100, 5_000), (75, 2_000), (50, 1_000), (25, 500), (0, 100)] {
        let wait = waits(&queue, Priority::new(priority));
        advance(MS * (millis - 1)).await;
        settle().await;
        assert!(!wait.is_finished(), "{priority} waits {millis} ms");
        advance(MS).await;
        assert_eq!(reason(wait).await, Reason::QueueTimeout);
    }
    let custom = waits(&queue, Priority::new(60));
    advance(MS * 999).await;
    settle().await;
    assert!(!custom.is_finished());
    advance(MS).await;
    assert_eq!(reason(custom).await, Reason::QueueTimeout);
    assert_eq!(queue.snapshot().timed_out, 6);
    assert_eq!(queue.snapshot().depth(), 0);
}

// S-PRIO-02
#[tokio::test(start_paused = true)]
async fn a_wait_of_a_millisecond_is_over_after_it() {
    let config = QueueConfig::slots(1).max_wait(Class::Low, MS);
    let queue = queue(&config);
    let _slot = queue.try_acquire(Priority::LOW).unwrap();
    let wait = waits(&queue, Priority::LOW);
    advance(MS).await;
    assert_eq!(reason(wait).await, Reason::QueueTimeout);
}

// S-PRIO-05
#[tokio::test(start_paused = true)]
async fn one_finish_starts_exactly_one_and_the_most_important_first() {
    let queue = queue(&QueueConfig::slots(1));
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let low = waits(&queue, Priority::LOW);
    let high = waits(&queue, Priority::HIGH);
    settle().await;
    assert_eq!(queue.snapshot().waiting, [0, 1, 0, 1, 0]);
    drop(slot);
    settle().await;
    assert!(high.is_finished() && !low.is_finished());
    assert_eq!(queue.snapshot().running, 1);
    drop(high.await.unwrap().unwrap());
    let slot = low.await.unwrap().unwrap();
    assert_eq!(slot.priority(), Priority::LOW);
}

// S-PRIO-05
#[tokio::test(start_paused = true)]
async fn whoever_gives_up_in_the_queue_or_with_a_slot_it_has_not_fetched_leaves_nothing_behind() {
    let queue = queue(&QueueConfig::slots(1));
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let (first, second) = (queue.acquire(Priority::NORMAL), queue.acquire(Priority::NORMAL));
    let third = waits(&queue, Priority::NORMAL);
    drop(first);
    assert_eq!(queue.snapshot().depth(), 2);
    // The second is given the slot, and never asks for it.
    drop(slot);
    assert_eq!((queue.snapshot().depth(), queue.snapshot().running), (1, 1));
    drop(second);
    let slot = third.await.unwrap().unwrap();
    assert_eq!((queue.snapshot().depth(), queue.snapshot().running), (0, 1));
    drop(slot);
    assert_eq!(queue.snapshot().running, 0);
}

// S-PRIO-06
#[tokio::test(start_paused = true)]
async fn half_of_its_wait_lifts_a_call_by_one_class() {
    let queue = queue(&QueueConfig::slots(1));
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let low = waits(&queue, Priority::LOW);
    settle().await;
    advance(MS * 250).await;
    // Its deadline is the nearer one.
    let normal = waits(&queue, Priority::NORMAL);
    settle().await;
    drop(slot);
    settle().await;
    assert!(low.is_finished() && !normal.is_finished());
}

// S-PRIO-06
#[tokio::test(start_paused = true)]
async fn weights_share_slots_among_all_classes() {
    let config = QueueConfig::slots(1).discipline(Discipline::Weighted).ageing(false);
    let queue = queue(
        &Class::ALL
            .into_iter()
            .fold(config, |config, class| config.max_wait(class, Duration::from_secs(60))),
    );
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    for class in Class::ALL {
        for _ in 0..62 {
            let (wait, heard) = (queue.acquire(class.priority()), heard.clone());
            tokio::spawn(async move {
                let slot = wait.await.expect("it waits long enough");
                heard.lock().unwrap().push(class);
                drop(slot);
            });
        }
    }
    settle().await;
    drop(slot);
    sleep(MS).await;
    let order = heard.lock().unwrap();
    let first: Vec<_> = order.iter().take(62).collect();
    let counts = Class::ALL.map(|class| first.iter().filter(|c| ***c == class).count());
    assert_eq!(counts, [2, 4, 8, 16, 32]);
}

// S-PRIO-01
#[tokio::test(start_paused = true)]
async fn a_minimum_is_raised_live_and_sheds_those_that_wait() {
    let queue = queue(&QueueConfig::slots(1));
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let (low, normal) = (waits(&queue, Priority::LOW), waits(&queue, Priority::NORMAL));
    settle().await;
    queue.min_priority(Priority::NORMAL).unwrap();
    assert_eq!(reason(low).await, Reason::BelowMinimum);
    assert!(!normal.is_finished());
    drop(slot);
    drop(normal.await.unwrap().unwrap());
    let refused = queue.try_acquire(Priority::new(49)).unwrap_err();
    assert_eq!(
        (refused.reason(), refused.priority()),
        (Reason::BelowMinimum, Some(Priority::new(49)))
    );
    assert!(queue.try_acquire(Priority::NORMAL).is_ok());
    queue.min_priority(Priority::BULK).unwrap();
    assert!(queue.try_acquire(Priority::BULK).is_ok());
}

// S-PRIO-08
#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_lowest_class_and_the_oldest_of_it() {
    for (displace, gone) in [(Displace::Oldest, 0), (Displace::Newest, 1)] {
        let config = QueueConfig::slots(1).capacity(2).displace(displace);
        let queue = queue(&config);
        let _slot = queue.try_acquire(Priority::NORMAL).unwrap();
        let mut bulk = [waits(&queue, Priority::BULK), waits(&queue, Priority::BULK)].map(Some);
        settle().await;
        let high = waits(&queue, Priority::HIGH);
        settle().await;
        let displaced = bulk[gone].take().expect("it is there");
        assert_eq!(reason(displaced).await, Reason::Displaced);
        let stays = bulk[1 - gone].take().expect("it is there");
        assert!(!stays.is_finished() && !high.is_finished());
        // Nobody lower waits than another one of bulk.
        let refused = waits(&queue, Priority::BULK);
        assert_eq!(reason(refused).await, Reason::QueueFull);
        assert_eq!(queue.snapshot().waiting, [1, 0, 0, 1, 0]);
    }
}

// S-PRIO-04
#[tokio::test(start_paused = true)]
async fn an_open_circuit_lets_a_critical_call_through_at_a_time_and_a_half_open_one_high_ones() {
    let config = CircuitBreakerConfig::new();
    let circuit = CircuitBreaker::with_clock(config, TokioClock::new());
    let queue = queue(&QueueConfig::new());
    queue.watch(&circuit);
    let running = queue.try_acquire(Priority::LOW).unwrap();
    for _ in 0..5 {
        circuit.try_acquire().unwrap().failure(breaker_core::FailureKind::Internal);
    }
    let critical = queue.try_acquire(Priority::CRITICAL).unwrap();
    assert_eq!(queue.try_acquire(Priority::CRITICAL).unwrap_err().reason(), Reason::Open);
    assert_eq!(queue.try_acquire(Priority::HIGH).unwrap_err().reason(), Reason::Open);
    drop((critical, running));
    let critical = queue.try_acquire(Priority::CRITICAL).unwrap();
    advance(Duration::from_secs(60)).await;
    let _high = queue.try_acquire(Priority::HIGH).expect("half-open");
    assert_eq!(queue.try_acquire(Priority::NORMAL).unwrap_err().reason(), Reason::BelowShare);
    for _ in 0..3 {
        circuit.try_acquire().unwrap().success();
    }
    let _bulk = queue.try_acquire(Priority::BULK).expect("closed");
    drop(critical);
    assert_eq!(queue.snapshot().running, 2);
}

// S-PRIO-04
#[tokio::test(start_paused = true)]
async fn those_that_wait_are_refused_when_the_circuit_has_opened() {
    let circuit = CircuitBreaker::with_clock(CircuitBreakerConfig::new(), TokioClock::new());
    let queue = queue(&QueueConfig::slots(1));
    queue.watch(&circuit);
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let (normal, critical) = (waits(&queue, Priority::NORMAL), waits(&queue, Priority::CRITICAL));
    settle().await;
    for _ in 0..5 {
        circuit.try_acquire().unwrap().failure(breaker_core::FailureKind::Internal);
    }
    drop(slot);
    assert_eq!(reason(normal).await, Reason::Open);
    assert!(critical.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_cannot_be_met_is_refused_at_once_and_bounds_the_wait() {
    let queue = queue(&QueueConfig::slots(1));
    let _slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let call = Call::new(Priority::CRITICAL);
    assert_eq!(reason(waits(&queue, call.remaining(Duration::ZERO))).await, Reason::TooLate);
    let wait = waits(&queue, call.remaining(MS * 30));
    advance(MS * 29).await;
    settle().await;
    assert!(!wait.is_finished());
    advance(MS).await;
    assert_eq!(reason(wait).await, Reason::TooLate);
}

// S-PRIO-07
#[tokio::test(start_paused = true)]
async fn a_call_that_somebody_more_important_waits_for_inherits_its_priority() {
    let queue = queue(&QueueConfig::slots(1));
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let mut low = queue.acquire(Priority::LOW);
    let high = waits(&queue, Priority::HIGH);
    settle().await;
    low.raise(Priority::CRITICAL);
    drop(slot);
    let slot = low.await.unwrap();
    assert_eq!(slot.priority(), Priority::CRITICAL, "so do the calls that it makes");
    assert!(!high.is_finished());
}

#[tokio::test(start_paused = true)]
async fn more_slots_let_in_those_that_wait_and_fewer_take_none_away() {
    let queue = queue(&QueueConfig::slots(1));
    let first = queue.try_acquire(Priority::NORMAL).unwrap();
    let (second, third) = (waits(&queue, Priority::LOW), waits(&queue, Priority::LOW));
    settle().await;
    queue.reconfigure(QueueConfig::slots(2)).unwrap();
    let second = second.await.unwrap().unwrap();
    assert!(!third.is_finished());
    queue.reconfigure(QueueConfig::slots(1)).unwrap();
    assert_eq!((queue.snapshot().running, queue.snapshot().slots), (2, 1));
    drop(first);
    settle().await;
    assert!(!third.is_finished(), "one runs still");
    drop(second);
    assert!(third.await.unwrap().is_ok());
    assert!(queue.reconfigure(QueueConfig::new().shared(0)).is_err(), "low has no slot");
}

// S-PRIO-08
#[tokio::test(start_paused = true)]
async fn observers_hear_of_the_queue_and_of_its_limits() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);
    impl Observe for Heard {
        fn event(&self, event: &Event<'_>) {
            let said = match event.kind {
                EventKind::Started { priority, waited, running, depth } => {
                    format!("started {priority} {waited:?} {running} {depth}")
                }
                EventKind::Queued { priority, depth } => format!("queued {priority} {depth}"),
                EventKind::Finished { priority, running } => {
                    format!("finished {priority} {running}")
                }
                EventKind::Refused(rejected) => format!("refused {}", rejected.summary()),
                EventKind::LimitChanged { from, to } => format!("limit {from} {to}"),
                EventKind::MinimumChanged { from, to } => format!("minimum {from} {to}"),
                other => format!("{other:?}"),
            };
            self.0.lock().unwrap().push(said);
        }
    }
    let heard = Arc::new(Heard::default());
    let queue = queue(&QueueConfig::slots(1));
    queue.observe(heard.clone());
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let high = waits(&queue, Priority::HIGH);
    advance(MS * 7).await;
    drop(slot);
    drop(high.await.unwrap().unwrap());
    queue.reconfigure(QueueConfig::slots(3).min_priority(Priority::LOW)).unwrap();
    assert!(queue.try_acquire(Priority::BULK).is_err());
    assert_eq!(
        *heard.0.lock().unwrap(),
        [
            "started normal 0ns 1 0",
            "queued high 1",
            "started high 7ms 1 0",
            "finished normal 1",
            "finished high 0",
            "limit 1 3",
            "minimum bulk low",
            "refused calls of its priority are not admitted now",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn it_explains_itself() {
    let queue = queue(&QueueConfig::slots(1).named("search"));
    assert_eq!(queue.explain(), "search: 0 of 1 slots are taken, and the next call starts at once");
    let _slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let _waits = [Priority::LOW, Priority::HIGH, Priority::LOW].map(|p| queue.acquire(p));
    let said = "search: 1 of 1 slots are taken, and 3 wait (1 high, 2 low)";
    assert_eq!(queue.explain(), said);
    queue.min_priority(Priority::LOW).unwrap();
    assert_eq!(queue.explain(), format!("{said}; calls below low are refused"));
}

// S-PRIO-05
#[tokio::test(start_paused = true)]
async fn a_queue_that_nobody_has_any_more_is_used_again_when_its_last_slot_is_back() {
    let slots: Vec<_> = (0..100)
        .map(|_| {
            let queue = queue(&QueueConfig::slots(1));
            queue.try_acquire(Priority::NORMAL).expect("a new queue has all its slots")
        })
        .collect();
    drop(slots);
    for _ in 0..100 {
        let queue = queue(&QueueConfig::slots(2));
        assert_eq!(fill(&queue, Priority::BULK).len(), 2);
    }
}
