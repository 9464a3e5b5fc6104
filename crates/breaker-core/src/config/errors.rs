//! What is wrong with a configuration: all of it at once.

use std::error::Error;
use std::fmt;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain texts")]
pub struct ConfigError {
    /// Where: the path of the field.
    pub path: String,
    /// What stands there.
    pub value: String,
    /// What may stand there.
    pub allowed: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, value, allowed, fix } = self;
        write!(f, "{path} = {value}: must be {allowed}; {fix}")
    }
}

impl Error for ConfigError {}

/// All that is wrong with a configuration, at least one thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(crate) const fn new(errors: Vec<ConfigError>) -> Self {
        Self(errors)
    }

    /// The problems as an error, if there are any.
    ///
    /// # Errors
    /// All of them.
    pub fn check(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// The problems, in the order of the fields.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem(s) in the configuration", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl Error for ConfigErrors {}
