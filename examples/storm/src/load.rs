//! The open-loop load generator: requests are sent when they are due, whatever the answers do.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until, timeout_at};

use portcullis_priority::Class;
use portcullis_priority::portcullis_http::priority;

use crate::arrivals::{Arrival, Caller};
use crate::client;
use crate::door::CALLER;
use crate::ledger::{Answer, End};
use crate::till;
use crate::world::{Side, World, uri};

/// How long a caller waits before it hangs up; at the till, [`till::PATIENCE`].
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
            let world = &worlds[side as usize];
            let class = arrival.route.class();
            let (server, patience) = match class {
                None => (world.shop, PATIENCE),
                Some(_) => (world.till.address, till::PATIENCE),
            };
            let uri = uri(server, arrival.route.path());
            let (client, ends) = (clients[side as usize].clone(), ends.clone());
            let request = request(uri, arrival.caller, class);
            tokio::spawn(async move {
                let end = ask(client, request, due + patience).await;
                let answer = Answer { arrival: i, side, end, took: due.elapsed().min(patience) };
                // Nobody listens any more once the run was stopped.
                let _ = ends.send(answer);
            });
        }
    }
}

fn request(uri: Uri, caller: Caller, class: Option<Class>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    request.headers_mut().insert(CALLER, HeaderValue::from_static(caller.as_str()));
    if let Some(class) = class {
        let class = HeaderValue::from_static(class.as_str());
        request.headers_mut().insert(priority::X_PRIORITY, class);
    }
    request
}

async fn ask(client: Client<HttpConnector, Body>, request: Request<Body>, until: Instant) -> End {
    match timeout_at(until, client.request(request)).await {
        Ok(Ok(response)) => End::from(&response),
        Ok(Err(_)) => End::Failed,
        Err(_) => End::GaveUp,
    }
}
