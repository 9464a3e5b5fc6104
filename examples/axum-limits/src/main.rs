//! Rate limits in axum: per route, per tenant, per client, and a page for operators.

mod app;

use std::net::SocketAddr;

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
    // Without the addresses of the connections there would be no clients to tell apart.
    let service = app::app()?.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, service).into_future());

    let tenant = "x-tenant";
    let from = "x-forwarded-for";
    Ok(vec![
        "One limit per route:".to_owned(),
        visitor.visit(2, Method::GET, "/cart/7", None).await?,
        visitor.visit(1, Method::GET, "/cart/8", None).await?,
        visitor.visit(1, Method::GET, "/help", None).await?,
        "One limit per tenant, and a larger one for gold:".to_owned(),
        visitor.visit(3, Method::GET, "/report", Some((tenant, "bronze"))).await?,
        visitor.visit(3, Method::GET, "/report", Some((tenant, "gold"))).await?,
        "One limit per client behind a proxy:".to_owned(),
        visitor.visit(2, Method::GET, "/search", Some((from, "203.0.113.7"))).await?,
        visitor.visit(1, Method::GET, "/search", Some((from, "203.0.113.8"))).await?,
        visitor.visit(1, Method::GET, "/search", Some((from, "198.51.100.9, 203.0.113.7"))).await?,
        "And the operators:".to_owned(),
        visitor.read("/admin/reports").await?,
        visitor.visit(2, Method::POST, "/mail", None).await?,
        visitor.visit(1, Method::POST, "/admin/mails/per-hour/0", None).await?,
        visitor.visit(1, Method::POST, "/admin/mails/per-hour/75", None).await?,
        visitor.visit(1, Method::POST, "/mail", None).await?,
        visitor.read("/admin/mails").await?,
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

    /// Asks so many times, and tells the statuses, what is left, and when to come back.
    async fn visit(
        &self,
        times: usize,
        method: Method,
        path: &str,
        header: Option<(&str, &str)>,
    ) -> Result<String, BoxError> {
        let mut line = format!("  {method} {path}");
        if let Some((name, value)) = header {
            line.push_str(&format!(" ({name}: {value})"));
        }
        for call in 0..times {
            let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let response = request.send().await?;
            line.push_str(if call == 0 { ": " } else { ", " });
            line.push_str(response.status().as_str());
            let headers = response.headers();
            match (headers.get("retry-after"), headers.get("ratelimit")) {
                (Some(wait), _) => {
                    line.push_str(&format!(" (come back in {} s)", wait.to_str()?));
                }
                (None, Some(left)) => line.push_str(&format!(" [{}]", left.to_str()?)),
                (None, None) => {}
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
    // S-RATE-09, S-RATE-10: limits for parts of the traffic, answers that say so, and operators.
    #[tokio::test]
    async fn every_limit_is_where_the_story_says() {
        let story = super::run().await.expect("a loopback");
        let expected = [
            "One limit per route:",
            "  GET /cart/7: 200 [\"shop\";r=1;t=*], 200 [\"shop\";r=0;t=*]",
            "  GET /cart/8: 429 (come back in * s)",
            "  GET /help: 200 [\"shop\";r=1;t=*]",
            "One limit per tenant, and a larger one for gold:",
            "  GET /report (x-tenant: bronze): 200 [*r=1;*], 200 [*r=0;*], 429 (come back in * s)",
            "  GET /report (x-tenant: gold): 200 [*r=4;*], 200 [*r=3;*], 200 [*r=2;*]",
            "One limit per client behind a proxy:",
            "  GET /search (x-forwarded-for: 203.0.113.7): 200 [*], 429 (come back in * s)",
            "  GET /search (x-forwarded-for: 203.0.113.8): 200 [*]",
            "  GET /search (x-forwarded-for: 198.51.100.9, 203.0.113.7): 429 (come back in * s)",
            "And the operators:",
            "  GET /admin/reports: reports grants 0.017/s by token_bucket: 2 keys *",
            // A call in 720 s; and after the order, one in 48 s.
            "  POST /mail: 200 [*], 429 (come back in 7* s)",
            "  POST /admin/mails/per-hour/0: 400",
            "  POST /admin/mails/per-hour/75: 200",
            "  POST /mail: 429 (come back in 4* s)",
            "  GET /admin/mails: mails grants 0.021/s by token_bucket: 0 of 1 left, *",
        ];
        assert_eq!(story.len(), expected.len(), "{story:#?}");
        for (line, expected) in story.iter().zip(expected) {
            assert!(is_like(line, expected), "{line:?} is not like {expected:?}");
        }
    }

    /// A star stands for any text.
    fn is_like(line: &str, pattern: &str) -> bool {
        let mut parts = pattern.split('*');
        let first = parts.next().and_then(|first| line.strip_prefix(first));
        let rest = first.and_then(|rest| {
            parts.try_fold(rest, |rest, part| rest.find(part).map(|at| &rest[at + part.len()..]))
        });
        rest.is_some_and(|rest| rest.is_empty() || pattern.ends_with('*'))
    }
}
