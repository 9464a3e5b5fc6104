//! The scenarios of catalogue chapter 23 that concern the breaker alone, in virtual time and
//! with a fixed stream of chance.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use portcullis::{
    Chance, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, EventKind, Jitter,
    ManualClock, Pace, Percent, State, Tick, refusal_of,
};
use portcullis_tests::loopback::Hits;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

const SECOND: u64 = 1_000;
const PACE: Pace = Pace::exponential(Duration::from_secs(60)).jitter(Jitter::None);
const CORE: CircuitBreakerConfig = CircuitBreakerConfig::new().open_period(PACE);
const GRADUAL: CircuitBreakerConfig = CircuitBreakerConfig::gradual().open_period(PACE);

// ===== Outage =====

// S-CORE-01, S-CORE-03, S-CORE-05, S-WIN-05: 100 calls a second; the callee is dead from t = 10 s
// to t = 100 s.
#[tokio::test]
async fn an_outage_costs_the_callee_five_calls_and_the_trials() {
    let shop = Shop::new(&CORE);
    let mut reached = Vec::new();
    for now in (0..300 * SECOND).step_by(10) {
        shop.clock.set(Tick::from_millis(now));
        let dead = (10 * SECOND..100 * SECOND).contains(&now);
        if shop.call(!dead).await {
            reached.push(now);
        }
    }
    let opened = 10_040;
    let second_opening = opened + 60 * SECOND;
    let trials = second_opening + 120 * SECOND;
    let before = (0..=opened).step_by(10);
    let after = (trials..300 * SECOND).step_by(10);
    let expected: Vec<u64> = before.chain([second_opening]).chain(after).collect();
    assert!(reached == expected, "{:?}", shop.changes());
    assert_eq!(
        shop.changes(),
        [
            (opened, State::Open),
            (second_opening, State::HalfOpen),
            (second_opening, State::Open),
            (trials, State::HalfOpen),
            (trials + 20, State::Closed),
        ]
    );
}

// ===== Relapse =====

// S-STRAT-02: the callee dies again while half of the traffic is back.
#[tokio::test]
async fn a_relapse_in_the_ramp_opens_within_five_failures() {
    let shop = Shop::new(&GRADUAL);
    let mut now = 0;
    let mut tick = |shop: &Shop| {
        now += 10;
        assert!(now < 10_000 * SECOND, "stuck: {}", shop.breaker.explain());
        shop.clock.set(Tick::from_millis(now));
    };
    while shop.breaker.state() != State::Open {
        tick(&shop);
        shop.call(false).await;
    }
    while shop.breaker.snapshot().share < Some(Percent::new(50)) {
        tick(&shop);
        shop.call(true).await;
    }
    let mut failures = 0;
    while shop.breaker.state() != State::Open {
        tick(&shop);
        failures += u32::from(shop.call(false).await);
    }
    assert!((1..=5).contains(&failures), "{failures} failures in the ramp");

    // Dead for good: it opens again and again, but never before its open period is over.
    for _ in 0..100_000 {
        tick(&shop);
        shop.call(false).await;
    }
    let opened: Vec<u64> =
        shop.changes().into_iter().filter(is_opening).map(|(at, _)| at).collect();
    assert!(opened.len() > 3, "{opened:?}");
    assert!(opened.windows(2).all(|pair| pair[1] - pair[0] >= 60 * SECOND), "{opened:?}");
}

const fn is_opening(change: &(u64, State)) -> bool {
    matches!(change.1, State::Open)
}

// ===== Hang =====

// S-CORE-07: nobody gets an answer, nobody waits for longer than 12 s, and a slow call is one of
// 10 s.
#[tokio::test]
async fn a_callee_that_hangs_opens_the_circuit_of_patient_callers() {
    let (state, made) = hang(Duration::from_secs(12)).await;
    assert_eq!(state, State::Open);
    // The fifth is given up at t = 16 s, and 11 more are on their way.
    assert_eq!(made, 5 + 11);
}

// S-CORE-07: who is impatient learns nothing about the callee.
#[tokio::test]
async fn impatient_callers_do_not_open_the_circuit_of_a_callee_that_hangs() {
    let (state, made) = hang(Duration::from_secs(1)).await;
    assert_eq!((state, made), (State::Closed, 1_000));
}

/// A call each second for 1,000 s, each given up after `patience`: the state, and how many calls
/// were made.
async fn hang(patience: Duration) -> (State, usize) {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::with_clock(CORE, clock.clone());
    let hangs = service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
    let mut service = CircuitBreakerLayer::from_breaker(breaker.clone()).layer(hangs);
    let mut waiting = VecDeque::new();
    let mut made = 0;
    for second in 0..1_000 {
        clock.set(Tick::from_millis(second * SECOND));
        while waiting.front().is_some_and(|&(since, _)| since + patience.as_secs() <= second) {
            waiting.pop_front();
        }
        if breaker.state() == State::Open {
            break;
        }
        let mut call = Box::pin(service.ready().await.expect("ready").call(Request::new(())));
        assert!(poll(call.as_mut()).is_pending());
        waiting.push_back((second, call));
        made += 1;
    }
    (breaker.state(), made)
}

