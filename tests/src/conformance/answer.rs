//! What was seen, and whether it is what a case expects: [`Seen`].

use std::fmt;
use std::time::Duration;

use breaker_core::{State, Tick};
use serde_json::{Map, Value};

use super::case::Manner;
use super::component::Subject;
use super::fields::show;
use super::verdict::Mismatch;

/// Something that a case can expect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    State(State),
    Flag(bool),
    /// `None` is null.
    Number(Option<f64>),
    /// A share of the calls; without a call it is null, or zero.
    Rate(Option<f64>),
    Numbers(Vec<f64>),
    /// Of which only the first ones are expected.
    Beginning(Vec<f64>),
    /// What is said of it in words, each of which can be expected.
    OneOf(Vec<&'static str>),
    /// Of which only the least that it may be is expected.
    AtLeast(f64),
    /// Of which only the most is.
    AtMost(f64),
    /// Who it is, in order; or how many.
    Ids(Vec<Value>),
    /// The answers of the step, in order.
    Answers(Vec<Answer>),
    /// A moment; the end of time can be expected in words.
    Moment(Option<Tick>),
}

/// What somebody who asked was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Admitted,
    Refused {
        retry_after: Option<Duration>,
    },
    /// An order that was followed.
    Done,
    /// An order to take an edge that does not exist.
    Illegal,
}

/// Compares all that is expected of one step, and says how many comparisons that were.
pub(crate) fn compare(
    subject: &mut dyn Subject,
    expected: &Map<String, Value>,
    manner: Manner<'_>,
) -> Result<usize, Mismatch> {
    let tolerance = match expected.get("tolerance") {
        None => None,
        Some(value) => Some(value.as_f64().ok_or_else(|| Mismatch::new("a number", show(value)))?),
    };
    let compared = expected.iter().filter(|(key, _)| {
        !matches!(key.as_str(), "step" | "tolerance") && !manner.leaves_out_expectation(key)
    });
    let mut count = 0;
    for (key, value) in compared {
        let seen = subject.seen(key)?;
        if !seen.is(value, tolerance) {
            return Err(Mismatch::new(format!("{key} {}", show(value)), seen.to_string()));
        }
        count += 1;
    }
    Ok(count)
}

impl Seen {
    pub(crate) fn count(count: impl Into<u64>) -> Self {
        Self::Number(Some(count.into() as f64))
    }

    pub(crate) fn millis(duration: Option<Duration>) -> Self {
        Self::Number(duration.map(|duration| duration.as_nanos() as f64 / 1e6))
    }

    fn is(&self, expected: &Value, tolerance: Option<f64>) -> bool {
        match self {
            Self::State(state) => expected.as_str().and_then(state_of) == Some(*state),
            Self::Flag(flag) => expected.as_bool() == Some(*flag),
            Self::Number(None) => expected.is_null(),
            Self::Number(Some(number)) => is_number(expected, *number, tolerance),
            Self::Rate(None) => expected.is_null() || expected.as_f64() == Some(0.0),
            Self::Rate(Some(rate)) => is_number(expected, *rate, tolerance),
            Self::Numbers(numbers) => expected.as_array().is_some_and(|expected| {
                let pairs = || expected.iter().zip(numbers);
                expected.len() == numbers.len() && pairs().all(|(e, n)| is_number(e, *n, tolerance))
            }),
            Self::Beginning(numbers) => expected.as_array().is_some_and(|expected| {
                let mut pairs = expected.iter().zip(numbers);
                expected.len() <= numbers.len() && pairs.all(|(e, n)| is_number(e, *n, tolerance))
            }),
            Self::OneOf(words) => expected.as_str().is_some_and(|word| words.contains(&word)),
            Self::AtLeast(number) => expected.as_f64().is_some_and(|least| *number >= least),
            Self::AtMost(number) => expected.as_f64().is_some_and(|most| *number <= most),
            Self::Ids(ids) => match expected {
                Value::Array(expected) => expected == ids,
                other => is_number(other, ids.len() as f64, tolerance),
            },
            Self::Answers(answers) => is_answered(expected, answers),
            Self::Moment(None) => expected.is_null(),
            Self::Moment(Some(moment)) => match expected.as_str() {
                Some(words) => words.contains("maximum instant") && *moment == Tick::MAX,
                None => is_number(expected, moment.as_nanos() as f64 / 1e6, tolerance),
            },
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => state.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(Some(number)) | Self::Rate(Some(number)) => number.fmt(f),
            Self::Number(None) | Self::Rate(None) | Self::Moment(None) => f.write_str("null"),
            Self::AtLeast(number) | Self::AtMost(number) => number.fmt(f),
            Self::Ids(ids) => f.write_str(&show(&Value::from(ids.clone()))),
            Self::Numbers(numbers) | Self::Beginning(numbers) => write!(f, "{numbers:?}"),
            Self::OneOf(words) => write!(f, "{words:?}"),
            Self::Answers(answers) => write!(f, "{answers:?}"),
            Self::Moment(Some(moment)) => write!(f, "{} ns", moment.as_nanos()),
        }
    }
}

/// The state with this name in a case.
pub(crate) fn state_of(word: &str) -> Option<State> {
    match word {
        "isolated" => Some(State::ForcedOpen),
        _ => State::ALL.into_iter().find(|state| state.as_str() == word),
    }
}

/// True asks for each answer of the step, everything else for the last one.
fn is_answered(expected: &Value, answers: &[Answer]) -> bool {
    let Some(last) = answers.last() else { return false };
    match expected {
        Value::Bool(true) => {
            answers.iter().all(|answer| matches!(answer, Answer::Admitted | Answer::Done))
        }
        Value::Bool(false) => matches!(last, Answer::Refused { .. }),
        Value::String(word) => word == "illegal" && *last == Answer::Illegal,
        _ => false,
    }
}

/// Within a millionth, within the tolerance, or equal in all decimals that are written, of which
/// there are two at least: one decimal is a number such as 0.5, and no rounded one.
fn is_number(expected: &Value, got: f64, tolerance: Option<f64>) -> bool {
    let Some(number) = expected.as_f64() else { return false };
    let distance = (number - got).abs();
    let written = expected.to_string();
    let decimals = written.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let rounds = match (tolerance, decimals) {
        (Some(tolerance), _) => tolerance,
        (None, 2..=9) if !written.contains('e') => 0.5 * 10_f64.powi(-(decimals as i32)),
        _ => 0.0,
    };
    // The last term is what a sum of floats may be off.
    distance <= rounds.max(1e-6) + 1e-12
}
