//! Any sequence of changes and subscribers, against a list that forgets nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use breaker_core::{Change, CircuitBreaker, CircuitBreakerConfig, EventKind, Events, Next};

const KEPT: u64 = 256;

struct Subscriber {
    events: Events,
    seen: u64,
    woken: Arc<Woken>,
    waits: bool,
}

#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many things were done.
pub(crate) fn run(bytes: &[u8]) -> usize {
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::new());
    let (mut pushed, mut subscribers) = (0_u64, Vec::<Subscriber>::new());
    for &byte in bytes {
        let which = usize::from(byte >> 3) % subscribers.len().max(1);
        match byte & 7 {
            // Each change has a number of its own.
            0..=1 => {
                let many = if byte >> 3 == 31 { 300 } else { u64::from(byte >> 3) % 3 + 1 };
                for _ in 0..many {
                    breaker.reconfigure(CircuitBreakerConfig::new());
                    pushed += 1;
                    subscribers.iter_mut().for_each(Subscriber::expect_wake);
                }
            }
            2 if subscribers.len() < 8 => subscribers.push(Subscriber {
                events: breaker.subscribe(),
                seen: pushed,
                woken: Arc::default(),
                waits: false,
            }),
            3..=4 => {
                if let Some(subscriber) = subscribers.get_mut(which) {
                    let expected = subscriber.expected(pushed);
                    assert_eq!(subscriber.events.try_next().map(plain), expected);
                }
            }
            5 => {
                if let Some(subscriber) = subscribers.get_mut(which) {
                    subscriber.poll(pushed);
                }
            }
            6 if !subscribers.is_empty() => drop(subscribers.swap_remove(which)),
            7 => {
                let recent: Vec<_> = breaker.recent_changes().into_iter().map(version).collect();
                let expected: Vec<_> = (pushed.saturating_sub(KEPT) + 1..=pushed).collect();
                assert_eq!(recent, expected);
            }
            _ => {}
        }
    }
    bytes.len()
}

impl Subscriber {
    /// What comes next, as the list has it: the number of a change, or how many were missed.
    fn expected(&mut self, pushed: u64) -> Option<Result<u64, u64>> {
        let oldest = pushed.saturating_sub(KEPT);
        if self.seen < oldest {
            let missed = oldest - self.seen;
            self.seen = oldest;
            return Some(Err(missed));
        }
        if self.seen == pushed {
            return None;
        }
        self.seen += 1;
        Some(Ok(self.seen))
    }

    fn poll(&mut self, pushed: u64) {
        let waker = Waker::from(self.woken.clone());
        let polled = self.events.poll_next(&mut Context::from_waker(&waker));
        let polled = match polled {
            Poll::Ready(next) => Some(plain(next)),
            Poll::Pending => None,
        };
        assert_eq!(polled, self.expected(pushed));
        self.waits |= polled.is_none();
    }

    /// Whoever waits is woken once by the next change, and nobody else is.
    fn expect_wake(&mut self) {
        let woken = self.woken.0.swap(0, Ordering::Relaxed);
        assert_eq!(woken, u64::from(self.waits), "woken {woken} times");
        self.waits = false;
    }
}

fn plain(next: Next) -> Result<u64, u64> {
    match next {
        Next::Change(change) => Ok(version(change)),
        Next::Missed(missed) => Err(missed),
    }
}

fn version(change: Change) -> u64 {
    match change.kind {
        EventKind::Reconfigured { version } => version,
        other => panic!("nobody did that: {other:?}"),
    }
}
