//! The strategies by their names: [`DelayKind`].

use std::fmt;

/// A way to compute a delay.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DelayKind {
    /// Always the first delay.
    Fixed,
    /// The first delay times the number of the attempt.
    Linear,
    /// The first delay, then a factor longer each time.
    Exponential,
    /// The first delay times 1, 1, 2, 3, 5 and so on.
    Fibonacci,
    /// Anything up to the linear delay.
    Random,
    /// Anything up to the exponential delay.
    FullJitter,
    /// Anything between half the exponential delay and all of it.
    EqualJitter,
    /// Anything between the first delay and three times the one before, or the cap if that is less
    /// (Brooker, "Exponential Backoff and Jitter", 2015; but there what is drawn is cut to the cap,
    /// where clients meet then).
    Decorrelated,
    /// The exponential delay, longer by the share of the machine that is in use.
    ResourceSensitive,
    /// The time after which failures come back, and a tenth more each time.
    Pattern,
    /// A mean of the exponential, the Fibonacci and the decorrelated delay, weighted by how
    /// effective they are.
    Adaptive,
}

impl DelayKind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Fixed,
        Self::Linear,
        Self::Exponential,
        Self::Fibonacci,
        Self::Random,
        Self::FullJitter,
        Self::EqualJitter,
        Self::Decorrelated,
        Self::ResourceSensitive,
        Self::Pattern,
        Self::Adaptive,
    ];

    /// The name, as it is written in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Linear => "linear",
            Self::Exponential => "exponential",
            Self::Fibonacci => "fibonacci",
            Self::Random => "random",
            Self::FullJitter => "full_jitter",
            Self::EqualJitter => "equal_jitter",
            Self::Decorrelated => "decorrelated",
            Self::ResourceSensitive => "resource_sensitive",
            Self::Pattern => "pattern",
            Self::Adaptive => "adaptive",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Whether what it draws is spread already, and so gets no jitter.
    pub(crate) const fn is_spread(self) -> bool {
        matches!(self, Self::Random | Self::FullJitter | Self::EqualJitter | Self::Decorrelated)
    }
}

impl fmt::Display for DelayKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
