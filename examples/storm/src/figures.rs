//! The figures of one world in one phase.

use std::fmt;
use std::time::Duration;

use crate::arrivals::{Arrival, Caller};
use crate::drill::{Drilled, Seen};
use crate::ledger::{End, Ledger, percentile};
use crate::rush::{Rush, Watched};
use crate::script::Act;
use crate::table::seconds;
use crate::world::Side;

/// The share of good answers that counts as recovered.
const RECOVERED: f64 = 0.95;
/// Over which span that share is taken; over half the rest, where the script is in a hurry.
const SPAN: Duration = Duration::from_millis(500);

/// What a phase was like in one world. Shares are of 1; what was not measured is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Requests that were due while the fault lasted; all figures but `recovery` are about these.
    pub(crate) requests: u64,
    pub(crate) good: u64,
    pub(crate) unavailable: u64,
    pub(crate) vague: u64,
    pub(crate) refused: u64,
    pub(crate) curt: u64,
    pub(crate) failed: u64,
    pub(crate) gave_up: u64,
    /// The share of requests that got a good answer in time.
    pub(crate) goodput: Option<f64>,
    /// The same, for the requests that the fault is not about: other routes, or other callers.
    pub(crate) others: Option<f64>,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    /// The p99 of these.
    pub(crate) others_p99: Option<Duration>,
    /// Calls that reached the upstream that the fault strikes.
    pub(crate) sick_calls: Option<u64>,
    /// Calls that the circuits refused.
    pub(crate) spared: u64,
    /// The greedy caller, in a flood.
    pub(crate) greedy: Option<Greedy>,
    /// The till, in an overload.
    pub(crate) till: Option<Rush>,
    /// The depot, in a drill.
    pub(crate) depot: Option<Drilled>,
    /// From the heal to 95 % goodput.
    pub(crate) recovery: Option<Recovery>,
}

/// What a flood was like for the one who sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Greedy {
    /// Requests that it sent.
    pub(crate) requests: u64,
    /// How many of these were answered 429, with when to come again.
    pub(crate) refused: u64,
    /// What got into the shop.
    pub(crate) admitted: Admitted,
}

/// What of a caller got into a shop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Admitted {
    pub(crate) calls: u64,
    /// The most that may have got in, where there is a limit.
    pub(crate) quota: Option<u64>,
}

/// What the worlds counted while a fault lasted: calls between a shop and its upstreams, what the
/// greedy caller got in, and what went on at the till and the depot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) to_the_struck: Option<u64>,
    pub(crate) spared: u64,
    pub(crate) greedy: Option<Admitted>,
    pub(crate) till: Option<Watched>,
    pub(crate) depot: Option<Seen>,
}

/// When goodput was back after a heal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Recovery {
    After(Duration),
    /// Not in the time that was watched.
    NotWithin(Duration),
}

impl Figures {
    /// The figures of an act in one world.
    pub(crate) fn of(ledger: &Ledger, act: &Act, side: Side, calls: Calls) -> Self {
        let mut counts = [0; End::COUNT];
        let (mut latencies, mut others) = (Vec::new(), Vec::new());
        let mut others_good = 0;
        for (arrival, end, took) in ledger.ends(side, act.from, act.heal) {
            counts[end as usize] += 1;
            latencies.push(took);
            if act.phase.fault.is_some() && !act.phase.concerns(arrival) {
                others.push(took);
                others_good += u64::from(end == End::Good);
            }
        }
        let requests = latencies.len() as u64;
        let till = act.phase.course().zip(calls.till);
        let depot = act.phase.drill().zip(calls.depot);
        let [good, unavailable, vague, refused, curt, failed, gave_up] = counts;
        Self {
            requests,
            good,
            unavailable,
            vague,
            refused,
            curt,
            failed,
            gave_up,
            goodput: share(good, requests),
            others: share(others_good, others.len() as u64),
            p50: percentile(latencies.clone(), 50),
            p99: percentile(latencies, 99),
            others_p99: percentile(others, 99),
            sick_calls: calls.to_the_struck,
            spared: calls.spared,
            greedy: calls.greedy.map(|admitted| Greedy::of(ledger, act, side, admitted)),
            till: till.map(|(course, watched)| Rush::of(ledger, act, side, course, watched)),
            depot: depot.map(|(drill, seen)| Drilled::of(ledger, act, side, drill, seen)),
            recovery: act.phase.fault.map(|_| Recovery::of(ledger, act, side)),
        }
    }
}

impl Calls {
    /// What was added since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        let to_the_struck = self.to_the_struck.zip(before.to_the_struck);
        Self {
            to_the_struck: to_the_struck.map(|(now, before)| now - before),
            spared: self.spared - before.spared,
            greedy: self.greedy,
            till: self.till,
            depot: self.depot,
        }
    }
}

impl Greedy {
    fn of(ledger: &Ledger, act: &Act, side: Side, admitted: Admitted) -> Self {
        let ends = || {
            let ends = ledger.ends(side, act.from, act.heal);
            ends.filter(|(arrival, ..)| arrival.caller == Caller::GREEDY)
        };
        let refused = ends().filter(|(_, end, _)| *end == End::Refused).count() as u64;
        Self { requests: ends().count() as u64, refused, admitted }
    }
}

