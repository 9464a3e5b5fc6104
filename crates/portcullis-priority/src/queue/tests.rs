//! What a queue does, in virtual time.

mod fair;
mod order;
mod room;

use super::{Class, Discipline, Displace, Duration, Entry, Left, Priority, Queue, Reason, Tick};
use crate::codel::Codel;
use crate::config::QueueConfig;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A queue with its time, and who left it without being served.
struct Scene {
    config: QueueConfig,
    queue: Queue,
    now: Tick,
    left: Vec<Left>,
}

impl Scene {
    fn new(config: &QueueConfig) -> Self {
        Self { config: *config, queue: Queue::new(), now: Tick::ZERO, left: Vec::new() }
    }

    fn pass(&mut self, time: Duration) -> &mut Self {
        self.now = self.now.after(time);
        self
    }

    fn join(&mut self, id: u32, priority: Priority) -> Result<(), Reason> {
        self.join_until(id, priority, Tick::MAX)
    }

    fn join_until(&mut self, id: u32, priority: Priority, latest: Tick) -> Result<(), Reason> {
        self.enter(id, Entry { priority, cohort: 0, latest })
    }

    fn join_of(&mut self, cohort: u8, id: u32, priority: Priority) -> Result<(), Reason> {
        self.enter(id, Entry { priority, cohort, latest: Tick::MAX })
    }

    fn enter(&mut self, id: u32, entry: Entry) -> Result<(), Reason> {
        let said = self.queue.join(&self.config, self.now, id, entry, &mut self.left);
        self.queue.audit();
        said
    }

    fn raise(&mut self, id: u32, to: Priority) {
        self.queue.raise(&self.config, self.now, id, to);
        self.queue.audit();
    }

    /// Who is served by a slot that all may take.
    fn next(&mut self) -> Option<u32> {
        self.next_from(Class::Bulk)
    }

    /// Who is served by a slot of this class.
    fn next_from(&mut self, lowest: Class) -> Option<u32> {
        let fits = |class| class >= lowest;
        let next = self.queue.next(&self.config, self.now, fits, &mut self.left);
        self.queue.audit();
        next
    }

    /// Who is served, one after the other, until nobody is left.
    fn all(&mut self) -> Vec<u32> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Who left by now without being served.
    fn gone(&mut self) -> Vec<(u32, Reason)> {
        self.queue.settle(&self.config, self.now, &mut self.left);
        self.queue.audit();
        self.left.drain(..).map(|left| (left.id, left.reason)).collect()
    }
}

// S-PRIO-02
#[test]
fn a_class_waits_for_5000_2000_1000_500_and_100_ms_and_no_longer() {
    for (class, wait) in Class::ALL.into_iter().zip([100, 500, 1_000, 2_000, 5_000]) {
        let mut scene = Scene::new(&QueueConfig::new());
        assert_eq!(scene.pass(ms(7)).join(3, class.priority()), Ok(()));
        scene.pass(ms(wait) - Duration::from_nanos(1));
        assert_eq!((scene.gone(), scene.queue.depth(class)), (vec![], 1));
        scene.pass(Duration::from_nanos(1));
        assert_eq!(scene.gone(), [(3, Reason::QueueTimeout)], "{class}");
        assert_eq!((scene.queue.len(), scene.next()), (0, None));
    }
}

// S-PRIO-02
#[test]
fn a_wait_of_1_ms_is_over_after_1_ms_and_a_level_without_a_name_waits_1_s() {
    let mut scene = Scene::new(&QueueConfig::new().max_wait(Class::Low, ms(1)));
    scene.join(0, Priority::LOW).unwrap();
    scene.join(1, Priority::new(99)).unwrap();
    assert_eq!(scene.pass(ms(1)).gone(), [(0, Reason::QueueTimeout)]);
    assert_eq!(scene.pass(ms(998)).gone(), []);
    assert_eq!(scene.pass(ms(1)).gone(), [(1, Reason::QueueTimeout)]);
}

#[test]
fn whoever_waits_for_a_slot_is_not_served_after_the_time_is_over() {
    let mut scene = Scene::new(&QueueConfig::new());
    scene.join(0, Priority::NORMAL).unwrap();
    assert_eq!(scene.pass(ms(1_000)).next(), None);
    assert_eq!(scene.gone(), [(0, Reason::QueueTimeout)]);
}

#[test]
fn a_call_that_does_not_wait_takes_nobodys_place() {
    let config = QueueConfig::new().capacity(1).max_wait(Class::Critical, Duration::ZERO);
    let mut scene = Scene::new(&config);
    scene.join(0, Priority::BULK).unwrap();
    assert_eq!(scene.join(1, Priority::CRITICAL), Err(Reason::AtLimit));
    assert_eq!((scene.queue.len(), scene.gone()), (1, vec![]));
}

#[test]
fn a_wait_of_600_s_ages_at_300_s_and_ends_at_600_s() {
    let mut scene = Scene::new(&QueueConfig::new().max_wait(Class::Low, QueueConfig::MAX_WAIT));
    scene.join(0, Priority::LOW).unwrap();
    scene.pass(ms(299_999)).gone();
    assert!(!scene.queue.outranks(Priority::NORMAL));
    scene.pass(ms(1)).gone();
    assert!(scene.queue.outranks(Priority::NORMAL));
    assert_eq!(scene.pass(ms(299_999)).gone(), []);
    assert_eq!(scene.pass(ms(1)).gone(), [(0, Reason::QueueTimeout)]);
}

