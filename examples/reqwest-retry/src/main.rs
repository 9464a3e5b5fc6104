//! Retries around reqwest: what helps is made again, and what does harm is not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::any;
use portcullis::{
    Backoff, BackoffConfig, BackoffLayer, BoxError, Budget, Delays, Event, EventKind, Observe,
    Percent,
};
use reqwest::{Client, Method};
use tokio::net::TcpListener;
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

const CONFIG: BackoffConfig = BackoffConfig::new()
    .delays(Delays::full_jitter(Duration::from_millis(20)).cap(Duration::from_millis(200)))
    .budget(Budget::ratio(Percent::new(20), 1))
    .named("shop");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, BoxError> {
    let shop = flaky_server().await?;
    let mut story = Vec::new();
    for (method, path, key) in [
        (Method::GET, "flaky", None),
        (Method::POST, "order", None),
        (Method::POST, "order", Some("8e03978e-40d5-43dd-bc93-6894a57f9324")),
        (Method::GET, "busy", None),
        (Method::GET, "closed", None),
    ] {
        let backoff = Backoff::new(CONFIG);
        let status = ask(&backoff, method.clone(), shop, path, key).await?;
        let retried = backoff.snapshot().retried;
        let keyed = if key.is_some() { " with a key" } else { "" };
        story.push(format!("{method} /{path}{keyed}: {status} after {retried} retries"));
    }

    // All of a hundred calls fail: a fifth of them may be made again, and ten on top within ten seconds.
    let backoff = Backoff::new(CONFIG);
    backoff.observe(Loud);
    for _ in 0..100 {
        ask(&backoff, Method::GET, shop, "down", None).await?;
    }
    let snapshot = backoff.snapshot();
    story.push(format!("GET /down, a hundred times: {} retries", snapshot.retried));
    story.push(backoff.explain());
    Ok(story)
}

async fn ask(
    backoff: &Backoff,
    method: Method,
    shop: SocketAddr,
    path: &str,
    key: Option<&str>,
) -> Result<StatusCode, BoxError> {
    // `Client::new()`, but no proxy of the environment's leads to this machine. A client of your own
    // is made once, and cloned.
    let client = Client::builder().no_proxy().build()?;
    let layer = BackoffLayer::from_backoff(backoff);
    let mut client = ServiceBuilder::new().layer(layer).service(client);

    let mut request = reqwest::Request::new(method, format!("http://{shop}/{path}").parse()?);
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", key.parse()?);
    }
    Ok(client.ready().await?.call(request).await?.status())
}

/// Says when the budget is used up.
struct Loud;

impl Observe for Loud {
    fn event(&self, event: &Event<'_>) {
        if let EventKind::NotRetried { attempt: 1, why: "budget", .. } = event.kind {
            println!("{}: beyond the budget, so the failure is the answer", event.circuit);
        }
    }
}

/// Fails in as many ways as there are paths.
async fn flaky_server() -> std::io::Result<SocketAddr> {
    let (flaky, order, busy) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let flaky: &'static AtomicU32 = Box::leak(Box::new(flaky));
    let order: &'static AtomicU32 = Box::leak(Box::new(order));
    let busy: &'static AtomicU32 = Box::leak(Box::new(busy));
    let app = Router::new()
        .route(
            "/flaky",
            any(async || match flaky.fetch_add(1, Ordering::Relaxed) {
                0 => StatusCode::SERVICE_UNAVAILABLE,
                1 => StatusCode::BAD_GATEWAY,
                _ => StatusCode::OK,
            }),
        )
        // The first time it takes the order, and does not manage to say so.
        .route(
            "/order",
            any(async |request: Request<axum::body::Body>| {
                let again = request.headers().contains_key("x-retry-attempt");
                order.fetch_add(1, Ordering::Relaxed);
                if again { StatusCode::CREATED } else { StatusCode::GATEWAY_TIMEOUT }
            }),
        )
        .route(
            "/busy",
            any(async || match busy.fetch_add(1, Ordering::Relaxed) {
                0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response(),
                _ => StatusCode::OK.into_response(),
            }),
        )
        .route(
            "/closed",
            any(async || (StatusCode::SERVICE_UNAVAILABLE, [("x-should-retry", "false")])),
        )
        .route("/down", any(async || StatusCode::SERVICE_UNAVAILABLE));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}

#[cfg(test)]
mod tests {
    // S-RETRY-01, S-RETRY-05, S-BACKOFF-10
    #[tokio::test]
    async fn what_helps_is_made_again_and_what_does_harm_is_not() {
        let story = super::run().await.expect("a loopback");
        let expected = [
            "GET /flaky: 200 OK after 2 retries",
            "POST /order: 504 Gateway Timeout after 0 retries",
            "POST /order with a key: 201 Created after 1 retries",
            "GET /busy: 200 OK after 1 retries",
            "GET /closed: 503 Service Unavailable after 0 retries",
        ];
        assert_eq!(story[..5], expected);
        let retries = story[5].split(' ').rev().nth(1).and_then(|it| it.parse::<u32>().ok());
        // Twenty, ten, and what the window has let go of by then.
        assert!(retries.is_some_and(|it| (15..=60).contains(&it)), "{story:#?}");
    }
}
