//! Who has a place in a queue that is full, and who is sent away.

use super::*;

// S-PRIO-08
#[test]
fn in_a_full_queue_one_of_the_lowest_class_gives_way_to_a_higher_one() {
    /// Who waits, who comes, and who gives way: as the oldest, as the newest.
    type Case<'a> = (&'a [Priority], Priority, Option<[u32; 2]>);
    const BULK: Priority = Priority::BULK;
    const LOW: Priority = Priority::LOW;
    const NORMAL: Priority = Priority::NORMAL;
    const HIGH: Priority = Priority::HIGH;
    let table: [Case<'_>; 10] = [
        (&[BULK, BULK], HIGH, Some([0, 1])),
        (&[BULK, LOW, BULK, LOW], HIGH, Some([0, 2])),
        (&[NORMAL, LOW, LOW], HIGH, Some([1, 2])),
        (&[HIGH, BULK], LOW, Some([1, 1])),
        (&[LOW, LOW], LOW, None),
        (&[HIGH, NORMAL], LOW, None),
        (&[BULK, BULK], BULK, None),
        // A level is no class of its own.
        (&[Priority::new(50), Priority::new(60)], Priority::new(74), None),
        (&[Priority::new(99), Priority::new(75)], Priority::CRITICAL, Some([0, 1])),
        (&[], Priority::CRITICAL, None),
    ];
    for (waiting, arrival, victims) in table {
        for (place, displace) in [Displace::Oldest, Displace::Newest].into_iter().enumerate() {
            let config = QueueConfig::new().capacity(waiting.len() as u32).displace(displace);
            let mut scene = Scene::new(&config);
            for (id, &priority) in (0..).zip(waiting) {
                scene.join(id, priority).unwrap();
            }
            let said = scene.join(9, arrival);
            let victim = victims.map(|victims| (victims[place], Reason::Displaced));
            assert_eq!(said, victim.map_or(Err(Reason::QueueFull), |_| Ok(())), "{waiting:?}");
            assert_eq!(scene.gone(), Vec::from_iter(victim), "{waiting:?} {arrival}");
            assert_eq!(scene.queue.len(), waiting.len());
        }
    }
}

// S-PRIO-08
#[test]
fn the_queue_never_holds_more_than_its_capacity() {
    let mut scene = Scene::new(&QueueConfig::new());
    for id in 0..1_000 {
        scene.join(id, Class::ALL[id as usize % 5].priority()).unwrap();
    }
    assert_eq!(Class::ALL.map(|class| scene.queue.depth(class)), [200; 5]);
    assert_eq!(scene.join(1_000, Priority::BULK), Err(Reason::QueueFull));
    scene.join(1_000, Priority::HIGH).unwrap();
    assert_eq!(Class::ALL.map(|class| scene.queue.depth(class)), [199, 200, 200, 201, 200]);
    assert_eq!((scene.gone(), scene.queue.len()), (vec![(0, Reason::Displaced)], 1_000));
}

#[test]
fn while_the_newest_goes_first_the_oldest_gives_way_to_its_own_class_too() {
    let config = QueueConfig::new().capacity(2).newest_first_after(ms(100));
    for (stood, displace, gives_way) in [
        (101, Displace::Oldest, true),
        (100, Displace::Oldest, false),
        (101, Displace::Newest, false),
    ] {
        let mut scene = Scene::new(&config.displace(displace));
        scene.join(0, Priority::HIGH).unwrap();
        scene.join(1, Priority::NORMAL).unwrap();
        scene.pass(ms(stood));
        assert_eq!(scene.join(2, Priority::LOW), Err(Reason::QueueFull));
        assert_eq!(scene.join(3, Priority::NORMAL).is_ok(), gives_way, "{displace:?} {stood}");
        let gone = if gives_way { vec![(1, Reason::Displaced)] } else { vec![] };
        assert_eq!(scene.gone(), gone);
    }
}

#[test]
fn a_queue_of_one_stands_also_where_the_one_gives_way() {
    let mut scene = Scene::new(&QueueConfig::new().capacity(1).newest_first_after(ms(100)));
    scene.join(0, Priority::LOW).unwrap();
    scene.pass(ms(60)).join(1, Priority::NORMAL).unwrap();
    assert_eq!(scene.pass(ms(60)).join(2, Priority::NORMAL), Ok(()));
    assert_eq!(scene.gone(), [(0, Reason::Displaced), (1, Reason::Displaced)]);
}

#[test]
fn nobody_gives_way_where_one_has_waited_long_enough() {
    let mut scene = Scene::new(&QueueConfig::new().capacity(2));
    scene.join(0, Priority::LOW).unwrap();
    scene.join(1, Priority::BULK).unwrap();
    scene.pass(ms(100)).join(2, Priority::BULK).unwrap();
    assert_eq!(scene.gone(), [(1, Reason::QueueTimeout)]);
}

#[test]
fn a_queue_that_has_become_too_long_shrinks_as_it_is_served() {
    let mut scene = Scene::new(&QueueConfig::new());
    for id in 0..4 {
        scene.join(id, Priority::LOW).unwrap();
    }
    scene.config = scene.config.capacity(2);
    assert_eq!(scene.join(4, Priority::LOW), Err(Reason::QueueFull));
    assert_eq!((scene.join(4, Priority::HIGH), scene.queue.len()), (Ok(()), 4));
    assert_eq!((scene.next(), scene.join(5, Priority::HIGH)), (Some(4), Ok(())));
    assert_eq!(scene.queue.len(), 3);
}

#[test]
fn a_higher_minimum_sends_away_those_below_it_who_were_not_raised_to_it() {
    let config = QueueConfig::new().max_wait(Class::Low, ms(1_000));
    let mut scene = Scene::new(&config.max_wait(Class::Bulk, ms(1_000)));
    for (id, level) in [(0, 25), (1, 50), (2, 49), (3, 0), (4, 100), (5, 25)] {
        scene.join(id, Priority::new(level)).unwrap();
    }
    scene.raise(3, Priority::NORMAL);
    scene.raise(5, Priority::new(49));
    // To have aged is not enough.
    assert_eq!(scene.pass(ms(500)).gone(), []);
    scene.queue.shed_below(Priority::NORMAL, &mut scene.left);
    scene.queue.audit();
    let shed: Vec<_> = scene.left.drain(..).map(|left| (left.id, left.reason)).collect();
    assert_eq!(shed, [0, 2, 5].map(|id| (id, Reason::BelowMinimum)));
    assert_eq!(scene.queue.len(), 3);
}

#[test]
fn one_that_is_raised_keeps_its_place_as_those_it_works_for_do() {
    let mut scene = Scene::new(&QueueConfig::new().capacity(2));
    scene.join(0, Priority::BULK).unwrap();
    scene.join(1, Priority::LOW).unwrap();
    scene.raise(0, Priority::CRITICAL);
    assert_eq!(scene.join(2, Priority::HIGH), Ok(()));
    assert_eq!(scene.gone(), [(1, Reason::Displaced)]);
}
