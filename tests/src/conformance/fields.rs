//! Takes named fields out of a JSON object, and does not let one go unread.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::verdict::Mismatch;

/// The fields of one object, and which of them have been read.
pub(crate) struct Fields<'v> {
    what: &'static str,
    object: &'v Map<String, Value>,
    read: BTreeSet<&'static str>,
}

impl<'v> Fields<'v> {
    /// The fields of `object`, which is called `what` in messages.
    pub(crate) const fn new(what: &'static str, object: &'v Map<String, Value>) -> Self {
        Self { what, object, read: BTreeSet::new() }
    }

    /// The fields of a value that must be an object.
    pub(crate) fn of(what: &'static str, value: &'v Value) -> Result<Self, Mismatch> {
        let object = value.as_object();
        let object =
            object.ok_or_else(|| Mismatch::new(format!("an object as {what}"), show(value)));
        Ok(Self::new(what, object?))
    }

    /// A field as it stands; `null` counts as absent.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'v Value> {
        self.read.insert(key);
        self.object.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<&'v str>, Mismatch> {
        self.read_as(key, "a text", Value::as_str)
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Mismatch> {
        self.read_as(key, "true or false", Value::as_bool)
    }

    pub(crate) fn count(&mut self, key: &'static str) -> Result<Option<u64>, Mismatch> {
        self.read_as(key, "a whole number", whole)
    }

    pub(crate) fn small_count(&mut self, key: &'static str) -> Result<Option<u32>, Mismatch> {
        let small = |value: &Value| whole(value).and_then(|count| u32::try_from(count).ok());
        self.read_as(key, "a whole number below 2^32", small)
    }

    pub(crate) fn number(&mut self, key: &'static str) -> Result<Option<f64>, Mismatch> {
        self.read_as(key, "a number", Value::as_f64)
    }

    pub(crate) fn list(&mut self, key: &'static str) -> Result<Option<&'v [Value]>, Mismatch> {
        self.read_as(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    pub(crate) fn millis(&mut self, key: &'static str) -> Result<Option<Duration>, Mismatch> {
        self.read_as(key, "milliseconds", as_millis)
    }

    pub(crate) fn nanos(&mut self, key: &'static str) -> Result<Option<Duration>, Mismatch> {
        Ok(self.count(key)?.map(Duration::from_nanos))
    }

    /// A time in milliseconds, or exactly under the other name.
    pub(crate) fn time(
        &mut self,
        millis: &'static str,
        nanos: &'static str,
    ) -> Result<Option<Duration>, Mismatch> {
        let coarse = self.millis(millis)?;
        Ok(self.nanos(nanos)?.or(coarse))
    }

    pub(crate) fn all_millis(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Vec<Duration>>, Mismatch> {
        let all = |value: &Value| value.as_array()?.iter().map(as_millis).collect();
        self.read_as(key, "a list of milliseconds", all)
    }

    /// A field that must be there.
    pub(crate) fn needed<T>(
        &self,
        key: &str,
        value: Result<Option<T>, Mismatch>,
    ) -> Result<T, Mismatch> {
        value?.ok_or_else(|| Mismatch::new(format!("`{key}` in {}", self.what), "no such field"))
    }

    /// The fields that nobody has read.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &'v str> {
        self.object.keys().map(String::as_str).filter(|key| !self.read.contains(key))
    }

    /// Complains about the first field that nobody has read.
    pub(crate) fn finish(&self) -> Result<(), Mismatch> {
        match self.unread().next() {
            None => Ok(()),
            Some(key) => Err(Mismatch::unknown(&format!("field in {}", self.what), key)),
        }
    }

    fn read_as<T>(
        &mut self,
        key: &'static str,
        kind: &str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, Mismatch> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let wrong = || Mismatch::new(format!("{kind} as `{key}` in {}", self.what), show(value));
        read(value).ok_or_else(wrong).map(Some)
    }
}

/// A value in messages.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A whole number, also where it is written as 3.0.
fn whole(value: &Value) -> Option<u64> {
    let written = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0);
    value.as_u64().or_else(|| written.filter(|number| *number < 1e15).map(|number| number as u64))
}

/// Milliseconds, also with a fraction, to the nanosecond.
fn as_millis(value: &Value) -> Option<Duration> {
    if let Some(millis) = whole(value) {
        return Some(Duration::from_millis(millis));
    }
    let nanos = (value.as_f64()? * 1e6).round();
    (0.0..1e18).contains(&nanos).then(|| Duration::from_nanos(nanos as u64))
}
