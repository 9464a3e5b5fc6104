//! What an error says about the callee.

use std::any::Any;
use std::error::Error;
use std::{fmt, io};

use breaker_core::{FailureKind, Outcome, Rejected};

use crate::BoxError;
#[cfg(feature = "reqwest-0-13")]
pub(crate) use crate::reqwest_0_13 as client;

/// What an error says about the callee, found in the error and its sources.
///
/// The first of these that is there decides:
/// 1. a [`Rejected`]: the call was not made, so it is ignored; or it [was
///    made](Rejected::was_made) and given up on, a [`FailureKind::Timeout`];
/// 2. a [`Failed`], which names its kind;
/// 3. an HTTP status that a client turned into an error;
/// 4. a message that is known ([`FailureKind::from_message`]), or one that speaks of time;
/// 5. the kind of an [`io::Error`];
/// 6. else [`FailureKind::Connection`].
///
/// The message "invalid" is so vague that an [`io::Error`] of a telling kind goes before it: an
/// "invalid peer certificate" is the callee's fault.
#[must_use]
pub fn outcome_of_error(error: &(dyn Error + 'static)) -> Outcome {
    let mut failed = None;
    for link in chain(error) {
        if let Some(rejected) = link.downcast_ref::<Rejected>() {
            return rejected.outcome();
        }
        if failed.is_none() {
            failed = link.downcast_ref().map(|failed: &Failed| failed.kind);
        }
    }
    if let Some(kind) = failed {
        return Outcome::Failure(kind);
    }
    chain(error)
        .find_map(client::outcome)
        .unwrap_or_else(|| Outcome::Failure(kind_of_untyped(error)))
}

/// What an error of any type says: looks into those types that this crate knows.
pub(crate) fn outcome_of_any<E: 'static>(error: &E) -> Outcome {
    known(error).map_or(Outcome::Failure(FailureKind::Connection), outcome_of_error)
}

/// Whether an error of any type holds a refusal, as far as this crate can look into it.
pub(crate) fn is_refusal<E: 'static>(error: &E) -> bool {
    known(error).is_some_and(holds_refusal)
}

/// Whether the error or one of its sources says that the call was not made.
pub(crate) fn holds_refusal(error: &(dyn Error + 'static)) -> bool {
    Rejected::find(error).is_some_and(|rejected| !rejected.was_made())
}

/// The error, if its type is one of those that this crate knows.
pub(crate) fn known(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    if let Some(boxed) = error.downcast_ref::<BoxError>() {
        Some(&**boxed)
    } else if let Some(rejected) = error.downcast_ref::<Rejected>() {
        Some(rejected)
    } else if let Some(failed) = error.downcast_ref::<Failed>() {
        Some(failed)
    } else if let Some(io) = error.downcast_ref::<io::Error>() {
        Some(io)
    } else {
        client::error(error)
    }
}

/// An error that names its kind, for services that know better than their messages tell.
///
/// ```
/// # use breaker_core::{FailureKind, Outcome};
/// # use portcullis_http::{Failed, outcome_of_error};
/// let error = Failed::new(FailureKind::ResourceExhausted, "no connection left in the pool");
/// let outcome = Outcome::Failure(FailureKind::ResourceExhausted);
/// assert_eq!(outcome_of_error(&error), outcome);
/// ```
#[derive(Debug)]
pub struct Failed {
    kind: FailureKind,
    source: BoxError,
}

impl Failed {
    /// An error of this kind, because of `source`.
    #[must_use]
    pub fn new(kind: FailureKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: source.into() }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call failed: {}", self.kind)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

pub(crate) fn chain<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&link| match link.downcast_ref::<io::Error>() {
        // Its `source` skips the error that it was made from.
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => link.source(),
    })
}

