//! What an answer or an error says about another attempt.

mod quota;

use std::error::Error;
use std::io;
use std::time::Duration;

use breaker_core::{Advice, FailureKind, Outcome, Rejected};
use http::{HeaderMap, HeaderValue};

use crate::classify::Head;
use crate::error::{chain, client, known, outcome_of_error};
use crate::grpc::PushBack;
use crate::replay::X_SHOULD_RETRY;
use crate::terms::{Again, terms};
use crate::{MAX_RETRY_AFTER, grpc, retry_after};

/// What the head of a failure says.
///
/// Of the waits, the first that is there counts: the one that was put into the extensions,
/// `Retry-After`, the push-back of gRPC, its RetryInfo, and the quota that is used up.
pub(crate) fn of_head(head: &Head<'_>) -> Advice {
    let mut advice = match head.extensions.get::<Rejected>() {
        Some(rejected) if !rejected.was_made() => return of_refusal(rejected, head.headers),
        _ => head.extensions.get().map_or(Advice::NONE, |&kind: &FailureKind| Advice::of(kind)),
    };
    let push_back = grpc::push_back(head.headers);
    advice.never = push_back == PushBack::Never || forbids(head.headers);
    advice.wait = advice.wait.or_else(|| wait_in(head.headers, push_back)).map(capped);
    advice
}

/// What an error of any type says: looks into those types that this crate knows.
pub(crate) fn of_any<E: 'static>(error: &E) -> Advice {
    known(error).map_or(Advice::NONE, of_error)
}

/// What an error says, found in it and its sources.
pub(crate) fn of_error(error: &(dyn Error + 'static)) -> Advice {
    match Rejected::find(error) {
        Some(rejected) if rejected.was_made() => Advice::NONE,
        Some(rejected) => of_refusal(rejected, &HeaderMap::new()),
        None => {
            let mut advice = match outcome_of_error(error) {
                Outcome::Failure(kind) => Advice::of(kind),
                Outcome::Success | Outcome::Ignored => Advice::NONE,
            };
            advice.unsent = chain(error).any(is_unsent);
            advice
        }
    }
}

/// The wait is our own, so it is believed as it is.
fn of_refusal(rejected: &Rejected, headers: &HeaderMap) -> Advice {
    let mut advice = Advice::NONE;
    advice.wait = rejected.retry_after();
    advice.never = terms(rejected.reason()).again == Again::Never || forbids(headers);
    advice.unsent = true;
    advice
}

fn wait_in(headers: &HeaderMap, push_back: PushBack) -> Option<Duration> {
    let pushed = || match push_back {
        PushBack::After(wait) => Some(wait),
        PushBack::Never | PushBack::Unsaid => None,
    };
    retry_after(headers)
        .or_else(pushed)
        .or_else(|| grpc::hints(headers).retry_delay)
        .or_else(|| quota::wait(headers))
}

fn capped(wait: Duration) -> Duration {
    wait.min(MAX_RETRY_AFTER)
}

/// Whether the headers of a request or an answer ask for no further attempts.
pub(crate) fn forbids(headers: &HeaderMap) -> bool {
    let is_false =
        |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"false");
    headers.get_all(X_SHOULD_RETRY).iter().any(is_false)
}

/// Whether this error comes up only before a request is sent.
///
/// A host or a network that cannot be reached is not among them by itself: of a connection that
/// was there, the system says the same when its packets get lost. Beneath one of the messages it is.
fn is_unsent(link: &(dyn Error + 'static)) -> bool {
    const REFUSED: [io::ErrorKind; 2] =
        [io::ErrorKind::ConnectionRefused, io::ErrorKind::AddrNotAvailable];

    let io = link.downcast_ref::<io::Error>();
    io.is_some_and(|error| REFUSED.contains(&error.kind()))
        || client::is_unsent(link)
        || is_unsent_by_message(&link.to_string())
}

/// The words of hyper-util, tonic and h2, none of whose types can be named here.
fn is_unsent_by_message(message: &str) -> bool {
    const CONNECT: [&str; 3] = ["client error (Connect)", "tcp connect error", "dns error"];
    const REFUSED_STREAM: &str =
        "stream error received: refused stream before processing any application logic";

    CONNECT.iter().any(|text| message.starts_with(text)) || message == REFUSED_STREAM
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use breaker_core::{Name, Reason};

    use super::*;
    use crate::{BoxError, Failed};

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

    fn over(message: &'static str, source: impl Into<BoxError>) -> BoxError {
        Link(message, Some(source.into())).into()
    }

    fn alone(message: &'static str) -> BoxError {
        Link(message, None).into()
    }

    // S-RETRY-05: rule 5 lets such a call be made again whatever it does, so it has to be sure.
    #[test]
    fn a_call_is_unsent_if_there_was_no_connection() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for error in [
            refused().into(),
            over("transport error", over("tcp connect error", refused())),
            over("client error (Connect)", alone("unexpected EOF")),
            over("client error (Connect)", io::Error::from(io::ErrorKind::HostUnreachable)),
            over("transport error", over("dns error", alone("no such host"))),
            over("transport error", io::Error::from(io::ErrorKind::AddrNotAvailable)),
            over(
                "http2 error",
                alone(
                    "stream error received: refused stream before processing any application logic",
                ),
            ),
            Failed::new(FailureKind::Connection, refused()).into(),
            io::Error::other(refused()).into(),
        ] {
            assert!(of_any(&error).unsent, "{error:?}");
        }
    }

    // S-RETRY-05
    #[test]
    fn a_call_whose_connection_broke_may_have_arrived() {
        for kind in [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::TimedOut,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::NotFound,
            io::ErrorKind::NotConnected,
        ] {
            assert!(!of_any(&over("client error (SendRequest)", io::Error::from(kind))).unsent);
            assert!(!of_any(&io::Error::from(kind)).unsent, "{kind}");
        }
        for message in [
            "client error (SendRequest)",
            "client error (Canceled)",
            "stream error received: stream no longer needed",
            "stream error detected: refused stream before processing any application logic",
            "stream error sent by user: refused stream before processing any application logic",
            "the order says: tcp connect error",
            "connection refused",
        ] {
            assert!(!of_any(&alone(message)).unsent, "{message}");
        }
        assert_eq!(of_any(&"an error of an unknown type"), Advice::NONE);
    }

    // S-RETRY-05
    #[test]
    fn a_refusal_is_unsent_and_a_timeout_is_not() {
        let wait = Some(Duration::from_secs(7_200));
        let named = |reason| Rejected::new(Name::new("payments"), reason);
        let open = named(Reason::Open).with_retry_after(Duration::from_secs(7_200));
        for error in [BoxError::from(open), over("a", open), io::Error::other(open).into()] {
            let advice = of_any(&error);
            assert_eq!((advice.wait, advice.never, advice.unsent), (wait, false, true));
        }
        let too_large = of_any(&named(Reason::CostTooHigh));
        assert!(too_large.never && too_large.unsent, "no wait would help");
        assert_eq!(of_any(&over("client error (Connect)", named(Reason::TimedOut))), Advice::NONE);
    }

    #[test]
    fn a_named_kind_tells_its_wait() {
        let retry_after = Some(Duration::from_secs(2));
        let error = Failed::new(FailureKind::Overload { retry_after }, "busy");
        assert_eq!(of_any(&error).wait, retry_after);
        assert!(!of_any(&error).unsent);
    }
}
