//! Takes the priority of a call along to the calls that it makes: [`CarryPriorityLayer`].

use std::task::{Context, Poll};

use breaker_core::Priority;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tower_layer::Layer;
use tower_service::Service;

use crate::priority::{self, X_PRIORITY};

/// A layer for clients that writes the header `x-priority` into each request, so that the callee
/// knows how important it is.
///
/// The priority is the [`Priority`] in the extensions of the request. Where there is none, it is
/// that of the call which makes the request, [`Priority::current`]: a queue says so while the call
/// is polled. A task that was spawned meanwhile does not have it; there, put it into the extensions.
/// A request without any is left as it is.
///
/// A header that is there already may say less. What says more is lowered, and what cannot be read
/// is replaced: no service speaks louder than its caller.
///
/// The header is a number, and metadata where the request is one of gRPC. The callee believes it
/// where it trusts the sender: see [`priority::from_request`].
///
/// ```
/// # use http::Request;
/// # use portcullis_http::CarryPriorityLayer;
/// # use tower_layer::Layer;
/// # use tower_service::Service;
/// fn client<S: Service<Request<String>>>(transport: S) -> impl Service<Request<String>> {
///     CarryPriorityLayer::new().layer(transport)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct CarryPriorityLayer {
    header: HeaderName,
}

impl CarryPriorityLayer {
    /// Writes `x-priority`.
    #[must_use]
    pub const fn new() -> Self {
        Self { header: X_PRIORITY }
    }

    /// Writes another header in its place; the callee has to read the same.
    #[must_use]
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }
}

impl Default for CarryPriorityLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CarryPriorityLayer {
    type Service = CarryPriorityService<S>;

    fn layer(&self, inner: S) -> CarryPriorityService<S> {
        CarryPriorityService { inner, header: self.header.clone() }
    }
}

/// The service made by [`CarryPriorityLayer`].
#[derive(Clone, Debug)]
pub struct CarryPriorityService<S> {
    inner: S,
    header: HeaderName,
}

impl<S, B> Service<Request<B>> for CarryPriorityService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let assigned = request.extensions().get().copied();
        if let Some(priority) = assigned.or_else(Priority::current) {
            write(request.headers_mut(), &self.header, priority);
        }
        self.inner.call(request)
    }
}

fn write(headers: &mut HeaderMap, name: &HeaderName, priority: Priority) {
    let said = priority::in_header(headers, name);
    if said.is_none_or(|said| said > priority) {
        let value = HeaderValue::from(u16::from(priority.level()));
        // It fails where there are thousands of headers already, of which no server takes as many.
        let _ = headers.try_insert(name, value);
    }
}
