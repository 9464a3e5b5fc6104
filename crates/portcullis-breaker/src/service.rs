use std::fmt;
use std::task::{Context, Poll};

use breaker_core::{Classify, Events, Permit, Refuse, Rejected};
use tower_service::Service;

use crate::circuits::{Circuits, Known};
use crate::future::ResponseFuture;

/// A service behind a circuit; made by [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
///
/// It is a `Service` if classifier, refusal and key fit the service inside. Where a method such as
/// `ready` or `oneshot` "exists but its trait bounds were not satisfied", one of them does not:
/// a client's error needs the layer [`BoxErrors`](portcullis_http::BoxErrors) beneath; a body
/// without a `Default` belongs outside; a service that is not HTTP needs
/// [`CircuitBreakerLayer::generic`](crate::CircuitBreakerLayer::generic). Pass the stack to
/// `fn check<S: tower::Service<Req>>(_: &S) {}`, and the compiler says which.
pub struct CircuitBreakerService<S, C, R, T> {
    inner: S,
    circuits: T,
    classify: C,
    refuse: R,
    asked: Ready,
    /// The refusal that was known then.
    known: Option<Rejected>,
    /// Wakes a caller that waits for the inner service when the circuit opens meanwhile.
    changes: Option<Events>,
}

/// What `poll_ready` found out, for the next `call` of this very instance.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    /// It has not been asked.
    Unasked,
    /// The inner service is ready.
    Inner,
    /// The circuit was known to refuse, and the inner service was not asked.
    Refuses,
    /// The inner service failed to become ready, and that is recorded.
    Failed,
}

impl<S, C, R, T> CircuitBreakerService<S, C, R, T> {
    pub(crate) const fn new(inner: S, circuits: T, classify: C, refuse: R) -> Self {
        Self {
            inner,
            circuits,
            classify,
            refuse,
            asked: Ready::Unasked,
            known: None,
            changes: None,
        }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, mutable.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Becomes ready as the inner service does, or at once where the circuit is known to refuse:
    /// a stuck inner service must not slow a refusal.
    #[inline]
    pub(crate) fn poll_inner<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
        C: Classify<S::Response, S::Error>,
        T: Known,
    {
        if !self.circuits.is_at_rest() && self.finds_refusal() {
            return Poll::Ready(Ok(()));
        }
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                self.asked = Ready::Inner;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.failed_to_be_ready(&error);
                Poll::Ready(Err(error))
            }
            Poll::Pending => self.poll_opened(cx),
        }
    }

    /// Whether the circuit is known to refuse; then no inner service need be ready.
    #[cold]
    #[inline(never)]
    fn finds_refusal(&mut self) -> bool
    where
        T: Known,
    {
        let known = self.circuits.known_refusal();
        if known.is_some() {
            self.asked = Ready::Refuses;
            self.known = known;
        }
        known.is_some()
    }

    /// Takes in that the inner service failed to become ready.
    #[cold]
    #[inline(never)]
    fn failed_to_be_ready<Req>(&mut self, error: &S::Error)
    where
        S: Service<Req>,
        C: Classify<S::Response, S::Error>,
        T: Known,
    {
        // A service that is dead says so each time it is asked: that is one failure.
        if !matches!(self.asked, Ready::Failed) {
            self.asked = Ready::Failed;
            self.circuits.record_unready(self.classify.classify(Err(error)));
        }
    }

    /// Waits for the circuit to open, where the inner service is not ready.
    #[cold]
    #[inline(never)]
    fn poll_opened<E>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>>
    where
        T: Known,
    {
        // It tries again: should that fail, it is another failure.
        if matches!(self.asked, Ready::Failed) {
            self.asked = Ready::Unasked;
        }
        let Some(changes) = self.changes.take().or_else(|| self.circuits.subscribe()) else {
            return Poll::Pending;
        };
        let changes = self.changes.insert(changes);
        while changes.poll_next(cx).is_ready() {}
        // Asked after the waker is in its place: a change in between is not missed.
        if self.finds_refusal() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Admits a request, where all is well and that takes nothing but a look.
    #[inline]
    fn admit_at_once<Req>(&mut self) -> Option<Permit>
    where
        T: Circuits<Req>,
    {
        if !matches!(self.asked, Ready::Inner) {
            return None;
        }
        let permit = self.circuits.acquire_at_once()?;
        self.asked = Ready::Unasked;
        Some(permit)
    }

    /// Asks for admission of a request, by what `poll_ready` found out.
    pub(crate) fn admit<Req>(&mut self, request: &Req) -> Result<Permit, Rejected>
    where
        T: Circuits<Req>,
    {
        if matches!(self.asked, Ready::Inner) {
            self.asked = Ready::Unasked;
            return self.circuits.try_acquire(request);
        }
        Err(self.refuse(request))
    }

    #[cold]
    #[inline(never)]
    fn refuse<Req>(&mut self, request: &Req) -> Rejected
    where
        T: Circuits<Req>,
    {
        // Even if the circuit is half-open by now: the inner service is not ready.
        let known = self.known.take().filter(|_| matches!(self.asked, Ready::Refuses));
        self.asked = Ready::Unasked;
        self.circuits.refuse(request, known)
    }

    pub(crate) const fn parts(&mut self) -> (&mut S, &C, &R) {
        (&mut self.inner, &self.classify, &self.refuse)
    }
}

impl<S, C, R, T, Req> Service<Req> for CircuitBreakerService<S, C, R, T>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error> + Clone,
    R: Refuse<Req, S::Response, S::Error>,
    T: Circuits<Req> + Known,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C, S::Response, S::Error>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_inner::<Req>(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let mut permit = match self.admit_at_once::<Req>() {
            Some(permit) => permit,
            None => match self.admit(&request) {
                Ok(permit) => permit,
                Err(rejected) => {
                    return ResponseFuture::refused(self.refuse.refuse(&request, rejected));
                }
            },
        };
        let inner = permit.watch(|| self.inner.call(request));
        ResponseFuture::admitted(inner, permit, self.classify.clone())
    }
}

/// A clone shares the circuit, but not the readiness.
impl<S: Clone, C: Clone, R: Clone, T: Clone> Clone for CircuitBreakerService<S, C, R, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            circuits: self.circuits.clone(),
            classify: self.classify.clone(),
            refuse: self.refuse.clone(),
            asked: Ready::Unasked,
            known: None,
            changes: None,
        }
    }
}

impl<S: fmt::Debug, C, R, T: fmt::Debug> fmt::Debug for CircuitBreakerService<S, C, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerService")
            .field("inner", &self.inner)
            .field("circuits", &self.circuits)
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}
