//! One case as it is written: [`Case`].

use serde_json::{Map, Value};

use super::fields::{Fields, show};
use super::verdict::Mismatch;

/// One fact: a configuration, steps, and what must be seen after some of them.
pub(crate) struct Case<'v> {
    pub(crate) component: &'v str,
    pub(crate) config: &'v Map<String, Value>,
    pub(crate) steps: Vec<&'v Map<String, Value>>,
    pub(crate) expect: Vec<&'v Map<String, Value>>,
    scope: &'v str,
    ours: Option<&'v str>,
}

/// How a case is to be run.
#[derive(Clone, Copy)]
pub(crate) enum Manner<'v> {
    /// As it is written.
    Written,
    /// A variant that ends as ours does: what its scope names is left out or translated, and so
    /// are the expectations that `ours` takes out.
    SameResult { scope: &'v str, ours: &'v str },
}

impl<'v> Case<'v> {
    /// The id of a case, as far as there is one.
    pub(crate) fn id_of(value: &Value) -> Option<&str> {
        value.get("id")?.as_str()
    }

    /// The component of a case, as far as there is one.
    pub(crate) fn component_of(value: &Value) -> Option<&str> {
        value.get("component")?.as_str()
    }

    pub(crate) fn read(value: &'v Value) -> Result<Self, Mismatch> {
        let mut fields = Fields::of("the case", value)?;
        for remark in ["id", "source", "note", "verified_by"] {
            fields.text(remark)?;
        }
        let component = fields.text("component");
        let config =
            fields.take("config").map_or(Ok(None), |config| object("config", config).map(Some));
        let steps = fields.list("steps");
        let expect = fields.list("expect");
        let scope = fields.text("scope");
        let ours = fields.text("ours")?;
        let case = Self {
            component: fields.needed("component", component)?,
            config: fields.needed("config", config)?,
            steps: objects("step", fields.needed("steps", steps)?)?,
            expect: objects("expectation", fields.needed("expect", expect)?)?,
            scope: fields.needed("scope", scope)?,
            ours,
        };
        fields.finish()?;
        case.has_steps_for_all_expectations()?;
        Ok(case)
    }

    /// How to run it; the sentence of `ours` where that is not asked for.
    pub(crate) fn manner(&self) -> Result<Result<Manner<'v>, &'v str>, Mismatch> {
        match (self.scope, self.ours) {
            ("universal", _) => Ok(Ok(Manner::Written)),
            (scope, Some(ours)) if scope.starts_with("variant") => {
                let same = ours.starts_with("same result");
                Ok(if same { Ok(Manner::SameResult { scope, ours }) } else { Err(ours) })
            }
            (scope, None) if scope.starts_with("variant") => {
                Err(Mismatch::new("`ours` in a variant", "no such field"))
            }
            (scope, _) => Err(Mismatch::unknown("scope", scope)),
        }
    }

    fn has_steps_for_all_expectations(&self) -> Result<(), Mismatch> {
        for expected in &self.expect {
            let mut fields = Fields::new("the expectation", expected);
            let step = fields.count("step");
            let step = fields.needed("step", step)?;
            if step >= self.steps.len() as u64 {
                let got = format!("an expectation for step {step}");
                return Err(Mismatch::new(format!("{} steps at most", self.steps.len()), got));
            }
        }
        Ok(())
    }
}

impl<'v> Manner<'v> {
    pub(crate) const fn translates(self) -> bool {
        matches!(self, Self::SameResult { .. })
    }

    /// Whether the scope of a variant names this key, so that it is left out.
    pub(crate) fn leaves_out_config(self, key: &str) -> bool {
        matches!(self, Self::SameResult { scope, .. } if words(scope).any(|word| word == key))
    }

    /// Whether the scope of a variant says that attempts are counted from zero.
    pub(crate) fn counts_from_zero(self) -> bool {
        matches!(self, Self::SameResult { scope, .. } if scope.contains("counted from 0"))
    }

    /// Whether `ours` says "same result without" this expectation.
    pub(crate) fn leaves_out_expectation(self, key: &str) -> bool {
        let Self::SameResult { ours, .. } = self else { return false };
        let clause = ours.split(':').next().unwrap_or(ours);
        let without = clause.split_once("without").map_or("", |(_, without)| without);
        words(without).any(|word| word == key)
    }

    /// The token bucket that `ours` names in the place of another limiter, as in "a token bucket
    /// with rate 10/s and burst 1": how many per second, and how many at once.
    pub(crate) fn bucket(self) -> Option<(f64, u32)> {
        let Self::SameResult { ours, .. } = self else { return None };
        let after = |name: &str| {
            let mut said = ours.split_whitespace().skip_while(|word| *word != name).skip(1);
            said.next().map(|word| word.trim_end_matches(['.', ',', ';', ':']))
        };
        let rate = after("rate")?.strip_suffix("/s")?.parse().ok()?;
        Some((rate, after("burst")?.parse().ok()?))
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

fn objects<'v>(what: &str, list: &'v [Value]) -> Result<Vec<&'v Map<String, Value>>, Mismatch> {
    list.iter().map(|value| object(what, value)).collect()
}

fn object<'v>(what: &str, value: &'v Value) -> Result<&'v Map<String, Value>, Mismatch> {
    value.as_object().ok_or_else(|| Mismatch::new(format!("an object as {what}"), show(value)))
}
