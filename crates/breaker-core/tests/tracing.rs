//! S-MET-06: what a circuit tells through `tracing`.

#![cfg(feature = "tracing")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use breaker_core::{CircuitBreaker, CircuitBreakers, ManualClock, Spans, State, TracingObserver};
use common::{CORE, TOUCHY, circuit, fail, secs, succeed};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

type Fields = BTreeMap<&'static str, String>;

/// A span or an event, as it was told.
#[derive(Clone, Debug)]
struct Told {
    span: bool,
    /// The name of a span, the message of an event.
    name: String,
    level: Level,
    target: &'static str,
    fields: Fields,
}

#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<Told>>>);

struct Reader(Fields);

impl Visit for Reader {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Tape {
    fn tell(&self, span: bool, meta: &'static Metadata<'static>, mut fields: Fields) {
        let message = fields.remove("message");
        let name = message.unwrap_or_else(|| meta.name().to_owned());
        let (level, target) = (*meta.level(), meta.target());
        self.0.lock().unwrap().push(Told { span, name, level, target, fields });
    }

    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// What `work` tells about.
    fn of(work: impl FnOnce()) -> Vec<Told> {
        let tape = Self::default();
        tracing::subscriber::with_default(tape.clone(), work);
        tape.take()
    }
}

impl Subscriber for Tape {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut reader = Reader(Fields::new());
        span.record(&mut reader);
        self.tell(true, span.metadata(), reader.0);
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut reader = Reader(Fields::new());
        event.record(&mut reader);
        self.tell(false, event.metadata(), reader.0);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn traced(spans: Spans) -> (CircuitBreaker, ManualClock, TracingObserver) {
    let (breaker, clock) = circuit(TOUCHY.named("ledger"));
    let tracing = TracingObserver::new(spans);
    breaker.observe(tracing.clone());
    (breaker, clock, tracing)
}

fn spans<'t>(told: &'t [Told], name: &str) -> Vec<&'t Fields> {
    told.iter().filter(|told| told.span && told.name == name).map(|told| &told.fields).collect()
}

fn field<'f>(fields: &'f Fields, name: &str) -> &'f str {
    fields.get(name).map_or("(none)", String::as_str)
}

/// S-MET-06: off is off.
#[test]
fn with_spans_off_nothing_is_told() {
    let (breaker, clock, _) = traced(Spans::Off);
    let told = Tape::of(|| {
        fail(&breaker, 1);
        clock.advance(secs(60));
        succeed(&breaker, 3);
    });
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(breaker.state(), State::Closed);
}

/// S-MET-06: the span of a check, with its attributes and its event.
#[test]
fn in_full_each_question_is_a_span_with_what_was_known() {
    let (breaker, clock, _) = traced(Spans::Full);
    let told = Tape::of(|| {
        fail(&breaker, 1);
        clock.advance(secs(60));
        let trial = breaker.try_acquire().unwrap();
        assert!(breaker.try_acquire().is_ok());
        drop(trial);
    });
    let checks = spans(&told, "check_circuit_state");
    assert_eq!(checks.len(), 3);
    for (name, values) in [
        ("circuitbreaker.name", ["ledger", "ledger", "ledger"]),
        ("circuitbreaker.state", ["closed", "half_open", "half_open"]),
        ("trials_in_flight", ["0", "1", "2"]),
        ("since_failure", ["None", "Some(60s)", "Some(60s)"]),
        ("failures", ["0", "0", "0"]),
    ] {
        assert_eq!(checks.iter().map(|span| field(span, name)).collect::<Vec<_>>(), values);
    }
    let asked = told.iter().filter(|told| told.name == "checked");
    let answers: Vec<_> = asked.map(|told| field(&told.fields, "admitted")).collect();
    assert_eq!(answers, ["true"; 3]);
}

