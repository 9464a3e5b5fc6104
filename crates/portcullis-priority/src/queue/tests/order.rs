//! Who is next.

use super::*;

// S-PRIO-05
#[test]
fn the_more_important_one_goes_first_and_one_slot_serves_one() {
    let mut scene = Scene::new(&QueueConfig::new());
    scene.join(0, Priority::LOW).unwrap();
    scene.join(1, Priority::HIGH).unwrap();
    scene.join(2, Priority::new(76)).unwrap();
    assert_eq!((scene.next(), scene.queue.len()), (Some(2), 2));
    assert_eq!((scene.next(), scene.queue.len()), (Some(1), 1));
    assert_eq!((scene.next(), scene.queue.len()), (Some(0), 0));
    assert_eq!(scene.next(), None);
}

#[test]
fn of_one_priority_the_earliest_deadline_goes_first_and_then_the_first_that_came() {
    let mut scene = Scene::new(&QueueConfig::new());
    let at = Tick::from_millis;
    let latest = [Tick::MAX, Tick::MAX, at(40), at(30), at(40)];
    for (id, latest) in (0..).zip(latest) {
        scene.join_until(id, Priority::NORMAL, latest).unwrap();
    }
    assert_eq!(scene.all(), [3, 2, 4, 0, 1]);
}

#[test]
fn a_slot_serves_only_those_whom_it_fits() {
    let mut scene = Scene::new(&QueueConfig::new());
    scene.join(0, Priority::NORMAL).unwrap();
    scene.join(1, Priority::HIGH).unwrap();
    scene.join(2, Priority::BULK).unwrap();
    assert_eq!(scene.next_from(Class::Critical), None);
    assert_eq!(scene.next_from(Class::High), Some(1));
    assert_eq!(scene.next_from(Class::High), None);
    assert_eq!(scene.next_from(Class::Bulk), Some(0));
    // Slots that only the lowest may take.
    let only_bulk = |class| class == Class::Bulk;
    scene.join(3, Priority::HIGH).unwrap();
    assert_eq!(scene.queue.next(&scene.config, scene.now, only_bulk, &mut scene.left), Some(2));
}

// S-PRIO-06
#[test]
fn a_low_call_that_has_waited_250_of_500_ms_competes_as_normal() {
    for (waited, first) in [(249, 1), (250, 0)] {
        let mut scene = Scene::new(&QueueConfig::new());
        scene.join(0, Priority::LOW).unwrap();
        scene.pass(ms(waited)).join(1, Priority::NORMAL).unwrap();
        assert_eq!(scene.next(), Some(first), "after {waited} ms");
    }
}

// S-PRIO-06
#[test]
fn a_call_ages_once_by_a_class_up_to_high_and_takes_no_other_slots() {
    let levels = [(0, 25), (24, 49), (50, 75), (60, 75), (74, 75), (75, 75), (90, 90), (100, 100)];
    for (base, aged) in levels {
        let config = QueueConfig::new().max_wait(Class::Normal, ms(1_000));
        let mut scene = Scene::new(&config.max_wait(Class::Bulk, ms(1_000)));
        scene.join(0, Priority::new(base)).unwrap();
        scene.pass(ms(999)).gone();
        assert!(scene.queue.outranks(Priority::new(aged)), "{base} ages to {aged}");
        assert!(aged == 100 || !scene.queue.outranks(Priority::new(aged + 1)), "{base}");
        let class = Priority::new(base).class();
        assert_eq!(scene.queue.depth(class), 1);
        if let Some(&above) = Class::ALL.get(class.index() + 1) {
            assert_eq!(scene.next_from(above), None);
        }
        assert_eq!(scene.next_from(class), Some(0));
    }
}

// S-PRIO-06
#[test]
fn without_ageing_nobody_competes_higher() {
    let mut scene = Scene::new(&QueueConfig::new().ageing(false));
    scene.join(0, Priority::LOW).unwrap();
    scene.pass(ms(499)).join(1, Priority::NORMAL).unwrap();
    assert_eq!(scene.all(), [1, 0]);
}

