//! The depot of a shop: a server of its own behind a client that tries again, for the drills.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::arrivals::SplitMix;
use crate::client::{self, Client};
use crate::protect::Protection;
use crate::world;

/// How many requests the depot works on at a time.
pub(crate) const WORKERS: u32 = 4;
/// How long it works on one, when it is well.
pub(crate) const WORK: Duration = Duration::from_millis(40);
/// How many wait for a worker at most: two seconds of work, four times what a client waits for an
/// answer, so that whoever comes to a full line waits in vain.
const LINE: usize = 200;
/// How long a client waits for the answer to one attempt; the same in both worlds.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(500);
/// How long its callers wait for the answer to a request, all attempts together.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// The path at which it answers.
pub(crate) const PATH: &str = "/depot";

/// A running depot, and the client that calls it.
#[derive(Clone, Debug)]
pub(crate) struct Depot {
    pub(crate) uri: Uri,
    pub(crate) client: Client,
    service: Service,
}

/// What the depot is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Order {
    /// How long it works on a request.
    pub(crate) work: Duration,
    /// The share of answers that are 500.
    pub(crate) failing: f64,
}

#[derive(Clone, Debug)]
struct Service {
    workers: Arc<Semaphore>,
    /// Places at work and in the line.
    places: Arc<Semaphore>,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug)]
struct Books {
    order: Order,
    attempts: u64,
    chance: SplitMix,
}

impl Order {
    /// All is well.
    pub(crate) const WELL: Self = Self { work: WORK, failing: 0.0 };
}

impl Depot {
    /// Starts a depot on a free port of the loopback device. The seed draws which answers fail.
    pub(crate) async fn start(protection: Option<&Protection>, seed: u64) -> io::Result<Self> {
        let books = Books { order: Order::WELL, attempts: 0, chance: SplitMix::new(seed) };
        let service = Service {
            workers: Arc::new(Semaphore::new(WORKERS as usize)),
            places: Arc::new(Semaphore::new(WORKERS as usize + LINE)),
            books: Arc::new(Mutex::new(books)),
        };
        let router = Router::new().route(PATH, get(answer)).with_state(service.clone());
        let uri = world::uri(world::serve(router).await?, PATH);
        let client = protection.map_or_else(client::insistent, Protection::depot_client);
        Ok(Self { uri, client, service })
    }

    /// Tells the depot what is the matter. What is at work goes on as it was.
    pub(crate) fn order(&self, order: Order) {
        self.service.books().order = order;
    }

    /// How many requests have arrived here so far: the attempts of all clients.
    pub(crate) fn attempts(&self) -> u64 {
        self.service.books().attempts
    }
}

impl Service {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self) -> StatusCode {
        let Ok(_worker) = self.workers.acquire().await else {
            return StatusCode::INTERNAL_SERVER_ERROR;
        };
        let work = self.books().order.work;
        tokio::time::sleep(work).await;
        let mut books = self.books();
        // Drawn in any case, so that the draws do not depend on what is the matter.
        let fails = books.chance.unit() <= books.order.failing;
        if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    }
}

async fn answer(State(service): State<Service>) -> StatusCode {
    service.books().attempts += 1;
    let Ok(place) = service.places.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    // Spawned, as at the upstreams: who hangs up does not spare the work, nor the place in line.
    let work = tokio::spawn(async move {
        let status = service.work().await;
        drop(place);
        status
    });
    work.await.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
