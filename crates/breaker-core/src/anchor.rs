//! State that a call refers to without a reference count: [`Anchored`], [`Anchor`], [`Seldom`].

#[cfg(all(test, loom))]
mod models;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use crate::planted::planted;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// State that is shared by its clones, and that calls can find again by an [`Anchor`].
///
/// A response future that held a clone would write to the shared count twice per call. An anchor is
/// two words, costs nothing to copy, and asks by one load whether there is anything to be told.
pub struct Anchored<T: 'static>(Arc<Owned<T>>);

struct Owned<T: 'static> {
    state: T,
    at: Anchor<T>,
}

/// A mark that leads to the state of an [`Anchored`], as long as that lives.
pub struct Anchor<T: 'static> {
    cell: &'static Cell,
    /// As the word is while the state is at rest.
    calm: u64,
    state: PhantomData<fn() -> T>,
}

/// What a call nearly never holds. Where there is nothing, its end is one look, and no more: to end what
/// is there may be a long piece of code, which all other calls are not to carry along.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "complete by definition")]
pub struct Seldom<T>(pub Option<T>);

impl<T> Drop for Seldom<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            end(value);
        }
    }
}

#[cold]
#[inline(never)]
fn end<T>(value: T) {
    drop(value);
}

/// A place that lives for ever and is used again, so there are never more of them than there was
/// state at a time.
struct Cell {
    /// The number of the owner, doubled, and one more while a success has to be told.
    word: AtomicU64,
    owner: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
}

impl<T: Send + Sync + 'static> Anchored<T> {
    /// Shares this state. It is taken to want to hear of everything, until somebody says that it is
    /// [at rest](Self::rest).
    #[must_use]
    pub fn new(state: T) -> Self {
        let cell = pool::cell();
        let calm = cell.word.load(Ordering::Relaxed) & !1;
        cell.word.store(calm | 1, Ordering::Relaxed);
        let at = Anchor { cell, calm, state: PhantomData };
        let owned = Arc::new(Owned { state, at });
        let weak: Weak<Owned<T>> = Arc::downgrade(&owned);
        let weak: Weak<dyn Any + Send + Sync> = weak;
        *lock(&cell.owner) = Some(weak);
        Self(owned)
    }
}

impl<T> Anchored<T> {
    /// The mark that leads here.
    #[inline]
    #[must_use]
    pub fn anchor(&self) -> Anchor<T> {
        self.0.at
    }

    /// Says whether a call that went well changes nothing at present: then nobody need tell. To be
    /// called under the lock that guards the state.
    pub fn rest(&self, at_rest: bool) {
        let Anchor { cell, calm, .. } = self.0.at;
        cell.word.store(calm | u64::from(!at_rest), Ordering::Relaxed);
    }

    /// Whether this is the last one. Another thread may clone no other, but may let go of one.
    #[inline]
    #[must_use]
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Whether two of them are one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Send + Sync + 'static> Anchor<T> {
    /// Whether a call that went well changes nothing: one load. It is false where the state has
    /// ended.
    #[inline]
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.cell.word.load(Ordering::Relaxed) == self.calm
    }

    /// The state, if it lives still.
    #[must_use]
    pub fn get(&self) -> Option<Anchored<T>> {
        let owner = lock(&self.cell.owner).as_ref().and_then(Weak::upgrade)?;
        let owned = owner.downcast::<Owned<T>>().ok()?;
        // Another one may live here by now.
        let same = owned.at.calm == self.calm || planted("mark-outlives");
        same.then_some(Anchored(owned))
    }
}

impl<T> Clone for Anchored<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Anchor<T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Anchor<T> {}

impl<T> Deref for Anchored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.state
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        let Anchor { cell, calm, .. } = self.at;
        let weak = lock(&cell.owner).take();
        drop(weak);
        // From now on no mark of this owner is at rest, and none leads anywhere.
        cell.word.store(calm.wrapping_add(2) | 1, Ordering::Relaxed);
        pool::put(cell);
    }
}

impl<T: fmt::Debug> fmt::Debug for Anchored<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Anchored").field(&self.0.state).finish()
    }
}

impl<T> fmt::Debug for Anchor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Anchor").field(&(self.calm / 2)).finish()
    }
}

/// The places that nobody uses.
mod pool {
    use super::{AtomicU64, Cell, Mutex};

    #[cfg(not(all(test, any(loom, shuttle))))]
    static POOL: std::sync::Mutex<Vec<&'static Cell>> = std::sync::Mutex::new(Vec::new());

    fn fresh() -> &'static Cell {
        Box::leak(Box::new(Cell { word: AtomicU64::new(2), owner: Mutex::new(None) }))
    }

    // The objects of a model belong to one execution of it, and so does what keeps them.
    #[cfg(all(test, loom))]
    loom::lazy_static! {
        static ref POOL: Mutex<Vec<&'static Cell>> = Mutex::new(Vec::new());
    }

    #[cfg(not(all(test, shuttle)))]
    pub(super) fn cell() -> &'static Cell {
        let free = crate::sync::lock(&POOL).pop();
        free.unwrap_or_else(fresh)
    }

    #[cfg(not(all(test, shuttle)))]
    pub(super) fn put(cell: &'static Cell) {
        crate::sync::lock(&POOL).push(cell);
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn cell() -> &'static Cell {
        fresh()
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn put(_: &'static Cell) {}
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_leads_to_its_state_and_to_no_other() {
        let first = Anchored::new(1);
        let anchor = first.anchor();
        assert_eq!(anchor.get().map(|state| *state), Some(1));
        assert!(!anchor.is_at_rest());
        first.rest(true);
        assert!(anchor.is_at_rest());
        drop(first);
        assert!(!anchor.is_at_rest());
        let others: Vec<_> = (0..100).map(Anchored::new).collect();
        for other in &others {
            other.rest(true);
        }
        assert!(!anchor.is_at_rest() && anchor.get().is_none());
    }

    #[test]
    fn places_are_used_again() {
        let places: std::collections::BTreeSet<_> = (0..10_000)
            .map(|number| std::ptr::from_ref(Anchored::new(number).anchor().cell) as usize)
            .collect();
        // Other tests use some meanwhile.
        assert!(places.len() < 200, "{}", places.len());
    }

    #[test]
    fn a_state_ends_with_its_last_handle_while_marks_are_out() {
        let state = Arc::new(());
        let anchored = Anchored::new(state.clone());
        let (anchor, clone) = (anchored.anchor(), anchored.clone());
        assert!(anchored.is(&clone) && !anchored.is_alone());
        drop(clone);
        assert!(anchored.is_alone());
        drop(anchored);
        assert_eq!(Arc::strong_count(&state), 1);
        assert!(anchor.get().is_none());
    }
}
