//! Random histories into a bucket and into a model of it: the same decisions, and exact moments.

use proptest::prelude::*;

use super::models::{CALL, Level, Model, Weighed, counter, fixed, log};
use super::*;

/// One thing that happens. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Pass(u64),
    /// To the moment at which a call of this cost is ready, or a nanosecond before.
    PassUntil(u32, bool),
    Admit(u32),
    GiveBack(usize),
    Rate(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => prop_oneof![0_u64..1_000, 0_u64..50_000_000, 0_u64..3_000_000_000].prop_map(Op::Pass),
        1 => (1_u32..12, any::<bool>()).prop_map(|(cost, early)| Op::PassUntil(cost, early)),
        6 => prop_oneof![Just(1), 0_u32..12].prop_map(Op::Admit),
        1 => any::<usize>().prop_map(Op::GiveBack),
        1 => any::<u32>().prop_map(Op::Rate),
    ]
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 1..120)
}

/// A bucket on its way, and what it has admitted.
pub(crate) struct Walk<L> {
    pub(crate) bucket: L,
    pub(crate) terms: Terms,
    pub(crate) now: u64,
    /// What may be given back.
    pub(crate) taken: Vec<(u64, u32)>,
}

impl<L: Limiter + Clone> Walk<L> {
    pub(crate) fn new(bucket: L, terms: Terms) -> Self {
        Self { bucket, terms, now: 0, taken: Vec::new() }
    }

    pub(crate) fn pass_until(&mut self, cost: u32, early: bool) {
        if let Some(at) = self.bucket.ready_at(&self.terms, ns(self.now), cost) {
            self.now = self.now.max(at.as_nanos() - u64::from(early && at.as_nanos() > 0));
        }
    }

    pub(crate) fn admit(&mut self, cost: u32) -> Decision {
        let decision = self.bucket.admit(&self.terms, ns(self.now), cost);
        if decision == Decision::Admitted {
            self.taken.push((self.now, cost));
        }
        decision
    }

    pub(crate) fn give_back(&mut self, index: usize) -> Option<(u64, u32)> {
        let index = index.checked_rem(self.taken.len())?;
        let (at, cost) = self.taken.swap_remove(index);
        self.bucket.give_back(&self.terms, ns(self.now), ns(at), cost);
        Some((at, cost))
    }

    /// What it says of itself holds: what remains is admitted, and one more at the moment named.
    pub(crate) fn check(&self, most: u32) {
        let (terms, now) = (&self.terms, ns(self.now));
        let mut spent = self.bucket.clone();
        let remaining = self.bucket.remaining(terms, now);
        assert_eq!(admitted(&mut spent, terms, now, remaining + 1), remaining);
        assert_eq!(spent.remaining(terms, now), 0);
        for cost in [1, most] {
            let at = self.bucket.ready_at(terms, now, cost).expect("no more than the most");
            assert_eq!(self.bucket.ready_at(terms, at, cost), Some(at));
            if at > now {
                let before = ns(at.as_nanos() - 1);
                assert_eq!(self.bucket.ready_at(terms, before, cost), Some(at));
            }
        }
        assert_eq!(self.bucket.ready_at(terms, now, most + 1), None);
        let full_at = self.bucket.full_at(terms, now);
        assert!(full_at >= now && self.bucket.remaining(terms, full_at) == most);
        if full_at > now {
            let before = ns(full_at.as_nanos() - 1);
            assert!(self.bucket.remaining(terms, before) < most);
        }
    }
}

/// The same decisions, call by call, with rates from this list.
fn same<L: Limiter + Clone>(bucket: L, model: &mut dyn Model, rates: &[u32], ops: &[Op]) {
    let fastest = Rate::per_second(*rates.iter().max().expect("rates"));
    let terms = Terms::new(Rate::per_second(rates[0]), fastest, 10, SECOND, Tick::ZERO);
    let mut walk = Walk::new(bucket, terms);
    for op in ops {
        match *op {
            Op::Pass(nanos) => walk.now += nanos,
            Op::PassUntil(cost, early) => walk.pass_until(cost, early),
            Op::Admit(cost) => {
                let admits = model.admits(&walk.terms, walk.now, cost);
                let decision = walk.admit(cost);
                assert_eq!(decision == Decision::Admitted, admits, "{decision:?}");
                assert_eq!(decision == Decision::Never, cost > model.most(&walk.terms));
                if admits {
                    model.take(walk.now, cost);
                }
            }
            Op::GiveBack(index) => {
                if let Some((at, cost)) = walk.give_back(index) {
                    model.give_back(walk.now, at, cost);
                }
            }
            Op::Rate(index) => {
                let rate = rates[index as usize % rates.len()];
                walk.terms = walk.terms.at_rate(Rate::per_second(rate), ns(walk.now));
                model.rate(walk.now, rate);
            }
        }
        walk.check(model.most(&walk.terms));
    }
}

/// Whole units in a nanosecond at each of them, so that the meter is exact between calls too.
const ROUND: [u32; 4] = [250, 125, 1_000, 500];
const ANY: [u32; 6] = [5, 1, 10, 7, 3, 20];

