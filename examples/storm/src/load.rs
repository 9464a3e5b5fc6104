//! The open-loop load generator: requests are sent when they are due, whatever the answers do.

use std::time::Duration;

use axum::body::Body;
use axum::http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::arrivals::Arrival;
use crate::client;
use crate::ledger::{Answer, End};
use crate::world::{Side, World, uri};

/// How long a caller waits before it hangs up.
const PATIENCE: Duration = Duration::from_millis(800);

/// Sends every arrival to both worlds at the same time, and reports every end.
pub(crate) async fn send(
    arrivals: Vec<Arrival>,
    worlds: [World; 2],
    start: Instant,
    ends: UnboundedSender<Answer>,
) {
    let clients = [client::http(), client::http()];
    for (i, arrival) in arrivals.iter().enumerate() {
        let due = start + arrival.at;
        sleep_until(due).await;
        for side in Side::BOTH {
            let uri = uri(worlds[side as usize].shop, arrival.route.path());
            let (client, ends) = (clients[side as usize].clone(), ends.clone());
            tokio::spawn(async move {
                let end = request(client, uri, due).await;
                let answer = Answer { arrival: i, side, end, took: due.elapsed().min(PATIENCE) };
                // Nobody listens any more once the run was stopped.
                let _ = ends.send(answer);
            });
        }
    }
}

async fn request(client: Client<HttpConnector, Body>, uri: Uri, due: Instant) -> End {
    match timeout_at(due + PATIENCE, client.get(uri)).await {
        Ok(Ok(response)) => End::from(response.status()),
        Ok(Err(_)) => End::Failed,
        Err(_) => End::GaveUp,
    }
}