fn kind_of_untyped(error: &(dyn Error + 'static)) -> FailureKind {
    let mut vague = None;
    for link in chain(error) {
        match kind_of_message(&link.to_string()) {
            Some(kind @ FailureKind::InvalidRequest) => vague = Some(kind),
            Some(kind) => return kind,
            None => (),
        }
    }
    let io = chain(error)
        .filter_map(|link| link.downcast_ref::<io::Error>())
        .find_map(|error| kind_of_io(error.kind()));
    io.or(vague).unwrap_or(FailureKind::Connection)
}

fn kind_of_message(message: &str) -> Option<FailureKind> {
    // The timeouts of tower, tokio, hyper and reqwest, none of whose types can be named here.
    const TIMEOUTS: [&str; 3] = ["timed out", "deadline has elapsed", "deadline exceeded"];

    match FailureKind::from_message(message) {
        // "invalid HTTP version parsed" and its like are hyper's words for a broken answer.
        Some(FailureKind::InvalidRequest) if message.ends_with(" parsed") => None,
        Some(kind) => Some(kind),
        None => {
            let message = message.to_ascii_lowercase();
            let timeout = TIMEOUTS.iter().any(|text| message.contains(text));
            timeout.then_some(FailureKind::Timeout)
        }
    }
}

const fn kind_of_io(kind: io::ErrorKind) -> Option<FailureKind> {
    match kind {
        // Says nothing about what is inside.
        io::ErrorKind::Other => None,
        io::ErrorKind::TimedOut => Some(FailureKind::Timeout),
        io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some(FailureKind::ResourceExhausted)
        }
        io::ErrorKind::InvalidInput => Some(FailureKind::InvalidRequest),
        _ => Some(FailureKind::Connection),
    }
}

/// Stands in for the module of a client where no client was asked for.
#[cfg(not(feature = "reqwest-0-13"))]
pub(crate) mod client {
    use std::any::Any;
    use std::error::Error;

    use breaker_core::Outcome;

    pub(crate) const fn outcome(_: &(dyn Error + 'static)) -> Option<Outcome> {
        None
    }

    pub(crate) const fn is_unsent(_: &(dyn Error + 'static)) -> bool {
        false
    }

    pub(crate) const fn error(_: &dyn Any) -> Option<&(dyn Error + 'static)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use breaker_core::{Name, Reason};

    use super::*;

    /// An error with a message and, perhaps, a source.
    #[derive(Debug)]
    struct Link(&'static str, Option<BoxError>);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as &(dyn Error + 'static))
        }
    }

    fn boxed(message: &'static str, source: impl Into<BoxError>) -> BoxError {
        Link(message, Some(source.into())).into()
    }

    fn rejected() -> Rejected {
        Rejected::new(Name::new("payments"), Reason::Open)
    }

    fn failure(error: &BoxError) -> FailureKind {
        match outcome_of_any(error) {
            Outcome::Failure(kind) => kind,
            other => panic!("{other:?}"),
        }
    }

    // S-CORE-08, S-CORE-09: a refusal is no evidence, wherever in the chain it is.
    #[test]
    fn a_refusal_is_ignored_wherever_it_is() {
        assert_eq!(outcome_of_any(&rejected()), Outcome::Ignored);
        let deep = boxed("timed out", boxed("rate limit", rejected()));
        assert_eq!(outcome_of_any(&deep), Outcome::Ignored);
        let kind = Failed::new(FailureKind::Internal, rejected());
        assert_eq!(outcome_of_any(&kind), Outcome::Ignored);
        assert_eq!(outcome_of_any(&io::Error::other(deep)), Outcome::Ignored);
        assert_eq!(outcome_of_any(&io::Error::other(rejected())), Outcome::Ignored);
    }

