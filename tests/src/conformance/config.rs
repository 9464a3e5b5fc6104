//! From the `config` of a case to a configuration of ours: [`Plan`].

use std::time::Duration;

use breaker_core::{CircuitBreakerConfig, Condition, Jitter, Pace, Recovery, State, Value};

use super::answer::state_of;
use super::case::Manner;
use super::fields::Fields;
use super::outcome::Slow;
use super::recovery::{NEVER, trials};
use super::verdict::Mismatch;
use super::window::Span;

/// How to make the circuit of a case.
pub(crate) struct Plan {
    pub(crate) config: CircuitBreakerConfig,
    pub(crate) slow: Slow,
    /// A condition that stands only for a window to be watched: it must not open the circuit.
    pub(crate) stopgap: Option<Condition>,
    pub(crate) start: Start,
    pub(crate) pace: Pace,
    pub(crate) absent: Absent,
}

/// Where a circuit begins.
pub(crate) enum Start {
    In(State),
    Restored { state: State, remaining: Duration },
}

/// What a component means by keys that are absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Absent {
    /// Without a condition one bad call opens, and a slow one is bad.
    pub(crate) one_bad_call_opens: bool,
    /// Without an open period, opening number n lasts n seconds.
    pub(crate) numbered_periods: bool,
}

type Entries = Vec<(String, Value)>;

/// The thresholds of the closed state.
pub(crate) struct Thresholds {
    pub(crate) failure_rate: Option<f64>,
    pub(crate) slow_rate: Option<f64>,
    failure_count: Option<u64>,
    consecutive: Option<u64>,
    min_calls: Option<u64>,
    slow_from: Option<Duration>,
}

impl Plan {
    pub(crate) fn read(
        fields: &mut Fields<'_>,
        manner: Manner<'_>,
        absent: Absent,
    ) -> Result<Self, Mismatch> {
        let span = fields.take("window").map_or(Ok(Span::None), |window| {
            Span::read(&mut Fields::of("the window", window)?, manner)
        })?;
        let thresholds = Thresholds::read(fields)?;
        let mut entries = vec![entry("jitter", text("none")), entry("on_drop", text("neutral"))];
        let stopgap = thresholds.write(&span, absent, &mut entries)?;
        let pace = open_period(fields, absent)?;
        let trials = trials(fields, &thresholds, &mut entries)?;
        translate(fields, manner)?;
        let start = Start::read(fields, pace.longest(1))?;
        finish(fields, manner)?;
        let config = CircuitBreakerConfig::from_value(&Value::Table(entries))
            .map_err(|errors| Mismatch::new("a configuration", errors.to_string()))?
            .recovery(Recovery::Trials(trials))
            .open_period(pace);
        let slow = match thresholds.slow_from {
            Some(duration) => Slow::From(duration),
            None if absent.one_bad_call_opens => Slow::IsFailure,
            None => Slow::Never,
        };
        Ok(Self { config, slow, stopgap, start, pace, absent })
    }
}

impl Thresholds {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Mismatch> {
        Ok(Self {
            failure_rate: fields.number("failure_rate_threshold")?,
            slow_rate: fields.number("slow_call_rate_threshold")?,
            failure_count: fields.count("failure_count_threshold")?,
            consecutive: fields.count("consecutive_failures")?,
            min_calls: fields.count("min_calls")?,
            slow_from: fields.millis("slow_call_threshold_ms")?,
        })
    }

    const fn look_at_a_window(&self) -> bool {
        self.failure_rate.is_some() || self.slow_rate.is_some() || self.failure_count.is_some()
    }

    /// Writes the conditions, all others being off. Says which of them is a mere stopgap.
    fn write(
        &self,
        span: &Span,
        absent: Absent,
        entries: &mut Entries,
    ) -> Result<Option<Condition>, Mismatch> {
        let windowed = self.look_at_a_window();
        let none = !windowed && self.consecutive.is_none();
        let consecutive = match self.consecutive {
            None if none && absent.one_bad_call_opens => Some(1),
            None if none && matches!(span, Span::None) => Some(1_000_000),
            given => given,
        };
        entries.push(entry("consecutive_failures", consecutive.map_or(text("off"), whole)));
        let slow_from = self.slow_from.unwrap_or(NEVER);
        entries.push(entry("slow_call_duration", duration(slow_from)));
        match span {
            Span::None if windowed => {
                return Err(Mismatch::new("a window for the thresholds", "none"));
            }
            Span::None => return Ok(None),
            Span::Calls { .. } | Span::Time { .. } => span.write(entries),
        }
        if !windowed {
            return Ok(Some(self.write_stopgap(span, entries)));
        }
        entries.push(entry("min_calls", whole(self.min_calls.unwrap_or(1))));
        let rate = |rate: Option<f64>| rate.map_or(text("off"), Value::Float);
        entries.push(entry("failure_rate", rate(self.failure_rate)));
        entries.push(entry("slow_call_rate", rate(self.slow_rate)));
        entries.push(entry("failure_count", self.failure_count.map_or(text("off"), whole)));
        Ok(None)
    }

