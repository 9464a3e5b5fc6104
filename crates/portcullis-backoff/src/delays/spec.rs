//! Reads delays from a configuration as it was written.

use std::time::Duration;

use breaker_core::{ConfigErrors, ConfigReader, Percent, Value};

use super::{DelayKind, Delays, milli};

/// The words for the strategies, and one for the choice among them.
const STRATEGIES: [(&str, Option<DelayKind>); DelayKind::ALL.len() + 1] = {
    let mut words = [("auto", None); DelayKind::ALL.len() + 1];
    let mut i = 0;
    while i < DelayKind::ALL.len() {
        let kind = DelayKind::ALL[i];
        words[i + 1] = (kind.as_str(), Some(kind));
        i += 1;
    }
    words
};

impl Delays {
    /// Reads delays as they were written; fields that are absent keep their defaults, which are
    /// those of [`Delays::new`].
    ///
    /// The fields are `strategy` (`auto`, or the name of a [`DelayKind`]), `initial_delay` and
    /// `max_delay` (durations up to a day), `multiplier` (a number in 1..=10), `jitter` (a
    /// fraction), `resource_threshold` (a fraction, without 0 and 1), `pattern_window` (a duration)
    /// and `explore` (a fraction up to 0.5). Durations are texts with a unit (`"250ms"`).
    ///
    /// ```
    /// use portcullis_backoff::{Delays, DelayKind};
    /// use breaker_core::Value;
    ///
    /// let written = Value::Table(vec![("strategy".into(), Value::Text("fibonacci".into()))]);
    /// assert_eq!(Delays::from_value(&written).unwrap().kind(), Some(DelayKind::Fibonacci));
    /// ```
    ///
    /// # Errors
    /// All problems at once: unknown fields and names, values outside their range, and a longest
    /// delay that is shorter than the first.
    pub fn from_value(value: &Value) -> Result<Self, ConfigErrors> {
        let mut reader = ConfigReader::new(value);
        let delays = Self::read(&mut reader, Self::new());
        reader.finish(delays)
    }

    /// Takes the fields of delays out of a configuration; what is absent is as in `base`.
    pub(crate) fn read(r: &mut ConfigReader<'_>, base: Self) -> Self {
        let mut delays = base;
        let shortest = Duration::from_nanos(1);
        delays.kind = r.choice("strategy", &STRATEGIES).unwrap_or(delays.kind);
        let initial = r.duration("initial_delay", shortest, Self::MAX);
        delays.initial = initial.unwrap_or(delays.initial);
        match r.duration("max_delay", shortest, Self::MAX) {
            Some(cap) if cap >= delays.initial => delays.cap = cap,
            Some(_) => {
                let allowed = format!("at least the initial delay, {:?}", delays.initial);
                let fix = "lengthen it, or shorten initial_delay";
                r.contradiction("max_delay", &["initial_delay"], &allowed, fix);
            }
            None => delays.cap = delays.cap.max(delays.initial),
        }
        delays.factor = r.factor("multiplier", 1.0, 10.0).map_or(delays.factor, milli);
        delays.jitter = r.share("jitter").unwrap_or(delays.jitter);
        let threshold = r.share_within("resource_threshold", 1, 9_999);
        delays.resource_threshold = threshold.unwrap_or(delays.resource_threshold);
        let longest = Duration::from_secs(u64::from(u32::MAX));
        let window = r.duration("pattern_window", shortest, longest);
        delays.pattern_window = window.unwrap_or(delays.pattern_window);
        let explore = r.factor("explore", 0.0, 0.5).and_then(Percent::from_fraction);
        delays.explore = explore.unwrap_or(delays.explore);
        delays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn read(fields: &[(&str, Value)]) -> Result<Delays, Vec<String>> {
        let fields = fields.iter().map(|(field, value)| ((*field).to_owned(), value.clone()));
        Delays::from_value(&Value::Table(fields.collect()))
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn delays_are_read_as_they_were_written() {
        assert_eq!(read(&[]), Ok(Delays::new()));
        let fields = [
            ("strategy", text("decorrelated")),
            ("initial_delay", text("100ms")),
            ("max_delay", text("10s")),
            ("multiplier", Value::Float(1.5)),
            ("jitter", Value::Float(0.2)),
            ("resource_threshold", Value::Float(0.9)),
            ("pattern_window", text("5m")),
            ("explore", Value::Float(0.5)),
        ];
        let expected = Delays::decorrelated(SECOND / 10)
            .cap(10 * SECOND)
            .factor(1.5)
            .jitter(Percent::new(20))
            .resource_threshold(Percent::new(90))
            .pattern_window(5 * MINUTE)
            .explore(Percent::new(50));
        assert_eq!(read(&fields), Ok(expected));
        for kind in DelayKind::ALL {
            let read = read(&[("strategy", text(kind.as_str()))]).expect("a known name");
            assert_eq!(read.kind(), Some(kind));
            assert_eq!(DelayKind::ALL[kind.index()], kind);
        }
        assert_eq!(read(&[("strategy", text("auto"))]), Ok(Delays::new()));
        assert_eq!(read(&[("initial_delay", text("90s"))]), Ok(Delays::auto(90 * SECOND)));
    }

    #[test]
    fn all_that_is_wrong_with_delays_is_said_at_once() {
        let wrong = read(&[
            ("strategy", text("quadratic")),
            ("initial_delay", text("0s")),
            ("max_delay", text("2d")),
            ("multiplier", Value::Float(0.9)),
            ("jitter", Value::Float(f64::NAN)),
            ("resource_threshold", Value::Int(1)),
            ("pattern_window", text("0s")),
            ("explore", Value::Float(0.51)),
            ("jiter", Value::Float(0.1)),
        ]);
        let mut wrong = wrong.expect_err("all of it is wrong").into_iter();
        let expected = [
            "strategy = \"quadratic\": must be one of auto, fixed, linear, exponential, fibonacci, ",
            "initial_delay = \"0s\": must be a duration in 1ns..=86400s; write a text with a unit",
            "max_delay = \"2d\": must be a duration in 1ns..=86400s",
            "multiplier = 0.9: must be a number in 1.0..=10.0; write a number in that range",
            "jitter = NaN: must be a fraction in 0..=1; write a fraction such as 0.5",
            "resource_threshold = 1: must be a fraction in 0..1, without 0 and 1",
            "pattern_window = \"0s\": must be a duration in 1ns",
            "explore = 0.51: must be a number in 0.0..=0.5",
            "jiter = 0.1: must be a known field; did you mean `jitter`?",
        ];
        for expected in expected {
            let said = wrong.next().unwrap_or_default();
            assert!(said.starts_with(expected), "{said}");
        }
        assert_eq!(wrong.next(), None);
    }

    #[test]
    fn a_cap_below_the_first_delay_is_a_contradiction() {
        let short = ("max_delay", text("1s"));
        let wrong = read(&[("initial_delay", text("2s")), short.clone()]);
        let said = "max_delay = \"1s\": must be at least the initial delay, 2s; lengthen it, or \
                    shorten initial_delay";
        assert_eq!(wrong, Err(vec![said.to_owned()]));
        // What was meant for the first one nobody knows.
        let wrong = read(&[("initial_delay", text("soon")), ("max_delay", text("10ms"))]);
        assert_eq!(wrong.expect_err("one is wrong").len(), 1);
    }
}
