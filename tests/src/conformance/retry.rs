//! The component `retry`: [`Retries`].

use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use breaker_core::{Budget, Clock as _, Percent, Tick, TokioClock};
use http::{HeaderValue, Request, Response};
use portcullis_backoff::{BackoffConfig, BackoffLayer, Delays};
use serde_json::{Map, Value};
use tokio::time::sleep;
use tower_layer::Layer;
use tower_service::Service;

use super::answer::Seen;
use super::case::Manner;
use super::component::Subject;
use super::config::finish;
use super::fields::{Fields, show};
use super::paused;
use super::verdict::Mismatch;

/// Calls to a gRPC server that answers as the case says.
pub(crate) struct Retries {
    config: BackoffConfig,
    seen: Option<Run>,
}

/// What became of a call.
struct Run {
    result: &'static str,
    attempts: Vec<Attempt>,
}

/// When an attempt began, and when it ended.
#[derive(Clone, Copy)]
struct Attempt {
    begun: Tick,
    ended: Tick,
}

/// How an attempt ends.
#[derive(Clone, Debug)]
enum End {
    Well,
    /// The connection breaks.
    Broken,
    /// The server finds fault with the request.
    Wrong,
    /// The server is unavailable, and says when to come back.
    PushedBack(HeaderValue),
}

/// Ends attempts as it is told, the last of these for all that come after; each after its time.
#[derive(Clone)]
struct Server {
    ends: Arc<[(End, Duration)]>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

type Answered = Result<Response<()>, Error>;

impl Retries {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let config = BackoffConfig::new().same_for_all_methods().budget(Budget::unlimited());
        let mut config = config.delays(delays(&mut fields)?).max_attempts(attempts(&mut fields)?);
        if let Some(longest) = fields.millis("max_duration_ms")? {
            if !(Duration::from_millis(1)..=BackoffConfig::MAX_WAIT).contains(&longest) {
                return Err(Mismatch::new("a duration in 1 ms..=1 day", format!("{longest:?}")));
            }
            config = config.max_elapsed(longest);
        }
        // A server's word is heard, and the last failure returned, always.
        for always in ["return_last_failure", "server_pushback"] {
            if fields.flag(always)? == Some(false) {
                return Err(Mismatch::not_offered(&format!("no {always}")));
            }
        }
        finish(&fields, manner)?;
        let refused = |errors| Mismatch::new("retries", format!("a refusal: {errors}"));
        config.check().map_err(refused)?;
        Ok(Self { config, seen: None })
    }

    /// One call, in a time of its own.
    fn run(&mut self, ends: Vec<(End, Duration)>) -> Result<(), Mismatch> {
        if ends.is_empty() {
            return Err(Mismatch::new("`outcomes`", "none"));
        }
        let server = Server { ends: ends.into(), attempts: Arc::default() };
        let attempts = server.attempts.clone();
        let result = paused::runtime()?.block_on(async {
            let layer = BackoffLayer::with_clock(self.config, TokioClock::new()).grpc();
            let layer = layer.idempotent_fn(|_: &Request<()>| true);
            layer.layer(server).call(Request::new(())).await
        });
        let attempts = attempts.lock().map(|attempts| attempts.clone()).unwrap_or_default();
        let last = format!("attempt {}", attempts.len());
        let result = match result {
            Ok(response) if response.headers()["grpc-status"] == "0" => "success",
            Ok(response) if response.headers()["x-attempt"] == last => "last error",
            Err(error) if error.to_string() == last => "last error",
            _ => "another error",
        };
        self.seen = Some(Run { result, attempts });
        Ok(())
    }
}

