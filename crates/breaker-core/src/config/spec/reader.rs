//! Takes fields out of a [`Value`], and keeps a list of what was wrong with them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::{ConfigError, ConfigErrors, Value};
use crate::name::Name;
use crate::percent::Percent;

/// Takes the fields of a configuration out of a [`Value`], one by one, and keeps a list of what was
/// wrong with them: so that a layer can name all problems at once.
#[derive(Debug)]
pub struct ConfigReader<'v> {
    fields: &'v [(String, Value)],
    known: BTreeSet<&'static str>,
    errors: Vec<ConfigError>,
}

impl<'v> ConfigReader<'v> {
    /// Reads from a table.
    #[must_use]
    pub fn new(value: &'v Value) -> Self {
        let mut reader = Self { fields: &[], known: BTreeSet::new(), errors: Vec::new() };
        match value {
            Value::Table(fields) => reader.fields = fields,
            Value::Null => {}
            other => reader.wrong("(root)", other, "a table of fields", "write `field = value`"),
        }
        reader
    }

    /// The configuration if nothing was wrong; else all that was.
    ///
    /// # Errors
    /// All that was wrong, unknown fields included.
    pub fn finish<T>(mut self, config: T) -> Result<T, ConfigErrors> {
        let mut seen = BTreeSet::new();
        for (field, value) in self.fields {
            if !self.known.contains(field.as_str()) {
                let fix = match nearest(field, self.known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "remove it".to_owned(),
                };
                self.wrong(field, value, "a known field", &fix);
            }
            if !seen.insert(field) {
                self.wrong(field, value, "given once", "remove all but one");
            }
        }
        if self.errors.is_empty() { Ok(config) } else { Err(ConfigErrors::new(self.errors)) }
    }

    /// Adds what somebody else found wrong. Of a field that is wrong in itself only that is said.
    pub fn extend(&mut self, errors: &ConfigErrors) {
        for error in errors {
            if self.errors.iter().all(|known| known.path != error.path) {
                self.errors.push(error.clone());
            }
        }
    }

    /// Says that a field, which may be right in itself, does not go with others. What a wrong
    /// field was meant to say nobody knows, so it contradicts none.
    pub fn contradiction(
        &mut self,
        field: &'static str,
        others: &[&'static str],
        allowed: &str,
        fix: &str,
    ) {
        let wrong = |path: &str| path == field || others.contains(&path);
        if self.errors.iter().any(|error| wrong(&error.path)) {
            return;
        }
        let value = self.find(field).map_or_else(|| "(default)".to_owned(), Value::to_string);
        self.wrong(field, &value, allowed, fix);
    }

    /// Whether a field is there.
    pub fn is_set(&mut self, field: &'static str) -> bool {
        self.known.insert(field);
        self.find(field).is_some()
    }

    /// A name of 1..=63 bytes.
    pub fn name(&mut self, field: &'static str) -> Option<Name> {
        let value = self.take(field)?;
        let name = match value {
            Value::Text(text) => Name::try_from(text.as_str()).ok(),
            _ => None,
        };
        self.or_wrong(name, field, value, "a text of 1..=63 bytes", "shorten the name")
    }

    /// Yes or no.
    pub fn flag(&mut self, field: &'static str) -> Option<bool> {
        let value = self.take(field)?;
        let flag = match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        };
        self.or_wrong(flag, field, value, "true or false", "write it without quotes")
    }

