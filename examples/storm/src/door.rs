//! The door of a shop: it notes when the greedy caller came, and when it got in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::arrivals::Caller;

/// The header in which callers say who they are.
pub(crate) const CALLER: &str = "x-client";

/// The requests of the greedy caller that got in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door(Arc<Mutex<Vec<Entry>>>);

/// A request on its way into a shop.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Before anybody could refuse it.
    came: Instant,
    /// After nobody had.
    entered: Instant,
}

/// When a request came to the door.
#[derive(Clone, Copy, Debug)]
struct Came(Instant);

/// What got in within some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Entered {
    pub(crate) calls: u64,
    /// From the coming of the first to the entry of the last: whoever admitted them did so within.
    pub(crate) within: Duration,
}

impl Door {
    /// A shop behind this door and a guard, who may turn callers away.
    pub(crate) fn before(&self, shop: Router, guard: impl FnOnce(Router) -> Router) -> Router {
        let shop = shop.layer(middleware::from_fn_with_state(self.clone(), enter));
        guard(shop).layer(middleware::from_fn(come))
    }

    /// What of all that came from a moment on has got in by now.
    pub(crate) fn entered_since(&self, from: Instant) -> Entered {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = || entries.iter().filter(|entry| entry.came >= from);
        let first = entries().map(|entry| entry.came).min();
        let last = entries().map(|entry| entry.entered).max();
        let within = first.zip(last).map(|(first, last)| last - first);
        Entered { calls: entries().count() as u64, within: within.unwrap_or_default() }
    }

    fn note(&self, entry: Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}

#[allow(clippy::disallowed_methods, reason = "the traffic is real, and so is its time")]
async fn come(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Came(Instant::now()));
    next.run(request).await
}

#[allow(clippy::disallowed_methods, reason = "the traffic is real, and so is its time")]
async fn enter(State(door): State<Door>, request: Request, next: Next) -> Response {
    let greedy = request.headers().get(CALLER).is_some_and(|it| it == Caller::GREEDY.as_str());
    if let (true, Some(&Came(came))) = (greedy, request.extensions().get()) {
        door.note(Entry { came, entered: Instant::now() });
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_counts_by_when_they_came_and_spans_from_first_coming_to_last_entry() {
        #[allow(clippy::disallowed_methods, reason = "an instant comes from nowhere else")]
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let door = Door::default();
        assert_eq!(door.entered_since(start), Entered::default());
        for (came, entered) in [(90, 101), (110, 111), (100, 140), (120, 130)] {
            door.note(Entry { came: at(came), entered: at(entered) });
        }
        let within = Duration::from_millis(40);
        assert_eq!(door.entered_since(at(100)), Entered { calls: 3, within });
    }
}
