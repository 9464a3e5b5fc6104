//! Which bucket a request belongs to, and what it costs: one for all, or one per key.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use breaker_core::{Key, Observe, Rejected};

#[cfg(feature = "tokio")]
use crate::grant::Admission;
use crate::grant::Grant;
use crate::keyed::RateLimiters;
use crate::single::RateLimiter;

/// Where a layer finds the limit of a request.
///
/// [`ForAll`] is one limit for all requests, [`PerKey`] one per key, [`Costed`] says what a request
/// costs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` finds no limit for the request `{Req}`",
    note = "the key or the cost was made for another kind of request: see `.keyed(key)`, \
            `.keyed_fn(f)` and `.cost_fn(f)`"
)]
pub trait Limits<Req> {
    /// Admits a request, where that takes nothing but a look.
    #[inline]
    fn acquire_at_once(&self, cost: u32) -> Option<Grant> {
        let _ = cost;
        None
    }

    /// Asks for admission of a request at this cost.
    ///
    /// # Errors
    /// A [`Rejected`], which says why and when to come back.
    fn try_acquire(&self, request: &Req, cost: u32) -> Result<Grant, Rejected>;

    /// What a request costs.
    fn cost(&self, request: &Req) -> u32 {
        let _ = request;
        1
    }
}

/// The same for callers that wait for their turn.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no line for the request `{Req}`",
    note = "the key or the cost was made for another kind of request: see `.keyed(key)`, \
            `.keyed_fn(f)` and `.cost_fn(f)`"
)]
#[cfg(feature = "tokio")]
pub trait Lines<Req> {
    /// What holds an admission.
    type Grant: Admission;

    /// What waits for admission.
    type Acquire: Future<Output = Result<Self::Grant, Rejected>>;

    /// Asks for admission of a request at this cost, and waits for it.
    fn acquire(&self, request: &Req, cost: u32) -> Self::Acquire;

    /// What a request costs.
    fn cost(&self, request: &Req) -> u32 {
        let _ = request;
        1
    }
}

/// What a layer does with its limits apart from any request.
pub trait Handled {
    /// The limits, for admin routes.
    type Handle;

    /// The limits of the layer.
    fn handle(&self) -> Self::Handle;
}

/// Limits that tell of what happens to them.
pub trait Watched {
    /// Has `observer` told what happens from now on.
    fn observe(&self, observer: Arc<dyn Observe>);
}

/// One limit for all requests.
#[derive(Clone, Debug)]
pub struct ForAll(pub(crate) RateLimiter);

impl<Req> Limits<Req> for ForAll {
    #[inline]
    fn acquire_at_once(&self, cost: u32) -> Option<Grant> {
        self.0.acquire_at_once(cost)
    }

    fn try_acquire(&self, _: &Req, cost: u32) -> Result<Grant, Rejected> {
        self.0.try_acquire_n(cost)
    }
}

#[cfg(feature = "tokio")]
impl<Req> Lines<Req> for ForAll {
    type Grant = Grant;
    type Acquire = crate::Acquire;

    fn acquire(&self, _: &Req, cost: u32) -> crate::Acquire {
        self.0.acquire(cost)
    }
}

impl Handled for ForAll {
    type Handle = RateLimiter;

    fn handle(&self) -> RateLimiter {
        self.0.clone()
    }
}

impl Watched for ForAll {
    fn observe(&self, observer: Arc<dyn Observe>) {
        self.0.observe(observer);
    }
}

/// One limit per key; requests without a key share one.
#[derive(Clone)]
pub struct PerKey<F, K> {
    pub(crate) key: F,
    pub(crate) limits: RateLimiters<K>,
}

impl<Req, F, K> Limits<Req> for PerKey<F, K>
where
    F: Key<Req, Key = K>,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    #[inline]
    fn try_acquire(&self, request: &Req, cost: u32) -> Result<Grant, Rejected> {
        self.limits.admit(self.key.key(request).as_ref(), cost)
    }
}

#[cfg(feature = "tokio")]
impl<Req, F, K> Lines<Req> for PerKey<F, K>
where
    F: Key<Req, Key = K>,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    type Grant = Grant;
    type Acquire = crate::Acquire;

    fn acquire(&self, request: &Req, cost: u32) -> crate::Acquire {
        crate::Acquire::new(self.limits.enter(self.key.key(request).as_ref(), cost))
    }
}

impl<F, K> Handled for PerKey<F, K> {
    type Handle = RateLimiters<K>;

    fn handle(&self) -> RateLimiters<K> {
        self.limits.clone()
    }
}

impl<F, K> Watched for PerKey<F, K>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    fn observe(&self, observer: Arc<dyn Observe>) {
        self.limits.observe(observer);
    }
}

/// Without the key, so that a closure is no hindrance.
impl<F, K> fmt::Debug for PerKey<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The same limits, where a closure says what a request costs.
#[derive(Clone)]
pub struct Costed<T, F> {
    pub(crate) limits: T,
    pub(crate) cost: F,
}

impl<Req, T, F> Limits<Req> for Costed<T, F>
where
    T: Limits<Req>,
    F: Fn(&Req) -> u32,
{
    #[inline]
    fn acquire_at_once(&self, cost: u32) -> Option<Grant> {
        self.limits.acquire_at_once(cost)
    }

    fn try_acquire(&self, request: &Req, cost: u32) -> Result<Grant, Rejected> {
        self.limits.try_acquire(request, cost)
    }

    fn cost(&self, request: &Req) -> u32 {
        (self.cost)(request)
    }
}

#[cfg(feature = "tokio")]
impl<Req, T, F> Lines<Req> for Costed<T, F>
where
    T: Lines<Req>,
    F: Fn(&Req) -> u32,
{
    type Grant = T::Grant;
    type Acquire = T::Acquire;

    fn acquire(&self, request: &Req, cost: u32) -> T::Acquire {
        self.limits.acquire(request, cost)
    }

    fn cost(&self, request: &Req) -> u32 {
        (self.cost)(request)
    }
}

impl<T: Handled, F> Handled for Costed<T, F> {
    type Handle = T::Handle;

    fn handle(&self) -> T::Handle {
        self.limits.handle()
    }
}

impl<T: Watched, F> Watched for Costed<T, F> {
    fn observe(&self, observer: Arc<dyn Observe>) {
        self.limits.observe(observer);
    }
}

/// Without the cost, so that a closure is no hindrance.
impl<T: fmt::Debug, F> fmt::Debug for Costed<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Costed").field("limits", &self.limits).finish_non_exhaustive()
    }
}