    /// The text of a field that may as well hold something else.
    pub(super) fn text(&mut self, field: &'static str) -> Option<&'v str> {
        match self.take(field)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number within `min..=max`.
    pub fn number(&mut self, field: &'static str, min: u32, max: u32) -> Option<u32> {
        let value = self.take(field)?;
        let number = match value {
            Value::Int(number) => u32::try_from(*number).ok().filter(|n| (min..=max).contains(n)),
            _ => None,
        };
        let allowed = format!("a whole number in {min}..={max}");
        self.or_wrong(number, field, value, &allowed, "write a number in that range")
    }

    /// A number, or nothing where it is "off"; `default` where the field is absent.
    pub(super) fn threshold(
        &mut self,
        field: &'static str,
        min: u32,
        max: u32,
        default: Option<u32>,
    ) -> Option<u32> {
        match self.take(field) {
            None => default,
            Some(value) if is_off(value) => None,
            Some(_) => self.number(field, min, max),
        }
    }

    /// A fraction above zero, or nothing where it is "off"; `default` where the field is absent.
    pub(super) fn rate(
        &mut self,
        field: &'static str,
        default: Option<Percent>,
    ) -> Option<Percent> {
        match self.take(field) {
            None => default,
            Some(value) if is_off(value) => None,
            Some(_) => self.share_within(field, 1, 10_000),
        }
    }

    /// A fraction in 0..=1.
    pub fn share(&mut self, field: &'static str) -> Option<Percent> {
        self.share_within(field, 0, 10_000)
    }

    /// A fraction whose basis points lie in `min..=max`.
    pub fn share_within(&mut self, field: &'static str, min: u16, max: u16) -> Option<Percent> {
        let value = self.take(field)?;
        let fraction = as_float(value);
        let share = fraction
            .and_then(Percent::from_fraction)
            .filter(|share| (min..=max).contains(&share.as_basis_points()));
        let allowed = match (min, max) {
            (0, 10_000) => "a fraction in 0..=1",
            (0, _) => "a fraction in 0..1, without 1",
            (_, 10_000) => "a fraction in 0..=1, without 0",
            _ => "a fraction in 0..1, without 0 and 1",
        };
        let fix = match fraction {
            Some(percent) if percent > 1.0 && percent <= 100.0 => {
                format!("did you mean {}?", percent / 100.0)
            }
            _ => "write a fraction such as 0.5".to_owned(),
        };
        self.or_wrong(share, field, value, allowed, &fix)
    }

    /// A number within `min..=max`.
    pub fn factor(&mut self, field: &'static str, min: f64, max: f64) -> Option<f64> {
        let value = self.take(field)?;
        let factor = as_float(value).filter(|factor| (min..=max).contains(factor));
        let allowed = format!("a number in {min:?}..={max:?}");
        self.or_wrong(factor, field, value, &allowed, "write a number in that range")
    }

    /// A duration as a text with a unit, within `min..=max`.
    pub fn duration(
        &mut self,
        field: &'static str,
        min: Duration,
        max: Duration,
    ) -> Option<Duration> {
        let value = self.take(field)?;
        let duration = as_duration(value).filter(|duration| (min..=max).contains(duration));
        let allowed = format!("a duration in {min:?}..={max:?}");
        self.or_wrong(
            duration,
            field,
            value,
            &allowed,
            "write a text with a unit such as \"250ms\"",
        )
    }

    pub(super) fn schedule(&mut self, field: &'static str, most: usize) -> Option<Vec<Duration>> {
        use crate::pace::Pace;
        let value = self.take(field)?;
        let waits = match value {
            Value::List(entries) if (1..=most).contains(&entries.len()) => entries
                .iter()
                .map(|entry| as_duration(entry).filter(|wait| Pace::fits(*wait)))
                .collect(),
            _ => None,
        };
        let allowed = format!("a list of 1..={most} durations in 1ms..=1 day");
        self.or_wrong(waits, field, value, &allowed, "write a list such as [\"1s\", \"5s\"]")
    }

    /// A list of rising shares.
    pub(super) fn shares(&mut self, field: &'static str, most: usize) -> Option<Vec<Percent>> {
        let value = self.take(field)?;
        let shares: Option<Vec<_>> = match value {
            Value::List(entries) if (1..=most).contains(&entries.len()) => entries
                .iter()
                .map(|entry| as_float(entry).and_then(Percent::from_fraction))
                .collect(),
            _ => None,
        };
        let rising = |shares: &Vec<Percent>| {
            shares[0] > Percent::ZERO && shares.windows(2).all(|pair| pair[0] < pair[1])
        };
        let shares = shares.filter(rising);
        let allowed = format!("a list of 1..={most} rising fractions in 0..=1, without 0");
        self.or_wrong(shares, field, value, &allowed, "write a list such as [0.1, 0.25, 0.5, 1]")
    }

    /// One of some words.
    pub fn choice<T: Copy>(
        &mut self,
        field: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let value = self.take(field)?;
        self.pick(field, value, words)
    }

    /// The choice under `entry` of the table `field`.
    pub(super) fn entry<T: Copy>(
        &mut self,
        field: &'static str,
        entry: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let Value::Table(entries) = self.take(field)? else { return None };
        let (_, value) = entries.iter().find(|(name, _)| name == entry)?;
        self.pick(&format!("{field}.{entry}"), value, words)
    }

    /// Refuses entries of the table `field` that are not in the list.
    pub(super) fn only_entries(&mut self, field: &'static str, names: &[&'static str]) {
        match self.take(field) {
            None => {}
            Some(Value::Table(entries)) => {
                for (name, value) in entries {
                    if !names.contains(&name.as_str()) {
                        let fix = match nearest(name, names.iter().copied()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("known names: {}", names.join(", ")),
                        };
                        self.wrong(&format!("{field}.{name}"), value, "a known name", &fix);
                    }
                }
            }
            Some(other) => self.wrong(field, other, "a table", "write { timeout = \"failure\" }"),
        }
    }

    fn pick<T: Copy>(&mut self, path: &str, value: &Value, words: &[(&str, T)]) -> Option<T> {
        let picked = match value {
            Value::Text(text) => words.iter().find(|(word, _)| word == text).map(|(_, t)| *t),
            _ => None,
        };
        let list = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        self.or_wrong(picked, path, value, &format!("one of {list}"), "pick a known name")
    }

    fn take(&mut self, field: &'static str) -> Option<&'v Value> {
        self.known.insert(field);
        self.find(field)
    }

    fn find(&self, field: &str) -> Option<&'v Value> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, value)| value)
    }

    fn or_wrong<T>(
        &mut self,
        good: Option<T>,
        path: &str,
        value: &Value,
        allowed: &str,
        fix: &str,
    ) -> Option<T> {
        if good.is_none() {
            self.wrong(path, value, allowed, fix);
        }
        good
    }

    fn wrong(&mut self, path: &str, value: &impl ToString, allowed: &str, fix: &str) {
        let error = ConfigError {
            path: path.to_owned(),
            value: value.to_string(),
            allowed: allowed.to_owned(),
            fix: fix.to_owned(),
        };
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

fn is_off(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text == "off")
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// "250ms", "1.5s", "2m", "1h", "1d"; no signs, no spaces.
fn as_duration(value: &Value) -> Option<Duration> {
    let Value::Text(text) = value else { return None };
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    // Rounded to the nanosecond: 0.1 s is a hundred whole milliseconds.
    let nanos = (number * seconds * 1e9).round();
    (nanos < u64::MAX as f64).then(|| Duration::from_nanos(nanos as u64))
}

/// The known name that is fewest edits away, if it is near at all.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // A name longer than any of ours is near to none, and must not cost time.
    let short = name.len() <= 64;
    known
        .filter(|_| short)
        .map(|candidate| (edits(name.as_bytes(), candidate.as_bytes()), candidate))
        .min()
        .filter(|(edits, candidate)| *edits <= candidate.len() / 3 + 1)
        .map(|(_, candidate)| candidate)
}

/// The edit distance of Levenshtein, by rows.
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let change = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[to.len()]
}