impl Subject for Retries {
    fn begin(&mut self, _: Duration) -> Result<(), Mismatch> {
        self.seen = None;
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "run" => {
                let (outcomes, took) = (fields.list("outcomes"), fields.all_millis("latency_ms")?);
                let took = took.unwrap_or_default().into_iter();
                let took = took.chain(std::iter::repeat(Duration::ZERO));
                let ends = fields.needed("outcomes", outcomes)?.iter().zip(took);
                let ends = ends.map(|(end, took)| Ok((End::of(end)?, took)));
                self.run(ends.collect::<Result<_, Mismatch>>()?)
            }
            // The attempt after it fails as well, without a word; the next one does not.
            "pushback" => {
                let number = fields.take("value_ms").map(ToString::to_string);
                let words = fields.text("value")?.map(str::to_owned);
                let said = number.or(words);
                let said = said.ok_or_else(|| Mismatch::new("`value_ms` in the step", "none"))?;
                let value = HeaderValue::from_str(&said);
                let value = value.map_err(|_| Mismatch::new("a header", said))?;
                let ends = [End::PushedBack(value), End::Broken, End::Well];
                self.run(ends.map(|end| (end, Duration::ZERO)).into())
            }
            other => Err(Mismatch::unknown("op", other)),
        }
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        let nothing = || Mismatch::new("a step that says so", "another");
        let run = self.seen.as_ref().ok_or_else(nothing)?;
        let gap = |after: usize| match run.attempts.get(after - 1..=after) {
            Some([one, other]) => Some(other.begun.since(one.ended)),
            _ => None,
        };
        Ok(match key {
            "attempts" => Seen::count(run.attempts.len() as u64),
            "result" => Seen::OneOf(vec![run.result]),
            "retry" => Seen::Flag(run.attempts.len() > 1),
            "retry_after_ms" => Seen::millis(gap(1)),
            "next_delay" => Seen::millis(gap(2)),
            other => return Err(Mismatch::unknown("expectation", other)),
        })
    }
}

impl End {
    fn of(word: &Value) -> Result<Self, Mismatch> {
        Ok(match word.as_str() {
            Some("success") => Self::Well,
            Some("failure") => Self::Broken,
            Some("not_handled" | "filtered" | "ignored" | "excluded") => Self::Wrong,
            _ => return Err(Mismatch::unknown("outcome", &show(word))),
        })
    }

    /// The answer to attempt number `attempt`.
    fn answer(self, attempt: usize) -> Answered {
        let status = |code: u16| {
            let response = Response::builder().header("grpc-status", code);
            response.header("x-attempt", format!("attempt {attempt}"))
        };
        let response = match self {
            Self::Broken => {
                return Err(Error::new(ErrorKind::ConnectionReset, format!("attempt {attempt}")));
            }
            Self::Well => status(0),
            Self::Wrong => status(3),
            Self::PushedBack(value) => status(14).header("grpc-retry-pushback-ms", value),
        };
        response.body(()).map_err(Error::other)
    }
}

impl Service<Request<()>> for Server {
    type Response = Response<()>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let (server, begun) = (self.clone(), TokioClock::new().now());
        Box::pin(async move {
            let log = || server.attempts.lock().map_err(|_| Error::other("a panic elsewhere"));
            let number = log()?.len() + 1;
            let place = number.min(server.ends.len()) - 1;
            let (end, took) = server.ends[place].clone();
            log()?.push(Attempt { begun, ended: begun });
            if !took.is_zero() {
                sleep(took).await;
            }
            log()?[number - 1].ended = TokioClock::new().now();
            end.answer(number)
        })
    }
}

/// How often a call is made; absent, or -1: as often as there is.
fn attempts(fields: &mut Fields<'_>) -> Result<u32, Mismatch> {
    let mut attempts = BackoffConfig::MAX_ATTEMPTS;
    for (key, first) in [("max_attempts", 0), ("max_retries", 1)] {
        let Some(number) = fields.take(key) else { continue };
        let number = number.as_i64().ok_or_else(|| Mismatch::new("a number", show(number)))?;
        attempts = match u32::try_from(number.saturating_add(first)) {
            _ if number == -1 => continue,
            Ok(number @ 1..=BackoffConfig::MAX_ATTEMPTS) => number,
            _ => return Err(Mismatch::new("attempts in 1..=100", number.to_string())),
        };
    }
    Ok(attempts)
}

/// The delays; absent: the shortest there is, which the timer makes a millisecond of.
fn delays(fields: &mut Fields<'_>) -> Result<Delays, Mismatch> {
    let interval = match fields.take("interval_ms").and_then(Value::as_f64) {
        Some(negative) if negative < 0.0 => return Err(Mismatch::not_offered("a negative time")),
        _ => fields.millis("interval_ms")?,
    };
    let kind = fields.text("kind")?;
    let first = fields.millis("initial_ms")?.or(interval).unwrap_or(Duration::ZERO);
    let first = first.max(Duration::from_nanos(1));
    if first > Delays::MAX {
        return Err(Mismatch::new("a delay of a day at most", format!("{first:?}")));
    }
    let delays = match kind {
        None | Some("constant") => Delays::fixed(first),
        Some("exponential") => Delays::exponential(first),
        Some("linear") => Delays::linear(first),
        Some(other) => return Err(Mismatch::unknown("kind", other)),
    };
    Ok(delays.cap(Delays::MAX).jitter(Percent::ZERO))
}
