//! What share everybody gets.

use super::*;

/// Keeps ten of each of these classes waiting; how many of each are served of so many.
fn served(scene: &mut Scene, classes: &[Class], calls: u32) -> [u32; 5] {
    let mut served = [0; 5];
    // The numbers tell the classes apart.
    for id in 0..50 {
        if classes.contains(&Class::ALL[id as usize % 5]) && scene.queue.get(id).is_none() {
            scene.join(id, Class::ALL[id as usize % 5].priority()).unwrap();
        }
    }
    for _ in 0..calls {
        let id = scene.next().unwrap();
        served[id as usize % 5] += 1;
        scene.join(id, Class::ALL[id as usize % 5].priority()).unwrap();
    }
    served
}

// S-PRIO-06
#[test]
fn weighted_classes_are_served_16_8_4_2_and_1_times() {
    let mut scene = Scene::new(&QueueConfig::new().discipline(Discipline::Weighted));
    for round in 0..10 {
        let served = served(&mut scene, &Class::ALL, 31);
        assert_eq!(served, [1, 2, 4, 8, 16], "in round {round}");
    }
}

// S-PRIO-06
#[test]
fn classes_that_wait_share_what_the_others_leave() {
    let mut scene = Scene::new(&QueueConfig::new().discipline(Discipline::Weighted));
    for _ in 0..3 {
        assert_eq!(served(&mut scene, &[Class::High, Class::Low], 10), [0, 2, 0, 8, 0]);
    }
    let mut scene = Scene::new(&QueueConfig::new().discipline(Discipline::Weighted));
    assert_eq!(served(&mut scene, &[Class::Bulk], 40), [40, 0, 0, 0, 0]);
}

#[test]
fn a_class_that_is_empty_saves_nothing_up() {
    let mut scene = Scene::new(&QueueConfig::new().discipline(Discipline::Weighted));
    // Of its 16 turns it wants one.
    scene.join(50, Priority::CRITICAL).unwrap();
    assert_eq!(scene.next(), Some(50));
    assert_eq!(served(&mut scene, &[Class::High, Class::Normal], 12), [0, 0, 4, 8, 0]);
    assert_eq!(served(&mut scene, &Class::ALL, 31), [1, 2, 4, 8, 16]);
}

#[test]
fn slots_that_a_class_may_not_take_do_not_cost_it_its_turn() {
    let mut scene = Scene::new(&QueueConfig::new().discipline(Discipline::Weighted));
    for id in 0..50 {
        scene.join(id, Class::ALL[id as usize % 5].priority()).unwrap();
    }
    let mut counts = [[0; 5]; 2];
    for turn in 0..2 * 24 * 31 {
        let id = scene.next_from([Class::High, Class::Bulk][turn % 2]).unwrap();
        counts[turn % 2][id as usize % 5] += 1;
        scene.join(id, Class::ALL[id as usize % 5].priority()).unwrap();
    }
    assert_eq!(counts, [[0, 0, 0, 248, 496], [24, 48, 96, 192, 384]]);
}

// S-PRIO-06
#[test]
fn a_low_call_is_served_in_an_endless_stream_of_normal_ones_because_it_ages() {
    for (ageing, expected) in [(true, Some(251)), (false, None)] {
        let mut scene = Scene::new(&QueueConfig::new().ageing(ageing));
        scene.join(0, Priority::LOW).unwrap();
        scene.join(1, Priority::NORMAL).unwrap();
        let served = (1..600).find(|_| {
            scene.pass(ms(1)).join(2, Priority::NORMAL).unwrap();
            let next = scene.next().unwrap();
            // There is always one left.
            if next != 0 {
                scene.queue.leave(3 - next);
                scene.join(1, Priority::NORMAL).unwrap();
            }
            next == 0
        });
        assert_eq!(served.map(|at| at + 1), expected);
    }
}

#[test]
fn a_user_with_nine_of_ten_calls_gets_the_share_of_one_user() {
    let mut scene = Scene::new(&QueueConfig::new());
    // User 7 has 90 calls waiting, five others have two each.
    for id in 0..90 {
        scene.join_of(7, id, Priority::NORMAL).unwrap();
    }
    for id in 90..100 {
        scene.join_of((id % 5) as u8, id, Priority::NORMAL).unwrap();
    }
    let user = |id: u32| if id < 90 { 7 } else { id % 5 };
    let first: Vec<u32> = (0..12).filter_map(|_| scene.next()).map(user).collect();
    assert_eq!(first, [7, 0, 1, 2, 3, 4, 7, 0, 1, 2, 3, 4]);
    assert_eq!(scene.all(), (2..90).collect::<Vec<_>>());
}

#[test]
fn users_take_turns_also_while_the_newest_goes_first_and_after_they_have_aged() {
    let mut scene = Scene::new(&QueueConfig::new().newest_first_after(ms(10)));
    for (id, cohort) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2)] {
        scene.join_of(cohort, id, Priority::LOW).unwrap();
    }
    assert_eq!(scene.pass(ms(300)).all(), [2, 4, 1, 3, 0]);
}

#[test]
fn a_user_with_few_places_takes_one_of_who_has_most_where_the_queue_is_full() {
    for (displace, victims) in [(Displace::Oldest, [0, 1]), (Displace::Newest, [4, 3])] {
        let mut scene = Scene::new(&QueueConfig::new().capacity(6).displace(displace));
        for id in 0..5 {
            scene.join_of(1, id, Priority::NORMAL).unwrap();
        }
        scene.join_of(2, 5, Priority::NORMAL).unwrap();
        // The largest has five places: it takes none, and another may have two of them.
        assert_eq!(scene.join_of(1, 6, Priority::NORMAL), Err(Reason::QueueFull));
        scene.join_of(2, 6, Priority::NORMAL).unwrap();
        assert_eq!(scene.join_of(2, 7, Priority::NORMAL), Err(Reason::QueueFull));
        scene.join_of(3, 7, Priority::NORMAL).unwrap();
        assert_eq!(scene.gone(), victims.map(|id| (id, Reason::Displaced)), "{displace:?}");
        // Only those of its class count: nobody of a higher one gives way.
        assert_eq!(scene.join_of(4, 8, Priority::LOW), Err(Reason::QueueFull));
    }
}

#[test]
fn in_a_lower_class_it_is_the_user_with_most_places_who_gives_way() {
    for (displace, victim) in [(Displace::Oldest, 1), (Displace::Newest, 2)] {
        let mut scene = Scene::new(&QueueConfig::new().capacity(4).displace(displace));
        for (id, cohort) in [(0, 1), (1, 2), (2, 2), (3, 3)] {
            scene.join_of(cohort, id, Priority::LOW).unwrap();
        }
        scene.join_of(2, 4, Priority::NORMAL).unwrap();
        assert_eq!(scene.gone(), [(victim, Reason::Displaced)]);
        // Now all have one.
        scene.join_of(2, 5, Priority::NORMAL).unwrap();
        let last = if displace == Displace::Oldest { 0 } else { 3 };
        assert_eq!(scene.gone(), [(last, Reason::Displaced)]);
    }
}