#[test]
fn one_that_is_raised_goes_with_those_it_works_for_and_takes_their_slots() {
    let mut scene = Scene::new(&QueueConfig::new());
    scene.join(0, Priority::NORMAL).unwrap();
    scene.join(1, Priority::BULK).unwrap();
    scene.raise(1, Priority::HIGH);
    // It is not lowered, and what is not there is not raised.
    scene.raise(1, Priority::LOW);
    scene.raise(9, Priority::CRITICAL);
    assert_eq!((scene.queue.depth(Class::Bulk), scene.queue.depth(Class::High)), (0, 1));
    assert!(scene.queue.outranks(Priority::HIGH) && !scene.queue.outranks(Priority::new(76)));
    assert_eq!(scene.next_from(Class::Critical), None);
    assert_eq!(scene.next_from(Class::High), Some(1));
}

#[test]
fn one_that_is_raised_waits_no_longer_and_ages_from_there() {
    let mut scene = Scene::new(&QueueConfig::new());
    scene.join(0, Priority::BULK).unwrap();
    scene.raise(0, Priority::LOW);
    scene.pass(ms(50)).gone();
    assert!(scene.queue.outranks(Priority::NORMAL));
    scene.raise(0, Priority::new(60));
    assert!(scene.queue.outranks(Priority::HIGH) && !scene.queue.outranks(Priority::new(76)));
    assert_eq!(scene.pass(ms(50)).gone(), [(0, Reason::QueueTimeout)]);
}

#[test]
fn the_newest_goes_first_once_the_queue_has_not_been_empty_for_longer_than_100_ms() {
    for (stood, order) in [(100, [3, 0, 1, 2]), (101, [3, 2, 1, 0])] {
        let mut scene = Scene::new(&QueueConfig::new().newest_first_after(ms(100)));
        for id in 0..3 {
            scene.join(id, Priority::NORMAL).unwrap();
        }
        scene.pass(ms(stood)).join(3, Priority::HIGH).unwrap();
        assert_eq!(scene.all(), order, "after {stood} ms");
    }
}

#[test]
fn the_latest_deadline_goes_first_while_the_newest_does() {
    let mut scene = Scene::new(&QueueConfig::new().newest_first_after(ms(10)));
    let latest = [100, 200, 100, 150].map(Tick::from_millis);
    for (id, latest) in (0..).zip(latest) {
        scene.join_until(id, Priority::NORMAL, latest).unwrap();
    }
    assert_eq!(scene.pass(ms(11)).all(), [1, 3, 2, 0]);
}

#[test]
fn a_queue_that_was_empty_begins_to_stand_anew() {
    let mut scene = Scene::new(&QueueConfig::new().newest_first_after(ms(100)));
    scene.join(0, Priority::NORMAL).unwrap();
    assert_eq!(scene.pass(ms(90)).next(), Some(0));
    scene.join(1, Priority::NORMAL).unwrap();
    scene.join(2, Priority::NORMAL).unwrap();
    assert_eq!(scene.pass(ms(90)).all(), [1, 2]);
}

#[test]
fn calls_are_dropped_on_the_way_to_one_that_has_not_waited_long() {
    let mut scene = Scene::new(&QueueConfig::new().codel(Codel::new()));
    for id in 0..6 {
        scene.join(id, Priority::NORMAL).unwrap();
    }
    // The first interval is over after 120 ms, and nobody had waited for less than 20 ms in it.
    assert_eq!((scene.pass(ms(20)).next(), scene.pass(ms(101)).next()), (Some(0), Some(1)));
    scene.pass(ms(10)).join(6, Priority::NORMAL).unwrap();
    assert_eq!(scene.pass(ms(10)).next(), Some(6));
    let dropped: Vec<_> = (2..6).map(|id| (id, Reason::QueueStands)).collect();
    assert_eq!(scene.gone(), dropped);
}

#[test]
fn a_queue_that_ran_empty_does_not_stand_for_those_who_come_later() {
    let mut scene = Scene::new(&QueueConfig::new().codel(Codel::new()));
    for round in 0..5 {
        for id in 0..4 {
            scene.join(id, Priority::NORMAL).unwrap();
        }
        assert_eq!(scene.pass(ms(150)).all(), [0, 1, 2, 3], "in round {round}");
    }
}

#[test]
fn somebody_of_the_same_priority_goes_before_one_who_comes_now() {
    let mut scene = Scene::new(&QueueConfig::new());
    assert!(!scene.queue.outranks(Priority::BULK));
    scene.join(0, Priority::NORMAL).unwrap();
    assert!(scene.queue.outranks(Priority::NORMAL) && scene.queue.outranks(Priority::LOW));
    assert!(!scene.queue.outranks(Priority::new(51)));
}
