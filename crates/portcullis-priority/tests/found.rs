//! What went wrong once, each with a test that fails where it comes back.

use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Class, Clock, Event, EventKind, FailureKind, Interest,
    ManualClock, Observe, Outcome, Percent, Prioritize as _, Priority, Reason, Tick, TokioClock,
    Value,
};
use http::Request;
use portcullis_http::{CarryPriorityLayer, priority};
use portcullis_priority::{
    Call, Limit, LimitAlgorithm, PriorityQueue, QueueConfig, Sample, Slot, Throttle, Wait,
};
use tokio::time::{advance, sleep};
use tower_layer::Layer as _;
use tower_service::Service as _;

const MS: Duration = Duration::from_millis(1);
const ON_PURPOSE: &str = "on purpose";

/// Panics at events that the function picks, as long as it is armed.
struct Panics(Arc<AtomicBool>, fn(&EventKind) -> bool);

impl Observe for Panics {
    fn event(&self, event: &Event<'_>) {
        assert!(!self.0.load(Ordering::Relaxed) || !self.1(event.kind), "{ON_PURPOSE}");
    }
}

fn armed() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

/// What it does meanwhile, once: where another thread may come in between.
type Meanwhile = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A clock that lets something else happen when it is asked for the time, once.
#[derive(Clone, Default)]
struct Interrupted(Meanwhile);

impl Interrupted {
    fn by(&self, work: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(work));
    }
}

impl Clock for Interrupted {
    fn now(&self) -> Tick {
        let work = self.0.lock().unwrap().take();
        if let Some(work) = work {
            work();
        }
        Tick::ZERO
    }
}

fn fill(queue: &PriorityQueue, priority: Priority) -> Vec<Slot> {
    std::iter::from_fn(|| queue.try_acquire(priority).ok()).collect()
}

fn poll(wait: &mut Wait) -> Poll<Result<Slot, breaker_core::Rejected>> {
    Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
}

fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

// S-PRIO-05
// Found: `Home::at_desk` tells observers while what was taken is a plain `Taken` or a seat number,
// which nothing gives back when the panic of an observer goes on.
#[test]
fn an_observer_that_panics_when_a_call_starts_costs_no_slot() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), ManualClock::new());
    queue.observe(Panics(armed(), |kind| matches!(kind, EventKind::Started { .. })));
    assert!(quietly(|| queue.try_acquire(Priority::NORMAL)).is_none(), "the panic goes on");
    assert_eq!(queue.snapshot().running, 0);
}

// Found: the same with a call that was to wait. Its seat is given a slot, which nobody fetches.
#[test]
fn an_observer_that_panics_when_a_call_queues_leaves_nobody_in_the_queue() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), ManualClock::new());
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    queue.observe(Panics(armed(), |kind| matches!(kind, EventKind::Queued { .. })));
    assert!(quietly(|| queue.acquire(Priority::NORMAL)).is_none(), "the panic goes on");
    drop(slot);
    assert_eq!((queue.snapshot().depth(), queue.snapshot().running), (0, 0));
}

// Found: the first panic ends the loop over the events of one visit.
#[test]
fn an_observer_that_panics_keeps_no_event_from_the_others() {
    struct Counts(Arc<AtomicU32>);
    impl Observe for Counts {
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let heard = Arc::new(AtomicU32::new(0));
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), ManualClock::new());
    queue.observe(Counts(heard.clone()));
    queue.observe(Panics(armed(), |kind| matches!(kind, EventKind::LimitChanged { .. })));
    let config = QueueConfig::slots(2).min_priority(Priority::LOW);
    assert!(quietly(|| queue.reconfigure(config)).is_none(), "the panic goes on");
    assert_eq!(heard.load(Ordering::Relaxed), 2, "the limit and the minimum");
}

fn open_circuit(clock: impl Clock + 'static) -> CircuitBreaker {
    let circuit = CircuitBreaker::with_clock(CircuitBreakerConfig::new(), clock);
    circuit.trip().expect("it is closed");
    circuit
}

