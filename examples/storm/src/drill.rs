//! A drill at the depot: how it goes on, and what it was like in one world.

use std::time::Duration;

use tokio::time::{Instant, interval_at};

use crate::arrivals::Route;
use crate::depot::{Order, WORK};
use crate::figures::{Recovery, share};
use crate::ledger::{End, Ledger};
use crate::rush::STANDSTILL;
use crate::script::Act;
use crate::world::{Side, World};

/// How often the machine is asked whether it stood still.
const PERIOD: Duration = Duration::from_millis(10);
/// The share of good answers that counts as recovered, if it lasts for [`IN_A_ROW`] seconds; where
/// the script is in a hurry, an eighth of the rest stands for a second.
const RECOVERED: f64 = 0.95;
const IN_A_ROW: usize = 3;
const SECOND: Duration = Duration::from_secs(1);

/// What is the matter with the depot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Drill {
    /// 30 of 100 answers are 500.
    Gray,
    /// It is well for a quarter of the time, then works at 40 % of its speed.
    Trigger,
}

/// What was seen at a depot: attempts before, during and after what is the matter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) attempts: [u64; 3],
    /// By how much the watcher itself was late at worst.
    pub(crate) late: Duration,
}

/// What a drill was like in one world. Lists are of before, during and after; shares are of 1; what
/// was not measured is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Drilled {
    /// The share of requests that got a good answer in time.
    pub(crate) goodput: [Option<f64>; 3],
    /// Attempts that reached the depot, for each request that was due.
    pub(crate) amplification: [Option<f64>; 3],
    /// From the heal to the first of three seconds in a row that were good.
    pub(crate) recovery: Option<Recovery>,
    /// By how much the machine was late at worst.
    pub(crate) late: Duration,
}

/// The places in the lists.
pub(crate) const DURING: usize = 1;
pub(crate) const AFTER: usize = 2;

impl Drill {
    /// How much of what the depot can do is asked of it.
    pub(crate) const fn load(self) -> f64 {
        match self {
            Self::Gray => 0.6,
            Self::Trigger => 0.85,
        }
    }

    fn order(self) -> Order {
        match self {
            Self::Gray => Order { failing: 0.3, ..Order::WELL },
            Self::Trigger => Order { work: WORK.mul_f64(1.0 / 0.4), ..Order::WELL },
        }
    }

    /// From when to when it is before, during and after.
    fn spans(self, act: &Act) -> [(Duration, Duration); 3] {
        let strikes = match self {
            Self::Gray => act.from,
            Self::Trigger => act.from + (act.heal - act.from) / 4,
        };
        [(act.from, strikes), (strikes, act.heal), (act.heal, act.to)]
    }
}

/// Leads both depots through an act, and counts meanwhile.
pub(crate) async fn lead(drill: Drill, act: Act, worlds: [World; 2], start: Instant) -> [Seen; 2] {
    let mut seen = [Seen::default(); 2];
    let mut late = Duration::ZERO;
    let mut looks = interval_at(start + act.from, PERIOD);
    let attempts = || worlds.each_ref().map(|world| world.depot.attempts());
    for (i, (_, to)) in drill.spans(&act).into_iter().enumerate() {
        let order = if i == DURING { drill.order() } else { Order::WELL };
        worlds.iter().for_each(|world| world.depot.order(order));
        let before = attempts();
        loop {
            let due = looks.tick().await;
            late = late.max(due.elapsed());
            if due >= start + to {
                break;
            }
        }
        let after = attempts();
        for side in Side::BOTH.map(|side| side as usize) {
            seen[side].attempts[i] = after[side] - before[side];
        }
    }
    seen.map(|seen| Seen { late, ..seen })
}

impl Drilled {
    /// What a drill was like in an act.
    pub(crate) fn of(ledger: &Ledger, act: &Act, side: Side, drill: Drill, seen: Seen) -> Self {
        let spans = drill.spans(act);
        let counts = spans.map(|(from, to)| count(ledger, side, from, to));
        let amplification = |i: usize| {
            let (_, all) = counts[i];
            share(seen.attempts[i], all)
        };
        Self {
            goodput: counts.map(|(good, all)| share(good, all)),
            amplification: [0, DURING, AFTER].map(amplification),
            recovery: (drill == Drill::Trigger).then(|| recovery(ledger, act, side)),
            late: seen.late,
        }
    }

    /// Whether the machine stood still meanwhile, so that the figures are about it.
    pub(crate) fn stood_still(&self) -> bool {
        self.late > STANDSTILL
    }
}

/// Good ones and all of the requests to the depot that were due in a span.
fn count(ledger: &Ledger, side: Side, from: Duration, to: Duration) -> (u64, u64) {
    let ends = ledger.ends(side, from, to).filter(|(it, ..)| it.route == Route::Depot);
    ends.fold((0, 0), |(good, all), (_, end, _)| (good + u64::from(end == End::Good), all + 1))
}