impl Recovery {
    /// The earliest request after the heal from which on, for a [`SPAN`], goodput was back.
    fn of(ledger: &Ledger, act: &Act, side: Side) -> Self {
        let watched = act.to - act.heal;
        let lasts = SPAN.min(watched / 2);
        let ends: Vec<(&Arrival, bool)> = ledger
            .ends(side, act.heal, act.to)
            .map(|(arrival, end, _)| (arrival, end == End::Good))
            .collect();
        for (i, (first, _)) in ends.iter().enumerate() {
            if first.at + lasts > act.to {
                break;
            }
            let span = ends[i..].iter().take_while(|(arrival, _)| arrival.at < first.at + lasts);
            let (good, all) = span
                .fold((0, 0), |(good, all), (_, is_good)| (good + u64::from(*is_good), all + 1));
            if share(good, all).is_some_and(|share| share >= RECOVERED) {
                // The first request after the heal stands for the heal itself.
                let after = if i == 0 { Duration::ZERO } else { first.at - act.heal };
                return Self::After(after);
            }
        }
        Self::NotWithin(watched)
    }

    /// The time that recovery took, or that was watched in vain.
    pub(crate) const fn at_least(self) -> Duration {
        match self {
            Self::After(time) | Self::NotWithin(time) => time,
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(time) => f.pad(&seconds(*time)),
            Self::NotWithin(time) => f.pad(&format!("> {}", seconds(*time))),
        }
    }
}

/// A share of 1; `None` of nothing.
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::Route;
    use crate::ledger::Answer;
    use crate::script::{PHASES, Phase, Script};

    /// A phase in which B hangs for 10 s and rests for 4 s, with a request every 10 ms; what
    /// becomes of each is up to `end`.
    fn figures(end: impl Fn(&Arrival, &Act) -> End) -> Figures {
        figures_of(&PHASES[1], end)
    }

    fn figures_of(phase: &'static Phase, end: impl Fn(&Arrival, &Act) -> End) -> Figures {
        let act = Script::new(Some(phase), 1.0).acts[1];
        let arrival = |i: u64| {
            let route = if i.is_multiple_of(2) { Route::B } else { Route::Home };
            let caller = if i.is_multiple_of(4) { Caller::GREEDY } else { Caller::named("E") };
            Arrival { at: Duration::from_millis(10 * i), route, caller }
        };
        let arrivals: Vec<_> = (0..1_800).map(arrival).collect();
        let mut ledger = Ledger::new(arrivals.clone());
        for (i, arrival) in arrivals.iter().enumerate() {
            let took = Duration::from_millis(1 + 9 * u64::from(arrival.route == Route::B));
            let end = end(arrival, &act);
            ledger.record(&Answer { arrival: i, side: Side::Bare, end, took });
        }
        let admitted = Admitted { calls: 5, quota: Some(6) };
        let greedy = phase.floods().then_some(admitted);
        let calls = Calls { to_the_struck: Some(7), spared: 3, greedy, till: None, depot: None };
        Figures::of(&ledger, &act, Side::Bare, calls)
    }

    #[test]
    fn the_fault_is_counted_and_the_rest_is_not() {
        let figures = figures(|arrival, act| match arrival.route {
            Route::B if arrival.at < act.heal => End::GaveUp,
            _ => End::Good,
        });
        assert_eq!((figures.requests, figures.good, figures.gave_up), (1_000, 500, 500));
        assert_eq!((figures.goodput, figures.others), (Some(0.5), Some(1.0)));
        assert_eq!(figures.p99, Some(Duration::from_millis(10)));
        assert_eq!(figures.others_p99, Some(Duration::from_millis(1)));
        assert_eq!((figures.sick_calls, figures.spared), (Some(7), 3));
        assert_eq!(figures.recovery, Some(Recovery::After(Duration::ZERO)));
    }

    #[test]
    fn in_a_flood_the_others_are_the_other_callers() {
        let phase = PHASES.iter().find(|phase| phase.floods()).expect("a flood in the script");
        let figures = figures_of(phase, |arrival, _| {
            if arrival.caller == Caller::GREEDY { End::Refused } else { End::Good }
        });
        assert_eq!((figures.requests, figures.good, figures.refused), (700, 525, 175));
        assert_eq!((figures.goodput, figures.others), (Some(0.75), Some(1.0)));
        let admitted = Admitted { calls: 5, quota: Some(6) };
        assert_eq!(figures.greedy, Some(Greedy { requests: 175, refused: 175, admitted }));
    }

    #[test]
    fn recovery_is_the_first_span_that_is_good() {
        let figures = figures(|arrival, act| {
            if arrival.at < act.heal + Duration::from_secs(2) { End::Failed } else { End::Good }
        });
        let Some(Recovery::After(time)) = figures.recovery else { panic!("{figures:?}") };
        assert!(time.abs_diff(Duration::from_secs(2)) <= Duration::from_millis(50), "{time:?}");
    }

    #[test]
    fn no_recovery_is_said_to_be_none() {
        let figures = figures(|_, _| End::Unavailable);
        let never = Recovery::NotWithin(Duration::from_secs(4));
        assert_eq!(figures.recovery, Some(never));
        assert_eq!(never.to_string(), "> 4.0 s");
    }

    #[test]
    fn of_nothing_there_is_no_share() {
        assert_eq!(share(0, 0), None);
        assert_eq!(share(1, 4), Some(0.25));
    }
}
