//! What becomes of a case: [`Verdict`], and the [`Mismatch`] that makes it a failure.

use std::fmt;

/// What became of a case, or of a file that holds cases.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// All that was expected was seen.
    Pass,
    /// A variant of another system whose result is ours, too.
    SameResult,
    /// Something else was seen, or the case cannot be understood.
    Fail(String),
    /// Another system does this on purpose; the sentence says what we do.
    Variant(String),
    /// The case is wrong; the sentence says where.
    Disputed(String),
    /// There is no such component.
    Skip(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("PASS"),
            Self::SameResult => f.write_str("PASS (variant: same result)"),
            Self::Fail(why) => write!(f, "FAIL {why}"),
            Self::Variant(ours) => write!(f, "VARIANT {ours}"),
            Self::Disputed(why) => write!(f, "DISPUTED {why}"),
            Self::Skip(why) => write!(f, "SKIP {why}"),
        }
    }
}

/// What was expected, and what stood there instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mismatch {
    expected: String,
    got: String,
    step: Option<usize>,
}

impl Mismatch {
    pub(crate) fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { expected: expected.into(), got: one_line(&got.into()), step: None }
    }

    /// A word of the format that this suite does not know.
    pub(crate) fn unknown(what: &str, got: &str) -> Self {
        Self::new(format!("a known {what}"), format!("`{got}`"))
    }

    /// Something that the case asks for and we do not have.
    pub(crate) fn not_offered(what: &str) -> Self {
        Self::new(what, "nothing of the kind: it is not offered")
    }

    /// The same, for step number `step`; one that names a step already keeps it.
    pub(crate) fn at(mut self, step: usize) -> Self {
        self.step.get_or_insert(step);
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} got {}", self.expected, self.got)?;
        self.step.map_or(Ok(()), |step| write!(f, " (step {step})"))
    }
}

/// A verdict takes one line.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
