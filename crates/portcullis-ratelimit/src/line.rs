//! Who waits for a bucket, in the order of arrival: [`Line`].

use std::collections::VecDeque;
use std::task::Waker;

use breaker_core::Tick;

use crate::limiter::{Limiter, State};
use crate::planted::planted;
use crate::terms::Terms;

/// Those who wait for one bucket.
///
/// Only the first of them has a timer; whoever is served, gives up or is refused wakes the next. So
/// each is polled three times at most, however many they are: on arrival, as the first, and when its
/// time has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Waiting>,
    next: u64,
    /// When the last one was served.
    served: Tick,
    /// What the bucket will be once all of them have been served, and when that is.
    after: Option<(State, Tick)>,
}

#[derive(Clone, Debug)]
struct Waiting {
    number: u64,
    cost: u32,
    since: Tick,
    waker: Option<Waker>,
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When a call that arrived now would be served, behind all who wait.
    pub(crate) fn ready_at(
        &mut self,
        state: &State,
        terms: &Terms,
        now: Tick,
        cost: u32,
    ) -> Option<Tick> {
        if self.waiting.is_empty() {
            return state.ready_at(terms, now, cost);
        }
        let (after, at) = self.after(state, terms, now);
        after.ready_at(terms, now.max(*at), cost)
    }

    /// Lets a call join at the end; hands out its number.
    pub(crate) fn join(&mut self, state: &State, terms: &Terms, now: Tick, cost: u32) -> u64 {
        let (after, at) = self.after(state, terms, now);
        serve(after, at, terms, now, cost);
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { number, cost, since: now, waker: None });
        number
    }

    /// The bucket as it will be once all have been served.
    fn after(&mut self, state: &State, terms: &Terms, now: Tick) -> &mut (State, Tick) {
        let waiting = &self.waiting;
        self.after.get_or_insert_with(|| {
            let (mut after, mut at) = (state.clone(), now);
            for one in waiting {
                serve(&mut after, &mut at, terms, now, one.cost);
            }
            (after, at)
        })
    }

    /// Says that the bucket is not what it was expected to be.
    pub(crate) fn upset(&mut self) {
        self.after = None;
    }

    /// Whether this is the first; if it is not, who is to be woken when it will be.
    pub(crate) fn is_first(&mut self, number: u64, waker: &Waker) -> bool {
        let Some(place) = self.place(number) else { return false };
        let one = &mut self.waiting[place];
        match &mut one.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        place == 0
    }

    /// Since when the first has been the first.
    pub(crate) fn first_since(&self, now: Tick) -> Tick {
        self.waiting.front().map_or(now, |first| first.since.max(self.served).min(now))
    }

    /// Takes note that somebody was served, as of this moment.
    pub(crate) fn served(&mut self, at: Tick) {
        self.served = at;
    }

    /// Takes the first out, who was served or is refused; hands out who is to be woken.
    #[must_use]
    pub(crate) fn advance(&mut self) -> Option<Waker> {
        self.waiting.pop_front();
        self.wake_first()
    }

    /// Takes somebody out who has given up; hands out who is to be woken.
    #[must_use]
    pub(crate) fn leave(&mut self, number: u64) -> Option<Waker> {
        let place = self.place(number)?;
        self.waiting.remove(place);
        self.after = None;
        if place == 0 && !planted("leaves-unheard") { self.wake_first() } else { None }
    }

    /// Who is first, to be woken because something has changed.
    #[must_use]
    pub(crate) fn wake_first(&mut self) -> Option<Waker> {
        let Some(first) = self.waiting.front_mut() else {
            // Nobody: what was expected is of no use, and the room is given back.
            *self = Self { next: self.next, served: self.served, ..Self::default() };
            return None;
        };
        first.waker.take()
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |one| one.number).ok()
    }
}

/// Serves a call as soon as it can be. One that never can takes no time: it is refused when it
/// comes first.
fn serve(state: &mut State, at: &mut Tick, terms: &Terms, now: Tick, cost: u32) {
    if let Some(ready) = state.ready_at(terms, now.max(*at), cost) {
        state.take(terms, ready, cost);
        *at = ready;
    }
}
