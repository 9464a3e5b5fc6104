//! The last second of a shop.

use std::collections::VecDeque;
use std::time::Duration;

use crate::arrivals::Arrival;
use crate::figures::share;
use crate::ledger::{Answer, End, percentile};
use crate::script::Phase;

/// How far a pulse looks back.
const SPAN: Duration = Duration::from_secs(1);

/// The requests that ended within the last second.
#[derive(Debug, Default)]
pub(crate) struct Pulse(VecDeque<(Duration, Arrival, End, Duration)>);

/// What the last second was like; `None` where nothing ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beat {
    pub(crate) goodput: Option<f64>,
    /// For the requests that the fault is not about.
    pub(crate) others: Option<f64>,
    pub(crate) p99: Option<Duration>,
}

impl Pulse {
    /// Takes in the end of a request.
    pub(crate) fn record(&mut self, at: Duration, arrival: Arrival, answer: &Answer) {
        self.0.push_back((at, arrival, answer.end, answer.took));
        self.forget(at);
    }

    /// The last second before `at`.
    pub(crate) fn beat(&mut self, at: Duration, phase: &Phase) -> Beat {
        self.forget(at);
        let good = |ends: &mut dyn Iterator<Item = End>| {
            let (mut good, mut all) = (0, 0);
            for end in ends {
                good += u64::from(end == End::Good);
                all += 1;
            }
            share(good, all)
        };
        let all = self.0.iter();
        let others = all.clone().filter(|(_, arrival, ..)| !phase.concerns(arrival));
        Beat {
            goodput: good(&mut all.clone().map(|&(_, _, end, _)| end)),
            others: good(&mut others.map(|&(_, _, end, _)| end)),
            p99: percentile(all.map(|&(.., took)| took).collect(), 99),
        }
    }

    fn forget(&mut self, at: Duration) {
        let past = self.0.partition_point(|(ended, ..)| *ended + SPAN < at);
        self.0.drain(..past);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Caller, Route};
    use crate::script::PHASES;
    use crate::world::Side;

    #[test]
    fn a_pulse_knows_the_last_second_and_forgets_the_one_before() {
        let mut pulse = Pulse::default();
        let mut record = |at: u64, route, end| {
            let took = Duration::from_millis(at / 100);
            let answer = Answer { arrival: 0, side: Side::Bare, end, took };
            let at = Duration::from_millis(at);
            pulse.record(at, Arrival { at, route, caller: Caller::GREEDY }, &answer);
        };
        record(100, Route::B, End::GaveUp);
        record(2_000, Route::B, End::GaveUp);
        record(2_100, Route::Home, End::Good);
        let beat = pulse.beat(Duration::from_millis(2_500), &PHASES[1]);
        assert_eq!((beat.goodput, beat.others), (Some(0.5), Some(1.0)));
        assert_eq!(beat.p99, Some(Duration::from_millis(21)));
        let beat = pulse.beat(Duration::from_secs(9), &PHASES[0]);
        assert_eq!((beat.goodput, beat.others, beat.p99), (None, None, None));
    }
}
