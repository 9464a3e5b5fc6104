//! The component `codel`: [`Dropper`].

use std::time::Duration;

use breaker_core::Tick;
use portcullis_priority::{Codel, CodelState};
use serde_json::{Map, Value};

use super::answer::Seen;
use super::case::Manner;
use super::component::Subject;
use super::config::finish;
use super::fields::Fields;
use super::verdict::Mismatch;

/// Who is dropped of those that leave a queue.
pub(crate) struct Dropper {
    codel: Codel,
    state: CodelState,
    now: Tick,
    drop: Option<bool>,
    rejected: Option<bool>,
}

impl Dropper {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let codel = codel(&mut fields)?.ok_or_else(|| {
            Mismatch::new("times above zero and up to 10 minutes", "something else")
        })?;
        if let Some(slough) = fields.text("slough")?.filter(|slough| *slough != "2 x target") {
            return Err(Mismatch::not_offered(slough));
        }
        finish(&fields, manner)?;
        let state = CodelState::new();
        Ok(Self { codel, state, now: Tick::ZERO, drop: None, rejected: None })
    }
}

impl Subject for Dropper {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.now = Tick::ZERO.after(at);
        (self.drop, self.rejected) = (None, None);
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "dequeue" => {
                let delay = fields.millis("queue_delay_ms");
                let delay = fields.needed("queue_delay_ms", delay)?;
                self.drop = Some(self.state.dequeue(self.codel, self.now, delay));
            }
            "configure" => {
                let new = codel(fields)?;
                self.rejected = Some(new.is_none());
                self.codel = new.unwrap_or(self.codel);
            }
            "observe" => {}
            "load" => return Err(Mismatch::not_offered(op)),
            other => return Err(Mismatch::unknown("op", other)),
        }
        Ok(())
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        let flag = match key {
            "drop" => self.drop,
            "rejected" => self.rejected,
            other => return Err(Mismatch::unknown("expectation", other)),
        };
        flag.map(Seen::Flag).ok_or_else(|| Mismatch::new("a step that says so", "another"))
    }
}

/// The times of a config; `None` where they are refused.
fn codel(fields: &mut Fields<'_>) -> Result<Option<Codel>, Mismatch> {
    let (target, interval) = (fields.millis("target_ms"), fields.millis("interval_ms"));
    let target = fields.needed("target_ms", target)?;
    let interval = fields.needed("interval_ms", interval)?;
    let sound = |time: Duration| !time.is_zero() && time <= Codel::MAX;
    let both = sound(target) && sound(interval);
    Ok(both.then(|| Codel::new().target(target).interval(interval)))
}
