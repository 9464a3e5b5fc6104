//! The circuits of a case, mostly one: [`Circuits`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use breaker_core::{ManualClock, Permit, Rejected, Tick};
use serde_json::{Map, Value};

use super::answer::{Answer, Seen};
use super::case::Manner;
use super::circuit::Circuit;
use super::component::Subject;
use super::config::{Absent, Plan};
use super::decide::decide;
use super::fields::Fields;
use super::outcome::Ended;
use super::verdict::Mismatch;

/// The circuits around one call, outermost first.
pub(crate) struct Circuits {
    pub(super) clock: ManualClock,
    /// What cycles have waited beyond the times of the steps.
    pub(super) waited: Duration,
    pub(super) all: Vec<Circuit>,
    /// Permits that are held until a later `record` or `release`, oldest first.
    held: VecDeque<Vec<Permit>>,
    /// Permits of calls with a name.
    named: BTreeMap<String, Vec<Permit>>,
    /// What was answered in the present step.
    pub(super) answers: Vec<Answer>,
    /// Failed recoveries before each opening of the present step.
    pub(super) attempts: Vec<f64>,
    decision: Option<bool>,
}

impl Circuits {
    pub(crate) fn build(
        component: &str,
        config: &Map<String, Value>,
        manner: Manner<'_>,
    ) -> Result<Self, Mismatch> {
        let absent = Absent {
            one_bad_call_opens: component == "breaker_composition",
            numbered_periods: component == "break_duration_generator",
        };
        let clock = ManualClock::new();
        let mut all = Vec::new();
        for (id, config) in configs(config)? {
            let plan = Plan::read(&mut Fields::new("the config", &config), manner, absent)?;
            all.push(Circuit::build(id, &plan, &clock)?);
        }
        Ok(Self {
            clock,
            waited: Duration::ZERO,
            all,
            held: VecDeque::new(),
            named: BTreeMap::new(),
            answers: Vec::new(),
            attempts: Vec::new(),
            decision: None,
        })
    }

    /// The circuit of a case that has but one.
    pub(super) fn only(&mut self) -> Result<&mut Circuit, Mismatch> {
        match self.all.as_mut_slice() {
            [only] => Ok(only),
            all => Err(Mismatch::new("a single circuit", format!("{} of them", all.len()))),
        }
    }

    /// Asks all circuits in turn. When one refuses, the permits of those before it are given back.
    fn admit(&mut self) -> Result<Option<Vec<Permit>>, Mismatch> {
        let asked = self.all.iter().map(|circuit| circuit.breaker.try_acquire());
        let asked: Result<Vec<Permit>, Rejected> = asked.collect();
        let (answer, permits) = match asked {
            Ok(permits) => (Answer::Admitted, Some(permits)),
            Err(rejected) => (Answer::Refused { retry_after: rejected.retry_after() }, None),
        };
        self.answers.push(answer);
        self.listen()?;
        Ok(permits)
    }

    fn settle(&mut self, permits: Vec<Permit>, ended: Ended<'_>) -> Result<(), Mismatch> {
        for (permit, circuit) in permits.into_iter().zip(&self.all) {
            let (outcome, duration) = ended.told(circuit.slow)?;
            permit.record_timed(outcome, duration);
        }
        self.listen()
    }

    fn call(&mut self, ended: Option<Ended<'_>>) -> Result<(), Mismatch> {
        let Some(permits) = self.admit()? else { return Ok(()) };
        let ended = ended.ok_or_else(|| Mismatch::new("an outcome of the admitted call", "none"));
        self.settle(permits, ended?)
    }

    /// Settles the permit that is held longest, or else records without one.
    fn record(&mut self, ended: Ended<'_>) -> Result<(), Mismatch> {
        if let Some(permits) = self.held.pop_front() {
            return self.settle(permits, ended);
        }
        for circuit in &self.all {
            let (outcome, duration) = ended.told(circuit.slow)?;
            circuit.breaker.record_timed(outcome, duration);
        }
        self.listen()
    }

    fn cycle<'v>(&mut self, fields: &mut Fields<'v>) -> Result<(), Mismatch> {
        let words = fields.list("outcomes");
        let words = fields.needed("outcomes", words)?;
        let details = Ended::details(fields)?;
        for word in words {
            let word = word.as_str().ok_or_else(|| Mismatch::unknown("outcome", "no text"))?;
            self.call(Some(details.with_word(word)))?;
        }
        Ok(())
    }

    fn begin_call(&mut self, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        let id = fields.text("call_id");
        let id = fields.needed("call_id", id)?;
        if self.named.contains_key(id) {
            return Err(Mismatch::new("one call of a name at a time", format!("`{id}` again")));
        }
        if let Some(permits) = self.admit()? {
            self.named.insert(id.to_owned(), permits);
        }
        Ok(())
    }

    fn end_call(&mut self, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        let id = fields.text("call_id");
        let id = fields.needed("call_id", id)?;
        let ended = Ended::read(fields);
        let ended = fields.needed("outcome", ended)?;
        let none = || Mismatch::new(format!("a call `{id}` that was admitted"), "none");
        let permits = self.named.remove(id).ok_or_else(none)?;
        self.settle(permits, ended)
    }

    /// Takes note of what has changed since the last time.
    pub(super) fn listen(&mut self) -> Result<(), Mismatch> {
        self.all.iter_mut().try_for_each(Circuit::listen)
    }
}

