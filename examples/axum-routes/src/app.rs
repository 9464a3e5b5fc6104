use axum::Router;
use axum::extract::MatchedPath;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use portcullis::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, key};

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new();

pub(crate) fn app() -> Router {
    // One circuit for two routes: a clone of a layer is the same circuit, and so is its handle.
    let payments = CircuitBreakerLayer::new(CONFIG.named("payments"));
    let handle = payments.handle();
    // One circuit per route: the key is the route's template, not the path that was asked for.
    let by_route = key::extension(MatchedPath::as_str);
    let shop = CircuitBreakerLayer::new(CONFIG.named("shop")).keyed(by_route);
    // One circuit per tenant.
    let by_tenant = key::header("x-tenant");
    let reports = CircuitBreakerLayer::new(CONFIG.named("reports")).keyed(by_tenant);

    Router::new()
        .route("/cart/{id}", get(sick))
        .route("/help", get(well))
        .route_layer(shop)
        .route("/pay", post(sick).layer(payments.clone()))
        .route("/refund", post(well).layer(payments))
        .route("/report", get(report).layer(reports))
        .nest("/admin", admin(handle))
}

/// For operators, who are not behind the circuit. A handle is sync: there is nothing to await.
fn admin(payments: CircuitBreaker) -> Router {
    let (asked, closed, opened) = (payments.clone(), payments.clone(), payments);
    let explain = async move || {
        let snapshot = asked.snapshot();
        format!("{}; {} calls refused so far", snapshot.explain(), snapshot.totals.refused)
    };
    let force_open = async move || closed.force_open("the bank is being repaired");
    let release = async move || opened.release();
    Router::new()
        .route("/payments", get(explain))
        .route("/payments/force-open", post(force_open))
        .route("/payments/release", post(release))
}

async fn sick() -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn well() -> &'static str {
    "all is well"
}

/// The data of one tenant is broken.
async fn report(headers: HeaderMap) -> StatusCode {
    match headers.get("x-tenant") {
        Some(tenant) if tenant == "acme" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    }
}