fn recovery(ledger: &Ledger, act: &Act, side: Side) -> Recovery {
    let watched = act.to - act.heal;
    let second = SECOND.min(watched / 8);
    let is_good = |i: u32| {
        let from = act.heal + second * i;
        let (good, all) = count(ledger, side, from, from + second);
        share(good, all).is_some_and(|share| share >= RECOVERED)
    };
    let seconds = (watched.as_nanos() / second.as_nanos().max(1)) as u32;
    let good: Vec<bool> = (0..seconds).map(is_good).collect();
    let first = good.windows(IN_A_ROW).position(|row| row.iter().all(|good| *good));
    first.map_or(Recovery::NotWithin(watched), |i| Recovery::After(second * i as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Arrival, Caller};
    use crate::ledger::Answer;
    use crate::script::{PHASES, Script};

    /// The act of a phase, 4 s after the start at speed 1.
    fn act(name: &str, speed: f64) -> Act {
        let phase = PHASES.iter().find(|phase| phase.name == name).expect("a phase of the table");
        Script::new(Some(phase), speed).acts[1]
    }

    /// A drill with a request to the depot every 10 ms, each with two attempts, and one to the shop
    /// beside it that fails; what becomes of those to the depot is up to `end`.
    fn drilled(act: &Act, end: impl Fn(Duration) -> End) -> Drilled {
        let both = |i: u64| {
            let (at, caller) = (Duration::from_millis(10 * i), Caller::GREEDY);
            [Route::Depot, Route::A].map(|route| Arrival { at, route, caller })
        };
        let arrivals: Vec<_> = (0..2_500).flat_map(both).collect();
        let mut ledger = Ledger::new(arrivals.clone());
        for (arrival, it) in arrivals.iter().enumerate() {
            let (side, took) = (Side::Bare, Duration::ZERO);
            let end = if it.route == Route::Depot { end(it.at) } else { End::Failed };
            ledger.record(&Answer { arrival, side, end, took });
        }
        let drill = act.phase.drill().expect("a drill");
        let attempts = [200, 1_200, 1_600];
        Drilled::of(&ledger, act, Side::Bare, drill, Seen { attempts, late: STANDSTILL })
    }

    #[test]
    fn a_drill_tells_before_during_and_after_apart_and_leaves_the_shop_out() {
        let act = act("metastable", 1.0);
        let strikes = act.from + Duration::from_secs(2);
        let drilled = drilled(&act, |at| match at {
            at if at < strikes => End::Good,
            at if at < act.heal => End::GaveUp,
            at if at < act.heal + Duration::from_secs(2) => End::Failed,
            _ => End::Good,
        });
        assert_eq!(drilled.goodput, [Some(1.0), Some(0.0), Some(0.75)]);
        assert_eq!(drilled.amplification, [Some(1.0), Some(2.0), Some(2.0)]);
        assert_eq!(drilled.recovery, Some(Recovery::After(Duration::from_secs(2))));
        assert!(!drilled.stood_still());
        assert!(Drilled { late: STANDSTILL * 2, ..drilled }.stood_still());
    }

    #[test]
    fn two_good_seconds_in_a_row_are_no_recovery() {
        let act = act("metastable", 1.0);
        let one_in_three = |at: Duration| {
            let second = at.saturating_sub(act.heal).as_secs();
            if second % 3 == 2 { End::Failed } else { End::Good }
        };
        let never = Recovery::NotWithin(Duration::from_secs(8));
        assert_eq!(drilled(&act, one_in_three).recovery, Some(never));
        assert_eq!(drilled(&act, |_| End::Good).recovery, Some(Recovery::After(Duration::ZERO)));
    }

    #[test]
    fn in_a_hurry_an_eighth_of_the_rest_stands_for_a_second() {
        let act = act("metastable", 4.0);
        let late =
            |at| if at < act.heal + Duration::from_millis(740) { End::Failed } else { End::Good };
        let after = Recovery::After(Duration::from_millis(750));
        assert_eq!(drilled(&act, late).recovery, Some(after));
    }

    #[test]
    fn a_gray_failure_has_no_before_and_nothing_to_recover_from() {
        let drilled = drilled(&act("gray", 1.0), |_| End::Good);
        assert_eq!(drilled.goodput, [None, Some(1.0), Some(1.0)]);
        assert_eq!((drilled.amplification[0], drilled.recovery), (None, None));
    }

    #[test]
    fn slow_is_four_tenths_of_the_speed() {
        assert_eq!(Drill::Trigger.order().work, Duration::from_millis(100));
        assert_eq!(Drill::Gray.order(), Order { work: WORK, failing: 0.3 });
    }
}
