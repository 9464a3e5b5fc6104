//! Any sequence of calls, waits and changes, against a list that forgets nothing.

use std::time::Duration;

use breaker_core::{ManualClock, Rejected};
use portcullis_ratelimit::limiter::Algorithm;
use portcullis_ratelimit::{Grant, Rate, RateLimit, RateLimiter, Usage};

/// In thousand-millionths of a call: so many calls per second gain as many in a nanosecond.
const CALL: i128 = 1_000_000_000;
const WINDOW: u64 = 1_000_000_000;

/// A bucket that lends calls to threads in advance.
const LARGE: u32 = 2_048;

/// How the limit decides, and whether its burst is large.
const KINDS: [(Algorithm, bool); 7] = [
    (Algorithm::TokenBucket, false),
    (Algorithm::TokenBucket, true),
    (Algorithm::LeakyBucket, false),
    (Algorithm::FixedWindow, false),
    (Algorithm::SlidingLog, false),
    (Algorithm::SlidingCounter, false),
    (Algorithm::Adaptive, false),
];

/// What would be in a bucket that keeps nothing but its level.
struct Tokens {
    left: i128,
    burst: u32,
    rate: u32,
    /// What may have been rounded.
    slack: i128,
}

impl Tokens {
    fn pass(&mut self, nanos: u64) {
        let gained = i128::from(nanos) * i128::from(self.rate);
        self.left = (self.left + gained).min(i128::from(self.burst) * CALL);
    }

    fn holds(&self, cost: u32, slack: i128) -> bool {
        cost <= self.burst && self.left + slack >= i128::from(cost) * CALL
    }

    fn change(&mut self, rate: u32, burst: u32) {
        // What was taken stays taken.
        self.left += (i128::from(burst) - i128::from(self.burst)) * CALL;
        // A unit of the meter is the rate by 64, in thousand-millionths of a call.
        self.slack += i128::from(self.rate.max(rate) / 64 + 1);
        (self.rate, self.burst) = (rate, burst);
    }
}

struct World {
    algorithm: Algorithm,
    large: bool,
    config: RateLimit,
    limit: RateLimiter,
    clock: ManualClock,
    now: u64,
    rate: u32,
    tokens: Tokens,
    /// All calls that were admitted and not given back.
    calls: Vec<(u64, u32)>,
    held: Vec<(Grant, u64)>,
    /// When the configuration last changed: what was gained before is not known after it.
    changed: u64,
}

/// How many things were done: the first byte says by which algorithm.
pub(crate) fn run(bytes: &[u8]) -> usize {
    let Some((&kind, ops)) = bytes.split_first() else { return 0 };
    let mut world = World::new(KINDS[usize::from(kind) % KINDS.len()]);
    for op in ops.chunks_exact(2) {
        let arg = op[1];
        match op[0] & 7 {
            // Nearly all of it, what is lent among it.
            1 if world.large => world.call(world.tokens.burst - u32::from(arg) % 8),
            0 | 1 => world.call(u32::from(arg) % 4),
            2 => world.call_when_told(u32::from(arg) % 16),
            3 => world.pass(u64::from(arg).pow(3)),
            4 => world.pass(u64::from(arg) * 10_000_000),
            5 => world.give_back(arg.into()),
            6 => world.change(1 + u32::from(arg) % 64, world.tokens.burst),
            _ if world.large => world.change(world.rate, LARGE + 16 * u32::from(arg)),
            _ => world.change(world.rate, 1 + u32::from(arg) % 12),
        }
    }
    ops.len() / 2
}

impl World {
    fn new((algorithm, large): (Algorithm, bool)) -> Self {
        let (rate, burst) = (20, if large { LARGE } else { 10 });
        let config = RateLimit::per_second(rate).burst(burst).algorithm(algorithm);
        let clock = ManualClock::new();
        let limit = RateLimiter::with_probe(config, clock.clone(), Usage::new);
        let tokens = Tokens { left: i128::from(burst) * CALL, burst, rate, slack: 1 };
        let (calls, held, now, changed) = (Vec::new(), Vec::new(), 0, 0);
        Self { algorithm, large, config, limit, clock, now, rate, tokens, calls, held, changed }
    }

