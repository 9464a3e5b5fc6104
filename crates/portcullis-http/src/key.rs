//! Which circuit or limit is this request about? [`extension`], [`header`], [`host`], [`peer`].

mod forwarded;
mod network;
mod node;
mod peer;
mod sender;
mod text;

use std::fmt;
use std::marker::PhantomData;

use breaker_core::Key;
use http::header::HOST;
use http::{HeaderName, Request};

pub use self::forwarded::{ForwardedIp, TrustedProxy};
pub use self::network::InvalidNetworks;
pub(crate) use self::network::Network;
pub use self::peer::{PeerIp, peer, peer_ip};
pub use self::sender::SenderIp;
use self::text::Digest;
pub use self::text::KeyText;

/// A key taken from a value in the request's extensions, such as axum's `MatchedPath`.
///
/// A request without the value has no key. Give it the template of a route, never the path that
/// was asked for: there are as many paths as a stranger likes.
///
/// ```
/// # use breaker_core::Key;
/// # use http::Request;
/// #[derive(Clone)]
/// struct MatchedPath(&'static str); // axum::extract::MatchedPath looks like this
/// impl MatchedPath {
///     fn as_str(&self) -> &str {
///         self.0
///     }
/// }
///
/// let key = portcullis_http::key::extension(MatchedPath::as_str);
/// let mut request = Request::new(());
/// assert_eq!(key.key(&request), None);
/// request.extensions_mut().insert(MatchedPath("/users/{id}"));
/// assert_eq!(key.key(&request).unwrap().as_str(), "/users/{id}");
/// ```
#[must_use]
pub fn extension<T>(text: fn(&T) -> &str) -> Extension<T> {
    Extension { text, digest: Digest::default() }
}

/// A key taken from a header, such as `x-tenant`; its first value counts.
///
/// A request without the header, or with an empty one, has no key.
///
/// # Panics
/// When the name is none that a header can have.
#[must_use]
pub fn header(name: &'static str) -> Header {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
    Header { name, digest: Digest::default() }
}

/// A key taken from the host and port that the request is for, in lower case.
///
/// Clients have them in the URI; where that has none, the `Host` header counts.
#[must_use]
pub fn host() -> Host {
    Host { digest: Digest::default() }
}

/// The key made by [`extension`].
pub struct Extension<T> {
    text: fn(&T) -> &str,
    digest: Digest,
}

impl<B, T> Key<Request<B>> for Extension<T>
where
    T: Send + Sync + 'static,
{
    type Key = KeyText;

    fn key(&self, request: &Request<B>) -> Option<KeyText> {
        self.digest.key((self.text)(request.extensions().get()?).as_bytes())
    }
}

impl<T> Clone for Extension<T> {
    fn clone(&self) -> Self {
        Self { text: self.text, digest: self.digest.clone() }
    }
}

impl<T> fmt::Debug for Extension<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Extension").field(&PhantomData::<T>).finish()
    }
}

/// The key made by [`header`].
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
    digest: Digest,
}

impl<B> Key<Request<B>> for Header {
    type Key = KeyText;

    fn key(&self, request: &Request<B>) -> Option<KeyText> {
        self.digest.key(request.headers().get(&self.name)?.as_bytes())
    }
}

/// The key made by [`host`].
#[derive(Clone, Debug)]
pub struct Host {
    digest: Digest,
}

impl<B> Key<Request<B>> for Host {
    type Key = KeyText;

    fn key(&self, request: &Request<B>) -> Option<KeyText> {
        let host = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => request.headers().get(HOST)?.to_str().ok()?,
        };
        // What stands before the "@" is a name and a password, not a place.
        let host = host.rsplit('@').next()?;
        self.digest.key(host.to_ascii_lowercase().as_bytes())
    }
}
