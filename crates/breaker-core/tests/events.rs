//! Who is told what happens: streams, histories, observers.

mod common;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use breaker_core::{
    Change, CircuitBreaker, CircuitBreakers, Counted, Event, EventKind, Events, FailureKind,
    Interest, ManualClock, Next, Observe, Outcome, State, Tick, Why,
};
use common::{CORE, Recorder, TOUCHY, circuit, fail, millis, secs};

fn drain(events: &mut Events) -> Vec<Next> {
    std::iter::from_fn(|| events.try_next()).collect()
}

fn change(next: &Next) -> &Change {
    match next {
        Next::Change(change) => change,
        Next::Missed(missed) => panic!("missed {missed}"),
    }
}

/// S-CORE-14: an event says which circuit, from what, to what, why, and when.
#[test]
fn a_change_is_told_with_circuit_edge_reason_and_time() {
    let clock = ManualClock::new();
    let routes = CircuitBreakers::with_capacity_and_clock(TOUCHY, 16, clock.clone());
    let mut events = routes.subscribe();
    clock.advance(secs(5));
    fail(&routes.get(&"/a"), 1);
    let told = drain(&mut events);
    let [next] = &told[..] else { panic!("{told:?}") };
    let told = change(next);
    assert_eq!(told.partition.unwrap().as_str(), "/a");
    assert_eq!(told.at, Tick::from_millis(5_000));
    let EventKind::StateChanged { transition, order } = &told.kind else { panic!("{told:?}") };
    assert_eq!((transition.from, transition.to), (State::Closed, State::Open));
    assert_eq!((transition.why.as_str(), transition.generation), ("consecutive_failures", 1));
    assert_eq!((transition.at, order), (told.at, &None));
    assert_eq!(transition.cause.unwrap().to_string(), "1 calls in a row failed");
}

