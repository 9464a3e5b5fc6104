//! How important a request is: [`from_request`].

mod trust;
mod urgency;

use std::fmt;

use breaker_core::{Prioritize, Priority};
use http::{HeaderMap, HeaderName, Request};

pub use self::trust::{Nobody, Peers, Trust};
use crate::key::{InvalidNetworks, SenderIp};

/// The header that says how important a request is, unless another is named: `x-priority`.
pub const X_PRIORITY: HeaderName = HeaderName::from_static("x-priority");

/// Reads the priority of a request. The first of these that is there and makes sense counts:
///
/// 1. A [`Priority`] in the extensions of the request. Only code of the service can put one there,
///    so that it is believed.
/// 2. The header `x-priority`, once: a level in 0..=100, or the name of one.
/// 3. The urgency `u` in the header `priority` (RFC 9218, section 4.1): 0 is critical, 1 and 2 are
///    high, 3 is normal, 4 and 5 are low, 6 and 7 are bulk.
///
/// A request with none of them has no answer, and is [`Priority::NORMAL`] therefore.
///
/// Anybody can write a header. So what a header asks for is cut to
/// [`max_external`](RequestPriority::max_external), unless its sender is trusted; by default nobody
/// is, and strangers can only lower themselves.
///
/// ```
/// # use breaker_core::{Prioritize, Priority};
/// # use http::Request;
/// use portcullis_http::{key, priority};
///
/// let stranger = Request::builder().header("x-priority", "critical").body(()).unwrap();
/// assert_eq!(priority::from_request().priority(&stranger), Some(Priority::NORMAL));
///
/// // Services of our own say how important their calls are.
/// let ours = priority::from_request().trusted_peers(key::peer(), ["10.0.0.0/8"])?;
/// let mut request = stranger;
/// request.extensions_mut().insert(std::net::SocketAddr::from(([10, 0, 0, 7], 4711)));
/// assert_eq!(ours.priority(&request), Some(Priority::CRITICAL));
/// # Ok::<_, key::InvalidNetworks>(())
/// ```
#[must_use]
pub const fn from_request() -> RequestPriority {
    RequestPriority {
        trust: Nobody,
        max_external: Priority::NORMAL,
        urgency: true,
        header: X_PRIORITY,
    }
}

/// What [`from_request`] makes: it answers how important a request of `http` is.
#[derive(Clone)]
pub struct RequestPriority<T = Nobody> {
    trust: T,
    max_external: Priority,
    urgency: bool,
    header: HeaderName,
}

impl<T> RequestPriority<T> {
    /// Whose headers are believed, in place of whoever was before: by default nobody's. The type of
    /// the request has to be written out: `.trusted_fn(|request: &Request<Body>| ..)`.
    ///
    /// It is asked only where a header asks for more than strangers get.
    #[must_use]
    pub fn trusted_fn<B, F>(self, trusted: F) -> RequestPriority<F>
    where
        F: Fn(&Request<B>) -> bool,
    {
        self.trusted(trusted)
    }

    /// Believes whoever sends from an address in these networks, such as `"10.0.0.0/8"`, in place
    /// of whoever was before.
    ///
    /// `sender` is [`key::peer`](crate::key::peer) or the like. Behind a proxy everybody has the
    /// proxy's address: there, take a key that goes [`behind`](crate::key::PeerIp::behind) it, or
    /// have the proxy strip the headers of strangers.
    ///
    /// # Errors
    /// All texts that are no network, and an empty list, by which nobody would be trusted.
    pub fn trusted_peers<S, I>(
        self,
        sender: S,
        networks: I,
    ) -> Result<RequestPriority<Peers<S>>, InvalidNetworks>
    where
        S: SenderIp,
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Ok(self.trusted(Peers::new(sender, networks)?))
    }

    fn trusted<U>(self, trust: U) -> RequestPriority<U> {
        let Self { trust: _, max_external, urgency, header } = self;
        RequestPriority { trust, max_external, urgency, header }
    }

    /// The most that a request gets whose sender is not trusted; default [`Priority::NORMAL`].
    ///
    /// Where that is less than normal, it is also what such a request gets that asks for nothing:
    /// otherwise who is silent would get more than who asks.
    #[must_use]
    pub const fn max_external(mut self, most: Priority) -> Self {
        self.max_external = most;
        self
    }

    /// Does not read the header `priority`. Browsers send it with every request, by what is needed
    /// first on a page, which may not be what matters to you.
    #[must_use]
    pub const fn without_urgency(mut self) -> Self {
        self.urgency = false;
        self
    }

    /// Reads another header in place of `x-priority`.
    #[must_use]
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }

    /// What the headers ask for, whoever wrote them.
    fn asked(&self, headers: &HeaderMap) -> Option<Priority> {
        let urgency = || if self.urgency { urgency::in_headers(headers) } else { None };
        in_header(headers, &self.header).or_else(urgency)
    }
}

/// [`from_request`].
impl Default for RequestPriority {
    fn default() -> Self {
        from_request()
    }
}

impl<B, T> Prioritize<Request<B>> for RequestPriority<T>
where
    T: Trust<Request<B>>,
{
    fn priority(&self, request: &Request<B>) -> Option<Priority> {
        if let Some(&assigned) = request.extensions().get::<Priority>() {
            return Some(assigned);
        }
        let asked = self.asked(request.headers());
        let beyond = asked.unwrap_or_default() > self.max_external;
        if beyond && !self.trust.trusts(request) { Some(self.max_external) } else { asked }
    }

    /// Puts it into the extensions. What is normal, and asks for nothing else, needs no word.
    fn mark(&self, request: &mut Request<B>, priority: Priority) {
        // A header of a stranger must not speak louder than what was made of it.
        if priority != Priority::NORMAL || self.asked(request.headers()).is_some() {
            request.extensions_mut().insert(priority);
        }
    }
}

impl<T> fmt::Debug for RequestPriority<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestPriority")
            .field("max_external", &self.max_external)
            .field("urgency", &self.urgency)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// The priority in this header: one that is there twice, or says nonsense, is as if it were absent.
pub(crate) fn in_header(headers: &HeaderMap, name: &HeaderName) -> Option<Priority> {
    /// More than any name or number needs, spaces included; what is longer is not looked at.
    const MAX_LEN: usize = 32;

    let mut values = headers.get_all(name).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let value = Some(value.as_bytes()).filter(|value| value.len() <= MAX_LEN)?;
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}