impl Subject for Circuits {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.clock.set(Tick::ZERO.after(at.saturating_add(self.waited)));
        self.answers.clear();
        self.attempts.clear();
        self.decision = None;
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "acquire" => {
                let permits = self.admit()?;
                self.held.extend(permits);
            }
            "record" => {
                let ended = Ended::read(fields);
                self.record(fields.needed("outcome", ended)?)?;
            }
            "call" => self.call(Ended::read(fields)?)?,
            "call_cycle" => self.cycle(fields)?,
            "begin" => self.begin_call(fields)?,
            "end" => self.end_call(fields)?,
            "release" => {
                let oldest = self.held.pop_front();
                drop(oldest.ok_or_else(|| Mismatch::new("a permit that is held", "none"))?);
            }
            "observe" => {}
            "reset" => self.all.iter().for_each(|circuit| circuit.breaker.reset()),
            "force" => self.force(fields)?,
            "decide" => self.decision = Some(decide(fields)?),
            "open_half_open_cycle" => self.open_and_fail_the_trial()?,
            "close" => self.close()?,
            "open_at_end_of_time" => self.open_at_end_of_time(fields)?,
            other => return Err(Mismatch::unknown("op", other)),
        }
        self.listen()
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        if let Some(circuit) = self.all.iter().find(|circuit| circuit.id == key) {
            return Ok(Seen::State(circuit.breaker.state()));
        }
        match key {
            "permitted" => Ok(Seen::Answers(self.answers.clone())),
            "retry_after_ms" => match self.answers.last() {
                Some(Answer::Refused { retry_after }) => Ok(Seen::millis(*retry_after)),
                Some(Answer::Admitted) => Ok(Seen::Number(None)),
                _ => Err(Mismatch::new("somebody who asked for admission", "nobody")),
            },
            "half_open_attempts_seen" => Ok(Seen::Numbers(self.attempts.clone())),
            "open" => match self.decision {
                Some(open) => Ok(Seen::Flag(open)),
                None => Err(Mismatch::new("a decision", "none")),
            },
            "warming_up" => Err(Mismatch::not_offered("a warm-up")),
            "duration_ms" => Err(Mismatch::not_offered("a sum of durations")),
            _ => {
                let circuit = self.all.first_mut();
                let circuit = circuit.ok_or_else(|| Mismatch::new("a circuit", "none"))?;
                let seen = circuit.seen(key)?;
                // Figures of one circuit say nothing where there are several.
                self.only().map(|_| seen)
            }
        }
    }
}

/// An id, and the configuration of the circuit that has it.
type Named = (String, Map<String, Value>);

/// The configuration of each circuit with its id: one without a name, or those of `breakers` in
/// their order, each with the keys that are common to all.
fn configs(config: &Map<String, Value>) -> Result<Vec<Named>, Mismatch> {
    let mut fields = Fields::new("the config", config);
    let Some(breakers) = fields.list("breakers")? else {
        return Ok(vec![(String::new(), config.clone())]);
    };
    if fields.flag("shared_call")? == Some(false) {
        return Err(Mismatch::new("circuits around a shared call", "shared_call false"));
    }
    let mut by_id = Vec::new();
    for breaker in breakers {
        let mut own = Fields::of("the breaker", breaker)?;
        let id = own.text("id");
        let id = own.needed("id", id)?;
        let mut merged = config.clone();
        merged.extend(breaker.as_object().cloned().unwrap_or_default());
        merged.retain(|key, _| !["breakers", "order", "shared_call", "id"].contains(&key.as_str()));
        by_id.push((id.to_owned(), merged));
    }
    let Some(order) = fields.list("order")? else { return Ok(by_id) };
    let place = |id: &str| order.iter().position(|named| named.as_str() == Some(id));
    if order.len() != by_id.len() || by_id.iter().any(|(id, _)| place(id).is_none()) {
        return Err(Mismatch::new("each breaker in `order`", Value::from(order).to_string()));
    }
    by_id.sort_by_key(|(id, _)| place(id));
    Ok(by_id)
}