/// S-CORE-14: the reason of an operator goes with the event.
#[test]
fn the_reason_of_an_order_is_told() {
    let (breaker, _) = circuit(CORE);
    let mut events = breaker.subscribe();
    breaker.force_open("deploy 42");
    breaker.release();
    let orders: Vec<_> = drain(&mut events)
        .iter()
        .map(|next| match &change(next).kind {
            EventKind::StateChanged { transition, order } => (transition.why, order.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(orders, [(Why::Forced, Some("deploy 42".into())), (Why::Released, None)]);
}

/// S-CORE-14: ten thousand changes later a subscriber that never read is told what it missed.
#[test]
fn a_subscriber_that_never_reads_blocks_nobody_and_is_told_what_it_missed() {
    let (breaker, _) = circuit(CORE);
    let mut events = breaker.subscribe();
    for _ in 0..5_000 {
        breaker.force_open("on");
        breaker.release();
    }
    assert_eq!(breaker.recent_changes().len(), 256, "the history is bounded");
    assert_eq!(events.try_next(), Some(Next::Missed(10_000 - 256)));
    let rest = drain(&mut events);
    assert_eq!(rest.len(), 256);
    let generation = |next: &Next| match change(next).kind {
        EventKind::StateChanged { transition, .. } => transition.generation,
        _ => 0,
    };
    let told: Vec<_> = rest.iter().map(generation).collect();
    assert_eq!(told, (10_000 - 255..=10_000).collect::<Vec<_>>());
    breaker.force_open("on");
    assert_eq!(drain(&mut events).len(), 1, "and it goes on from there");
}

/// S-CORE-14: a new subscriber hears what comes, not what was.
#[test]
fn a_subscription_begins_now() {
    let (breaker, _) = circuit(CORE);
    breaker.force_open("before");
    let mut events = breaker.subscribe();
    assert_eq!(events.try_next(), None);
    breaker.release();
    assert_eq!(drain(&mut events).len(), 1);
    assert_eq!(breaker.recent_changes().len(), 2);
}

/// S-CORE-14: who waits is woken, and by the change itself.
#[tokio::test(start_paused = true)]
async fn next_wakes_up_when_something_happens() {
    let (breaker, clock) = circuit(CORE);
    let mut events = breaker.subscribe();
    let waiting = tokio::spawn(async move { events.next().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    fail(&breaker, 5);
    assert!(matches!(waiting.await.unwrap(), Next::Change(_)));
    // A timed change is told by whoever looks.
    let mut events = breaker.subscribe();
    let waiting = tokio::spawn(async move { events.next().await });
    tokio::task::yield_now().await;
    clock.advance(secs(60));
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(matches!(waiting.await.unwrap(), Next::Change(_)));
}

#[derive(Default)]
struct CountWakes(AtomicU32);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// R4: one wake per change, and none for a subscriber that has gone.
#[test]
fn waiting_costs_one_wake_and_a_dropped_wait_loses_nothing() {
    let (breaker, _) = circuit(CORE);
    let (wakes, mut events) = (Arc::new(CountWakes::default()), breaker.subscribe());
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    for _ in 0..10 {
        assert!(events.poll_next(&mut cx).is_pending());
    }
    // The future of a wait is dropped: the subscription keeps its place.
    drop(poll_fn(|cx| events.poll_next(cx)));
    breaker.force_open("x");
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "however often it was polled");
    assert!(matches!(events.poll_next(&mut cx), Poll::Ready(Next::Change(_))));
    assert!(events.poll_next(&mut cx).is_pending());
    drop(events);
    assert_eq!(Arc::strong_count(&wakes), 2, "a subscriber that goes leaves nothing behind");
    breaker.release();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

/// A waker whose clone and drop look at the circuit, as the last handle of a task may do.
struct Nosy(CircuitBreaker);

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.0.force_open("dropped");
    }
}

/// Wakers are dropped outside of all locks: a task that goes may hold permits.
#[test]
fn a_waker_whose_drop_uses_the_circuit_does_not_deadlock() {
    let (breaker, _) = circuit(CORE);
    for ends in 0..3 {
        let mut events = breaker.subscribe();
        let waker = Waker::from(Arc::new(Nosy(breaker.clone())));
        assert!(events.poll_next(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        match ends {
            0 => drop(events),
            1 => drop(events.poll_next(&mut Context::from_waker(Waker::noop()))),
            _ => breaker.disable("a change that wakes"),
        }
        assert_eq!(breaker.state(), State::ForcedOpen);
        breaker.release();
    }
}

/// S-CORE-14: what a call does is told in its order, once.
#[test]
fn observers_are_told_of_calls_refusals_and_cancels() {
    let (breaker, clock) = circuit(TOUCHY);
    let recorder = Recorder::on(&breaker);
    let (ok, bad) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    drop(breaker.try_acquire().unwrap());
    clock.advance(millis(20));
    ok.success();
    bad.failure(FailureKind::Timeout);
    let refused = breaker.try_acquire().unwrap_err();
    let told = recorder.take();
    assert_eq!(told.len(), 5);
    assert_eq!(told[0], EventKind::Cancelled { elapsed: secs(0) });
    let settled = |outcome, counted| EventKind::Settled {
        outcome,
        counted,
        duration: millis(20),
        slow: false,
        late: false,
    };
    assert_eq!(told[1], settled(Outcome::Success, Counted::Success));
    assert!(matches!(told[2], EventKind::StateChanged { .. }));
    let timeout = Outcome::Failure(FailureKind::Timeout);
    assert_eq!(told[3], settled(timeout, Counted::Failure));
    assert_eq!(told[4], EventKind::Refused(refused));
}

#[derive(Default)]
struct Picky {
    interest: AtomicU32,
    told: AtomicU64,
}

impl Observe for Picky {
    fn interest(&self) -> Interest {
        match self.interest.load(Ordering::SeqCst) {
            0 => Interest::NOTHING,
            1 => Interest::CHANGES,
            2 => Interest::REFUSALS,
            3 => Interest::CALLS,
            _ => Interest::STEPS,
        }
    }

    fn event(&self, _: &Event<'_>) {
        self.told.fetch_add(1, Ordering::SeqCst);
    }
}

/// S-CORE-14: an observer hears what it asks for, and can change its mind at any time.
#[test]
fn an_observer_is_told_only_what_it_wants_to_hear() {
    let picky = Arc::new(Picky::default());
    for (interest, told) in [(0, 0), (1, 1), (2, 2), (3, 1), (4, 4)] {
        let (breaker, _) = circuit(TOUCHY);
        breaker.observe(());
        breaker.observe(picky.clone());
        picky.interest.store(interest, Ordering::SeqCst);
        picky.told.store(0, Ordering::SeqCst);
        fail(&breaker, 1);
        assert!(breaker.try_acquire().is_err() && breaker.try_acquire().is_err());
        // Steps: one question and one update for the call, one question per refusal.
        assert_eq!(picky.told.load(Ordering::SeqCst), told, "interest {interest}");
    }
}

/// Keeps when it was told what.
#[derive(Default)]
struct Times(std::sync::Mutex<Vec<(Tick, EventKind)>>);

impl Observe for Times {
    fn interest(&self) -> Interest {
        Interest::CALLS | Interest::REFUSALS | Interest::STEPS
    }

    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push((event.at, event.kind.clone()));
    }
}

/// S-CORE-14: the time of an event is the present, also where the circuit itself needs no clock:
/// for an admission and a success that nobody timed, and for a refusal that was known beforehand.
#[test]
fn an_event_is_told_with_the_present_time() {
    let (breaker, clock) = circuit(CORE);
    let times = Arc::new(Times::default());
    breaker.observe(times.clone());
    clock.advance(secs(5));
    let permit = breaker.try_acquire_unstamped().unwrap();
    clock.advance(secs(2));
    permit.success();
    breaker.trip().unwrap();
    clock.advance(secs(20));
    let known = breaker.known_refusal().expect("open");
    clock.advance(secs(1));
    assert_eq!(breaker.refuse_known(known), known);
    let told = times.0.lock().unwrap();
    let at = |wanted: fn(&EventKind) -> bool| {
        told.iter().find_map(|(at, kind)| wanted(kind).then_some(*at)).unwrap()
    };
    let checked = at(|kind| matches!(kind, EventKind::Checked { .. }));
    let settled = at(|kind| matches!(kind, EventKind::Settled { .. }));
    let refused = at(|kind| matches!(kind, EventKind::Refused(_)));
    assert_eq!([checked, settled, refused], [5_000, 7_000, 28_000].map(Tick::from_millis));
}
