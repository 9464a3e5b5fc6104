//! Who gets a slot without a look at anything else: [`Gate`].

use breaker_core::Priority;

/// Who gets a slot without a look at anything else, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gate(pub(super) u32);

impl Gate {
    /// Above every level: everybody looks.
    pub(super) const LOOK: u32 = 255;
    const TIMED: u32 = 256;

    pub(super) const fn new(least: Priority, look: bool, timed: bool) -> Self {
        let least = if look { Self::LOOK } else { least.level() as u32 };
        Self(least + if timed { Self::TIMED } else { 0 })
    }

    #[inline]
    pub(super) const fn lets(self, priority: Priority) -> bool {
        priority.level() as u32 >= self.0 & 255
    }

    #[inline]
    pub(crate) const fn is_timed(self) -> bool {
        self.0 & Self::TIMED != 0
    }
}
