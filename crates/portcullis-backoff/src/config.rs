//! The configuration of retries: plain data whose leaves cannot be wrong.

/// How often, and when, a call that failed is made again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct BackoffConfig {}