// Found: `Waiter::turn` says that the seat is left before the circuit is asked for its state, and an
// observer of the circuit may panic there. The seat is given a slot later, for ever.
#[tokio::test(start_paused = true)]
async fn an_observer_of_the_circuit_that_panics_under_a_waiting_call_costs_no_slot() {
    let long = QueueConfig::slots(1).max_wait(Class::Critical, Duration::from_secs(600));
    let queue = PriorityQueue::with_clock(long, TokioClock::new());
    let slot = queue.try_acquire(Priority::CRITICAL).unwrap();
    let circuit = open_circuit(TokioClock::new());
    queue.watch(&circuit);
    let mut wait = queue.acquire(Priority::CRITICAL);
    let panics = armed();
    circuit.observe(Panics(panics.clone(), |kind| matches!(kind, EventKind::StateChanged { .. })));
    // The next look at the circuit finds it half-open.
    advance(Duration::from_secs(120)).await;
    assert!(quietly(|| poll(&mut wait)).is_none(), "the panic goes on");
    panics.store(false, Ordering::Relaxed);
    drop(wait);
    drop(slot);
    assert_eq!((queue.snapshot().depth(), queue.snapshot().running), (0, 0));
}

// Found: the same where the call gives up: `Waiter::drop` swallows the panic, and the seat stays.
#[tokio::test(start_paused = true)]
async fn an_observer_of_the_circuit_that_panics_while_a_call_gives_up_costs_no_slot() {
    let long = QueueConfig::slots(1).max_wait(Class::Critical, Duration::from_secs(600));
    let queue = PriorityQueue::with_clock(long, TokioClock::new());
    let slot = queue.try_acquire(Priority::CRITICAL).unwrap();
    let circuit = open_circuit(TokioClock::new());
    queue.watch(&circuit);
    let wait = queue.acquire(Priority::CRITICAL);
    let panics = armed();
    circuit.observe(Panics(panics.clone(), |kind| matches!(kind, EventKind::StateChanged { .. })));
    advance(Duration::from_secs(120)).await;
    drop(wait);
    panics.store(false, Ordering::Relaxed);
    drop(slot);
    assert_eq!((queue.snapshot().depth(), queue.snapshot().running), (0, 0));
}

// Found: `Slot::drop` swallows the panic of the circuit's observer, and with it the hand-over.
#[tokio::test(start_paused = true)]
async fn a_slot_is_handed_over_though_an_observer_of_the_circuit_panics() {
    let long = QueueConfig::slots(1).max_wait(Class::Critical, Duration::from_secs(600));
    let queue = PriorityQueue::with_clock(long, TokioClock::new());
    let slot = queue.try_acquire(Priority::CRITICAL).unwrap();
    let circuit = open_circuit(TokioClock::new());
    queue.watch(&circuit);
    let wait = queue.acquire(Priority::CRITICAL);
    let wait = tokio::spawn(wait);
    settle().await;
    let panics = armed();
    circuit.observe(Panics(panics.clone(), |kind| matches!(kind, EventKind::StateChanged { .. })));
    advance(Duration::from_secs(120)).await;
    drop(slot);
    sleep(MS).await;
    assert!(wait.is_finished(), "a slot is free");
}

// S-PRIO-01
// Found: `Home::reconfigure` sets the gate after it has told observers. A panic there leaves the old
// gate for ever.
#[test]
fn a_minimum_holds_though_an_observer_panics_when_it_hears_of_it() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(3), ManualClock::new());
    struct Changes(Panics);
    impl Observe for Changes {
        fn interest(&self) -> Interest {
            Interest::CHANGES
        }
        fn event(&self, event: &Event<'_>) {
            self.0.event(event);
        }
    }
    let panics = Panics(armed(), |kind| matches!(kind, EventKind::MinimumChanged { .. }));
    queue.observe(Changes(panics));
    assert!(quietly(|| queue.min_priority(Priority::HIGH)).is_none(), "the panic goes on");
    assert_eq!(queue.config(), QueueConfig::slots(3).min_priority(Priority::HIGH));
    assert_eq!(
        queue.try_acquire(Priority::BULK).map_err(|rejected| rejected.reason()).err(),
        Some(Reason::BelowMinimum)
    );
}

