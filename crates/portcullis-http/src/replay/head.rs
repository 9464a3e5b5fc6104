//! What is kept of the head of a request, and what there is to know from it.

use breaker_core::{About, Priority, RetryPath, Verb};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request};

use crate::replay::{IDEMPOTENCY_KEY, X_RETRY_ATTEMPT};
use crate::retry_after::delta_seconds;
use crate::{advice, deadline, grpc};

/// The number of an attempt, in the extensions of a request that is sent again. A first attempt has
/// none.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Attempt(u32);

impl Attempt {
    /// The number; the first repetition is 2.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The mark of a request that may be made twice, whatever its method says: put it into the
/// extensions of the request.
///
/// ```
/// # use http::Request;
/// # use portcullis_http::replay::Idempotent;
/// let search = Request::post("/search").extension(Idempotent).body("a long query");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Idempotent;

/// What is kept of a request while it is on its way.
#[derive(Debug)]
pub struct Kept<T> {
    head: Parts,
    pub(super) body: T,
}

impl<T> Kept<T> {
    /// Keeps a copy of the head.
    pub(super) fn new<B>(request: &Request<B>, body: T) -> Self {
        let mut head = Request::new(()).into_parts().0;
        head.method = request.method().clone();
        head.uri = request.uri().clone();
        head.version = request.version();
        head.headers = request.headers().clone();
        head.extensions = request.extensions().clone();
        Self { head, body }
    }

    /// The request once more, with this body, as the attempt of this number.
    pub(super) fn again<B>(&self, body: B, attempt: u32) -> Request<B> {
        let mut head = self.head.clone();
        if attempt > 1 {
            number(&mut head.headers, attempt);
            head.extensions.insert(Attempt(attempt));
        }
        Request::from_parts(head, body)
    }

    pub(super) fn about(&self) -> About {
        about(&self.head.method, &self.head.headers, &self.head.extensions)
    }
}

/// Writes the number of a repetition.
pub(crate) fn number(headers: &mut HeaderMap, attempt: u32) {
    // It fails where there are thousands of headers already, of which no server takes as many.
    let _ = headers.try_insert(X_RETRY_ATTEMPT, HeaderValue::from(attempt));
}

/// The number of the attempt that these headers tell, the greatest of several; 1 where they tell
/// none.
pub(crate) fn number_in(headers: &HeaderMap) -> u32 {
    /// Policies make as many at most.
    const MOST: u64 = 100;

    let values = headers.get_all(X_RETRY_ATTEMPT).iter();
    let numbers = values.filter_map(|value| delta_seconds(value.as_bytes().trim_ascii()));
    // Less than 2^32 by then.
    numbers.max().unwrap_or(1).clamp(1, MOST) as u32
}

pub(crate) fn about(method: &Method, headers: &HeaderMap, extensions: &Extensions) -> About {
    let method = Some(method).filter(|_| !grpc::is_grpc(headers));
    let extension = extensions.get::<Idempotent>().is_some();
    let mut about = About::new();
    about.idempotent =
        method.is_some_and(|method| method.is_idempotent()) || has_key(headers) || extension;
    about.verb = method.and_then(|method| Verb::of(method.as_str()));
    about.priority = extensions.get().copied().or_else(Priority::current);
    about.deadline = deadline::known(extensions);
    let path = extensions.get().copied();
    about.repeated_elsewhere = number_in(headers) > 1
        || advice::forbids(headers)
        || [path, RetryPath::current()].into_iter().flatten().any(|path| !path.may_retry());
    about
}

fn has_key(headers: &HeaderMap) -> bool {
    headers.get(IDEMPOTENCY_KEY).is_some_and(|key| !key.as_bytes().trim_ascii().is_empty())
}
