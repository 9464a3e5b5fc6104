//! Slots as numbers: who may take which, and how many there are. Pure.

use breaker_core::Class;

use crate::config::QueueConfig;

/// A kind of slots: those reserved for a class, or those for all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Bulk,
    Low,
    Normal,
    High,
    Critical,
    Shared,
}

impl Kind {
    /// How many kinds there are.
    pub(crate) const COUNT: usize = 6;

    /// Those reserved for a class.
    #[inline]
    pub(crate) const fn reserved(class: Class) -> Self {
        match class {
            Class::Bulk => Self::Bulk,
            Class::Low => Self::Low,
            Class::Normal => Self::Normal,
            Class::High => Self::High,
            Class::Critical => Self::Critical,
        }
    }

    /// Its place in arrays of all kinds.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// The kinds that a class may take, in this order: those reserved for it, those for all, and those
/// reserved for lower classes, the lowest first.
pub(crate) const fn order(class: Class) -> &'static [Kind] {
    const fn kinds<const N: usize>() -> [Kind; N] {
        let mut kinds = [Kind::Shared; N];
        kinds[0] = Kind::reserved(Class::ALL[N - 2]);
        let mut lower = 2;
        while lower < N {
            kinds[lower] = Kind::reserved(Class::ALL[lower - 2]);
            lower += 1;
        }
        kinds
    }
    const BULK: [Kind; 2] = kinds();
    const LOW: [Kind; 3] = kinds();
    const NORMAL: [Kind; 4] = kinds();
    const HIGH: [Kind; 5] = kinds();
    const CRITICAL: [Kind; 6] = kinds();
    match class {
        Class::Bulk => &BULK,
        Class::Low => &LOW,
        Class::Normal => &NORMAL,
        Class::High => &HIGH,
        Class::Critical => &CRITICAL,
    }
}

/// How many slots of each kind there are, where `limit` calls run at a time in all: what is missing
/// is taken from those for all, then from those reserved for the lowest class upwards. One slot is
/// left to all, if there was one: or a limit that grows with the calls that run could never grow.
pub(crate) fn split(config: &QueueConfig, limit: u32) -> [u32; Kind::COUNT] {
    let for_all = config.shared.min(1).min(limit);
    let mut left = limit - for_all;
    let mut slots = [0; Kind::COUNT];
    for class in Class::ALL.into_iter().rev() {
        let class = class.index();
        slots[class] = config.reserved[class].min(left);
        left -= slots[class];
    }
    slots[Kind::Shared.index()] = config.shared.min(left + for_all);
    slots
}

/// The slots of a kind in one word: how many there are, how many are taken, and whether somebody
/// waits for any, so that whoever changes the word has to look at the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    /// Somebody waits: slots are taken under the lock only.
    pub(crate) const GUARD: u64 = 1 << 63;

    pub(crate) const fn new(slots: u32) -> Self {
        Self((slots as u64) << 32)
    }

    pub(crate) const fn taken(self) -> u32 {
        self.0 as u32
    }

    pub(crate) const fn slots(self) -> u32 {
        ((self.0 & !Self::GUARD) >> 32) as u32
    }

    #[inline]
    pub(crate) const fn is_guarded(self) -> bool {
        self.0 & Self::GUARD != 0
    }

    #[inline]
    pub(crate) const fn has_room(self) -> bool {
        self.taken() < self.slots()
    }

    /// The same with so many slots.
    pub(crate) const fn with_slots(self, slots: u32) -> Self {
        let Self(word) = Self::new(slots);
        Self(word | self.0 & (Self::GUARD | u32::MAX as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-PRIO-03
    #[test]
    fn a_class_takes_its_own_slots_then_shared_ones_then_those_of_lower_classes() {
        let indices = |class| order(class).iter().map(|kind| kind.index()).collect::<Vec<_>>();
        assert_eq!(indices(Class::Critical), [4, 5, 0, 1, 2, 3]);
        assert_eq!(indices(Class::Normal), [2, 5, 0, 1]);
        assert_eq!(indices(Class::Bulk), [0, 5]);
    }

    #[test]
    fn a_lower_limit_is_taken_from_the_shared_slots_and_then_from_the_lowest_class() {
        let config = QueueConfig::new();
        assert_eq!(split(&config, 50), [0, 0, 20, 10, 5, 15]);
        assert_eq!(split(&config, 40), [0, 0, 20, 10, 5, 5]);
        assert_eq!(split(&config, 30), [0, 0, 14, 10, 5, 1]);
        assert_eq!(split(&config, 3), [0, 0, 0, 0, 2, 1]);
        assert_eq!(split(&config, 1), [0, 0, 0, 0, 0, 1]);
        assert_eq!(split(&config.shared(0), 6), [0, 0, 0, 1, 5, 0]);
        assert_eq!(split(&config, u32::MAX), [0, 0, 20, 10, 5, 15]);
    }

    #[test]
    fn a_word_keeps_its_parts_apart() {
        let word = Word(Word::new(1_000_000).0 + 7);
        assert_eq!((word.slots(), word.taken(), word.is_guarded()), (1_000_000, 7, false));
        let guarded = Word(word.0 | Word::GUARD).with_slots(3);
        assert_eq!((guarded.slots(), guarded.taken(), guarded.is_guarded()), (3, 7, true));
        assert!(word.has_room() && !guarded.has_room());
    }
}