// S-PRIO-01
// Found: the gate is set from a configuration that was read earlier, outside of the lock: with two
// changes at a time, the last gate may be that of the first configuration.
#[test]
fn of_two_minimums_at_a_time_the_one_in_force_is_the_one_that_refuses() {
    #[derive(Clone, Default)]
    struct Raises(Arc<Mutex<Option<PriorityQueue>>>);
    impl Observe for Raises {
        fn interest(&self) -> Interest {
            Interest::CHANGES
        }
        fn event(&self, _: &Event<'_>) {
            let queue = self.0.lock().unwrap().take();
            if let Some(queue) = queue {
                queue.min_priority(Priority::HIGH).expect("it fits");
            }
        }
    }
    let queue = PriorityQueue::with_clock(QueueConfig::slots(3), ManualClock::new());
    let raises = Raises::default();
    queue.observe(raises.clone());
    *raises.0.lock().unwrap() = Some(queue.clone());
    queue.min_priority(Priority::LOW).expect("it fits");
    assert_eq!(queue.snapshot().min_priority, Priority::HIGH);
    assert!(queue.try_acquire(Priority::NORMAL).is_err(), "it is below the minimum");
}

// Found: `Home::reconfigure` reads, changes and writes in three visits.
#[test]
fn a_new_minimum_does_not_undo_another_configuration_that_comes_at_the_same_time() {
    let clock = Interrupted::default();
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), clock.clone());
    let other = queue.clone();
    clock.by(move || other.reconfigure(QueueConfig::slots(9)).expect("it fits"));
    queue.min_priority(Priority::LOW).expect("it fits");
    assert_eq!(queue.snapshot().slots, 9);
    assert_eq!(queue.snapshot().min_priority, Priority::LOW);
}

// S-PRIO-04
// Found: `enter` asks whether the bound is reached, then hands slots over, and then takes one
// without asking again.
#[test]
fn an_open_circuit_never_lets_more_critical_calls_run_than_it_may() {
    let clock = Interrupted::default();
    let queue = PriorityQueue::with_clock(QueueConfig::slots(2), clock.clone());
    let [one, two] = [(); 2].map(|()| queue.try_acquire(Priority::NORMAL).unwrap());
    let circuit = open_circuit(ManualClock::new());
    queue.watch(&circuit);
    let mut first = queue.acquire(Priority::CRITICAL);
    // Both slots are given back, and before one of them is handed over another call comes.
    let other = queue.clone();
    let more = Arc::new(Mutex::new(None));
    let (taken, again) = (more.clone(), clock.clone());
    clock.by(move || {
        again.by(move || *taken.lock().unwrap() = Some(other.try_acquire(Priority::CRITICAL)));
        drop(two);
    });
    drop(one);
    let Poll::Ready(Ok(_running)) = poll(&mut first) else { panic!("it has a slot") };
    let second = more.lock().unwrap().take().expect("it came");
    assert!(second.is_err(), "two at a time");
    assert_eq!(queue.snapshot().running, 1);
}

