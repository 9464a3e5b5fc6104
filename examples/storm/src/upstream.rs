//! The upstream services A, B and C, which fall ill when the script says so.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::{Semaphore, watch};

use crate::world;

/// How long a healthy upstream works on a call.
const WORK: Duration = Duration::from_millis(20);
/// How many calls an upstream works on at a time.
const WORKERS: usize = 12;

/// One of the three upstreams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Upstream {
    A,
    B,
    C,
}

/// What an upstream does with its calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Health {
    /// Answers 200.
    Well,
    /// Takes calls and does not answer; once well again, it works off what has piled up.
    Hanging,
    /// Answers 500 at once.
    Failing,
}

/// A running upstream.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamService {
    health: watch::Sender<Health>,
    reached: Arc<AtomicU64>,
    workers: Arc<Semaphore>,
}

impl Upstream {
    /// All upstreams, in the order of their letters.
    pub(crate) const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// The place of this upstream in an array with one item for each.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl UpstreamService {
    /// Starts a healthy upstream on a free port of the loopback device.
    pub(crate) async fn start() -> io::Result<(Self, SocketAddr)> {
        let upstream = Self {
            health: watch::Sender::new(Health::Well),
            reached: Arc::default(),
            workers: Arc::new(Semaphore::new(WORKERS)),
        };
        let router = Router::new().route("/", get(answer)).with_state(upstream.clone());
        Ok((upstream, world::serve(router).await?))
    }

    /// Makes the upstream ill or well.
    pub(crate) fn set(&self, health: Health) {
        self.health.send_replace(health);
    }

    /// How many calls have arrived here so far.
    pub(crate) fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    async fn work(self) -> StatusCode {
        let mut health = self.health.subscribe();
        // The sender lives in `self`, so this does not end in an error.
        let health = health.wait_for(|health| *health != Health::Hanging).await.map(|now| *now);
        if let Ok(Health::Failing) | Err(_) = health {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        let _worker = self.workers.acquire().await;
        tokio::time::sleep(WORK).await;
        StatusCode::OK
    }
}

async fn answer(State(upstream): State<UpstreamService>) -> StatusCode {
    upstream.reached.fetch_add(1, Ordering::Relaxed);
    // Spawned, because few services notice that a caller has hung up: work that was taken on is
    // done. Hence the pile that a hanging upstream has to work off, and its callers with it.
    tokio::spawn(upstream.work()).await.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
