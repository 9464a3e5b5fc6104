//! loom's atomics, with what it takes that it tries all orders.
//!
//! Of the accesses to a word loom remembers the last one only. Where a thread loads before it
//! stores, that is its own load, and the loads of others before it are never tried the other way
//! round. So each access here first takes a turn, which is a change to loom, but no order to the
//! memory: loads see as old values as ever.

use loom::sync::atomic::Ordering;

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            word: loom::sync::atomic::$name,
            turn: loom::sync::atomic::AtomicU32,
        }

        #[allow(dead_code, reason = "not each word is used in each way")]
        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self { word: loom::sync::atomic::$name::new(value), ..Self::default() }
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.turn().load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.turn().store(value, order);
            }

            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.turn().fetch_or(value, order)
            }

            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.turn().fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.turn().fetch_sub(value, order)
            }

            pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                self.turn().fetch_and(value, order)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.turn().compare_exchange_weak(current, new, success, failure)
            }

            fn turn(&self) -> &loom::sync::atomic::$name {
                self.turn.fetch_add(1, Ordering::Relaxed);
                &self.word
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