// ===== Storm of cancels =====

// S-CORE-07: whatever is dropped wherever, each call is counted once and each slot comes back.
#[test]
fn a_hundred_thousand_calls_dropped_at_random_points_add_up() {
    const CALLS: u64 = 100_000;
    let clock = ManualClock::new();
    let config = CORE.totals(true).open_for(Duration::from_secs(1));
    let breaker = CircuitBreaker::with_clock_and_seed(config, clock.clone(), 7);
    let service = service_fn(|request: Request<Work>| request.into_body());
    let mut service = CircuitBreakerLayer::from_breaker(breaker.clone()).layer(service);
    let mut chance = Chance::seeded(23);
    let mut out = Vec::new();
    let (mut ended, mut dropped) = (0, 0);
    for _ in 0..CALLS {
        clock.advance(Duration::from_millis(chance.below(200)));
        let request = Request::new(Work::random(&mut chance));
        assert!(is_ready(&mut service));
        if chance.below(2) == 0 {
            // Somebody else goes away before the call.
            assert!(is_ready(&mut service.clone()));
        }
        out.push(Box::pin(service.call(request)));
        // Some are dropped unpolled, some after a poll or more, and some come to their end.
        for _ in 0..chance.below(4) {
            let one = chance.below(out.len() as u64) as usize;
            if poll(out[one].as_mut()).is_ready() {
                drop(out.swap_remove(one));
                ended += 1;
            }
            if out.is_empty() {
                break;
            }
        }
        if out.len() > chance.below(64) as usize {
            drop(out.swap_remove(chance.below(out.len() as u64) as usize));
            dropped += 1;
        }
    }
    dropped += out.len() as u64;
    drop(out);

    let snapshot = breaker.snapshot();
    let totals = snapshot.totals;
    assert_eq!(ended + dropped, CALLS);
    let sum = totals.successes + totals.failures + totals.ignored + totals.cancelled;
    assert_eq!(sum + totals.refused, CALLS, "{totals:?}");
    assert_eq!(snapshot.trials_in_flight, 0);
    // All of it happened.
    for part in [totals.successes, totals.failures, totals.cancelled, totals.refused, totals.late] {
        assert!(part > 100, "{totals:?}");
    }

    // No slot is lost: three good trials close it.
    if breaker.state() != State::Closed {
        clock.advance(Duration::from_secs(300));
        for _ in 0..3 {
            assert_eq!(breaker.state(), State::HalfOpen);
            breaker.try_acquire().expect("a trial").success();
        }
    }
    assert_eq!(breaker.state(), State::Closed);
}

/// Takes a few polls, and then answers well or badly.
struct Work {
    polls: u64,
    status: StatusCode,
}

impl Work {
    fn random(chance: &mut Chance) -> Self {
        let sick = chance.below(4) == 0;
        let status = if sick { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        Self { polls: chance.below(3), status }
    }
}

impl Future for Work {
    type Output = Result<Response<String>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls > 0 {
            self.polls -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut response = Response::new(String::new());
        *response.status_mut() = self.status;
        Poll::Ready(Ok(response))
    }
}

// ===== helpers =====

/// A callee behind a circuit, and the clock of both.
struct Shop {
    clock: ManualClock,
    breaker: CircuitBreaker,
    hits: Hits,
}

impl Shop {
    fn new(config: &CircuitBreakerConfig) -> Self {
        let clock = ManualClock::new();
        let breaker = CircuitBreaker::with_clock(*config, clock.clone());
        Self { clock, breaker, hits: Hits::default() }
    }

    /// A call to a callee that is well or not; whether the callee saw it.
    async fn call(&self, well: bool) -> bool {
        let before = self.hits.count();
        let callee = service_fn(async |_: Request<()>| {
            self.hits.hit();
            let status = if well { 200 } else { 500 };
            let answer = Response::builder().status(status).body(String::new());
            Ok::<_, Infallible>(answer.expect("a response"))
        });
        let service = CircuitBreakerLayer::from_breaker(self.breaker.clone()).layer(callee);
        let Ok(answer) = service.oneshot(Request::new(())).await;
        let reached = self.hits.count() > before;
        assert_eq!(refusal_of(&answer).is_none(), reached);
        reached
    }

    /// The states that were entered, and when, in milliseconds.
    fn changes(&self) -> Vec<(u64, State)> {
        let changes = self.breaker.recent_changes().into_iter();
        let changes = changes.filter_map(|change| match change.kind {
            EventKind::StateChanged { transition, .. } => Some(transition),
            _ => None,
        });
        changes.map(|change| (change.at.as_nanos() / 1_000_000, change.to)).collect()
    }
}

fn is_ready<S: Service<Req>, Req>(service: &mut S) -> bool {
    let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    matches!(ready, Poll::Ready(Ok(())))
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
