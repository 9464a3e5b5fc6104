//! The component `backoff`: [`Waits`].

use std::time::Duration;

use breaker_core::{Budget, Chance, Clock as _, ManualClock, TokioClock, Value as Written};
use portcullis_backoff::{Backoff, BackoffConfig, Backoffs, Delays};
use serde_json::{Map, Value};

use super::answer::Seen;
use super::case::Manner;
use super::component::Subject;
use super::config::{entry, finish, text};
use super::draw;
use super::fields::Fields;
use super::paused;
use super::verdict::Mismatch;

/// The delays of a case, each of them drawn as it is told.
pub(crate) struct Waits {
    /// `None` in a case that only asks what is refused.
    plan: Option<Plan>,
    /// The delays are those of calls that fail, none of which begins later than this.
    longest: Option<Duration>,
    attempt: u32,
    step: Step,
}

/// Delays as they are written.
#[derive(Clone, Copy)]
struct Plan {
    /// More than one where a case says "any": what it expects holds for all of them.
    strategies: &'static [&'static str],
    initial: Duration,
    factor: f64,
    cap: Option<Duration>,
    jitter: f64,
}

/// What was seen in the present step.
#[derive(Default)]
struct Step {
    delay: Option<Duration>,
    delays: Vec<Duration>,
    /// The shortest and the longest.
    bounds: Option<(Duration, Duration)>,
    refused: Vec<&'static str>,
}

/// Our words for the kinds.
const ANY: [&str; 6] =
    ["fixed", "linear", "exponential", "equal_jitter", "full_jitter", "decorrelated"];
/// The delays that a step asks for without a number; no case names more.
const MANY: u32 = 50;
/// The last attempt for which a case can ask.
const LAST: u32 = 2_000;

impl Waits {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let kind = fields.text("kind")?;
        let plan = kind.map(|kind| Plan::read(kind, &mut fields)).transpose()?;
        let longest = fields.millis("max_cumulative_ms")?;
        let attempt =
            fields.small_count("attempt")?.unwrap_or(1) + u32::from(manner.counts_from_zero());
        finish(&fields, manner)?;
        if let Some(plan) = &plan {
            let _ = plan.delays()?;
        }
        Ok(Self { plan, longest, attempt, step: Step::default() })
    }

    fn plan(&self) -> Result<Plan, Mismatch> {
        self.plan.ok_or_else(|| Mismatch::new("`kind` in the config", "no such field"))
    }

    /// The delays in order, without a chance in them: the draw is in the middle.
    fn in_order(&self) -> Result<Vec<Duration>, Mismatch> {
        let plan = self.plan()?;
        match self.longest {
            None => (1..=MANY).map(|attempt| plan.delay(attempt, 0.5)).collect(),
            Some(longest) => of_calls(plan.delays()?, longest),
        }
    }

    /// Both ends of what can be drawn, and something between, for each of these attempts.
    fn bounds(&self, attempts: Option<&Value>) -> Result<(Duration, Duration), Mismatch> {
        let plan = self.plan()?;
        let attempts: Vec<u32> = match attempts {
            None => (1..=MANY).collect(),
            Some(Value::Array(which)) => which.iter().filter_map(number_of).collect(),
            Some(many) => (1..=number_of(many).unwrap_or(0)).collect(),
        };
        let mut all = Vec::new();
        for (at, &attempt) in attempts.iter().enumerate() {
            let between = at as f64 / attempts.len() as f64;
            for (plan, share) in
                plan.each().flat_map(|plan| [0.0, between, 1.0].map(|at| (plan, at)))
            {
                all.push(plan.delay(attempt, share)?);
            }
        }
        let bounds = all.iter().min().copied().zip(all.iter().max().copied());
        bounds.ok_or_else(|| Mismatch::new("attempts", "none"))
    }
}

