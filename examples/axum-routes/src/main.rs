//! Circuits in axum: one for two routes, one per route, one per tenant, and a page for operators.

mod app;

use portcullis::BoxError;
use reqwest::{Client, Method};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let visitor = Visitor::new(&listener)?;
    tokio::spawn(axum::serve(listener, app::app()).into_future());

    Ok(vec![
        "One circuit for two routes:".to_owned(),
        visitor.visit(6, Method::POST, "/pay", "").await?,
        visitor.visit(1, Method::POST, "/refund", "").await?,
        "One circuit per route:".to_owned(),
        visitor.visit(6, Method::GET, "/cart/7", "").await?,
        visitor.visit(1, Method::GET, "/cart/8", "").await?,
        visitor.visit(1, Method::GET, "/help", "").await?,
        "One circuit per tenant:".to_owned(),
        visitor.visit(6, Method::GET, "/report", "acme").await?,
        visitor.visit(1, Method::GET, "/report", "umbrella").await?,
        "And the operators:".to_owned(),
        visitor.read("/admin/payments").await?,
        visitor.visit(1, Method::POST, "/admin/payments/force-open", "").await?,
        visitor.read("/admin/payments").await?,
        visitor.visit(1, Method::POST, "/refund", "").await?,
        visitor.visit(1, Method::POST, "/admin/payments/release", "").await?,
        visitor.visit(1, Method::POST, "/refund", "").await?,
    ])
}

struct Visitor {
    client: Client,
    base: String,
}

impl Visitor {
    fn new(listener: &TcpListener) -> Result<Self, BoxError> {
        let base = format!("http://{}", listener.local_addr()?);
        Ok(Self { client: Client::builder().no_proxy().build()?, base })
    }

    /// Asks so many times, and tells the statuses.
    async fn visit(
        &self,
        times: usize,
        method: Method,
        path: &str,
        tenant: &str,
    ) -> Result<String, BoxError> {
        let mut line =
            format!("  {method} {path}{}{tenant}:", if tenant.is_empty() { "" } else { " for " });
        for _ in 0..times {
            let url = format!("{}{path}", self.base);
            let request = self.client.request(method.clone(), url).header("x-tenant", tenant);
            let response = request.send().await?;
            line.push_str(&format!(" {}", response.status().as_u16()));
            if let Some(wait) = response.headers().get("retry-after") {
                line.push_str(&format!(" (come back in {} s)", wait.to_str()?));
            }
        }
        Ok(line)
    }

    async fn read(&self, path: &str) -> Result<String, BoxError> {
        let response = self.client.get(format!("{}{path}", self.base)).send().await?;
        Ok(format!("  GET {path}: {}", response.text().await?))
    }
}

#[cfg(test)]
mod tests {
    // S-CORE-13, S-CORE-11: circuits for parts of the traffic, in the hands of operators.
    #[tokio::test]
    async fn every_circuit_is_where_the_story_says() {
        let story = super::run().await.expect("a loopback");
        let opened = "500 500 500 500 500 503 (come back in ";
        let expected = [
            "One circuit for two routes:",
            &format!("  POST /pay: {opened}"),
            "  POST /refund: 503 (come back in ",
            "One circuit per route:",
            &format!("  GET /cart/7: {opened}"),
            "  GET /cart/8: 503 (come back in ",
            "  GET /help: 200",
            "One circuit per tenant:",
            &format!("  GET /report for acme: {opened}"),
            "  GET /report for umbrella: 200",
            "And the operators:",
            "  GET /admin/payments: payments is open since ",
            "  POST /admin/payments/force-open: 200",
            "  GET /admin/payments: payments is forced open since ",
            "  POST /refund: 503",
            "  POST /admin/payments/release: 200",
            "  POST /refund: 200",
        ];
        assert_eq!(story.len(), expected.len(), "{story:#?}");
        for (line, expected) in story.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line:?} does not start with {expected:?}");
        }
    }
}
