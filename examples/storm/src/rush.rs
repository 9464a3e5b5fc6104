//! An overload at the till: how it goes on, and what it was like in one world.

use std::time::Duration;

use portcullis_priority::Class;
use tokio::time::{Instant, interval_at};

use crate::figures::share;
use crate::ledger::{End, Ledger};
use crate::script::Act;
use crate::till::{Count, Order, WORKERS};
use crate::world::{Side, World};

/// How often the limit is looked at.
const PERIOD: Duration = Duration::from_millis(10);
/// Of a shorter quarter nothing is said: no limit settles in it.
const SETTLES: Duration = Duration::from_millis(1_250);

/// Who finds out so late that it is time is on a machine that has stood still: what callers lost then
/// they lost to the machine.
pub(crate) const STANDSTILL: Duration = Duration::from_millis(100);

/// How a crowd meets the till, quarter by quarter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Course {
    /// Nothing else happens.
    Steady,
    /// The till loses half of its workers for the second quarter, and in the last one 30 of 100
    /// answers are 500, for a reason of their own.
    Moves,
}

/// What was seen at the till while a crowd was there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Watched {
    pub(crate) count: Count,
    /// The mean limit in the last third of each quarter.
    pub(crate) limits: [Option<f64>; 4],
    /// By how much the watcher itself was late at worst.
    pub(crate) late: Duration,
}

/// What the till was like in one world. Shares are of 1; what was not measured is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rush {
    /// How many came.
    pub(crate) requests: u64,
    /// The share of requests that got a good answer in time, from bulk to critical.
    pub(crate) classes: [Option<f64>; 5],
    /// Good answers in time, of all that the till could have given; where that did not change.
    pub(crate) of_capacity: Option<f64>,
    /// The most requests that were inside at a time.
    pub(crate) peak: u32,
    /// The most slots that there were at a time, where there is a queue.
    pub(crate) slots: Option<u32>,
    /// The mean limit towards the end of each quarter, where there is one.
    pub(crate) limits: [Option<f64>; 4],
    /// Requests that were answered 503, with when to come again.
    pub(crate) refused: u64,
    /// Requests that were answered 503 without.
    pub(crate) vague: u64,
    /// By how much the machine was late at worst.
    pub(crate) late: Duration,
}

/// The limits of one quarter, added up.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    limits: f64,
    looks: f64,
}

impl Course {
    /// What the till is told at the beginning of each quarter.
    const fn orders(self) -> [Order; 4] {
        let well = Order { absent: 0, failing: 0 };
        match self {
            Self::Steady => [well; 4],
            Self::Moves => {
                let half = Order { absent: WORKERS / 2, ..well };
                [well, half, well, Order { failing: 30, ..well }]
            }
        }
    }
}

/// Leads both tills through an act, and looks at them meanwhile.
pub(crate) async fn watch(
    course: Course,
    act: &Act,
    worlds: &[World; 2],
    start: Instant,
) -> [Watched; 2] {
    let quarter = (act.heal - act.from) / 4;
    let mut sums = [[Sum::default(); 4]; 2];
    let mut late = Duration::ZERO;
    let mut looks = interval_at(start + act.from, PERIOD);
    for world in worlds {
        world.till.count();
    }
    for (i, order) in course.orders().into_iter().enumerate() {
        let begins = start + act.from + quarter * i as u32;
        worlds.iter().for_each(|world| world.till.order(order));
        loop {
            let due = looks.tick().await;
            late = late.max(due.elapsed());
            if due >= begins + quarter {
                break;
            }
            if begins.elapsed() < quarter * 2 / 3 {
                continue;
            }
            for side in Side::BOTH {
                let limit = worlds[side as usize].till.limit();
                sums[side as usize][i].add(limit);
            }
        }
    }
    worlds.iter().for_each(|world| world.till.order(Order::default()));
    Side::BOTH.map(|side| Watched {
        count: worlds[side as usize].till.count(),
        limits: sums[side as usize].map(|sum| sum.mean().filter(|_| quarter >= SETTLES)),
        late,
    })
}

