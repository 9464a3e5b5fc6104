//! Makes every error a [`BoxError`], which can carry a refusal: [`BoxErrors`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

/// A layer that boxes the errors of the service beneath it.
///
/// The error of a client (`reqwest::Error`, `tonic::transport::Error`) has no room for a refusal.
/// Beneath a layer that refuses, this one makes room; `map_err(BoxError::from)` does the same, but
/// there are places where its types cannot be inferred.
///
/// ```
/// # use portcullis_http::{BoxError, BoxErrors};
/// # use tower_layer::Layer;
/// # use tower_service::Service;
/// fn boxed<S: Service<String>>(client: S) -> impl Service<String, Error = BoxError>
/// where
///     S::Error: Into<BoxError>,
/// {
///     BoxErrors.layer(client)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BoxErrors;

impl<S> Layer<S> for BoxErrors {
    type Service = BoxErrorsService<S>;

    fn layer(&self, inner: S) -> BoxErrorsService<S> {
        BoxErrorsService { inner }
    }
}

/// The service made by [`BoxErrors`].
#[derive(Clone, Debug)]
pub struct BoxErrorsService<S> {
    inner: S,
}

impl<S, Req> Service<Req> for BoxErrorsService<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxErrorsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        BoxErrorsFuture { inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The response future of [`BoxErrorsService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct BoxErrorsFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, Res, Err> Future for BoxErrorsFuture<F>
where
    F: Future<Output = Result<Res, Err>>,
    Err: Into<BoxError>,
{
    type Output = Result<Res, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx)).map_err(Into::into))
    }
}
