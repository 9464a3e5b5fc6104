//! Which circuit a request belongs to: one for all, or one per key.

use std::fmt::{self, Display};
use std::hash::Hash;

use breaker_core::{
    CircuitBreaker, CircuitBreakers, Events, Key, Observe, Outcome, Permit, Reason, Rejected,
};

/// Where a layer finds the circuit of a request.
///
/// [`Single`] is one circuit for all requests, [`Keyed`] one per key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` finds no circuit for the request `{Req}`",
    note = "the key was made for another kind of request: see `.keyed(key)` and `.keyed_fn(f)`"
)]
pub trait Circuits<Req> {
    /// A permit for this request, where its circuit is healthy and found without a key.
    #[inline]
    fn acquire_at_once(&self) -> Option<Permit> {
        None
    }

    /// Asks the circuit of this request for admission.
    ///
    /// # Errors
    /// A [`Rejected`], which says why and when to come back.
    fn try_acquire(&self, request: &Req) -> Result<Permit, Rejected>;

    /// Gives a refusal for this request, and counts it; without one, that the service was not
    /// made ready.
    fn refuse(&self, request: &Req, known: Option<Rejected>) -> Rejected;
}

fn refuse(circuit: &CircuitBreaker, known: Option<Rejected>) -> Rejected {
    let rejected = known.unwrap_or_else(|| Rejected::new(circuit.name(), Reason::NotReady));
    circuit.refuse_known(rejected)
}

/// What a layer does with its circuits apart from any request.
pub trait Known {
    /// The same circuits, for a service that is made to stay.
    #[must_use]
    fn keep(&self) -> Self;

    /// Whether there surely is no such refusal; a look, no more.
    fn is_at_rest(&self) -> bool;

    /// The refusal that every request would surely get just now.
    fn known_refusal(&self) -> Option<Rejected>;

    /// Takes in that the inner service could not be made ready.
    fn record_unready(&self, outcome: Outcome);

    /// The changes from now on, where one circuit decides for all requests.
    fn subscribe(&self) -> Option<Events>;

    /// Has `observer` told what happens from now on.
    fn observe(&self, observer: impl Observe + 'static);
}

/// One circuit for all requests.
#[derive(Clone, Debug)]
pub struct Single(pub(crate) CircuitBreaker);

impl<Req> Circuits<Req> for Single {
    #[inline]
    fn acquire_at_once(&self) -> Option<Permit> {
        self.0.acquire_at_once()
    }

    #[inline]
    fn try_acquire(&self, _: &Req) -> Result<Permit, Rejected> {
        self.0.try_acquire_unstamped()
    }

    fn refuse(&self, _: &Req, known: Option<Rejected>) -> Rejected {
        refuse(&self.0, known)
    }
}

impl Known for Single {
    fn keep(&self) -> Self {
        Self(self.0.keep())
    }

    #[inline]
    fn is_at_rest(&self) -> bool {
        self.0.is_at_rest()
    }

    fn known_refusal(&self) -> Option<Rejected> {
        self.0.known_refusal()
    }

    fn record_unready(&self, outcome: Outcome) {
        self.0.record_unready(outcome);
    }

    fn subscribe(&self) -> Option<Events> {
        Some(self.0.subscribe())
    }

    fn observe(&self, observer: impl Observe + 'static) {
        self.0.observe(observer);
    }
}

/// One circuit per key; requests without a key share the circuit `unmatched`.
#[derive(Clone)]
pub struct Keyed<F, K> {
    key: F,
    circuits: CircuitBreakers<K>,
}

impl<F, K> Keyed<F, K> {
    pub(crate) const fn new(key: F, circuits: CircuitBreakers<K>) -> Self {
        Self { key, circuits }
    }

    pub(crate) const fn circuits(&self) -> &CircuitBreakers<K> {
        &self.circuits
    }
}

impl<Req, F, K> Circuits<Req> for Keyed<F, K>
where
    F: Key<Req, Key = K>,
    K: Clone + Display + Eq + Hash,
{
    fn try_acquire(&self, request: &Req) -> Result<Permit, Rejected> {
        match self.key.key(request) {
            Some(key) => self.circuits.try_acquire_unstamped(&key),
            None => self.circuits.unmatched().try_acquire_unstamped(),
        }
    }

    fn refuse(&self, request: &Req, known: Option<Rejected>) -> Rejected {
        let circuit = match self.key.key(request) {
            Some(key) => self.circuits.get(&key),
            None => self.circuits.unmatched(),
        };
        refuse(&circuit, known)
    }
}

impl<F: Clone, K: Clone + Display + Eq + Hash> Known for Keyed<F, K> {
    fn keep(&self) -> Self {
        self.clone()
    }

    #[inline]
    fn is_at_rest(&self) -> bool {
        true
    }

    /// No key, no answer.
    fn known_refusal(&self) -> Option<Rejected> {
        None
    }

    /// Nobody knows yet whose request it would have been.
    fn record_unready(&self, _: Outcome) {}

    fn subscribe(&self) -> Option<Events> {
        None
    }

    fn observe(&self, observer: impl Observe + 'static) {
        self.circuits.observe(observer);
    }
}

/// Without the key, so that a closure is no hindrance.
impl<F, K> fmt::Debug for Keyed<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("circuits", &self.circuits).finish_non_exhaustive()
    }
}