/// Any rates: the decisions of the plain model, but for what the meter rounds.
fn nearly_same(ops: &[Op], rates: &[u32]) {
    let fastest = 64_000;
    let terms =
        Terms::new(Rate::per_second(rates[0]), Rate::per_second(fastest), 10, SECOND, Tick::ZERO);
    let (mut model, mut walk) = (Level::new(rates[0]), Walk::new(TokenBucket::new(), terms));
    // A unit is a thousand-millionth of a call, times the fastest rate by 64; each change of the
    // rate may lose one.
    let mut slack = 2 * u128::from(fastest / 64);
    for op in ops {
        match *op {
            Op::Pass(nanos) => walk.now += nanos,
            Op::PassUntil(cost, early) => walk.pass_until(cost, early),
            Op::Admit(cost) => {
                let needed = model.at(walk.now) + u128::from(cost) * CALL;
                if walk.admit(cost) == Decision::Admitted {
                    assert!(needed <= 10 * CALL + slack, "{needed}");
                    model.take(walk.now, cost);
                } else {
                    assert!(needed + slack > 10 * CALL, "{needed}");
                }
            }
            Op::GiveBack(index) => {
                if let Some((at, cost)) = walk.give_back(index) {
                    model.give_back(walk.now, at, cost);
                }
            }
            Op::Rate(index) => {
                let rate = rates[index as usize % rates.len()];
                walk.terms = walk.terms.at_rate(Rate::per_second(rate), ns(walk.now));
                model.rate(walk.now, rate);
                slack += u128::from(fastest / 64);
            }
        }
        walk.check(10);
    }
}

/// Two buckets with the same answers. The rate stays, or moves up to a thousand per second.
fn alike<L: Limiter + Clone>(a: impl Limiter + Clone, b: L, terms: Terms, moves: bool, ops: &[Op]) {
    let (mut a, mut b) = (Walk::new(a, terms), Walk::new(b, terms));
    for op in ops {
        match *op {
            Op::Pass(nanos) => a.now += nanos,
            Op::PassUntil(cost, early) => a.pass_until(cost, early),
            Op::Admit(cost) => assert_eq!(a.admit(cost), b.admit(cost)),
            Op::GiveBack(index) => assert_eq!(a.give_back(index), b.give_back(index)),
            Op::Rate(rate) if moves => {
                let rate = Rate::per_second(1 + rate % 1_000);
                a.terms = a.terms.at_rate(rate, ns(a.now));
                b.terms = a.terms;
            }
            Op::Rate(_) => {}
        }
        b.now = a.now;
        let now = ns(a.now);
        assert_eq!(a.bucket.remaining(&a.terms, now), b.bucket.remaining(&b.terms, now));
        assert_eq!(a.bucket.full_at(&a.terms, now), b.bucket.full_at(&b.terms, now));
        for cost in [0, 1, 5, 10, 11] {
            let ready = a.bucket.ready_at(&a.terms, now, cost);
            assert_eq!(ready, b.bucket.ready_at(&b.terms, now, cost));
        }
    }
}

proptest! {
    // S-RATE-01
    #[test]
    fn a_token_bucket_decides_as_its_rule_does(ops in ops()) {
        same(TokenBucket::new(), &mut Level::new(ROUND[0]), &ROUND, &ops);
    }

    // S-RATE-02
    #[test]
    fn a_leaky_bucket_decides_as_its_rule_does(ops in ops()) {
        same(LeakyBucket::new(), &mut Level::new(ROUND[0]), &ROUND, &ops);
    }

    // S-RATE-01
    #[test]
    fn at_any_rates_a_token_bucket_is_off_by_a_unit_at_most(ops in ops()) {
        nearly_same(&ops, &[7, 3, 64_000, 999, 1]);
    }

    // S-RATE-03
    #[test]
    fn a_fixed_window_decides_as_its_rule_does(ops in ops()) {
        same(FixedWindow::new(), &mut Weighed::new(fixed), &ANY, &ops);
    }

    // S-RATE-04
    #[test]
    fn a_sliding_log_decides_as_its_rule_does(ops in ops()) {
        same(SlidingLog::new(), &mut Weighed::new(log), &ANY, &ops);
    }

    // S-RATE-04
    #[test]
    fn a_sliding_counter_decides_as_its_rule_does(ops in ops()) {
        same(SlidingCounter::new(), &mut Weighed::new(counter), &ANY, &ops);
    }

    // S-RATE-02
    #[test]
    fn a_leaky_bucket_and_a_token_bucket_are_the_same(ops in ops(), rate in 1_u32..1_000) {
        let (rate, fastest) = (Rate::per_second(rate), Rate::per_second(1_000));
        let terms = Terms::new(rate, fastest, 10, SECOND, Tick::ZERO);
        alike(TokenBucket::new(), LeakyBucket::new(), terms, true, &ops);
    }
}

#[cfg(feature = "governor")]
proptest! {
    // S-RATE-01
    #[test]
    fn governor_decides_as_a_token_bucket_does(ops in ops()) {
        alike(TokenBucket::new(), Gcra::new(), terms(250, 10), false, &ops);
        alike(LeakyBucket::new(), Gcra::new(), terms(250, 10), false, &ops);
    }
}
