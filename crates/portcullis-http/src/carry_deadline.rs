//! Takes the deadline of a call along to the calls that it makes: [`CarryDeadlineLayer`].

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use breaker_core::{Clock, MonotonicClock};
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::deadline;

/// A layer for clients that writes into each request how long somebody still waits for its answer,
/// so that the callee does not work for nobody.
///
/// The deadline is the [`Deadline`](breaker_core::Deadline) in the extensions of the request or that
/// of the call which makes the request, [`Deadline::current`](breaker_core::Deadline::current),
/// whichever is earlier. A request without any is left as it is, and costs no look at the clock.
///
/// The header is `grpc-timeout` where the content type is one of gRPC, else
/// [`x-timeout-ms`](deadline::X_TIMEOUT_MS). One that is there already may say less. What says more is
/// lowered, and what cannot be read is replaced. A request without time left is sent all the same,
/// with a zero: to stop it is the business of a timeout.
///
/// ```
/// # use http::Request;
/// # use portcullis_http::CarryDeadlineLayer;
/// # use tower_layer::Layer;
/// # use tower_service::Service;
/// fn client<S: Service<Request<String>>>(transport: S) -> impl Service<Request<String>> {
///     CarryDeadlineLayer::new().layer(transport)
/// }
/// ```
#[derive(Clone)]
pub struct CarryDeadlineLayer {
    clock: Arc<dyn Clock>,
}

impl CarryDeadlineLayer {
    /// By the machine's own clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(MonotonicClock::new())
    }

    /// By this clock, the one that the deadlines are of.
    #[must_use]
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock) }
    }
}

impl Default for CarryDeadlineLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CarryDeadlineLayer {
    type Service = CarryDeadlineService<S>;

    fn layer(&self, inner: S) -> CarryDeadlineService<S> {
        CarryDeadlineService { inner, clock: self.clock.clone() }
    }
}

impl fmt::Debug for CarryDeadlineLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarryDeadlineLayer").finish_non_exhaustive()
    }
}

/// The service made by [`CarryDeadlineLayer`].
#[derive(Clone)]
pub struct CarryDeadlineService<S> {
    inner: S,
    clock: Arc<dyn Clock>,
}

impl<S, B> Service<Request<B>> for CarryDeadlineService<S>
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
        if let Some(deadline) = deadline::known(request.extensions()) {
            let left = deadline.left(self.clock.now());
            if deadline::own(request.headers()).is_none_or(|said| said > left) {
                deadline::write(request.headers_mut(), left);
            }
        }
        self.inner.call(request)
    }
}

impl<S: fmt::Debug> fmt::Debug for CarryDeadlineService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarryDeadlineService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
