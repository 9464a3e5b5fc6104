//! Random walks of a queue, beside the list that is searched.

use proptest::prelude::*;

use super::naive::Naive;
use super::{Class, Discipline, Displace, Duration, Entry, Priority, Queue, Tick};
use crate::codel::Codel;
use crate::config::QueueConfig;

#[derive(Clone, Copy, Debug)]
enum Step {
    Join {
        level: u8,
        cohort: u8,
        left: Option<u64>,
    },
    Leave(prop::sample::Index),
    Raise(prop::sample::Index, u8),
    Settle,
    /// With a bit for each class that fits.
    Next(u8),
    Shed(u8),
    Pass(u64),
    GoBack(u64),
    /// All goes on under the other configuration.
    Reconfigure,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let level = || prop::sample::select(vec![0, 0, 10, 25, 25, 49, 50, 50, 60, 75, 80, 100]);
    let index = any::<prop::sample::Index>;
    let join = (level(), 0..4_u8, prop::option::weighted(0.3, 0..60_u64))
        .prop_map(|(level, cohort, left)| Step::Join { level, cohort, left });
    let fits = prop_oneof![
        3 => Just(0b11111),
        2 => prop::sample::select(vec![0b11110, 0b11100, 0b11000, 0b10000]),
        1 => 0..32_u8,
    ];
    let step = prop_oneof![
        12 => join,
        2 => index().prop_map(Step::Leave),
        2 => (index(), level()).prop_map(|(index, level)| Step::Raise(index, level)),
        2 => Just(Step::Settle),
        8 => fits.prop_map(Step::Next),
        1 => level().prop_map(Step::Shed),
        6 => (0..30_u64).prop_map(Step::Pass),
        1 => (0..100_u64).prop_map(Step::GoBack),
        1 => Just(Step::Reconfigure),
    ];
    prop::collection::vec(step, 1..150)
}

fn configs() -> impl Strategy<Value = QueueConfig> {
    let wait = prop_oneof![1 => 0..2_u64, 6 => 2..120_u64, 1 => Just(600_000)];
    let rules = (any::<[bool; 3]>(), prop::option::of(0..40_u64), prop::option::of(1..30_u64));
    (0..10_u32, prop::array::uniform6(wait), rules).prop_map(|(capacity, waits, rules)| {
        let ([newest, weighted, ageing], standing, codel) = rules;
        let mut config = QueueConfig::new().capacity(capacity).ageing(ageing);
        for (class, wait) in Class::ALL.into_iter().zip(waits) {
            config = config.max_wait(class, Duration::from_millis(wait));
        }
        config = config.custom_wait(Duration::from_millis(waits[5]));
        config.displace = if newest { Displace::Newest } else { Displace::Oldest };
        config.discipline = if weighted { Discipline::Weighted } else { Discipline::Strict };
        config.newest_first_after = standing.map(Duration::from_millis);
        let millis = Duration::from_millis;
        config.codel = codel.map(|codel| Codel::new().target(millis(codel)).interval(millis(20)));
        config
    })
}

proptest! {
    #[test]
    fn it_does_what_a_list_that_is_searched_does(
        configs in (configs(), configs()),
        steps in steps(),
        begin in prop_oneof![4 => Just(0), 1 => Just(u64::MAX - 400_000_000)],
    ) {
        let (mut config, mut other) = configs;
        let (mut queue, mut naive) = (Queue::new(), Naive::default());
        let mut now = Tick::from_nanos(begin);
        for step in steps {
            let (mut left, mut expected) = (Vec::new(), Vec::new());
            let ids: Vec<u32> = naive.all.iter().map(|one| one.id).collect();
            // One in twenty is not there, or not any more.
            let pick = |index: prop::sample::Index| match index.index(20) {
                0 => 90,
                _ if ids.is_empty() => 0,
                _ => ids[index.index(ids.len())],
            };
            match step {
                Step::Join { level, cohort, left: rest } => {
                    let id = (0..).find(|id| !ids.contains(id)).unwrap();
                    let latest = rest.map_or(Tick::MAX, |ms| now.after(Duration::from_millis(ms)));
                    let entry = Entry { priority: Priority::new(level), cohort, latest };
                    let said = queue.join(&config, now, id, entry, &mut left);
                    prop_assert_eq!(said, naive.join(&config, now, id, entry, &mut expected));
                }
                Step::Leave(index) => {
                    prop_assert_eq!(queue.leave(pick(index)), naive.leave(pick(index)));
                }
                Step::Raise(index, level) => {
                    queue.raise(&config, now, pick(index), Priority::new(level));
                    naive.raise(now, pick(index), Priority::new(level));
                }
                Step::Settle => {
                    queue.settle(&config, now, &mut left);
                    naive.settle(&config, now, &mut expected);
                }
                Step::Next(bits) => {
                    let fits = |class: Class| bits >> class.index() & 1 == 1;
                    let said = queue.next(&config, now, fits, &mut left);
                    prop_assert_eq!(said, naive.next(&config, now, fits, &mut expected));
                }
                Step::Shed(level) => {
                    queue.shed_below(Priority::new(level), &mut left);
                    naive.shed_below(Priority::new(level), &mut expected);
                }
                Step::Pass(ms) => now = now.after(Duration::from_millis(ms)),
                Step::GoBack(ms) => {
                    now = Tick::from_nanos(now.as_nanos().saturating_sub(ms * 1_000_000));
                }
                Step::Reconfigure => std::mem::swap(&mut config, &mut other),
            }
            prop_assert_eq!(left, expected);
            prop_assert_eq!(queue.len(), naive.all.len());
            for class in Class::ALL {
                prop_assert_eq!(queue.depth(class), naive.depth(class));
            }
            for level in [0, 25, 35, 50, 74, 75, 76, 100].map(Priority::new) {
                prop_assert_eq!(queue.outranks(level), naive.outranks(level));
            }
            queue.audit();
        }
    }
}