// S-PRIO-04
// Found: calls that had waited for slots went on waiting for the bound of an open circuit, where
// those that come are refused; nobody looked at the queue when the circuit closed.
#[tokio::test(start_paused = true)]
async fn nobody_waits_beside_a_free_slot_for_an_open_circuit_to_close() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(2), TokioClock::new());
    let (one, two) = (
        queue.try_acquire(Priority::NORMAL).unwrap(),
        queue.try_acquire(Priority::NORMAL).unwrap(),
    );
    let circuit = open_circuit(TokioClock::new());
    queue.watch(&circuit);
    let first = tokio::spawn(queue.acquire(Priority::CRITICAL));
    settle().await;
    let second = tokio::spawn(queue.acquire(Priority::CRITICAL));
    settle().await;
    drop((one, two));
    let long = first.await.expect("no panic").expect("it has a slot");
    let refused = second.await.expect("no panic").map_err(|rejected| rejected.reason());
    assert_eq!(refused.err(), Some(Reason::Open), "one critical call at a time");
    assert_eq!(queue.snapshot().depth(), 0);
    circuit.reset();
    assert!(queue.try_acquire(Priority::BULK).is_ok());
    drop(long);
}

fn rounds(queue: &PriorityQueue, clock: &ManualClock, priority: Priority, outcome: Outcome) {
    // Many, since each says little where few run at a time.
    for _ in 0..5_000 {
        let slots = fill(queue, priority);
        clock.advance(MS * 10);
        for mut slot in slots {
            slot.answered(outcome);
        }
    }
}

// S-PRIO-03
// Found: `split` leaves the shared slots one, and `used` asks for half of the limit. Slots that are
// reserved for classes of which nobody comes are never in use, so the limit never grows again.
#[test]
fn a_limit_beside_reserved_slots_grows_for_any_class() {
    for limit in [
        Limit::deadline(Duration::from_secs(1)),
        Limit::aimd(Duration::from_secs(1)),
        Limit::gradient2(),
        Limit::vegas(),
        Limit::service_time(),
    ] {
        for (priority, most) in [(Priority::NORMAL, 35), (Priority::LOW, 15)] {
            let clock = ManualClock::new();
            let config = QueueConfig::new().limit(limit);
            let queue = PriorityQueue::with_clock(config, clock.clone());
            rounds(&queue, &clock, priority, Outcome::Success);
            let name = limit.name();
            assert_eq!(fill(&queue, priority).len(), most, "{name}, {priority}: as without it");
        }
    }
}

// Found: a limit grows to twice the slots that are in use, and knows nothing of how many there are:
// the first cuts of it change nothing.
#[test]
fn the_first_cut_of_a_limit_takes_slots_away() {
    let clock = ManualClock::new();
    let limit = Limit::aimd(Duration::from_secs(1));
    let queue = PriorityQueue::with_clock(QueueConfig::slots(50).limit(limit), clock.clone());
    rounds(&queue, &clock, Priority::NORMAL, Outcome::Success);
    assert_eq!(queue.snapshot().slots, 50);
    let mut slot = queue.try_acquire(Priority::NORMAL).unwrap();
    clock.advance(MS * 10);
    slot.answered(Outcome::Failure(FailureKind::Timeout));
    assert_eq!(queue.snapshot().slots, 45);
}

/// An operator's limit.
#[derive(Debug)]
struct Dial(Arc<AtomicU32>);

