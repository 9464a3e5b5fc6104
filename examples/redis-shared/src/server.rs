//! One of the processes: a service whose limits it shares with others.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use portcullis::portcullis_ratelimit::{OnStoreFailure, RedisLimit, RedisLimiter};
use portcullis::{BoxError, Rate, RateLimitWaitLayer, key};
use tokio::net::TcpListener;

/// How many processes there are.
pub(crate) const PROCESSES: u32 = 2;
pub(crate) const RATE: u32 = 50;
pub(crate) const BURST: u32 = 20;
pub(crate) const SLICE: u32 = 4;
pub(crate) const DEADLINE: Duration = Duration::from_millis(200);

/// Of each customer, over all processes. Without the store each process grants its part of it.
pub(crate) const SEARCH: RedisLimit =
    RedisLimit::new(Rate::per_second(RATE), BURST, OnStoreFailure::LocalShare)
        .named("search")
        .slice(SLICE)
        .deadline(DEADLINE)
        .instances(PROCESSES);
/// What must not be done too often: rather not at all than uncounted, and each is counted.
const PAY: RedisLimit =
    RedisLimit::new(Rate::per_minute(6), 3, OnStoreFailure::FailClosed).named("pay").slice(1);
/// A courtesy, which is worth no outage.
const HELP: RedisLimit =
    RedisLimit::new(Rate::per_second(20), 20, OnStoreFailure::FailOpen).named("help");

/// Serves until whoever started it goes away, and says where on the first line of its output.
pub(crate) async fn serve(store: &str, prefix: &str) -> Result<(), BoxError> {
    let client = redis::Client::open(store)?;
    // It connects when it is first asked: a process starts without its store, too.
    let limiter = |limit: RedisLimit| RedisLimiter::new(limit.prefix(prefix), client.clone());
    let search = RateLimitWaitLayer::shared(limiter(SEARCH)?).keyed(key::header("x-customer"));
    let pay = RateLimitWaitLayer::shared(limiter(PAY)?).keyed(key::header("x-customer"));
    let help = RateLimitWaitLayer::shared(limiter(HELP)?);
    let figures = search.handle();

    let app = Router::new()
        .route("/search", get(well).layer(search))
        .route("/pay", get(well).layer(pay))
        .route("/help", get(well).layer(help))
        .route("/figures", get(async move || tell(&figures)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, app).into_future());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}

/// How often the store was asked, and how many calls were admitted without it.
fn tell(limiter: &RedisLimiter) -> String {
    let seen = limiter.snapshot();
    format!("{} {}", seen.round_trips, seen.admitted_without_store)
}

async fn well() -> &'static str {
    "all is well"
}
