//! The disciplines that are compared, and what was published of them.

use std::time::Duration;

use breaker_core::{AsError, Class, ErrorsAreFailures};
use portcullis_priority::{Codel, Limit, PriorityQueueLayer, QueueConfig};
use tower::Layer;

use crate::callee::Ask;
use crate::partitions::Partitions;
use crate::run::{Gone, Load, Seen, TIMEOUT, run};

pub(crate) const LOADS: [f64; 3] = [1.5, 3.0, 10.0];

/// Goodput per capacity, share of the high ones served, p50 and p99 in milliseconds, late work.
pub(crate) type Row = [f64; 5];

/// One discipline.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// Of what it is made.
    pub(crate) made_of: &'static str,
    pub(crate) run: fn(&Load) -> Seen,
    /// What was published, per load.
    pub(crate) published: [Row; 3],
}

/// The shipped profile.
pub(crate) fn adaptive() -> QueueConfig {
    QueueConfig::adaptive(Duration::from_millis(TIMEOUT))
}

/// Runs a load through the layer. While it is blind, all calls are alike to it.
pub(crate) fn queued(load: &Load, gone: Gone, config: &QueueConfig, blind: bool) -> Seen {
    run(load, gone, |callee, clock| {
        let layer = PriorityQueueLayer::with_clock(*config, clock)
            .priority_fn(move |ask: &Ask| (!blind).then_some(ask.priority))
            .hold_to_head()
            .classify(ErrorsAreFailures)
            .refuse(AsError);
        let queue = layer.handle();
        (layer.layer(callee), Box::new(move || queue.snapshot().slots))
    })
}

/// The same, where the layer also knows how long callers wait, less two times the work of a call.
fn expiring(load: &Load, config: &QueueConfig) -> Seen {
    run(load, Gone::Kept, |callee, clock| {
        let layer = PriorityQueueLayer::with_clock(*config, clock)
            .priority_fn(|_: &Ask| None)
            .remaining_fn(|_: &Ask| Some(Duration::from_millis(TIMEOUT - 50)))
            .hold_to_head()
            .classify(ErrorsAreFailures)
            .refuse(AsError);
        (layer.layer(callee), Box::new(|| 0))
    })
}

/// A limit without a queue: for all alike, or half of it for high priority.
fn limited(load: &Load, limit: Limit, high_share: Option<f64>) -> Seen {
    run(load, Gone::Dropped, |callee, clock| {
        let service = Partitions::new(callee, clock, limit, high_share);
        let probe = service.clone();
        (service, Box::new(move || probe.limit()))
    })
}

/// Five calls at a time, and one line of waiting ones, in the order in which they come.
fn fifo(capacity: u32) -> QueueConfig {
    let config = QueueConfig::slots(5).capacity(capacity).ageing(false);
    let patient = |config: QueueConfig, class| config.max_wait(class, QueueConfig::MAX_WAIT);
    Class::ALL.into_iter().fold(config, patient)
}

pub(crate) const FIFO_400: Line = Line {
    name: "FIFO 400",
    made_of: "slots(5), capacity 400",
    run: |load| queued(load, Gone::Kept, &fifo(400), true),
    published: [[0.0, 0.0, 0.0, 0.0, 1.0]; 3],
};

pub(crate) const FIFO_50: Line = Line {
    name: "FIFO 50",
    made_of: "slots(5), capacity 50",
    run: |load| queued(load, Gone::Kept, &fifo(50), true),
    published: [
        [1.003, 0.669, 270.0, 336.0, 0.0],
        [1.003, 0.332, 276.0, 339.0, 0.0],
        [1.003, 0.099, 277.0, 341.0, 0.0],
    ],
};

pub(crate) const FIFO_EXPIRED: Line = Line {
    name: "FIFO, drop expired",
    made_of: "slots(5), capacity 400, remaining 950 ms",
    run: |load| expiring(load, &fifo(400)),
    published: [
        [0.954, 0.638, 970.0, 998.0, 0.048],
        [0.945, 0.319, 972.0, 998.0, 0.057],
        [0.955, 0.094, 970.0, 998.0, 0.047],
    ],
};

pub(crate) const CODEL_LIFO: Line = Line {
    name: "CoDel + LIFO",
    made_of: "slots(5), capacity 400, codel, newest first",
    run: |load| {
        let config = fifo(400).codel(Codel::new());
        let config = config.newest_first_after(Duration::from_millis(100));
        queued(load, Gone::Kept, &config, true)
    },
    published: [
        [0.993, 0.660, 46.0, 113.0, 0.0],
        [1.003, 0.330, 53.0, 159.0, 0.0],
        [1.002, 0.102, 40.0, 254.0, 0.0],
    ],
};

pub(crate) const VEGAS: Line = Line {
    name: "Vegas",
    made_of: "Limit::vegas, no queue",
    run: |load| limited(load, Limit::vegas(), None),
    published: [
        [0.945, 0.626, 29.0, 83.0, 0.0],
        [0.996, 0.331, 34.0, 94.0, 0.0],
        [1.002, 0.102, 37.0, 98.0, 0.0],
    ],
};

pub(crate) const GRADIENT2: Line = Line {
    name: "Gradient2",
    made_of: "Limit::gradient2, no queue",
    run: |load| limited(load, Limit::gradient2(), None),
    published: [
        [1.002, 0.664, 63.0, 116.0, 0.0],
        [1.002, 0.332, 65.0, 116.0, 0.0],
        [1.002, 0.099, 65.0, 117.0, 0.0],
    ],
};

pub(crate) const PARTITIONS: Line = Line {
    name: "Gradient2, partitions",
    made_of: "Limit::gradient2, half of it for high ones, plain code",
    run: |load| limited(load, Limit::gradient2(), Some(0.5)),
    published: [
        [1.002, 0.999, 64.0, 118.0, 0.0],
        [1.002, 0.911, 67.0, 120.0, 0.0],
        [1.002, 0.378, 68.0, 120.0, 0.0],
    ],
};

pub(crate) const ADAPTIVE: Line = Line {
    name: "adaptive",
    made_of: "QueueConfig::adaptive, as shipped",
    run: |load| queued(load, Gone::Dropped, &adaptive(), false),
    published: [
        [1.004, 1.0, 44.0, 128.0, 0.0],
        [1.004, 1.0, 43.0, 118.0, 0.0],
        [1.005, 0.506, 41.0, 101.0, 0.0],
    ],
};

pub(crate) const OTHERS: [Line; 7] =
    [FIFO_400, FIFO_50, FIFO_EXPIRED, CODEL_LIFO, VEGAS, GRADIENT2, PARTITIONS];
