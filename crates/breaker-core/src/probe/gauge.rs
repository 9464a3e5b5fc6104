//! Asks a probe now and then, and remembers: [`ResourceGauge`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Tick;
use crate::percent::Percent;

use super::{ResourceProbe, Usage};

/// What a probe said last, for many readers.
///
/// The probe is asked at most once per interval, by the reader who finds it due and by nobody else:
/// the others go on with what was said before, and nobody waits. Nothing is known until the first
/// answer. A resource that a probe does not know any more keeps its last figure for three more
/// askings; so a file that could not be read once does not open the gates. A probe that panics
/// knows nothing.
///
/// A reading costs two loads of an atomic, apart from the one per interval that asks.
pub struct ResourceGauge {
    probe: Arc<dyn ResourceProbe>,
    interval: u64,
    /// When the probe may be asked next, in nanoseconds.
    next: AtomicU64,
    /// The [`Memory`], in one word: what is read belongs together.
    memory: AtomicU64,
}

impl ResourceGauge {
    /// A gauge that asks this probe at the first reading, and then once per interval at most.
    #[must_use]
    pub fn new(probe: impl ResourceProbe + 'static, interval: Duration) -> Self {
        let interval = Tick::ZERO.after(interval).as_nanos();
        let memory = AtomicU64::new(Memory::default().pack());
        Self { probe: Arc::new(probe), interval, next: AtomicU64::new(0), memory }
    }

    /// What is in use, as of the last asking, which is now if one is due.
    pub fn usage(&self, now: Tick) -> Usage {
        let known = || Memory::unpack(self.memory.load(Ordering::Relaxed)).usage();
        self.ask(now).unwrap_or_else(known)
    }

    /// What is in use just now, if it is this reader's turn to ask.
    pub fn ask(&self, now: Tick) -> Option<Usage> {
        self.is_mine(now).then(|| {
            let probe = AssertUnwindSafe(|| self.probe.usage());
            let said = catch_unwind(probe).unwrap_or_default();
            // Whoever asks later may be done sooner; both figures are of this hour.
            let memory = Memory::unpack(self.memory.load(Ordering::Relaxed)).after(said);
            self.memory.store(memory.pack(), Ordering::Relaxed);
            memory.usage()
        })
    }

    /// Whether it is this reader's turn to ask.
    fn is_mine(&self, now: Tick) -> bool {
        let (now, next) = (now.as_nanos(), self.next.load(Ordering::Relaxed));
        let after = now.saturating_add(self.interval);
        let relaxed = Ordering::Relaxed;
        now >= next && self.next.compare_exchange(next, after, relaxed, relaxed).is_ok()
    }
}

impl fmt::Debug for ResourceGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usage = Memory::unpack(self.memory.load(Ordering::Relaxed)).usage();
        f.debug_struct("ResourceGauge").field("usage", &usage).finish_non_exhaustive()
    }
}

/// Three figures, and for how many askings each is still good.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Memory([Option<(Percent, u8)>; 3]);

impl Memory {
    /// A figure outlives so many askings without an answer.
    const KEPT: u8 = 3;

    /// The same after another answer.
    fn after(self, said: Usage) -> Self {
        let mut figures = self.0;
        for (figure, said) in figures.iter_mut().zip([said.cpu, said.memory, said.load]) {
            *figure = match (said, *figure) {
                (Some(share), _) => Some((share, Self::KEPT)),
                (None, Some((share, left @ 1..))) => Some((share, left - 1)),
                _ => None,
            };
        }
        Self(figures)
    }

    fn usage(self) -> Usage {
        let [cpu, memory, load] = self.0.map(|figure| figure.map(|(share, _)| share));
        Usage { cpu, memory, load }
    }

    /// Of the 16 bits of each figure, 14 are its share, plus one, and two its age.
    fn pack(self) -> u64 {
        self.0.into_iter().fold(0, |word, figure| {
            let bits = figure.map_or(0, |(share, left)| {
                (u64::from(share.as_basis_points()) + 1) << 2 | u64::from(left)
            });
            word << 16 | bits
        })
    }

    fn unpack(word: u64) -> Self {
        Self([32, 16, 0].map(|shift| {
            let bits = (word >> shift) as u16;
            let share = (bits >> 2).checked_sub(1)?;
            Some((Percent::basis_points(share), (bits & 3) as u8))
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_word_holds_what_was_put_into_it(figures in any::<[Option<(u16, u8)>; 3]>()) {
            let memory = Memory(figures.map(|figure| {
                figure.map(|(share, left)| (Percent::basis_points(share % 10_001), left % 4))
            }));
            assert_eq!(Memory::unpack(memory.pack()), memory);
        }
    }
}
