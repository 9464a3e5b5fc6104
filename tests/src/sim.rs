//! A server that can be asked for too much, and callers who come by chance: the model behind
//! `tests/retries.rs`, as plain data with time handed in.
//!
//! Five workers of 25 ms each (lognormal, sigma 0.5) can do 200 calls per second. Up to 400 calls
//! wait in one line, which is two seconds of work and twice a caller's patience; who finds no place
//! is told so after 2 ms. The server does not notice that a caller has gone: what waits or runs is
//! done to its end. That is what makes a failure outlive its cause.

mod dice;
mod scenario;
mod seen;
mod server;

pub use dice::Dice;
pub use scenario::{Ask, CLIENTS, Fault, S02, S04, S08, S10, Scenario};
pub use seen::Seen;
pub use server::{Answer, MEAN, Server, WORKERS};

/// A second, in the nanoseconds that the model counts in.
pub const SECOND: u64 = 1_000_000_000;
