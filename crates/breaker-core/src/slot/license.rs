//! The words that are read and written without a lock: [`License`] and [`Pending`].
//!
//! Both carry an epoch in their upper 48 bits. An epoch is drawn from one counter for all
//! circuits and never twice, so an equal epoch means the same circuit in the same era of its
//! life; 2^48 of them last for nine years at a million a second.

use crate::sync::Ordering;

/// What calls may do without the circuit's lock, in this epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct License(pub(super) u64);

impl License {
    /// Nothing: whoever comes takes the lock.
    pub(super) const NONE: Self = Self(0);

    /// Whoever arrives is admitted, and the call is evidence.
    pub(crate) const ADMITS: u64 = 1;
    /// A plain success says nothing.
    pub(crate) const IDLE: u64 = 1 << 1;
    /// Plain successes only add up: they may be noted by thread and taken in later.
    pub(crate) const ADDS: u64 = 1 << 2;
    /// `IDLE` and `ADDS` hold before the moment `until`.
    pub(crate) const UNTIL: u64 = 1 << 3;
    /// Whoever arrives before the moment `until` is refused.
    pub(crate) const REFUSES: u64 = 1 << 4;
    /// A success that took `slow_after` or longer is not a plain one.
    pub(crate) const SLOW: u64 = 1 << 5;
    /// The clock is the machine's own, which may be read without the lock.
    pub(crate) const CLOCK: u64 = 1 << 6;
    /// Somebody wants to be told.
    pub(super) const OBSERVED: u64 = 1 << 7;
    /// A strategy of the user's decides.
    pub(super) const CUSTOM: u64 = 1 << 8;
    /// A gate is asked before each admission.
    pub(super) const GATED: u64 = 1 << 9;
    /// The answers do not depend on the time just now.
    pub(super) const AT_REST: u64 = 1 << 10;
    /// The evidence needs to know when a call ends.
    pub(super) const BY_TIME: u64 = 1 << 11;
    /// No handle is left that is meant to stay, so the next that goes may be the last.
    pub(super) const ORPHANED: u64 = 1 << 12;

    pub(super) const fn new(epoch: u64, flags: u64) -> Self {
        Self(epoch << SHIFT | flags)
    }

    #[inline]
    pub(crate) const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    /// Whether a success says nothing, whenever it comes and however long the call took.
    #[inline]
    pub(super) const fn is_idle_at_any_time(self) -> bool {
        self.0 & (Self::IDLE | Self::UNTIL | Self::SLOW) == Self::IDLE
    }

    /// Whether threads have anything to note, or to look up in their notes.
    pub(super) const fn is_for_notes(self) -> bool {
        let until = self.has(Self::UNTIL);
        // The end of a license is known to a thread only where the clock is the machine's own.
        let successes = self.has(Self::ADDS) || self.has(Self::IDLE) && until;
        self.has(Self::REFUSES) || successes && (!until || self.has(Self::CLOCK))
    }

    /// Whether it matters when a call ended that went well; of one that went wrong always. A
    /// success that is the last of enough calls may open the circuit, and then from now on.
    pub(crate) const fn asks_when(self, stamped: bool) -> bool {
        !self.has(Self::IDLE | Self::ADDS)
            || self.has(Self::BY_TIME)
            || stamped && self.asks_how_long()
    }

    /// Whether somebody asks how long a call took that went well. To be told where nobody asks
    /// would count some slow calls and not others, as the lock happens to be taken.
    pub(crate) const fn asks_how_long(self) -> bool {
        !self.has(Self::AT_REST) || self.has(Self::SLOW | Self::CUSTOM | Self::OBSERVED)
    }

    pub(crate) const fn epoch(self) -> u64 {
        self.0 >> SHIFT
    }

    /// The permit of a call that was admitted in this epoch, with what its ticket says.
    pub(crate) const fn permit(epoch: u64, role: u64) -> u64 {
        epoch << SHIFT | role
    }

    /// The permit of a call that is evidence in this epoch.
    #[inline]
    pub(super) const fn evidence(self) -> u64 {
        self.0 & !LOW
    }
}

/// What one thread has noted and nobody has taken in yet: how often, and of what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Pending(pub(super) u64);

impl Pending {
    /// After so many it is taken in, so that a circuit is never far behind.
    pub(super) const LIMIT: u64 = 1 << 10;

    const REFUSALS: u64 = 1 << 15;

    /// Nothing noted yet, under this license.
    pub(super) const fn under(license: License) -> Self {
        let kind = if license.has(License::REFUSES) { Self::REFUSALS } else { 0 };
        Self(license.0 & !LOW | kind)
    }

    /// One more success; `None` where this is not the place to note it.
    #[inline]
    pub(super) const fn success(self, license: License) -> Option<Self> {
        // The epoch differs, refusals are counted, or it is time to take in.
        if (self.0 ^ license.evidence()) >= Self::LIMIT { None } else { Some(Self(self.0 + 1)) }
    }

    /// One more refusal; `None` where this is not the place to note it.
    #[inline]
    pub(super) const fn refusal(self, license: License) -> Option<Self> {
        let place = license.evidence() | Self::REFUSALS;
        if (self.0 ^ place) >= Self::LIMIT { None } else { Some(Self(self.0 + 1)) }
    }

    pub(super) const fn count(self) -> u32 {
        (self.0 & LOW & !Self::REFUSALS) as u32
    }

    pub(super) const fn epoch(self) -> u64 {
        self.0 >> SHIFT
    }

    pub(super) const fn is_refusals(self) -> bool {
        self.0 & Self::REFUSALS != 0
    }

    /// The same, with nothing counted: what tells one kind from another.
    pub(super) const fn kind(self) -> u64 {
        self.0 & (!LOW | Self::REFUSALS)
    }
}

const SHIFT: u32 = 16;
const LOW: u64 = (1 << SHIFT) - 1;

/// An epoch that no circuit has had.
pub(super) fn next_epoch() -> u64 {
    // Only its being different counts, so it stands outside of what a model checker looks at.
    static EPOCH: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    EPOCH.fetch_add(1, Ordering::Relaxed)
}