/// S-MET-06: the span of an update, with what was before and after.
#[test]
fn in_full_each_update_is_a_span_with_before_and_after() {
    let (breaker, _, _) = traced(Spans::Full);
    let told = Tape::of(|| fail(&breaker, 1));
    let updates = spans(&told, "update_circuit_state");
    let [update] = updates[..] else { panic!("{told:?}") };
    for (name, value) in [
        ("circuitbreaker.name", "ledger"),
        ("previous", "closed"),
        ("circuitbreaker.state", "open"),
        ("failures_before", "0"),
        ("failures_after", "1"),
        ("trials_in_flight", "0"),
    ] {
        assert_eq!(field(update, name), value, "{name}");
    }
    assert!(told.iter().any(|told| !told.span && told.name == "updated"));
    assert!(told.iter().all(|told| told.target == "resilience"));
}

/// S-MET-06: events alone make no span; open is a warning, half-open and closed are news.
#[test]
fn events_come_at_the_level_of_their_weight() {
    let (breaker, clock, _) = traced(Spans::Events);
    let told = Tape::of(|| {
        fail(&breaker, 1);
        assert!(breaker.try_acquire().is_err());
        clock.advance(secs(60));
        succeed(&breaker, 3);
        breaker.force_open("deploy 42");
    });
    assert!(!told.iter().any(|told| told.span));
    let of = |state: &str| {
        let mut found = told.iter().filter(|told| {
            told.name.starts_with("circuit") && field(&told.fields, "circuitbreaker.state") == state
        });
        found.next().unwrap_or_else(|| panic!("nothing about {state} in {told:?}"))
    };
    assert_eq!((of("open").level, field(&of("open").fields, "from")), (Level::WARN, "closed"));
    assert_eq!(field(&of("open").fields, "why"), "consecutive_failures");
    assert_eq!(field(&of("open").fields, "cause"), "1 calls in a row failed");
    assert_eq!((of("half_open").level, of("closed").level), (Level::INFO, Level::INFO));
    assert_eq!(of("forced_open").level, Level::WARN);
    assert_eq!(field(&of("forced_open").fields, "order"), "deploy 42");
    let refusal = told.iter().find(|told| told.name == "call refused").unwrap();
    assert_eq!(refusal.level, Level::DEBUG);
    assert_eq!(field(&refusal.fields, "reason"), "the circuit is open");
    let ended = told.iter().filter(|told| told.name == "call ended");
    assert!(ended.clone().all(|told| told.level == Level::TRACE));
    assert_eq!(ended.count(), 4);
}

/// S-MET-06: refusals are sampled, so that an outage does not flood the log.
#[test]
fn one_refusal_in_64_is_told() {
    let (breaker, _, _) = traced(Spans::Events);
    fail(&breaker, 1);
    let told = Tape::of(|| (0..640).for_each(|_| assert!(breaker.try_acquire().is_err())));
    assert_eq!(told.len(), 10);
    assert_eq!(field(&told[0].fields, "sample"), TracingObserver::SAMPLE.to_string());
}

/// S-MET-06: the switch turns while the circuit runs, for all clones.
#[test]
fn the_switch_turns_at_run_time() {
    let (breaker, _, tracing) = traced(Spans::Off);
    for (to, spans, some) in
        [(Spans::Full, 2, true), (Spans::Events, 0, true), (Spans::Off, 0, false)]
    {
        tracing.switch(to);
        let told = Tape::of(|| succeed(&breaker, 1));
        assert_eq!(told.iter().filter(|told| told.span).count(), spans, "{to:?}");
        assert_eq!(!told.is_empty(), some, "{to:?}");
    }
}

/// S-MET-06: nobody listens, and calls work all the same.
#[test]
fn without_a_subscriber_calls_work() {
    let (breaker, clock, _) = traced(Spans::Full);
    fail(&breaker, 1);
    clock.advance(secs(60));
    succeed(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-MET-06: which circuit of many it was is a field of its own.
#[test]
fn the_key_of_a_circuit_is_a_field_of_its_own() {
    let routes = CircuitBreakers::with_capacity_and_clock(CORE, 16, ManualClock::new());
    routes.observe(TracingObserver::new(Spans::Events));
    let told = Tape::of(|| routes.get(&"/a").trip().unwrap());
    assert_eq!(field(&told[0].fields, "partition"), "/a");
    assert_eq!(field(&told[0].fields, "why"), "forced");
}
