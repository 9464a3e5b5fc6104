//! The cases of this house for the priority queue and the bulkhead.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use portcullis::{AsError, Clock, ErrorsAreFailures};
use portcullis_priority::{
    ByPriority, ConcurrencyLayer, ConcurrencyLimit, Limit, Priority, PriorityQueue,
    PriorityQueueLayer, QueueConfig, ToHead,
};
use tower_layer::Layer as _;

use crate::case::{Case, Live, Once, UntilDone, cloned, handed_over, requested, reused};
use crate::ours::OURS;
use crate::service::{Later, Nothing, Web};

const DEFAULT: QueueConfig = QueueConfig::new();
const SECOND: Duration = Duration::from_secs(1);
const FIXED: ConcurrencyLimit = ConcurrencyLimit::new(50);

type Queue<P> = PriorityQueueLayer<ErrorsAreFailures, AsError, ByPriority<P>, ToHead>;
type Maker = Rc<dyn Fn(QueueConfig) -> PriorityQueue>;

/// Every path through the queue that the targets name, on this clock.
pub(crate) fn queues(clock: impl Clock + Clone + 'static) -> Vec<Case> {
    let maker: Maker = Rc::new(move |config| PriorityQueue::with_clock(config, clock.clone()));
    let case = |name, make: fn(&Maker) -> Live| {
        let maker = maker.clone();
        Case::new(OURS, name, move || make(&maker))
    };
    vec![
        case("queue", |queue| reused::<Once, _>(layer(queue(DEFAULT)).layer(Nothing))),
        case("queue, cloned per call", |queue| {
            cloned::<Once, _>(layer(queue(DEFAULT)).layer(Nothing))
        }),
        case("queue, answer at the second poll", |queue| {
            reused::<UntilDone, _>(layer(queue(DEFAULT)).layer(Later))
        }),
        case("queue, request, to the end of the body", |queue| {
            requested(PriorityQueueLayer::from_queue(queue(DEFAULT)).layer(Web))
        }),
        case("queue, handle", |queue| acquired(queue(DEFAULT))),
        case("queue, refusal", |queue| refused(&queue(DEFAULT))),
        case("queue, limit by service time", |queue| adaptive(queue, Limit::service_time())),
        case("queue, limit by deadline", |queue| adaptive(queue, Limit::deadline(SECOND))),
        case("queue, hand-over", |queue| {
            handed_over(layer(queue(QueueConfig::slots(1))).layer(Later))
        })
        .alone(),
        case("bulkhead", |queue| reused::<Once, _>(bulkhead(queue).layer(Nothing))),
        case("bulkhead, cloned per call", |queue| {
            cloned::<Once, _>(bulkhead(queue).layer(Nothing))
        }),
        case("bulkhead, request, to the end of the body", |queue| {
            requested(ConcurrencyLayer::from_queue(queue(FIXED.into_queue())).layer(Web))
        }),
        case("bulkhead, refusal", |queue| {
            let full = queue(ConcurrencyLimit::new(1).into_queue());
            let held = full.try_acquire(Priority::NORMAL).map_err(drop);
            let layer = plain(ConcurrencyLayer::from_queue(full));
            holding(held, reused::<Once, _>(layer.layer(Nothing)))
        }),
    ]
}

fn layer(queue: PriorityQueue) -> Queue<impl Fn(&bool) -> Option<Priority> + Clone> {
    PriorityQueueLayer::from_queue(queue)
        .classify(ErrorsAreFailures)
        .refuse(AsError)
        .priority_fn(|_: &bool| black_box(Some(Priority::NORMAL)))
        .hold_to_head()
}

fn bulkhead(queue: &Maker) -> ConcurrencyLayer<ErrorsAreFailures, AsError, ToHead> {
    plain(ConcurrencyLayer::from_queue(queue(FIXED.into_queue())))
}

fn plain(layer: ConcurrencyLayer) -> ConcurrencyLayer<ErrorsAreFailures, AsError, ToHead> {
    layer.classify(ErrorsAreFailures).refuse(AsError).hold_to_head()
}

fn adaptive(queue: &Maker, limit: Limit) -> Live {
    reused::<Once, _>(layer(queue(DEFAULT.limit(limit))).layer(Nothing))
}

fn acquired(queue: PriorityQueue) -> Live {
    Live::new(move |calls| {
        for _ in 0..calls {
            let slot = black_box(&queue).try_acquire(black_box(Priority::NORMAL));
            black_box(&slot);
        }
    })
}

/// Calls that do not wait, while all slots that they may take are taken.
fn refused(queue: &PriorityQueue) -> Live {
    let held: Vec<_> = std::iter::from_fn(|| queue.try_acquire(Priority::NORMAL).ok()).collect();
    let queue = queue.clone();
    let run = Live::new(move |calls| {
        for _ in 0..calls {
            let refused = black_box(&queue).try_acquire(black_box(Priority::NORMAL));
            black_box(&refused.err().map(|rejected| rejected.retry_after()));
        }
    });
    holding(held, run)
}

/// The same, and holds something all the while.
fn holding<T: Send + Sync + 'static>(held: T, live: Live) -> Live {
    Live::new(move |calls| {
        let _held = &held;
        (live.run)(calls);
    })
}
