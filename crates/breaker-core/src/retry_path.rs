//! Who retries, of all who could along the path of a call: [`RetryPath`].

use std::cell::Cell;

/// What the layers of one process know of the attempts that are made for a call elsewhere.
///
/// Where three tiers make three attempts each, the last one sees 27. So one of them retries: the one
/// next to the failure, while nobody above does. A server reads from a request whether it is a
/// repetition, and keeps it [around](Self::scope) the call; whoever could retry inside asks
/// [`may_retry`](Self::may_retry), and says when its attempts were [in vain](Self::spend), so that
/// those above do not begin them anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPath {
    attempt: u32,
    forbidden: bool,
    spent: bool,
}

impl RetryPath {
    /// A call that is the attempt of this number of somebody above; the first is 1.
    #[must_use]
    pub const fn attempt(number: u32) -> Self {
        Self { attempt: number, forbidden: false, spent: false }
    }

    /// The same, of somebody who does not want others to retry.
    #[must_use]
    pub const fn forbid(mut self) -> Self {
        self.forbidden = true;
        self
    }

    /// The number of the attempt above.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.attempt
    }

    /// Whether those inside may retry: it is the first attempt, and nobody above forbids it.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        self.attempt <= 1 && !self.forbidden
    }

    /// Whether attempts were made inside, in vain.
    #[must_use]
    pub const fn is_spent(self) -> bool {
        self.spent
    }

    /// That of the call which is being polled on this thread.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }

    /// Says that attempts were made for the call that is being polled, and that they were in vain.
    pub fn spend() {
        if let Some(path) = CURRENT.get() {
            CURRENT.set(Some(Self { spent: true, ..path }));
        }
    }

    /// Runs a part of a call on this path, and takes in what is said within.
    pub fn scope<T>(&mut self, part: impl FnOnce() -> T) -> T {
        let _restore = Restore { before: CURRENT.replace(Some(*self)), path: self };
        part()
    }
}

thread_local! {
    static CURRENT: Cell<Option<RetryPath>> = const { Cell::new(None) };
}

/// Puts back what was there before, also after a panic.
struct Restore<'p> {
    before: Option<RetryPath>,
    path: &'p mut RetryPath,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        if let Some(path) = CURRENT.replace(self.before) {
            *self.path = path;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_first_attempt_that_nobody_forbids_may_be_repeated_inside() {
        assert!(RetryPath::attempt(1).may_retry());
        assert!(!RetryPath::attempt(1).forbid().may_retry());
        assert!(!RetryPath::attempt(2).may_retry());
    }

    #[test]
    fn what_is_said_inside_is_known_outside_and_no_further() {
        let mut outer = RetryPath::attempt(1);
        let mut inner = RetryPath::attempt(1);
        outer.scope(|| inner.scope(RetryPath::spend));
        assert!(inner.is_spent() && !outer.is_spent());
        assert_eq!(RetryPath::current(), None);
        RetryPath::spend();
        assert_eq!(RetryPath::current(), None);
    }
}
