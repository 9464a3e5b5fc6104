//! The till of a shop: a server of its own that can do so much and no more, for the overload.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use portcullis_priority::PriorityQueue;
use tokio::sync::Semaphore;

use crate::protect::Protection;
use crate::world;

/// How many requests the till works on at a time.
pub(crate) const WORKERS: u32 = 4;
/// How long it works on one.
pub(crate) const WORK: Duration = Duration::from_millis(50);
/// How long its callers wait before they hang up. What the till has taken it works off.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);
/// The path at which it answers.
pub(crate) const PATH: &str = "/till";

/// A running till.
#[derive(Clone, Debug)]
pub(crate) struct Till {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    service: Service,
}

/// What the till is told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Order {
    /// How many of the workers are absent.
    pub(crate) absent: u32,
    /// Of 100 answers, so many are 500, for a reason of their own.
    pub(crate) failing: u64,
}

/// What the till has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    /// How many requests were worked on.
    pub(crate) worked: u64,
    /// How long that took in all.
    pub(crate) work: Duration,
    /// The most requests that were inside at a time, at work or waiting for a worker. Those whose
    /// callers hung up are not, though the work goes on.
    pub(crate) peak: u32,
    /// The most slots that there were, where there is a queue.
    pub(crate) slots: Option<u32>,
}

#[derive(Clone, Debug)]
struct Service {
    workers: Arc<Semaphore>,
    books: Arc<Mutex<Books>>,
    queue: Option<PriorityQueue>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Books {
    order: Order,
    /// Workers that have gone.
    gone: u32,
    inside: u32,
    answered: u64,
    count: Count,
}

impl Till {
    /// Starts a till on a free port of the loopback device, behind a queue where there is one.
    pub(crate) async fn start(protection: Option<&Protection>) -> io::Result<Self> {
        let service = Service {
            workers: Arc::new(Semaphore::new(WORKERS as usize)),
            books: Arc::default(),
            queue: protection.map(Protection::queue),
        };
        let router = Router::new().route(PATH, get(answer)).with_state(service.clone());
        let router = match protection {
            Some(protection) => protection.rank(router),
            None => router,
        };
        Ok(Self { address: world::serve(router).await?, service })
    }

    /// Tells the till what is the matter.
    pub(crate) fn order(&self, order: Order) {
        let mut books = self.service.books();
        books.order = order;
        // Those who are to go do so when they are done; those who are to come are there at once.
        let back = books.gone.saturating_sub(order.absent);
        books.gone -= back;
        self.service.workers.add_permits(back as usize);
    }

    /// What has been counted up to now; the most of all that is looked for anew.
    pub(crate) fn count(&self) -> Count {
        let mut books = self.service.books();
        let counted = books.count;
        books.count.peak = books.inside;
        books.count.slots = None;
        counted
    }

    /// How many requests may be inside just now, where there is a queue.
    pub(crate) fn limit(&self) -> Option<u32> {
        self.service.queue.as_ref().map(|queue| queue.snapshot().slots)
    }
}

impl Count {
    /// How many requests could have been worked on in this time, had nobody been idle: by how long
    /// work really took, since a busy machine is late with it.
    pub(crate) fn capacity(&self, time: Duration) -> Option<f64> {
        let each = self.work.as_secs_f64() / self.worked as f64;
        (self.worked > 0).then(|| f64::from(WORKERS) * time.as_secs_f64() / each)
    }
}

impl Service {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Inside<'_> {
        // Seen here, the slots are those by which this request was let in: the limit cannot have
        // been lowered since, or other requests would have ended by now.
        let slots = self.queue.as_ref().map(|queue| queue.snapshot().slots);
        let mut books = self.books();
        books.inside += 1;
        books.count.peak = books.count.peak.max(books.inside);
        books.count.slots = books.count.slots.max(slots);
        Inside(self)
    }

    #[allow(clippy::disallowed_methods, reason = "the work is real, and so is its time")]
    async fn work(self) -> StatusCode {
        let Ok(worker) = self.workers.acquire().await else {
            return StatusCode::INTERNAL_SERVER_ERROR;
        };
        let began = Instant::now();
        tokio::time::sleep(WORK).await;
        let mut books = self.books();
        books.count.worked += 1;
        books.count.work += began.elapsed();
        books.answered += 1;
        if books.gone < books.order.absent {
            books.gone += 1;
            worker.forget();
        }
        // Spread evenly, since it is about the share: 37 has no divisor in common with 100.
        if books.answered * 37 % 100 < books.order.failing {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        StatusCode::OK
    }
}

/// A request that is inside.
struct Inside<'s>(&'s Service);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.books().inside -= 1;
    }
}

async fn answer(State(service): State<Service>) -> StatusCode {
    let _inside = service.enter();
    // Spawned, as at the upstreams: who hangs up does not spare the work.
    tokio::spawn(service.clone().work()).await.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_what_all_workers_do_at_the_pace_that_was_seen() {
        let count = Count { worked: 10, work: Duration::from_millis(600), ..Count::default() };
        let capacity = count.capacity(Duration::from_secs(3)).expect("it has worked");
        assert!((capacity - 200.0).abs() < 1e-9, "{capacity}");
        assert_eq!(Count::default().capacity(Duration::from_secs(3)), None);
    }
}