impl Plan {
    fn read(kind: &str, fields: &mut Fields<'_>) -> Result<Self, Mismatch> {
        let strategies = match kind {
            "constant" => &ANY[..1],
            "linear" => &ANY[1..2],
            "exponential" => &ANY[2..3],
            "equal_jitter" => &ANY[3..4],
            "full_jitter" => &ANY[4..5],
            "decorrelated_jitter" => &ANY[5..],
            "any" => &ANY[..],
            other @ ("decorrelated_jitter_v2" | "jitter_factor" | "random_range") => {
                return Err(Mismatch::not_offered(other));
            }
            other => return Err(Mismatch::unknown("kind", other)),
        };
        let initial = fields.millis("initial_ms");
        let initial = fields.needed("initial_ms", initial)?;
        let step = fields.millis("step_ms")?;
        if step.is_some_and(|step| kind != "linear" || step != initial) {
            return Err(Mismatch::not_offered("a step of its own"));
        }
        let factor = fields.number("factor")?.unwrap_or(2.0);
        let cap = fields.millis("max_ms")?;
        let share = fields.number("randomization")?;
        let jitter = match fields.text("jitter")? {
            None => share.unwrap_or(0.0),
            Some(around) => share_of(around)?,
        };
        Ok(Self { strategies, initial, factor, cap, jitter })
    }

    /// Each strategy by itself.
    fn each(self) -> impl Iterator<Item = Self> {
        let one = move |place| Self { strategies: &self.strategies[place..=place], ..self };
        (0..self.strategies.len()).map(one)
    }

    /// By the first strategy.
    fn delays(&self) -> Result<Delays, Mismatch> {
        let time = |time: Duration| text(&format!("{}ns", time.as_nanos()));
        let written = Written::Table(vec![
            entry("strategy", text(self.strategies[0])),
            entry("initial_delay", time(self.initial)),
            entry("max_delay", time(self.cap.unwrap_or(Delays::MAX))),
            entry("multiplier", Written::Float(self.factor)),
            entry("jitter", Written::Float(self.jitter)),
        ]);
        let refused = |errors| Mismatch::new("delays", format!("a refusal: {errors}"));
        Delays::from_value(&written).map_err(refused)
    }

    /// The delay after this attempt, whose draw is at this share of what can be drawn; by all
    /// strategies the same.
    fn delay(&self, attempt: u32, share: f64) -> Result<Duration, Mismatch> {
        let first = self.delay_by_first(attempt, share)?;
        for plan in self.each().skip(1) {
            let other = plan.delay_by_first(attempt, share)?;
            if other != first {
                return Err(Mismatch::new(format!("{first:?} of any kind"), format!("{other:?}")));
            }
        }
        Ok(first)
    }

    fn delay_by_first(&self, attempt: u32, share: f64) -> Result<Duration, Mismatch> {
        if !(1..=LAST).contains(&attempt) {
            return Err(Mismatch::new("an attempt in 1..=2000", attempt.to_string()));
        }
        // One draw for each delay; and one by which the map seeds its only part.
        let part = draw::seed(draw::number(share)?, attempt.into())?;
        let chance = Chance::seeded(draw::seed(part, 1)?);
        let waits = Backoffs::with_clock(self.delays()?, ManualClock::new()).max_keys(1);
        let waits = waits.chance(chance);
        Ok((0..attempt).fold(Duration::ZERO, |_, _| waits.failed(&"callee")))
    }
}

