//! The open-loop load generator: requests are sent when they are due, whatever the answers do.

use std::time::Duration;

use axum::http::{HeaderValue, Request};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until, timeout_at};
use tower::ServiceExt;

use portcullis::breaker_core::Deadline;
use portcullis::{Clock, MonotonicClock};
use portcullis_priority::portcullis_http::priority;

use crate::arrivals::{Arrival, Route};
use crate::client::{self, Client};
use crate::depot;
use crate::door::CALLER;
use crate::ledger::{Answer, End};
use crate::protect;
use crate::till;
use crate::world::{Side, World, uri};

/// How long a caller waits before it hangs up; at the till, [`till::PATIENCE`], and for the depot,
/// [`depot::PATIENCE`].
const PATIENCE: Duration = Duration::from_millis(800);

/// Sends every arrival to both worlds at the same time, and reports every end.
pub(crate) async fn send(
    arrivals: Vec<Arrival>,
    worlds: [World; 2],
    start: Instant,
    ends: UnboundedSender<Answer>,
) {
    let clients = [client::plain(), client::plain()];
    for (i, &arrival) in arrivals.iter().enumerate() {
        let due = start + arrival.at;
        sleep_until(due).await;
        for side in Side::BOTH {
            let (request, patience) = request(&worlds[side as usize], arrival);
            let client = match arrival.route {
                Route::Depot => worlds[side as usize].depot.client.clone(),
                _ => clients[side as usize].clone(),
            };
            let ends = ends.clone();
            tokio::spawn(async move {
                let end = ask(client, request, due + patience).await;
                let answer = Answer { arrival: i, side, end, took: due.elapsed().min(patience) };
                // Nobody listens any more once the run was stopped.
                let _ = ends.send(answer);
            });
        }
    }
}

/// The request of an arrival, and how long its caller waits.
fn request(world: &World, arrival: Arrival) -> (Request<()>, Duration) {
    let class = arrival.route.class();
    let (uri, patience) = match (arrival.route, class) {
        (Route::Depot, _) => (world.depot.uri.clone(), depot::PATIENCE),
        (route, None) => (uri(world.shop, route.path()), PATIENCE),
        (route, Some(_)) => (uri(world.till.address, route.path()), till::PATIENCE),
    };
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    request.headers_mut().insert(CALLER, HeaderValue::from_static(arrival.caller.as_str()));
    if let Some(class) = class {
        let class = HeaderValue::from_static(class.as_str());
        request.headers_mut().insert(priority::X_PRIORITY, class);
    }
    // Layers that look for it need not wait any longer than the caller; the others do not know it.
    let deadline = Deadline::after(MonotonicClock::new().now(), patience);
    request.extensions_mut().insert(deadline);
    (request, patience)
}

async fn ask(client: Client, request: Request<()>, until: Instant) -> End {
    match timeout_at(until, client.oneshot(request)).await {
        Ok(Ok(response)) => End::from(&response),
        Ok(Err(error)) if protect::refused(&error).is_some() => End::Unavailable,
        Ok(Err(_)) => End::Failed,
        Err(_) => End::GaveUp,
    }
}
