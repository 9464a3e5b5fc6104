//! A second and a third process, and customers who knock at them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::BoxError;
use reqwest::{Client, StatusCode};

use crate::store::Store;

/// Customers who knock at each process at the same time.
const CUSTOMERS: usize = 4;
/// How soon one who was refused knocks again.
const IMPATIENCE: Duration = Duration::from_millis(10);

/// This program once more, as a server; it ends with the value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    base: String,
    client: Client,
}

/// What a process did for its customers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    pub(crate) admitted: u64,
    pub(crate) asked: u64,
    pub(crate) slowest: Duration,
}

/// What a process says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) round_trips: u64,
    pub(crate) without_store: u64,
}

impl Process {
    pub(crate) fn start(store: &Store, prefix: &str) -> Result<Self, BoxError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", &store.url, prefix])
            // It ends when this closes, however we end.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("an output")?;
        let client = Client::builder().no_proxy().build()?;
        let mut process = Self { child, base: String::new(), client };
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        process.base = format!("http://{}", address.trim());
        Ok(process)
    }

    /// Many requests of one customer's, for so long.
    pub(crate) async fn crowd(&self, time: Duration) -> Result<Served, BoxError> {
        let began = now();
        let customers: Vec<_> = (0..CUSTOMERS)
            .map(|_| tokio::spawn(insist(self.client.clone(), self.url("/search"), began, time)))
            .collect();
        let mut all = Served::default();
        for customer in customers {
            let served = customer.await??;
            all.admitted += served.admitted;
            all.asked += served.asked;
            all.slowest = all.slowest.max(served.slowest);
        }
        Ok(all)
    }

    /// What one request gets.
    pub(crate) async fn ask(&self, path: &str) -> Result<String, BoxError> {
        let answer = self.client.get(self.url(path)).header("x-customer", "17").send().await?;
        Ok(match answer.headers().get("retry-after") {
            Some(wait) => format!("{} (come back in {} s)", answer.status(), wait.to_str()?),
            None => answer.status().to_string(),
        })
    }

    pub(crate) async fn figures(&self) -> Result<Figures, BoxError> {
        let text = self.client.get(self.url("/figures")).send().await?.text().await?;
        let (round_trips, without_store) = text.split_once(' ').ok_or("two figures")?;
        Ok(Figures { round_trips: round_trips.parse()?, without_store: without_store.parse()? })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Knocks again and again: at once when admitted, and soon when not.
async fn insist(
    client: Client,
    url: String,
    began: Instant,
    time: Duration,
) -> Result<Served, BoxError> {
    let mut served = Served::default();
    while began.elapsed() < time {
        let asked = now();
        let answer = client.get(&url).header("x-customer", "17").send().await?;
        served.slowest = served.slowest.max(asked.elapsed());
        served.asked += 1;
        match answer.status() {
            StatusCode::OK => served.admitted += 1,
            StatusCode::TOO_MANY_REQUESTS => tokio::time::sleep(IMPATIENCE).await,
            other => return Err(format!("{url} answers {other}").into()),
        }
    }
    Ok(served)
}

#[allow(clippy::disallowed_methods, reason = "this program drives processes in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
