//! The same histories to the machine and to the shell: the same decisions, and the same machine
//! after each step.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::world::{Seen, WAYS, World};

/// Everyday, and with `PORTCULLIS_DEEP`.
const STEPS: [u64; 2] = [200_000, 10_000_000];

/// So many steps, and a history ends.
const LENGTH: u64 = 1_000;

#[test]
fn the_shell_does_what_the_machine_does() {
    let deep = std::env::var("PORTCULLIS_DEEP").is_ok();
    let first = std::env::var("PORTCULLIS_SEED").ok().and_then(|seed| seed.parse().ok());
    let (mut steps, mut seed, mut seen) = (0, first.unwrap_or(1), Seen::new());
    let from: u64 = seed;
    while steps < STEPS[usize::from(deep)] {
        let mut world = World::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let run = catch_unwind(AssertUnwindSafe(|| world.run(LENGTH)));
        if let Err(panic) = run {
            println!("PORTCULLIS_SEED={seed}, step {}, after\n  {}", world.steps, world.last());
            // What is out would panic in its turn.
            let _kept = std::mem::ManuallyDrop::new(world);
            resume_unwind(panic);
        }
        for (way, times) in &world.seen {
            *seen.entry(way).or_default() += times;
        }
        steps += world.steps;
        seed += 1;
    }
    println!("differential: {steps} steps, seeds {from}..{seed}");
    for way in WAYS {
        let times = seen.get(way).copied().unwrap_or(0);
        println!("{times:>9} {way}");
        assert!(times > 0, "nothing went this way: {way}");
    }
}
