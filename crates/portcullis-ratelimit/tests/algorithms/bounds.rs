//! What no history gets past.

use proptest::prelude::*;

use super::models::{CALL, Calls};
use super::walk::{Op, Walk, ops};
use super::*;

/// What was admitted and not given back, in order; and when how much was given back.
fn run<L: Limiter + Clone>(bucket: L, terms: Terms, ops: &[Op]) -> (Calls, Calls) {
    let mut walk = Walk::new(bucket, terms);
    let (mut came, mut went) = (Calls::default(), Calls::default());
    for op in ops {
        match *op {
            Op::Pass(nanos) => walk.now += nanos,
            Op::PassUntil(cost, early) => walk.pass_until(cost, early),
            Op::Admit(cost) => {
                if walk.admit(cost) == Decision::Admitted {
                    came.0.push((walk.now, cost));
                }
            }
            Op::GiveBack(index) => {
                let cost = walk.give_back(index).map_or(0, |(_, cost)| cost);
                went.0.push((walk.now, cost));
            }
            Op::Rate(_) => {}
        }
    }
    (came, went)
}

/// What was admitted and kept, in any window that begins with a call.
fn fullest(calls: &Calls, within: impl Fn(u64, u64) -> bool) -> u128 {
    let sums = calls.0.iter().map(|&(from, _)| calls.sum(|at| within(from, at)));
    sums.max().unwrap_or(0)
}

/// Without those that were given back.
fn kept<L: Limiter + Clone>(bucket: L, terms: Terms, ops: &[Op]) -> Calls {
    let without = |op: &&Op| !matches!(op, Op::GiveBack(_));
    let ops: Vec<Op> = ops.iter().filter(without).cloned().collect();
    run(bucket, terms, &ops).0
}

const WINDOW: u64 = 1_000_000_000;

proptest! {
    // S-RATE-01, S-RATE-02
    #[test]
    fn in_any_time_a_bucket_admits_its_burst_and_what_its_rate_gives(
        ops in ops(), rate in 1_u32..5_000, leaky in any::<bool>(),
    ) {
        let terms = terms(rate, 10);
        let (came, went) = match leaky {
            true => run(LeakyBucket::new(), terms, &ops),
            false => run(TokenBucket::new(), terms, &ops),
        };
        for (index, &(from, _)) in came.0.iter().enumerate() {
            for &(to, _) in &came.0[index..] {
                let net = came.sum(|at| (from..=to).contains(&at));
                let most = 10 + went.sum(|at| (from..=to).contains(&at));
                let gained = u128::from(to - from) * u128::from(rate);
                // A unit of the meter, in thousand-millionths of a call, is the rate by 64.
                prop_assert!(net * CALL <= most * CALL + gained + u128::from(rate / 64 + 1));
            }
        }
    }

    // S-RATE-03
    #[test]
    fn from_border_to_border_a_fixed_window_admits_its_limit(ops in ops(), rate in 1_u32..12) {
        let calls = kept(FixedWindow::new(), terms(rate, 1), &ops);
        let limit = u128::from(rate);
        prop_assert!(fullest(&calls, |from, at| from / WINDOW == at / WINDOW) <= limit);
        prop_assert!(fullest(&calls, |from, at| (from..from + WINDOW).contains(&at)) <= 2 * limit);
    }

    // S-RATE-04
    #[test]
    fn in_no_window_a_log_admits_more_than_its_limit(ops in ops(), rate in 1_u32..12) {
        let calls = kept(SlidingLog::new(), terms(rate, 1), &ops);
        let within = |from: u64, at: u64| (from..from + WINDOW).contains(&at);
        prop_assert!(fullest(&calls, within) <= u128::from(rate));
    }

    // S-RATE-04
    #[test]
    fn from_border_to_border_a_counter_admits_its_limit(ops in ops(), rate in 1_u32..12) {
        let calls = kept(SlidingCounter::new(), terms(rate, 1), &ops);
        let limit = u128::from(rate);
        prop_assert!(fullest(&calls, |from, at| from / WINDOW == at / WINDOW) <= limit);
        prop_assert!(fullest(&calls, |from, at| (from..from + WINDOW).contains(&at)) < 2 * limit.max(2));
    }

    // S-RATE-05: the strictest admits what a call would get from each of its members alone.
    #[test]
    fn a_set_is_as_strict_as_the_strictest_and_as_loose_as_the_loosest(
        ops in ops(), rate in 1_u32..20,
    ) {
        let terms = terms(rate, 8);
        let mut sets = [Verdict::Strictest, Verdict::Loosest]
            .map(|verdict| Walk::new(Set::new(verdict, &Set::DEFAULT), terms));
        let mut members: [Vec<Box<dyn Limiter>>; 2] = [default_members(), default_members()];
        let mut now = 0;
        for op in &ops {
            match *op {
                Op::Pass(nanos) => now += nanos,
                Op::Admit(cost) => {
                    let [strict, loose] = &mut sets;
                    let moments = |members: &[Box<dyn Limiter>]| -> Vec<Option<Tick>> {
                        members.iter().map(|m| m.ready_at(&terms, ns(now), cost)).collect()
                    };
                    let (all, any) = (moments(&members[0]), moments(&members[1]));
                    strict.now = now;
                    loose.now = now;
                    let latest = all.iter().try_fold(ns(0), |max, at| at.map(|at| at.max(max)));
                    let earliest = any.iter().flatten().min().copied();
                    let said = |at: Option<Tick>| match at {
                        Some(at) if at <= ns(now) => Decision::Admitted,
                        Some(at) => Decision::Wait(at),
                        None => Decision::Never,
                    };
                    prop_assert_eq!(strict.admit(cost), said(latest));
                    prop_assert_eq!(loose.admit(cost), said(earliest));
                    for (member, _) in members[0].iter_mut().zip(&all) {
                        if said(latest) == Decision::Admitted {
                            member.take(&terms, ns(now), cost);
                        }
                    }
                    for (member, at) in members[1].iter_mut().zip(&any) {
                        if said(*at) == Decision::Admitted {
                            member.take(&terms, ns(now), cost);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

fn default_members() -> Vec<Box<dyn Limiter>> {
    vec![
        Box::new(TokenBucket::new()),
        Box::new(LeakyBucket::new()),
        Box::new(FixedWindow::new()),
        Box::new(SlidingCounter::new()),
    ]
}
