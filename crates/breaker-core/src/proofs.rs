//! Proofs that the concurrent shell is the machine, and nothing else.
//!
//! `differential` puts the same histories into both, one step after the other; the models in
//! `slot/models` try all orders of a few steps; `slot/schedules` tries many orders of whole calls.

#[cfg(loom)]
pub(crate) mod atomics;
pub(crate) mod hooks;

#[cfg(not(any(loom, shuttle)))]
mod dice;
#[cfg(not(any(loom, shuttle)))]
mod differential;
#[cfg(not(any(loom, shuttle)))]
#[allow(
    clippy::large_types_passed_by_value,
    reason = "a configuration goes by value here as there"
)]
mod plain;
#[cfg(not(any(loom, shuttle)))]
mod world;