impl Sum {
    fn add(&mut self, limit: Option<u32>) {
        if let Some(limit) = limit {
            self.limits += f64::from(limit);
            self.looks += 1.0;
        }
    }

    fn mean(self) -> Option<f64> {
        (self.looks > 0.0).then(|| self.limits / self.looks)
    }
}

impl Rush {
    /// What the till was like in an act.
    pub(crate) fn of(
        ledger: &Ledger,
        act: &Act,
        side: Side,
        course: Course,
        watched: Watched,
    ) -> Self {
        let (mut good, mut all) = ([0; 5], [0; 5]);
        let (mut refused, mut vague) = (0, 0);
        for (arrival, end, _) in ledger.ends(side, act.from, act.heal) {
            let Some(class) = arrival.route.class() else { continue };
            all[class.index()] += 1;
            good[class.index()] += u64::from(end == End::Good);
            refused += u64::from(end == End::Unavailable);
            vague += u64::from(end == End::Vague);
        }
        let Watched { count, limits, late } = watched;
        let capacity = count.capacity(act.heal - act.from).filter(|_| course == Course::Steady);
        let served = good.iter().sum::<u64>() as f64;
        Self {
            requests: all.iter().sum(),
            classes: Class::ALL.map(|class| share(good[class.index()], all[class.index()])),
            of_capacity: capacity.map(|capacity| served / capacity),
            peak: count.peak,
            slots: count.slots,
            limits,
            refused,
            vague,
            late,
        }
    }

    /// Whether the machine stood still meanwhile, so that the figures are about it.
    pub(crate) fn stood_still(&self) -> bool {
        self.late > STANDSTILL
    }

    /// The share of this class that got a good answer in time.
    pub(crate) const fn class(&self, class: Class) -> Option<f64> {
        self.classes[class.index()]
    }

    /// How many times the limit of one quarter that of another is.
    pub(crate) fn moved(&self, from: usize, to: usize) -> Option<f64> {
        self.limits[to].zip(self.limits[from]).map(|(to, from)| to / from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Arrival, Caller, Route};
    use crate::ledger::Answer;
    use crate::script::{PHASES, Script};

    #[test]
    fn a_rush_tells_the_classes_apart_and_leaves_the_shop_out() {
        let phase = PHASES.iter().find(|phase| phase.overloads()).expect("an overload");
        let act = Script::new(Some(phase), 1.0).acts[1];
        let ends = [
            (Route::Till(Class::Critical), End::Good),
            (Route::Till(Class::Bulk), End::Unavailable),
            (Route::Till(Class::Bulk), End::Good),
            (Route::Till(Class::Low), End::Vague),
            (Route::A, End::Failed),
        ];
        let arrival = |(route, _)| Arrival { at: act.from, route, caller: Caller::GREEDY };
        let mut ledger = Ledger::new(ends.map(arrival).to_vec());
        for (arrival, (_, end)) in ends.into_iter().enumerate() {
            let (side, took) = (Side::Protected, Duration::ZERO);
            ledger.record(&Answer { arrival, side, end, took });
        }
        // Work took so long that all workers together could have done eight.
        let work = (act.heal - act.from) * WORKERS / 8;
        let count = Count { worked: 1, work, peak: 7, slots: Some(9) };
        let watched = Watched { count, limits: [None; 4], late: STANDSTILL };
        let of = |course| Rush::of(&ledger, &act, Side::Protected, course, watched);
        let rush = of(Course::Steady);
        let shares = Class::ALL.map(|class| rush.class(class));
        assert_eq!(shares, [Some(0.5), Some(0.0), None, None, Some(1.0)]);
        assert_eq!((rush.refused, rush.vague, rush.peak, rush.slots), (1, 1, 7, Some(9)));
        assert!(rush.of_capacity.is_some_and(|share| (share - 0.25).abs() < 1e-6), "{rush:?}");
        assert_eq!(of(Course::Moves).of_capacity, None);
        assert!(!rush.stood_still());
        assert!(Rush { late: STANDSTILL * 2, ..rush }.stood_still());
    }
}