    // S-CORE-08: a timeout travels as a refusal does, but the call was made.
    #[test]
    fn a_timeout_is_a_failure_and_no_refusal_wherever_it_is() {
        let timeout = Rejected::new(Name::new("payments"), Reason::TimedOut);
        let late = Rejected::new(Name::new("payments"), Reason::DeadlinePassed);
        for (rejected, outcome) in
            [(timeout, Outcome::Failure(FailureKind::Timeout)), (late, Outcome::Ignored)]
        {
            let refused = outcome == Outcome::Ignored;
            let deep = boxed("rate limit", boxed("invalid", rejected));
            assert_eq!(outcome_of_any(&rejected), outcome);
            assert_eq!(outcome_of_any(&deep), outcome);
            assert_eq!((is_refusal(&rejected), is_refusal(&deep)), (refused, refused));
            let wrapped = io::Error::other(Failed::new(FailureKind::Internal, rejected));
            assert_eq!((outcome_of_any(&wrapped), is_refusal(&wrapped)), (outcome, refused));
        }
    }

    // S-CORE-08
    #[test]
    fn a_named_kind_goes_before_every_message() {
        let error = Failed::new(FailureKind::RateLimited, io::Error::other("timed out"));
        assert_eq!(error.kind(), FailureKind::RateLimited);
        assert_eq!(failure(&boxed("connection refused", error)), FailureKind::RateLimited);
    }

    // S-CORE-08: the patterns of the catalogue, and the words of well-known timeouts.
    #[test]
    fn messages_tell_the_kind() {
        for (message, kind) in [
            ("Rate Limit reached", FailureKind::RateLimited),
            ("429 Too Many Requests", FailureKind::RateLimited),
            ("RESOURCE EXHAUSTED", FailureKind::ResourceExhausted),
            ("out of memory", FailureKind::ResourceExhausted),
            ("tcp: Connection refused", FailureKind::Connection),
            ("invalid uri", FailureKind::InvalidRequest),
            ("invalid HTTP version parsed", FailureKind::Connection),
            ("request timed out", FailureKind::Timeout),
            ("Deadline has elapsed", FailureKind::Timeout),
            ("deadline exceeded", FailureKind::Timeout),
            ("something broke", FailureKind::Connection),
        ] {
            assert_eq!(failure(&message.into()), kind, "{message}");
            assert_eq!(failure(&boxed("client error", message)), kind, "{message}");
        }
    }

    // S-CORE-08
    #[test]
    fn a_precise_message_is_not_hidden_by_a_broad_type() {
        let limited = io::Error::other("rate limit");
        assert_eq!(failure(&boxed("invalid", limited)), FailureKind::RateLimited);
        let aborted = io::Error::new(io::ErrorKind::ConnectionAborted, "out of memory");
        assert_eq!(failure(&aborted.into()), FailureKind::ResourceExhausted);
    }

    // S-CORE-08
    #[test]
    fn kinds_of_io_tell_the_kind() {
        for (io, kind) in [
            (io::ErrorKind::TimedOut, FailureKind::Timeout),
            (io::ErrorKind::ConnectionRefused, FailureKind::Connection),
            (io::ErrorKind::ConnectionReset, FailureKind::Connection),
            (io::ErrorKind::BrokenPipe, FailureKind::Connection),
            (io::ErrorKind::UnexpectedEof, FailureKind::Connection),
            (io::ErrorKind::StorageFull, FailureKind::ResourceExhausted),
            (io::ErrorKind::InvalidInput, FailureKind::InvalidRequest),
        ] {
            assert_eq!(outcome_of_any(&io::Error::from(io)), Outcome::Failure(kind), "{io}");
            let opaque = io::Error::new(io, "opaque");
            assert_eq!(failure(&boxed("client error", opaque)), kind, "{io}");
        }
        let certificate = io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate");
        assert_eq!(failure(&certificate.into()), FailureKind::Connection);
        assert_eq!(failure(&io::Error::other("invalid uri").into()), FailureKind::InvalidRequest);
    }

    #[test]
    fn an_error_of_an_unknown_type_is_a_connection_failure() {
        assert_eq!(outcome_of_any(&"text"), Outcome::Failure(FailureKind::Connection));
        assert_eq!(
            outcome_of_any(&Link("timed out", None)),
            Outcome::Failure(FailureKind::Connection)
        );
    }
}
