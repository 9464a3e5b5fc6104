//! Priorities in axum: five classes, users in turns, and a page for operators.

mod app;

use portcullis::{BoxError, Event, EventKind, Observe, Priority};
use reqwest::{Client, Method, Response};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::app::{App, GATEWAY};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, BoxError> {
    let app = app::app();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let visitor = Visitor::new(&listener)?;
    tokio::spawn(axum::serve(listener, app.router.clone()).into_future());

    let mut story = vec!["The gateway is believed, a stranger downwards only:".to_owned()];
    for priority in ["critical", "high", "normal", "low", "bulk"] {
        let known = visitor.find(priority, true).await?;
        let stranger = visitor.find(priority, false).await?;
        story.push(format!("  {priority}: the gateway's {known}, a stranger's {stranger}"));
    }
    story.push("One user asks for eight reports, and then three others for one each:".to_owned());
    story.push(turns(&app, &visitor).await?);
    story.push("And the operators:".to_owned());
    for (method, path) in [
        (Method::POST, "/admin/least/low"),
        (Method::POST, "/admin/least/highest"),
        (Method::GET, "/admin/queue"),
    ] {
        let answer = visitor.ask(method.clone(), path, &[]).await?;
        story.push(format!("  {method} {path}: {}", told(answer).await?));
    }
    for priority in ["bulk", "low"] {
        story.push(format!("  {priority}: {}", visitor.find(priority, false).await?));
    }
    Ok(story)
}

/// Fills the queue of the reports while its slot is taken, and looks who is served first.
async fn turns(app: &App, visitor: &Visitor) -> Result<String, BoxError> {
    let (waits, mut waiting) = mpsc::unbounded_channel();
    app.reports.observe(Waits(waits));
    let slot = app.reports.try_acquire(Priority::NORMAL)?;
    let mut calls = JoinSet::new();
    for user in ["max", "max", "max", "max", "max", "max", "max", "max", "ada", "ben", "cleo"] {
        let visitor = visitor.clone();
        calls.spawn(async move {
            visitor.ask(Method::GET, "/report", &[("x-user", user)]).await.map(drop)
        });
        waiting.recv().await.ok_or("nobody waits")?;
    }
    drop(slot);
    while let Some(call) = calls.join_next().await {
        call??;
    }
    let served = app.served.list();
    let others = served.iter().take(6).filter(|user| *user != "max").count();
    Ok(format!(
        "  of the first six of {} that are served, {others} are of the others",
        served.len()
    ))
}

/// Says when a call begins to wait.
struct Waits(mpsc::UnboundedSender<()>);

impl Observe for Waits {
    fn event(&self, event: &Event<'_>) {
        if matches!(event.kind, EventKind::Queued { .. }) {
            // Nobody listens any more when the story goes on.
            let _ = self.0.send(());
        }
    }
}

#[derive(Clone)]
struct Visitor {
    client: Client,
    base: String,
}

impl Visitor {
    fn new(listener: &TcpListener) -> Result<Self, BoxError> {
        let base = format!("http://{}", listener.local_addr()?);
        Ok(Self { client: Client::builder().no_proxy().build()?, base })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response, BoxError> {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ok(request.send().await?)
    }

    async fn find(&self, priority: &str, known: bool) -> Result<String, BoxError> {
        let headers = [("x-priority", priority), GATEWAY];
        let headers = if known { &headers[..] } else { &headers[..1] };
        told(self.ask(Method::GET, "/find", headers).await?).await
    }
}

/// What a caller makes of an answer.
async fn told(answer: Response) -> Result<String, BoxError> {
    let status = answer.status();
    if let Some(wait) = answer.headers().get("retry-after") {
        return Ok(format!("{} (come back in {} s)", status.as_str(), wait.to_str()?));
    }
    let text = answer.text().await?;
    Ok(if text.is_empty() { status.as_str().to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    // S-PRIO-01, S-PRIO-07: who is believed, who is admitted, and what handlers know of it.
    #[tokio::test]
    async fn the_important_are_served_and_the_others_in_turns() {
        let story = super::run().await.expect("a loopback");
        let found = |known: &str, stranger: &str| {
            format!("  {known}: the gateway's found, as {known}, a stranger's found, as {stranger}")
        };
        let classes = [
            found("critical", "normal"),
            found("high", "normal"),
            found("normal", "normal"),
            found("low", "low"),
            found("bulk", "bulk"),
        ];
        assert_eq!(story[1..6], classes, "{story:#?}");
        // Users are told apart by one of 128 cohorts, so that one of them may share max's turns.
        let turns = |others: u32| {
            format!("  of the first six of 11 that are served, {others} are of the others")
        };
        assert!([turns(1), turns(2), turns(3)].contains(&story[7]), "{story:#?}");
        assert_eq!(story[9], "  POST /admin/least/low: 200");
        assert!(story[10].starts_with("  POST /admin/least/highest: a priority is a number"));
        let queue = "  GET /admin/queue: shop: 0 of 24 slots are taken";
        assert!(story[11].starts_with(queue), "{story:#?}");
        assert!(story[11].ends_with("; calls below low are refused"), "{story:#?}");
        assert!(story[12].starts_with("  bulk: 503 (come back in "), "{story:#?}");
        assert_eq!(story[13..], ["  low: found, as low"]);
    }
}
