use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Path};
use axum::http::StatusCode;
use axum::routing::{get, post};
use portcullis::key::{self, KeyText, TrustedProxy};
use portcullis::{
    BoxError, Rate, RateLimit, RateLimitHeaders, RateLimitLayer, RateLimiter, RateLimiters,
};

/// Two at once, and then one in half a minute.
const SHOP: RateLimit = RateLimit::per_minute(2).named("shop");
const REPORTS: RateLimit = RateLimit::per_hour(60).burst(2).named("reports");
const REPORTS_OF_GOLD: RateLimit = REPORTS.rate(Rate::per_hour(600)).burst(5);
const SEARCH: RateLimit = RateLimit::per_minute(1).named("search");
const MAILS: RateLimit = RateLimit::per_hour(5).burst(1).named("mails");

/// What is left is told to everybody, not to refused callers only.
const HEADERS: RateLimitHeaders = RateLimitHeaders::draft10().on_every_answer();

pub(crate) fn app() -> Result<Router, BoxError> {
    // One limit per route: the key is the route's template, not the path that was asked for.
    let shop = RateLimitLayer::new(SHOP).keyed(key::extension(MatchedPath::as_str));
    // One per tenant, and a larger one for the tenant who pays for it.
    let reports = RateLimitLayer::new(REPORTS).keyed(key::header("x-tenant"));
    let tenants = reports.handle();
    tenants.override_for(&KeyText::new("gold").ok_or("a short name")?, REPORTS_OF_GOLD)?;
    // One per client, whose address the proxies on this machine are trusted to tell.
    let proxies = TrustedProxy::cidrs(["127.0.0.0/8"])?;
    let peer = key::peer_ip(|info: &ConnectInfo<SocketAddr>| Some(info.0));
    let search = RateLimitLayer::new(SEARCH).keyed(peer.behind(proxies));
    // One for all calls; its handle is the limit itself.
    let mails = RateLimitLayer::new(MAILS);
    let outbox = mails.handle();

    Ok(Router::new()
        .route("/cart/{id}", get(well))
        .route("/help", get(well))
        .route_layer(shop.headers(HEADERS))
        .route("/report", get(well).layer(reports.headers(HEADERS)))
        .route("/search", get(well).layer(search.headers(HEADERS)))
        .route("/mail", post(well).layer(mails.headers(HEADERS)))
        .nest("/admin", admin(tenants, outbox)))
}

/// For operators, who are not behind the limits. Handles are sync: there is nothing to await.
fn admin(tenants: RateLimiters<KeyText>, outbox: RateLimiter) -> Router {
    let asked = outbox.clone();
    // A rate that is none, or does not fit the rest, is refused, and nothing is changed.
    let change_rate = async move |Path(per_hour): Path<u32>| {
        let rate = Rate::checked(per_hour, Duration::from_secs(3_600));
        let rate = rate.ok_or_else(|| bad_request(&"that is no rate"))?;
        outbox.change_rate(rate).map_err(|errors| bad_request(&errors))
    };
    Router::new()
        .route("/reports", get(async move || tenants.explain()))
        .route("/mails", get(async move || asked.explain()))
        .route("/mails/per-hour/{calls}", post(change_rate))
}

fn bad_request(problem: &impl ToString) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, problem.to_string())
}

async fn well() -> &'static str {
    "all is well"
}