    /// A window is watched only for a condition: one that nothing can meet, or next to nothing.
    fn write_stopgap(&self, span: &Span, entries: &mut Entries) -> Condition {
        let (min_calls, condition) = match span {
            Span::Calls { size } if self.slow_from.is_none() => (*size, Condition::SlowCallRate),
            Span::Calls { size } => (*size, Condition::FailureRate),
            Span::Time { .. } | Span::None => (u64::from(u32::MAX), Condition::FailureRate),
        };
        entries.push(entry("min_calls", whole(min_calls)));
        entries.push(entry(condition.as_str(), Value::Float(1.0)));
        condition
    }
}

impl Start {
    fn read(fields: &mut Fields<'_>, first_period: Duration) -> Result<Self, Mismatch> {
        let initial = fields.text("initial_state")?.map(known_state).transpose()?;
        let Some(import) = fields.take("import_state") else {
            return Ok(Self::In(initial.unwrap_or(State::Closed)));
        };
        if initial.is_some() {
            return Err(Mismatch::new("initial_state or import_state", "both"));
        }
        let mut import = Fields::of("import_state", import)?;
        let state = import.text("state");
        let state = known_state(import.needed("state", state)?)?;
        let opened_at_ms = import.number("opened_at_ms")?.unwrap_or(0.0);
        import.finish()?;
        let seconds = first_period.as_secs_f64() + opened_at_ms / 1_000.0;
        let remaining = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Ok(Self::Restored { state, remaining })
    }
}

fn known_state(word: &str) -> Result<State, Mismatch> {
    state_of(word).ok_or_else(|| Mismatch::unknown("state", word))
}

/// The open periods, without jitter.
fn open_period(fields: &mut Fields<'_>, absent: Absent) -> Result<Pace, Mismatch> {
    let fixed = fields.millis("open_ms")?;
    let waits = fields.all_millis("open_ms_sequence")?;
    let right = |wait: &&Duration| (Pace::MIN_WAIT..=Pace::MAX_WAIT).contains(*wait);
    if let Some(wrong) = fixed.iter().chain(waits.iter().flatten()).find(|wait| !right(wait)) {
        return Err(Mismatch::new("an open period of 1 ms to 1 day", format!("{wrong:?}")));
    }
    let second = Duration::from_secs(1);
    let pace = match (waits, fixed) {
        (Some(waits), _) if (1..=Pace::MAX_ENTRIES).contains(&waits.len()) => {
            Pace::schedule(&waits)
        }
        (Some(waits), _) => {
            let got = format!("{} of them", waits.len());
            return Err(Mismatch::new("1 to 64 open periods", got));
        }
        (None, Some(wait)) => Pace::fixed(wait),
        (None, None) if absent.numbered_periods => Pace::linear(second, second).cap(Pace::MAX_WAIT),
        (None, None) => Pace::fixed(Pace::MAX_WAIT),
    };
    Ok(pace.jitter(Jitter::None))
}

/// Reads the keys for which we have nothing: right where they ask for what we do anyway, and
/// left out of a variant with the same result.
fn translate(fields: &mut Fields<'_>, manner: Manner<'_>) -> Result<(), Mismatch> {
    let strict = match fields.text("comparator")? {
        Some(">") => true,
        None | Some(">=") => false,
        Some(other) => return Err(Mismatch::unknown("comparator", other)),
    };
    let filter = fields.text("error_filter")?;
    let input = fields.text("generator_input")?;
    let wanted = [
        (strict, "a strict comparator"),
        (fields.flag("evaluate_on_success")? == Some(false), "judging failures only"),
        (fields.millis("warm_up_ms")?.is_some(), "a warm-up"),
        (filter.is_some_and(|filter| filter != "status < 500"), "that error filter"),
        (input.is_some_and(|input| input != "half_open_attempts"), "that generator input"),
    ];
    match wanted.iter().find(|(wanted, _)| *wanted && !manner.translates()) {
        Some((_, what)) => Err(Mismatch::not_offered(what)),
        None => Ok(()),
    }
}

/// Complains about a key that nobody has read, unless the scope of a variant names it.
pub(crate) fn finish(fields: &Fields<'_>, manner: Manner<'_>) -> Result<(), Mismatch> {
    match fields.unread().find(|key| !manner.leaves_out_config(key)) {
        None => Ok(()),
        Some(key) => Err(Mismatch::unknown("config key", key)),
    }
}

pub(crate) fn entry(field: &str, value: Value) -> (String, Value) {
    (field.to_owned(), value)
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn whole(number: u64) -> Value {
    Value::Int(number.into())
}

pub(crate) fn duration(duration: Duration) -> Value {
    Value::Text(format!("{}ns", duration.as_nanos()))
}
