//! Draws that a case names, out of a source that is only seeded: [`seed`].

use breaker_core::Chance;

use super::verdict::Mismatch;

/// By which each step of the source goes on (Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators", 2014).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number that stands for this share of all that can be drawn: 1 is the last one.
pub(crate) fn number(share: f64) -> Result<u64, Mismatch> {
    let wrong = || Mismatch::new("a draw in 0..=1", share.to_string());
    // The conversion stops at the last number.
    (0.0..=1.0).contains(&share).then(|| (share * 2_f64.powi(64)) as u64).ok_or_else(wrong)
}

/// The seed of the source whose draw number `count`, counted from 1, is this one.
///
/// Each step of the source can be turned round, so there is one such seed for all draws. Should it
/// become another source, this says so.
pub(crate) fn seed(drawn: u64, count: u64) -> Result<u64, Mismatch> {
    let seed = turned_round(drawn).wrapping_sub(STEP.wrapping_mul(count));
    let mut chance = Chance::seeded(seed);
    let got = (0..count).fold(drawn, |_, _| chance.draw());
    let wrong = || Mismatch::new(format!("a source that can draw {drawn}"), got.to_string());
    (got == drawn).then_some(seed).ok_or_else(wrong)
}

fn turned_round(mut z: u64) -> u64 {
    z = unshifted(z, 31).wrapping_mul(inverse(0x94D0_49BB_1331_11EB));
    z = unshifted(z, 27).wrapping_mul(inverse(0xBF58_476D_1CE4_E5B9));
    unshifted(z, 30)
}

/// Undoes `z ^ (z >> by)`.
fn unshifted(z: u64, by: u32) -> u64 {
    (0..64 / by).fold(z, |found, _| z ^ (found >> by))
}

/// The number by which an odd one multiplies to one: Newton's way doubles the bits that are right.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |found, _| found.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(found))))
}
