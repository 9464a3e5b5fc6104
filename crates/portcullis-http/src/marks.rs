//! Tells a server who retries, and its callers that it has tried in vain: [`RetryMarksLayer`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use breaker_core::RetryPath;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::replay::{X_SHOULD_RETRY, number_in};
use crate::{advice, grpc};

/// A layer for servers that keeps tiers from multiplying their attempts.
///
/// Where three tiers make three attempts each, the last one sees 27. This layer reads of each request
/// whether it is a repetition (`x-retry-attempt`), or nobody wants any (`x-should-retry: false`), and
/// keeps that as the [`RetryPath`] around the call: those inside that could retry leave it then. A
/// path that says so also stands in the extensions of the request, for tasks that are spawned.
///
/// If those inside have made their attempts in vain ([`RetryPath::spend`]), and the answer is a
/// failure (a status of 500 and above, or of gRPC other than `OK` in the head), it gets the header
/// `x-should-retry: false`: so the caller does not begin anew.
///
/// Both headers are believed whoever sends them: they only ask for less. A number that cannot be
/// read, or is there twice, is 1; the greatest is 100.
///
/// ```
/// # use http::{Request, Response};
/// # use portcullis_http::RetryMarksLayer;
/// # use tower_layer::Layer;
/// # use tower_service::Service;
/// fn server<S>(routes: S) -> impl Service<Request<String>>
/// where
///     S: Service<Request<String>, Response = Response<String>>,
/// {
///     RetryMarksLayer::new().layer(routes)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RetryMarksLayer(());

impl RetryMarksLayer {
    /// There is nothing to choose.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for RetryMarksLayer {
    type Service = RetryMarksService<S>;

    fn layer(&self, inner: S) -> RetryMarksService<S> {
        RetryMarksService { inner }
    }
}

/// The service made by [`RetryMarksLayer`].
#[derive(Clone, Debug)]
pub struct RetryMarksService<S> {
    inner: S,
}

impl<S, B, B2> Service<Request<B>> for RetryMarksService<S>
where
    S: Service<Request<B>, Response = Response<B2>>,
{
    type Response = Response<B2>;
    type Error = S::Error;
    type Future = RetryMarksFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut path = path_of(request.headers());
        if !path.may_retry() {
            request.extensions_mut().insert(path);
        }
        let inner = path.scope(|| self.inner.call(request));
        RetryMarksFuture { inner, path }
    }
}

fn path_of(headers: &HeaderMap) -> RetryPath {
    let path = RetryPath::attempt(number_in(headers));
    if advice::forbids(headers) { path.forbid() } else { path }
}

pin_project! {
    /// The response future of [`RetryMarksService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryMarksFuture<F> {
        #[pin]
        inner: F,
        path: RetryPath,
    }
}

impl<F, B, E> Future for RetryMarksFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.path.scope(|| this.inner.poll(cx)));
        if let Ok(response) = &mut answer {
            if this.path.is_spent() && is_failure(response.status(), response.headers()) {
                let no = HeaderValue::from_static("false");
                // It fails where there are thousands of headers already.
                let _ = response.headers_mut().try_insert(X_SHOULD_RETRY, no);
            }
        }
        Poll::Ready(answer)
    }
}

fn is_failure(status: StatusCode, headers: &HeaderMap) -> bool {
    status.as_u16() >= 500 || headers.get(grpc::STATUS).is_some_and(|code| code != "0")
}