    fn pass(&mut self, nanos: u64) {
        self.clock.advance(Duration::from_nanos(nanos));
        self.now += nanos;
        self.tokens.pass(nanos);
    }

    fn call(&mut self, cost: u32) {
        let _ = self.ask(cost);
    }

    /// Comes back when it was told to, and is admitted.
    fn call_when_told(&mut self, cost: u32) {
        let Err(rejected) = self.ask(cost) else { return };
        let Some(wait) = rejected.retry_after() else { return };
        self.pass(u64::try_from(wait.as_nanos()).expect("some years at most"));
        let again = self.ask(cost);
        assert!(again.is_ok(), "refused at the moment that it was told: {wait:?}, {again:?}");
    }

    fn ask(&mut self, cost: u32) -> Result<(), Rejected> {
        let answer = self.limit.try_acquire_n(cost);
        if cost == 0 {
            assert!(answer.is_ok(), "what costs nothing is admitted");
        } else if answer.is_ok() {
            assert!(
                self.may(cost, self.tokens.slack),
                "more than its bound: {}",
                self.limit.explain()
            );
        } else {
            // Whoever was refused would have got past the bound: but for what was lent and spent, and
            // but for the set, which is stricter than each of its members.
            let exact = !self.large && self.algorithm != Algorithm::Adaptive;
            let needless = exact && self.may(cost, -self.tokens.slack);
            assert!(!needless, "refused below its bound: {}", self.limit.explain());
        }
        let grant = answer?;
        self.tokens.left -= i128::from(cost) * CALL;
        self.calls.push((self.now, cost));
        self.held.push((grant, self.now));
        Ok(())
    }

    /// Whether the documented bound leaves room for a call.
    fn may(&self, cost: u32, slack: i128) -> bool {
        let (now, window) = (self.now, self.now / WINDOW);
        let fits = |taken: u64| taken + u64::from(cost) <= u64::from(self.rate);
        let since_the_border = || fits(self.sum(|at| at / WINDOW == window));
        match self.algorithm {
            Algorithm::FixedWindow => since_the_border(),
            Algorithm::SlidingLog => fits(self.sum(|at| at + WINDOW > now)),
            Algorithm::SlidingCounter => {
                let before = self.sum(|at| at / WINDOW + 1 == window) * (WINDOW - now % WINDOW);
                let current = self.sum(|at| at / WINDOW == window);
                before + (current + u64::from(cost)) * WINDOW <= u64::from(self.rate) * WINDOW
            }
            Algorithm::Adaptive => self.tokens.holds(cost, slack) && since_the_border(),
            _ => self.tokens.holds(cost, slack),
        }
    }

    fn sum(&self, which: impl Fn(u64) -> bool) -> u64 {
        self.calls.iter().filter(|(at, _)| which(*at)).map(|&(_, cost)| u64::from(cost)).sum()
    }

    fn give_back(&mut self, which: usize) {
        if self.held.is_empty() {
            return;
        }
        let (grant, taken) = self.held.swap_remove(which % self.held.len());
        let cost = grant.cost();
        let index = self.calls.iter().position(|call| *call == (taken, cost)).expect("it came");
        self.calls.swap_remove(index);
        // What a bucket has gained since is not owed to it any more.
        let gained = i128::from(self.now - taken.max(self.changed)) * i128::from(self.tokens.rate);
        let owed = (i128::from(self.tokens.burst) * CALL - gained).max(0);
        self.tokens.left += owed.min(i128::from(cost) * CALL);
        self.tokens.slack += 2;
        self.tokens.pass(0);
        grant.give_back();
    }

    fn change(&mut self, rate: u32, burst: u32) {
        let config = self.config.rate(Rate::per_second(rate)).burst(burst);
        // The adaptive one wants a burst that fits into a window: then nothing is changed.
        if self.limit.reconfigure(config).is_ok() {
            self.tokens.change(rate, burst);
            self.changed = self.now;
            (self.rate, self.config) = (rate, config);
        } else {
            assert_eq!(self.limit.config(), self.config, "refused, and changed all the same");
        }
    }
}