impl LimitAlgorithm for Dial {
    fn limit(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn sample(&mut self, _: &Sample) {}
}

// Found: `State::sample` compares the limit before and after the call, and not with the slots in
// force.
#[test]
fn an_algorithm_that_moves_by_itself_is_followed_with_the_next_call() {
    let dial = Arc::new(AtomicU32::new(1));
    let queue = PriorityQueue::with_clock(QueueConfig::slots(8), ManualClock::new());
    queue.limit_by(Dial(dial.clone())).expect("it fits");
    dial.store(4, Ordering::Relaxed);
    queue.try_acquire(Priority::NORMAL).unwrap().answered(Outcome::Success);
    assert_eq!(queue.snapshot().slots, 4);
}

// S-PRIO-03
// Found: `limit_by` is not refused where `limit` would be: without shared slots, the limit takes all
// slots of the lower classes, and is never told anything that would make it grow.
#[test]
fn an_algorithm_of_ones_own_leaves_every_admitted_class_a_slot() {
    let config = QueueConfig::new().shared(0).reserved(Class::Bulk, 5);
    let queue = PriorityQueue::with_clock(config, ManualClock::new());
    let refused = queue.limit_by(Dial(Arc::new(AtomicU32::new(3)))).expect_err("no slot is shared");
    assert_eq!(refused.iter().next().map(|error| error.path.as_str()), Some("shared"));
    assert!(queue.try_acquire(Priority::BULK).is_ok());
}

// Found: `State::reconfigure` compares configurations, and an algorithm of one's own is in none.
#[test]
fn a_configuration_is_put_in_force_as_a_whole_also_after_an_algorithm_of_ones_own() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(8), ManualClock::new());
    queue.limit_by(Dial(Arc::new(AtomicU32::new(1)))).expect("it fits");
    queue.reconfigure(QueueConfig::slots(8)).expect("it fits");
    assert_eq!(queue.snapshot().slots, 8);
}

// Found: `State::reconfigure` begins anew with any change of the limit, of its bounds alone, too.
#[test]
fn what_a_limit_has_learned_outlives_new_bounds() {
    let clock = ManualClock::new();
    let limit = Limit::aimd(Duration::from_secs(1));
    let queue = PriorityQueue::with_clock(QueueConfig::slots(50).limit(limit), clock.clone());
    for _ in 0..10 {
        clock.advance(MS * 10);
        let mut slot = queue.try_acquire(Priority::NORMAL).unwrap();
        clock.advance(MS * 10);
        slot.answered(Outcome::Failure(FailureKind::Timeout));
    }
    let learned = queue.snapshot().slots;
    assert!(learned < 10);
    queue.reconfigure(QueueConfig::slots(50).limit(limit.max(300))).expect("it fits");
    assert_eq!(queue.snapshot().slots, learned);
}

// S-PRIO-02
// Found: nothing asks for the remaining time where a slot is free, though the docs of
// `Call::remaining` and `remaining_fn` say so without that condition.
#[test]
fn a_call_whose_caller_has_no_time_left_is_refused_though_a_slot_is_free() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), ManualClock::new());
    let late = queue.try_acquire(Call::new(Priority::NORMAL).remaining(Duration::ZERO));
    assert_eq!(late.map_err(|rejected| rejected.reason()).err(), Some(Reason::TooLate));
}

// Found: how long calls take is only learned where a limit, a throttle or an observer is there.
#[test]
fn a_call_that_could_not_be_served_in_time_is_refused_without_a_limit_too() {
    let clock = ManualClock::new();
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), clock.clone());
    for _ in 0..100 {
        // The first that says how long it has makes that calls are timed.
        let call = Call::new(Priority::NORMAL).remaining(MS * 10_000);
        let mut slot = queue.try_acquire(call).unwrap();
        clock.advance(MS * 500);
        slot.answered(Outcome::Success);
    }
    let _slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let mut wait = queue.acquire(Call::new(Priority::NORMAL).remaining(MS * 100));
    assert_eq!(format!("{wait:?}"), "Wait(decided)", "calls take 500 ms");
    let Poll::Ready(Err(rejected)) = poll(&mut wait) else { panic!("it has a slot") };
    assert_eq!(rejected.reason(), Reason::TooLate);
}

