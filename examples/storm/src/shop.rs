//! The shop: five routes, 64 request slots, three attempts at an upstream.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Request as HttpRequest, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::arrivals::Route;
use crate::client::UpstreamClient;
use crate::protect;

/// How many requests the shop works on at a time.
pub(crate) const SLOTS: usize = 64;
/// How long a request waits for a free slot.
const WAIT_FOR_SLOT: Duration = Duration::from_millis(400);
/// How often the shop asks an upstream before it gives up, like many an SDK by default.
const ATTEMPTS: usize = 3;

/// Where an upstream is, and how to call it.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    pub(crate) uri: Uri,
    pub(crate) client: UpstreamClient,
}

/// The request slots of a shop.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Semaphore>);

impl Slots {
    /// [`SLOTS`] free slots.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(SLOTS)))
    }

    /// How many slots are taken.
    pub(crate) fn taken(&self) -> usize {
        SLOTS - self.0.available_permits()
    }
}

/// The shop's routes over these outlets, one for each upstream.
pub(crate) fn router(outlets: &[Outlet; 3], slots: Slots) -> Router {
    let mut router = Router::new();
    for route in Route::ALL {
        router = match route.needs() {
            None => router.route(route.path(), get(StatusCode::OK)),
            Some(upstream) => {
                let outlet = outlets[upstream.index()].clone();
                router.route(route.path(), get(move || serve(outlet, route.calls())))
            }
        };
    }
    router.layer(middleware::from_fn_with_state(slots, in_a_slot))
}

/// Works on a request in one of the slots, or answers 503 when none gets free in time.
async fn in_a_slot(State(Slots(slots)): State<Slots>, request: Request, next: Next) -> Response {
    let Ok(Ok(slot)) = timeout(WAIT_FOR_SLOT, slots.acquire_owned()).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    // Spawned, so that a caller who hangs up leaves the slot taken until the work is done, as in
    // a server with a pool of workers.
    let work = tokio::spawn(async move {
        let response = next.run(request).await;
        drop(slot);
        response
    });
    work.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Makes that many calls, one after the other; the first that brings nothing is the last.
async fn serve(outlet: Outlet, calls: usize) -> Response {
    for _ in 0..calls {
        let answer = ask(&outlet).await;
        if !answer.status().is_success() {
            return answer;
        }
    }
    StatusCode::OK.into_response()
}

/// Asks the upstream, up to [`ATTEMPTS`] times. A refusal is final: it says that asking is idle.
async fn ask(outlet: &Outlet) -> Response {
    for _ in 0..ATTEMPTS {
        let mut request = HttpRequest::new(Body::empty());
        request.uri_mut().clone_from(&outlet.uri);
        match outlet.client.clone().oneshot(request).await {
            Ok(response) if response.status().is_success() => {
                return StatusCode::OK.into_response();
            }
            Ok(_) => {}
            Err(error) => {
                if let Some(seconds) = protect::refused(&error) {
                    return unavailable(seconds);
                }
            }
        }
    }
    StatusCode::BAD_GATEWAY.into_response()
}

/// The quick answer to a caller whose upstream is known to be ill.
fn unavailable(retry_after_secs: u64) -> Response {
    let retry_after = [(header::RETRY_AFTER, retry_after_secs.to_string())];
    (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response()
}
