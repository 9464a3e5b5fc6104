//! Who waits for a bucket, in the order of arrival: [`Line`].

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use breaker_core::Tick;

use crate::limiter::{Limiter, State};
use crate::planted::planted;
use crate::seat::Short;
use crate::terms::Terms;

/// Those who wait for one bucket.
///
/// The first of them has a timer for when it can go; whoever goes, gives up or is refused wakes the
/// next. So each is polled three times at most, however many they are: on arrival, as the first, and
/// when its time has come. Whoever comes to the line settles what is due in it, also for those who
/// are not polled; and each has a timer, for when it is expected to go and for when it has waited
/// long enough. So a call that nobody asks after holds nobody up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Waiting>,
    /// What was decided for calls that have not asked since.
    settled: Vec<Settled>,
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
    /// When it was expected to go, as it came.
    due: Tick,
    latest: Tick,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Settled {
    number: u64,
    cost: u32,
    /// When its cost was taken, or why it is refused.
    verdict: Result<Tick, Short>,
}

/// What a call that waits is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    /// It goes; its cost was taken at this moment.
    Go(Tick),
    /// It is refused.
    Refused(Short),
    /// It sleeps, until this moment at the latest.
    Sleep(Tick),
}

/// Whom to wake, and what to drop, once no lock is taken: both is code of others.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Aftermath {
    wake: Vec<Waker>,
    drop: Vec<Waker>,
}

impl Aftermath {
    /// Wakes them. No lock may be taken.
    pub(crate) fn finish(self) {
        drop(self.drop);
        self.wake.into_iter().for_each(Waker::wake);
    }
}

/// Somebody has left the line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// What is to be given back for him: when it was taken, and how much.
    pub(crate) owed: Option<(Tick, u32)>,
}

/// Timers are late, and whoever is polled late shall not make others late: so a call is served as of
/// when it could have been, but not of longer ago than this. What is admitted in any time is by so
/// much more than without those who wait.
pub(crate) const LATE: Duration = Duration::from_millis(5);

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nobody will ask after it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.settled.is_empty()
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

    /// Lets a call join at the end, to wait until `latest`; hands out its number.
    pub(crate) fn join(
        &mut self,
        state: &State,
        terms: &Terms,
        (now, latest): (Tick, Tick),
        cost: u32,
    ) -> u64 {
        let (after, at) = self.after(state, terms, now);
        serve(after, at, terms, now, cost);
        let due = *at;
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { number, cost, since: now, due, latest, waker: None });
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

    /// Settles what is due, in order, for whoever it is.
    pub(crate) fn settle(
        &mut self,
        state: &mut State,
        terms: &Terms,
        now: Tick,
        out: &mut Aftermath,
    ) {
        let mut moved = false;
        while let Some(first) = self.waiting.front() {
            let (number, cost, latest) = (first.number, first.cost, first.latest);
            let verdict = match state.ready_at(terms, self.first_since(now), cost) {
                Some(at) if at <= now && at <= latest => {
                    state.take(terms, at, cost);
                    self.served = at;
                    Ok(at)
                }
                Some(at) if now >= latest => Err(Short::Until(at)),
                Some(_) => break,
                None => Err(Short::Never),
            };
            if verdict.is_err() {
                self.upset();
            }
            out.wake.extend(self.waiting.pop_front().and_then(|one| one.waker));
            self.settled.push(Settled { number, cost, verdict });
            moved = true;
        }
        if moved {
            self.wake_first(out);
        }
    }

    /// Since when the first has been the first, as far as that counts.
    fn first_since(&self, now: Tick) -> Tick {
        let late = LATE.as_nanos() as u64;
        let earliest = Tick::from_nanos(now.as_nanos().saturating_sub(late));
        let since = self.waiting.front().map_or(now, |first| first.since.max(self.served));
        since.max(earliest).min(now)
    }

    /// What a call is told that asks after its turn; what is due has been settled. Its waker is kept
    /// where it goes on waiting.
    pub(crate) fn turn(
        &mut self,
        state: &State,
        terms: &Terms,
        now: Tick,
        number: u64,
        (waker, out): (Waker, &mut Aftermath),
    ) -> Turn {
        if let Some(settled) = self.claim(number) {
            out.drop.push(waker);
            return settled.verdict.map_or_else(Turn::Refused, Turn::Go);
        }
        let first_at = self
            .waiting
            .front()
            .and_then(|first| state.ready_at(terms, self.first_since(now), first.cost));
        let Some(place) = self.place(number) else {
            out.drop.push(waker);
            return Turn::Refused(Short::Never);
        };
        let one = &mut self.waiting[place];
        if now >= one.latest {
            let ready = state.ready_at(terms, now, one.cost);
            out.drop.push(waker);
            out.drop.extend(self.waiting.remove(place).and_then(|one| one.waker));
            self.upset();
            return Turn::Refused(ready.map_or(Short::Never, Short::Until));
        }
        out.drop.extend(one.waker.replace(waker));
        let until = match first_at {
            Some(at) if place == 0 => at,
            // Not the first, which is expected by now not to be there: who does not ask is settled.
            _ if now < one.due => one.due,
            _ => one.latest,
        };
        Turn::Sleep(until.min(one.latest))
    }

    fn claim(&mut self, number: u64) -> Option<Settled> {
        let at = self.settled.iter().position(|one| one.number == number)?;
        Some(self.settled.swap_remove(at))
    }

    /// Takes somebody out who has given up, if he is still there.
    pub(crate) fn leave(&mut self, number: u64, out: &mut Aftermath) -> Option<Left> {
        if let Some(Settled { cost, verdict, .. }) = self.claim(number) {
            return Some(Left { owed: verdict.ok().map(|taken| (taken, cost)) });
        }
        let place = self.place(number)?;
        out.drop.extend(self.waiting.remove(place).and_then(|one| one.waker));
        self.upset();
        if place == 0 && !planted("leaves-unheard") {
            self.wake_first(out);
        }
        Some(Left { owed: None })
    }

    /// Has the first woken, because it has become the first or because something has changed.
    pub(crate) fn wake_first(&mut self, out: &mut Aftermath) {
        match self.waiting.front_mut() {
            Some(first) => out.wake.extend(first.waker.take()),
            None => self.after = None,
        }
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