impl Subject for Waits {
    fn begin(&mut self, _: Duration) -> Result<(), Mismatch> {
        self.step = Step::default();
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "delays" => self.step.delays = self.in_order()?,
            "delay" => {
                let share = fields.number("random")?.unwrap_or(0.5);
                let cap = fields.millis("max_ms")?;
                let plan = self.plan()?;
                let plan = Plan { cap: cap.or(plan.cap), ..plan };
                let attempt = fields.small_count("attempt")?.unwrap_or(self.attempt);
                self.step.delay = Some(plan.delay(attempt, share)?);
            }
            "bounds" => self.step.bounds = Some(self.bounds(fields.take("attempts"))?),
            "validate" => self.step.refused = refused(),
            other => return Err(Mismatch::unknown("op", other)),
        }
        Ok(())
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        let millis = |delay: Duration| delay.as_nanos() as f64 / 1e6;
        let least = self.step.bounds.map(|(least, _)| millis(least));
        let most = self.step.bounds.map(|(_, most)| millis(most));
        let seen = match key {
            "delays_ms" => {
                let delays: Vec<f64> = self.step.delays.iter().copied().map(millis).collect();
                let all = self.longest.is_some();
                Some(if all { Seen::Numbers(delays) } else { Seen::Beginning(delays) })
            }
            "delay_ms" => self.step.delay.map(|delay| Seen::millis(Some(delay))),
            "min_ms" => least.map(Seen::AtLeast),
            "max_ms" | "never_above" => most.map(Seen::AtMost),
            "positive" => least.map(|least| Seen::Flag(least > 0.0)),
            "reached_max" => {
                let cap = self.plan()?.cap.map(millis);
                most.map(|most| Seen::Flag(cap == Some(most)))
            }
            "rejected" => Some(Seen::OneOf(self.step.refused.clone())),
            "delay"
            | "first"
            | "next_min"
            | "next_max_exclusive"
            | "median"
            | "attempts"
            | "attempt_n_min"
            | "attempt_n_max_exclusive" => return Err(Mismatch::not_offered(key)),
            other => match other.strip_prefix("attempt_").and_then(|number| number.parse().ok()) {
                Some(attempt) => Some(Seen::millis(Some(self.plan()?.delay(attempt, 0.5)?))),
                None => return Err(Mismatch::unknown("expectation", other)),
            },
        };
        seen.ok_or_else(|| Mismatch::new("a step that says so", "another"))
    }
}

/// Of `+-25%`.
fn share_of(around: &str) -> Result<f64, Mismatch> {
    let percent = around.strip_prefix("+-").and_then(|rest| rest.strip_suffix('%')?.parse().ok());
    let wrong = || Mismatch::new("a share as in +-25%", around);
    percent.map(|percent: f64| percent / 100.0).ok_or_else(wrong)
}

fn number_of(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// How long a call whose attempts all fail at once waits before each of them, where none begins
/// later than this.
fn of_calls(delays: Delays, longest: Duration) -> Result<Vec<Duration>, Mismatch> {
    let wait = Duration::from_millis(1)..=BackoffConfig::MAX_WAIT;
    if !wait.contains(&longest) {
        return Err(Mismatch::new("a sum in 1 ms..=1 day", format!("{longest:?}")));
    }
    let config = BackoffConfig::new().max_attempts(BackoffConfig::MAX_ATTEMPTS);
    let config = config.budget(Budget::unlimited()).delays(delays).max_elapsed(longest);
    config.check().map_err(|errors| Mismatch::new("retries", format!("a refusal: {errors}")))?;
    Ok(paused::runtime()?.block_on(async {
        let mut begun = Vec::new();
        let calls = Backoff::with_clock(config, TokioClock::new());
        let failed = calls.run(|_| {
            begun.push(TokioClock::new().now());
            async { Err::<(), _>("down") }
        });
        let _ = failed.await;
        begun.windows(2).map(|pair| pair[1].since(pair[0])).collect()
    }))
}

/// What is refused, in the words of the cases.
fn refused() -> Vec<&'static str> {
    let tries = [
        ("zero or negative interval", "initial_delay", vec![text("0ms"), text("-1ms")]),
        ("randomization outside [0,1]", "jitter", vec![Written::Float(-0.1), Written::Float(1.1)]),
    ];
    let is_refused = |field: &str, value: &Written| {
        Delays::from_value(&Written::Table(vec![entry(field, value.clone())])).is_err()
    };
    let all = |(_, field, values): &(_, &str, Vec<Written>)| {
        values.iter().all(|value| is_refused(field, value))
    };
    tries.iter().filter(|tried| all(tried)).map(|(words, ..)| *words).collect()
}
