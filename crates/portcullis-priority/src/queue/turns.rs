//! Whose turn it is, where classes take turns: [`Turns`].

use breaker_core::Class;

/// How many of a class are served in its turn, from bulk to critical.
const WEIGHTS: [u8; 5] = [1, 2, 4, 8, 16];

/// Deficit round robin (Shreedhar and Varghese 1995) over the classes. All calls are of one size, so
/// a class has no deficit but what is left of its turn.
///
/// There is a round for each kind of slot: those that bulk may take, those that low may, and so on.
/// With one round for all, the slots that are reserved for a high class would give it turns, and a
/// low class could be passed over for ever by the slots that it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns {
    /// By the lowest class that fits.
    rounds: [Round; 5],
}

impl Turns {
    pub(super) const fn new() -> Self {
        Self { rounds: [Round { class: Class::Critical, left: WEIGHTS[4] }; 5] }
    }

    /// Takes the next turn among the classes that wait for such a slot.
    pub(super) fn take(&mut self, fits: &[bool; 5], waits: &[bool; 5]) -> Option<Class> {
        if waits == &[false; 5] {
            return None;
        }
        let lowest = fits.iter().position(|&fits| fits)?;
        let round = &mut self.rounds[lowest];
        // Each gets its turn once, and then the first one again, whose turn may be over now.
        for _ in 0..=WEIGHTS.len() {
            if waits[round.class.index()] && round.left > 0 {
                round.left -= 1;
                return Some(round.class);
            }
            round.pass();
        }
        None
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug)]
struct Round {
    class: Class,
    left: u8,
}

impl Round {
    /// Passes the turn on; what is left of it is lost.
    fn pass(&mut self) {
        let below = (self.class.index() + 4) % 5;
        *self = Self { class: Class::ALL[below], left: WEIGHTS[below] };
    }
}
