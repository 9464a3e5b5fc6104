//! How important a call is: [`Priority`], [`Class`], [`Prioritize`].

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use crate::scope::scoped;

/// How important a call is: a level in 0..=100, of which the larger is the more important.
///
/// Five levels have names; all others are a user's own, and belong to the [`Class`] of the named
/// level below them.
///
/// ```
/// use breaker_core::{Class, Priority};
///
/// const INTERACTIVE: Priority = Priority::new(80);
/// assert!(Priority::HIGH < INTERACTIVE && INTERACTIVE < Priority::CRITICAL);
/// assert_eq!(INTERACTIVE.class(), Class::High);
/// assert_eq!("low".parse(), Ok(Priority::LOW));
/// assert_eq!("75".parse(), Ok(Priority::HIGH));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Priority(u8);

impl Priority {
    /// What must not fail while anything works: 100.
    pub const CRITICAL: Self = Self(100);
    /// What a person waits for: 75.
    pub const HIGH: Self = Self(75);
    /// Everything that says nothing else: 50, the default.
    pub const NORMAL: Self = Self(50);
    /// What may be late: 25.
    pub const LOW: Self = Self(25);
    /// What may be left out: 0.
    pub const BULK: Self = Self(0);

    /// The level of this number.
    ///
    /// # Panics
    /// When `level` is above 100; in a constant this is a compile error.
    #[must_use]
    pub const fn new(level: u8) -> Self {
        match Self::checked(level) {
            Some(priority) => priority,
            None => panic!("a priority is a level in 0..=100"),
        }
    }

    /// The level of this number, if it is one of 0..=100.
    #[must_use]
    pub const fn checked(level: u8) -> Option<Self> {
        if level <= 100 { Some(Self(level)) } else { None }
    }

    /// The number of the level.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }

    /// The class that the level belongs to.
    #[must_use]
    pub const fn class(self) -> Class {
        match self.0 {
            0..=24 => Class::Bulk,
            25..=49 => Class::Low,
            50..=74 => Class::Normal,
            75..=99 => Class::High,
            _ => Class::Critical,
        }
    }

    /// Whether it is one of the five levels that have a name.
    #[must_use]
    pub const fn is_named(self) -> bool {
        self.0 == self.class().priority().0
    }

    /// The priority of the call that is being polled on this thread, where a layer has said so; see
    /// [`scope`](Self::scope). A task that was spawned meanwhile does not have it.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }

    /// Runs a part of a call whose priority this is: [`current`](Self::current) tells it within.
    pub fn scope<T>(self, part: impl FnOnce() -> T) -> T {
        scoped(&CURRENT, self, part)
    }
}

thread_local! {
    static CURRENT: Cell<Option<Priority>> = const { Cell::new(None) };
}

/// [`Priority::NORMAL`].
impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// The name of the level, or its number.
impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_named() { f.write_str(self.class().as_str()) } else { write!(f, "{}", self.0) }
    }
}

/// The text is neither a level in 0..=100 nor one of `critical`, `high`, `normal`, `low`, `bulk`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidPriority;

impl fmt::Display for InvalidPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a priority is a number in 0..=100, or one of critical, high, normal, low, bulk",
        )
    }
}

impl std::error::Error for InvalidPriority {}

/// Reads a number or a name, in upper or lower case.
impl FromStr for Priority {
    type Err = InvalidPriority;

    fn from_str(text: &str) -> Result<Self, InvalidPriority> {
        let named = Class::ALL.into_iter().find(|class| class.as_str().eq_ignore_ascii_case(text));
        if let Some(class) = named {
            return Ok(class.priority());
        }
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let level = if digits { text.parse().ok() } else { None };
        level.and_then(Self::checked).ok_or(InvalidPriority)
    }
}

/// The five classes of calls, the least important first. They have slots of their own, and they
/// label events: there are never more than five labels.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Class {
    /// The levels 0..=24.
    Bulk,
    /// The levels 25..=49.
    Low,
    /// The levels 50..=74.
    Normal,
    /// The levels 75..=99.
    High,
    /// The level 100.
    Critical,
}

impl Class {
    /// All classes, the least important first.
    pub const ALL: [Self; 5] = [Self::Bulk, Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The level that has the name of the class, the lowest in it.
    #[must_use]
    pub const fn priority(self) -> Priority {
        match self {
            Self::Bulk => Priority::BULK,
            Self::Low => Priority::LOW,
            Self::Normal => Priority::NORMAL,
            Self::High => Priority::HIGH,
            Self::Critical => Priority::CRITICAL,
        }
    }

    /// The name of the class, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Its place in [`Class::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How important is this request?
///
/// Closures `Fn(&Req) -> Option<Priority>` answer it; a request without an answer is
/// [`Priority::NORMAL`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know how important the request `{Req}` is",
    note = "a closure `|request: &Request<Body>| -> Option<Priority>` goes to `.priority_fn(..)`; \
            the default reads requests of `http`"
)]
pub trait Prioritize<Req> {
    /// The priority of this request, if it has one.
    fn priority(&self, request: &Req) -> Option<Priority>;

    /// Writes down in the request how important it is, for whoever is further in; by default
    /// nothing.
    fn mark(&self, request: &mut Req, priority: Priority) {
        let _ = (request, priority);
    }
}

#[diagnostic::do_not_recommend]
impl<F, Req> Prioritize<Req> for F
where
    F: Fn(&Req) -> Option<Priority>,
{
    fn priority(&self, request: &Req) -> Option<Priority> {
        self(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-PRIO-01
    #[test]
    fn each_level_belongs_to_the_named_one_below_it() {
        for level in 0..=100 {
            let priority = Priority::new(level);
            let named = Class::ALL.into_iter().rev().find(|class| class.priority() <= priority);
            assert_eq!(Some(priority.class()), named);
        }
        assert_eq!(Class::ALL.map(|class| class.priority().level()), [0, 25, 50, 75, 100]);
        assert_eq!(Class::ALL.map(Class::index), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn names_and_numbers_are_read_and_nonsense_is_not() {
        for (text, level) in [("CRITICAL", 100), ("High", 75), ("0", 0), ("007", 7), ("100", 100)] {
            assert_eq!(text.parse::<Priority>().map(Priority::level), Ok(level), "{text}");
        }
        for text in ["", "101", "-1", "+5", "5.0", " 5", "highest", "99999999999999999999", "٣"] {
            assert_eq!(text.parse::<Priority>(), Err(InvalidPriority), "{text}");
        }
        for class in Class::ALL {
            assert_eq!(class.priority().to_string().parse(), Ok(class.priority()));
        }
        assert_eq!(Priority::new(80).to_string(), "80");
    }

    #[test]
    fn a_scope_ends_also_by_a_panic() {
        assert_eq!(Priority::current(), None);
        let inner = Priority::LOW.scope(|| Priority::HIGH.scope(Priority::current));
        assert_eq!(inner, Some(Priority::HIGH));
        let panicked = std::panic::catch_unwind(|| Priority::LOW.scope(|| panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(Priority::current(), None);
    }
}