#[test]
fn a_call_is_refused_when_its_deadline_has_come_and_leaves_when_it_comes() {
    let mut scene = Scene::new(&QueueConfig::new());
    scene.pass(ms(10));
    assert_eq!(scene.join_until(0, Priority::HIGH, scene.now), Err(Reason::TooLate));
    scene.join_until(1, Priority::HIGH, Tick::from_millis(40)).unwrap();
    // The wait is over first.
    scene.join_until(2, Priority::BULK, Tick::from_millis(110)).unwrap();
    scene.join_until(3, Priority::BULK, Tick::from_millis(109)).unwrap();
    assert_eq!(scene.pass(ms(29)).gone(), []);
    assert_eq!(scene.pass(ms(1)).gone(), [(1, Reason::TooLate)]);
    assert_eq!(scene.pass(ms(70)).gone(), [(3, Reason::TooLate), (2, Reason::QueueTimeout)]);
}

// S-PRIO-05
#[test]
fn one_who_gives_up_leaves_at_once_and_only_once() {
    let mut scene = Scene::new(&QueueConfig::new());
    for id in 0..3 {
        scene.join(id, Priority::NORMAL).unwrap();
    }
    assert!(scene.queue.leave(1));
    assert_eq!((scene.queue.len(), scene.queue.depth(Class::Normal)), (2, 2));
    assert!(!scene.queue.leave(1) && !scene.queue.leave(7));
    assert_eq!(scene.all(), [0, 2]);
    assert!(!scene.queue.leave(0));
}

#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let mut scene = Scene::new(&QueueConfig::new());
    scene.pass(ms(500)).join(0, Priority::LOW).unwrap();
    scene.pass(ms(250)).gone();
    scene.now = Tick::ZERO;
    assert!(scene.gone().is_empty() && scene.queue.outranks(Priority::NORMAL));
    // Who comes now comes at 750 ms.
    scene.join(1, Priority::LOW).unwrap();
    scene.now = Tick::from_millis(1_000);
    assert_eq!(scene.gone(), [(0, Reason::QueueTimeout)]);
    scene.now = Tick::from_millis(1_249);
    assert_eq!(scene.gone(), []);
    scene.now = Tick::from_millis(1_250);
    assert_eq!(scene.gone(), [(1, Reason::QueueTimeout)]);
}

#[test]
fn nothing_waits_beyond_the_end_of_time() {
    let mut scene = Scene::new(&QueueConfig::new());
    scene.now = Tick::from_nanos(u64::MAX - 1);
    scene.join(0, Priority::LOW).unwrap();
    scene.now = Tick::MAX;
    assert_eq!(scene.join(1, Priority::LOW), Err(Reason::TooLate));
    assert_eq!(scene.gone(), [(0, Reason::QueueTimeout)]);
}

#[test]
fn a_queue_that_was_never_used_has_taken_no_memory() {
    // What is made in a constant cannot have.
    const EMPTY: Queue = Queue::new();
    let (mut queue, mut left) = (EMPTY, Vec::new());
    assert!(!queue.leave(1_000_000) && !queue.outranks(Priority::BULK));
    queue.raise(&QueueConfig::new(), Tick::MAX, 1_000_000, Priority::HIGH);
    queue.settle(&QueueConfig::new(), Tick::MAX, &mut left);
    assert_eq!(queue.next(&QueueConfig::new(), Tick::MAX, |_| true, &mut left), None);
    assert_eq!((queue.waiting.capacity(), queue.len(), left), (0, 0, vec![]));
}

// S-PRIO-05
#[test]
fn after_a_million_random_events_nothing_is_left_of_those_who_are_gone() {
    let config = QueueConfig::new().capacity(300).newest_first_after(ms(50)).codel(Codel::new());
    let mut scene = Scene::new(&config);
    let mut random = 1_u64;
    let mut draw = |bound: u64| {
        // Knuth's generator, of which the upper bits are good.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % bound
    };
    let mut free: Vec<u32> = (0..301).collect();
    for _ in 0..1_000_000 {
        let who = draw(301) as u32;
        match draw(8) {
            0..=3 => {
                let id = free.pop().unwrap();
                let (priority, cohort) = (Priority::new(draw(101) as u8), draw(128) as u8);
                let latest = scene.now.after(ms(1 + draw(400)));
                let entry = Entry { priority, cohort, latest };
                let (queue, left) = (&mut scene.queue, &mut scene.left);
                if queue.join(&config, scene.now, id, entry, left).is_err() {
                    free.push(id);
                }
            }
            4 if scene.queue.leave(who) => free.push(who),
            5 => scene.queue.raise(&config, scene.now, who, Priority::new(draw(101) as u8)),
            6 => {
                let lowest = Class::ALL[draw(5) as usize];
                let fits = |class| class >= lowest;
                free.extend(scene.queue.next(&config, scene.now, fits, &mut scene.left));
            }
            7 => scene.queue.settle(&config, scene.now, &mut scene.left),
            _ => {
                scene.pass(ms(draw(3)));
            }
        }
        free.extend(scene.left.drain(..).map(|left| left.id));
        assert_eq!(free.len() + scene.queue.len(), 301);
    }
    scene.queue.audit();
    for id in (0..301).filter(|id| !free.contains(id)) {
        assert!(scene.queue.leave(id));
    }
    scene.queue.audit();
    let queue = &scene.queue;
    assert!(queue.waiting.iter().all(Option::is_none) && queue.waiting.len() <= 301);
    assert_eq!((queue.len(), queue.due.len(), queue.since), (0, 0, None));
    assert!(queue.lanes.iter().all(|lanes| lanes.audit() == 0 && lanes.highest().is_none()));
    assert!(queue.crowds.iter().all(|crowd| crowd.audit() == 0));
}
