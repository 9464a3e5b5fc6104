//! A circuit around reqwest: a sick server is spared, and the caller learns when to come back.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use portcullis::{BoxError, BoxErrors, CircuitBreakerConfig, CircuitBreakerLayer, Rejected};
use reqwest::{Method, Request};
use tokio::net::TcpListener;
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new().named("weather");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, BoxError> {
    let url = format!("http://{}/today", sick_server().await?);

    // `reqwest::Client::new()`, but no proxy of the environment's leads to this machine.
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut client = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(CONFIG))
        .layer(BoxErrors)
        .service(client);

    let mut story = Vec::new();
    for _ in 0..7 {
        let request = Request::new(Method::GET, url.parse()?);
        let error = match client.ready().await?.call(request).await {
            Ok(response) => {
                story.push(format!("answered with {}", response.status()));
                continue;
            }
            Err(error) => error,
        };
        // The request was not sent? Then the error says for how long that makes no sense.
        story.push(match Rejected::find(&*error).and_then(Rejected::retry_after) {
            Some(wait) => format!("not sent; worth another try in {wait:.0?}"),
            None => format!("failed: {error}"),
        });
    }
    Ok(story)
}

/// Answers 500, whatever is asked.
async fn sick_server() -> std::io::Result<SocketAddr> {
    let app = Router::new().fallback(async || StatusCode::INTERNAL_SERVER_ERROR);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}

#[cfg(test)]
mod tests {
    // S-CORE-09: the refusal is typed, and names the wait.
    #[tokio::test]
    async fn after_five_failures_nothing_is_sent() {
        let story = super::run().await.expect("a loopback");
        let (answered, refused) = story.split_at(5);
        let all = |lines: &[String], text| lines.iter().all(|line| line.starts_with(text));
        assert!(all(answered, "answered with 500"), "{story:#?}");
        assert!(
            all(refused, "not sent; worth another try in ") && refused.len() == 2,
            "{story:#?}"
        );
    }
}
