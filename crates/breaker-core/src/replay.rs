//! Can this request be sent again, and may it? [`Replay`], [`About`], [`Verb`].

use crate::deadline::Deadline;
use crate::priority::Priority;
use crate::retry_path::RetryPath;

/// Can a request be sent again, and may it?
///
/// It is asked for each request before it is sent. What was kept makes further attempts; where
/// nothing could be kept, the request is sent once.
///
/// A closure `Fn(&Req) -> Option<Req>` that clones a request answers it, for requests that may be
/// made twice; so does [`Cloned`], for all requests that are `Clone`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot send a request `{Req}` again",
    note = "a request of `http` whose body is no `Clone` is kept while it is being sent: \
            `.replay(replay::bodies(Body::new))`, with what makes your body out of any other",
    note = "for a service that is not HTTP: make the layer by its `generic(config)`; \
            for a rule of your own: `.clone_request_fn(|request: &Req| ..)`"
)]
pub trait Replay<Req> {
    /// What is kept of a request while it is on its way.
    type Kept;

    /// Keeps what further attempts need; `None` where there can be none.
    fn keep(&self, request: &mut Req) -> Option<Self::Kept>;

    /// The request once more, as the attempt of this number; `None` where that cannot be, because
    /// its body is gone.
    fn again(&self, kept: &Self::Kept, attempt: u32) -> Option<Req>;

    /// What there is to know of a request before it is repeated; asked when an attempt has failed.
    fn about(&self, kept: &Self::Kept) -> About {
        let _ = kept;
        About::here()
    }
}

/// What there is to know of a request before it is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct About {
    /// Whether it may be made twice.
    pub idempotent: bool,
    /// What it does, where that is known.
    pub verb: Option<Verb>,
    /// How important it is, where that is known.
    pub priority: Option<Priority>,
    /// Until when the answer is of use, where that is known.
    pub deadline: Option<Deadline>,
    /// Whether somebody else repeats it: it came as a repetition, or with the wish not to be.
    pub repeated_elsewhere: bool,
}

impl About {
    /// It may be made twice, and nothing else is known.
    pub const fn new() -> Self {
        Self {
            idempotent: true,
            verb: None,
            priority: None,
            deadline: None,
            repeated_elsewhere: false,
        }
    }

    /// It may be made twice, and what is known is what holds around the call that makes it: its
    /// priority, its deadline, and who retries it.
    pub fn here() -> Self {
        Self {
            priority: Priority::current(),
            deadline: Deadline::current(),
            repeated_elsewhere: RetryPath::current().is_some_and(|path| !path.may_retry()),
            ..Self::new()
        }
    }
}

impl Default for About {
    fn default() -> Self {
        Self::new()
    }
}

/// What a request does, by the method of HTTP.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Verb {
    /// Reads.
    Get,
    /// Reads the head.
    Head,
    /// Asks what can be done.
    Options,
    /// Puts something in its place.
    Put,
    /// Removes something.
    Delete,
    /// Does something.
    Post,
    /// Changes something.
    Patch,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Get, Self::Head, Self::Options, Self::Put, Self::Delete, Self::Post, Self::Patch];

    /// The method, in capital letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Post => "POST",
            Self::Patch => "PATCH",
        }
    }

    /// The verb of a method, in capital letters as HTTP has them.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == method)
    }

    /// Its place in [`Verb::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether doing it twice is the same as doing it once (RFC 9110, 9.2.2).
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch)
    }
}

/// Sends clones, for requests that may be made twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cloned;

impl<Req: Clone> Replay<Req> for Cloned {
    type Kept = Req;

    #[inline]
    fn keep(&self, request: &mut Req) -> Option<Req> {
        Some(request.clone())
    }

    fn again(&self, kept: &Req, _: u32) -> Option<Req> {
        Some(kept.clone())
    }
}

#[diagnostic::do_not_recommend]
impl<F, Req> Replay<Req> for F
where
    F: Fn(&Req) -> Option<Req>,
{
    type Kept = Req;

    fn keep(&self, request: &mut Req) -> Option<Req> {
        self(request)
    }

    fn again(&self, kept: &Req, _: u32) -> Option<Req> {
        self(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_listed_by_their_numbers_and_read_by_their_names() {
        for (number, verb) in Verb::ALL.into_iter().enumerate() {
            assert_eq!(verb.index(), number);
            assert_eq!(Verb::of(verb.as_str()), Some(verb));
        }
        assert_eq!(Verb::of("get"), None);
        let twice: Vec<_> = Verb::ALL.into_iter().filter(|verb| !verb.is_idempotent()).collect();
        assert_eq!(twice, [Verb::Post, Verb::Patch]);
    }

    #[test]
    fn a_closure_that_clones_replays() {
        let even = |number: &u32| (number % 2 == 0).then_some(*number);
        assert_eq!(Replay::keep(&even, &mut 2), Some(2));
        assert_eq!(Replay::keep(&even, &mut 3), None);
        assert_eq!(Replay::<u32>::about(&even, &2), About::new());
    }
}