// S-PRIO-07
// Found: `mark` leaves normal out, so that the header of a stranger reaches the callee, with our
// word for it, wherever a task lies between (`Buffer`, `spawn`).
#[test]
fn a_stranger_that_was_cut_to_normal_is_normal_for_the_callee_too() {
    let theirs = |name, value| Request::builder().header(name, value).body(()).unwrap();
    let read = priority::from_request();
    for (name, value) in [("x-priority", "critical"), ("priority", "u=0")] {
        let mut request = theirs(name, value);
        let cut = read.priority(&request).expect("it asks");
        assert_eq!(cut, Priority::NORMAL);
        read.mark(&mut request, cut);
        let sent: Arc<Mutex<Option<Priority>>> = Arc::default();
        let heard = sent.clone();
        // The callee trusts us.
        let callee = tower::service_fn(move |request: Request<()>| -> Ready<Result<(), ()>> {
            let ours = priority::from_request().trusted_fn(|_: &Request<()>| true);
            let mut request = request;
            request.extensions_mut().clear();
            *heard.lock().unwrap() = ours.priority(&request);
            ready(Ok(()))
        });
        // In a task of its own: nothing is current there.
        drop(CarryPriorityLayer::new().layer(callee).call(request));
        assert_eq!(*sent.lock().unwrap(), Some(Priority::NORMAL), "{name}: {value}");
    }
}

// S-ADV-02
// Found: `End::of` takes 429 and failed connections for calls that the callee took.
#[test]
fn a_throttle_counts_what_a_callee_that_is_down_or_over_quota_does_not_take() {
    for kind in [FailureKind::Connection, FailureKind::RateLimited] {
        let config = QueueConfig::slots(1).throttle(Throttle::sre(2.0).max_share(Percent::new(95)));
        let queue = PriorityQueue::with_clock(config, ManualClock::new());
        for _ in 0..100 {
            if let Ok(mut slot) = queue.try_acquire(Priority::NORMAL) {
                slot.answered(Outcome::Failure(kind));
            }
        }
        assert!(queue.snapshot().throttled_share > 0.5, "{kind}");
    }
}

// Found: what was under way counted as refused by the callee, so that a throttle refused the second
// call of two that came at once; and calls that were not made were taken back from a wrong class.
#[tokio::test(start_paused = true)]
async fn what_the_callee_has_not_refused_is_no_reason_to_refuse_here() {
    let config = QueueConfig::slots(1).throttle(Throttle::sre(1.0));
    let queue = PriorityQueue::with_clock(config, TokioClock::new());
    for _ in 0..100 {
        let slot = queue.try_acquire(Priority::CRITICAL).expect("it is free");
        let mut wait = queue.acquire(Priority::HIGH);
        wait.raise(Priority::CRITICAL);
        slot.give_back();
        wait.await.expect("it has the slot").give_back();
        assert_eq!(queue.snapshot().throttled_share, 0.0, "nothing was sent");
    }
}

// Found: `Home::refresh` keeps what an observer wanted to hear when it came.
#[test]
fn an_observer_is_asked_for_every_event_what_it_wants_to_hear() {
    struct Switched(Arc<AtomicBool>, Arc<AtomicU32>);
    impl Observe for Switched {
        fn interest(&self) -> Interest {
            if self.0.load(Ordering::Relaxed) { Interest::REFUSALS } else { Interest::NOTHING }
        }
        fn event(&self, _: &Event<'_>) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (on, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), ManualClock::new());
    queue.observe(Switched(on.clone(), heard.clone()));
    on.store(true, Ordering::Relaxed);
    let _slot = queue.try_acquire(Priority::NORMAL).unwrap();
    assert!(queue.try_acquire(Priority::NORMAL).is_err());
    assert_eq!(heard.load(Ordering::Relaxed), 1);
}

// S-PRIO-08
// Found: whoever left the queue is counted when it asks, so not if it is dropped instead.
#[test]
fn a_call_that_gave_its_place_is_counted_also_if_it_is_dropped_then() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1).capacity(1), ManualClock::new());
    let _slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let bulk = queue.acquire(Priority::BULK);
    let _high = queue.acquire(Priority::HIGH);
    drop(bulk);
    assert_eq!(queue.snapshot().displaced, 1);
}

