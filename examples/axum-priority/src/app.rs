use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::{get, post};
use portcullis::{Class, Priority, PriorityQueue, PriorityQueueLayer, QueueConfig, priority};

/// 24 calls at a time, four of them always for what must not fail.
const SHOP: QueueConfig = QueueConfig::slots(20).reserved(Class::Critical, 4).named("shop");
/// One report at a time; the others wait.
const REPORTS: QueueConfig =
    QueueConfig::slots(1).max_wait(Class::Normal, Duration::from_secs(20)).named("reports");

/// What the gateway says to be believed.
pub(crate) const GATEWAY: (&str, &str) = ("x-gateway", "open sesame");

pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) reports: PriorityQueue,
    pub(crate) served: Served,
}

/// Whose reports were made, in their order.
#[derive(Clone, Default)]
pub(crate) struct Served(Arc<Mutex<Vec<String>>>);

impl Served {
    fn add(&self, user: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(user.to_owned());
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) fn app() -> App {
    let gateway = |request: &Request<Body>| {
        request.headers().get(GATEWAY.0).is_some_and(|key| key == GATEWAY.1)
    };
    let believed = priority::from_request().trusted_fn(gateway);
    let shop = PriorityQueueLayer::new(SHOP).priority(believed);
    let reports = PriorityQueueLayer::new(REPORTS)
        .fair_by_fn(|request: &Request<Body>| Some(user(request.headers()).to_owned()));
    let (slots, line, served) = (shop.handle(), reports.handle(), Served::default());

    let made = served.clone();
    let report = async move |headers: HeaderMap| made.add(user(&headers));
    let router = Router::new()
        .route("/find", get(find))
        .route_layer(shop)
        .route("/report", get(report).layer(reports))
        .nest("/admin", admin(slots));
    App { router, reports: line, served }
}

/// For operators, who do not wait in the queue.
fn admin(slots: PriorityQueue) -> Router {
    let asked = slots.clone();
    let change = async move |Path(least): Path<String>| {
        let least: Priority = least.parse().map_err(|error| bad_request(&error))?;
        slots.min_priority(least).map_err(|errors| bad_request(&errors))
    };
    Router::new()
        .route("/queue", get(async move || asked.explain()))
        .route("/least/{priority}", post(change))
}

fn bad_request(problem: &impl ToString) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, problem.to_string())
}

fn user(headers: &HeaderMap) -> &str {
    headers.get("x-user").and_then(|user| user.to_str().ok()).unwrap_or("nobody")
}

/// A handler knows how important its call is, and so do the clients in it.
async fn find() -> String {
    format!("found, as {}", Priority::current().unwrap_or_default())
}