// Found: `Snapshot::explain` looks at the sum of the slots only.
#[test]
fn what_it_explains_is_true_for_the_next_call() {
    let queue = PriorityQueue::with_clock(QueueConfig::new(), ManualClock::new());
    queue.watch(&open_circuit(ManualClock::new()));
    assert!(queue.try_acquire(Priority::NORMAL).is_err());
    let said = "priority-queue: 0 of 50 slots are taken; the circuit is open, and only critical calls \
                pass";
    assert_eq!(queue.explain(), said);
}

// S-PRIO-02
// Found: `State::enter` compares the remaining time with the average before it takes a slot. Where
// all callers say how long they have, and one call took longer than that, nobody is let through who
// could show that calls are quick again.
#[test]
fn callers_in_a_hurry_are_served_again_after_one_call_that_was_slow() {
    let clock = ManualClock::new();
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), clock.clone());
    let call = Call::new(Priority::NORMAL).remaining(MS * 1_000);
    let mut slot = queue.try_acquire(call).unwrap();
    // The first one finds a cold cache; or its caller gives up a little after its deadline.
    clock.advance(MS * 1_001);
    slot.answered(Outcome::Success);
    drop(slot);
    let served = (0..1_000).filter(|_| {
        clock.advance(Duration::from_secs(60));
        queue.try_acquire(call).is_ok()
    });
    assert!(served.count() > 0, "all slots have been free for hours");
}

// Found: `Limit::min` and `Limit::max` move the start, and `from_value` calls them after it. What
// `check` says of a start outside of the bounds nobody hears any more.
#[test]
fn a_start_that_was_written_outside_of_the_bounds_is_named() {
    for (start, bound, at) in [(5, "limit_min", 9), (9, "limit_max", 5)] {
        let fields = [("limit_start", Value::Int(start)), (bound, Value::Int(at))];
        let limit = ("limit", Value::Text("vegas".to_owned()));
        let table = fields.into_iter().chain([limit]);
        let value = Value::Table(table.map(|(name, value)| (name.to_owned(), value)).collect());
        let errors = QueueConfig::from_value(&value).expect_err("it starts outside");
        assert!(errors.iter().any(|error| error.path == "limit_start"), "{errors}");
    }
}

// Found: slots that are kept for others count as taken, however few of its own a class uses. More
// than half of the slots of `new` are kept from bulk calls, so one at a time is a limit in use.
#[test]
fn a_limit_does_not_grow_to_its_end_by_one_bulk_call_at_a_time() {
    let clock = ManualClock::new();
    let limit = Limit::aimd(Duration::from_secs(1)).start(20);
    let queue = PriorityQueue::with_clock(QueueConfig::new().limit(limit), clock.clone());
    for _ in 0..1_000 {
        let mut slot = queue.try_acquire(Priority::BULK).unwrap();
        clock.advance(MS * 10);
        slot.answered(Outcome::Success);
    }
    // With 39 there would be four for bulk calls, of which one is in use.
    assert!(queue.snapshot().slots < 40, "{}", queue.snapshot().slots);
}

// Found: `State::reconfigure` begins the algorithm anew with any change of the slots in all. Its
// number is kept, but not what calls take without a queue: where there is one just then, it is taken
// for what is usual.
#[test]
fn what_calls_take_without_a_queue_is_known_still_after_one_more_slot() {
    let after = |slots| {
        let clock = ManualClock::new();
        let config = |slots| QueueConfig::slots(slots).limit(Limit::service_time());
        let queue = PriorityQueue::with_clock(config(50), clock.clone());
        rounds(&queue, &clock, Priority::NORMAL, Outcome::Success);
        queue.reconfigure(config(slots)).expect("it fits");
        for _ in 0..10 {
            let slots = fill(&queue, Priority::NORMAL);
            // Ten times as long as before.
            clock.advance(MS * 100);
            for mut slot in slots {
                slot.answered(Outcome::Success);
            }
        }
        queue.snapshot().slots
    };
    let same = after(50);
    assert!(same < 40, "{same}");
    let other = after(51);
    assert!(other < 40, "{other} slots, and {same} where nothing was changed");
}
