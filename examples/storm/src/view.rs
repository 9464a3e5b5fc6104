//! What is seen while the run lasts: a screen, or lines where there is no terminal.

mod curve;
mod lines;
mod pulse;
mod screen;

use std::io::{self, IsTerminal};
use std::time::Duration;

pub(crate) use pulse::Pulse;

use crate::protect::{Attempts, Lamp, Protection, Rank, Ward};
use crate::script::{Act, Script};
use crate::upstream::Upstream;
use crate::world::World;
use lines::Lines;
use pulse::Beat;
use screen::Screen;

/// The live view.
#[derive(Debug)]
pub(crate) enum View {
    Lines(Lines),
    Screen(Box<Screen>),
}

/// All that a view shows at a time.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) act: &'a Act,
    /// Bare, then protected.
    pub(crate) shops: [Shop; 2],
    pub(crate) lamps: Vec<Lamp>,
    pub(crate) ward: Option<Ward>,
    /// The queue before the till.
    pub(crate) rank: Option<Rank>,
    /// The client of the depot.
    pub(crate) attempts: Option<Attempts>,
}

/// A shop and its upstreams at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shop {
    /// The last second.
    pub(crate) beat: Beat,
    /// Slots that are taken.
    pub(crate) slots: usize,
    /// Calls that have reached each upstream since the start.
    pub(crate) reached: [u64; 3],
}

impl View {
    /// A screen if there is a terminal to draw on, else lines.
    pub(crate) fn open(headless: bool) -> Self {
        if headless || !io::stdout().is_terminal() {
            return Self::Lines(Lines::default());
        }
        // A terminal that cannot be drawn on still takes lines.
        Screen::open()
            .map_or_else(|_| Self::Lines(Lines::default()), |screen| Self::Screen(Box::new(screen)))
    }

    /// How often the view wants to be shown a moment.
    pub(crate) const fn period(&self) -> Duration {
        match self {
            Self::Lines(_) => Duration::from_secs(1),
            Self::Screen(_) => Duration::from_millis(100),
        }
    }

    /// Shows a moment.
    ///
    /// # Errors
    /// When the output is gone, or when the user wants to stop.
    pub(crate) fn show(&mut self, moment: &Moment<'_>) -> io::Result<()> {
        match self {
            Self::Lines(lines) => lines.show(moment, &mut io::stdout().lock()),
            Self::Screen(screen) => screen.show(moment),
        }
    }
}

impl<'a> Moment<'a> {
    /// The state of affairs at a time of the script.
    pub(crate) fn new(
        script: &'a Script,
        at: Duration,
        worlds: &[World; 2],
        pulses: &mut [Pulse; 2],
    ) -> Self {
        let act = script.act_at(at);
        let [bare, protected] = pulses;
        let shop = |world: &World, pulse: &mut Pulse| Shop {
            beat: pulse.beat(at, act.phase),
            slots: world.slots.taken(),
            reached: Upstream::ALL.map(|upstream| world.reached(upstream)),
        };
        let shops = [shop(&worlds[0], bare), shop(&worlds[1], protected)];
        let protection = worlds[1].protection.as_ref();
        let lamps = protection.map(Protection::lamps).unwrap_or_default();
        let ward = protection.map(Protection::ward);
        let rank = protection.map(Protection::ranks);
        let attempts = protection.map(Protection::attempts);
        Self { at, lasts: script.lasts(), act, shops, lamps, ward, rank, attempts }
    }

    /// How much of the script is over, of 1.
    pub(crate) fn progress(&self) -> f64 {
        (self.at.as_secs_f64() / self.lasts.as_secs_f64()).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::State;

    /// A moment of the second act with B's circuit in this state.
    pub(super) fn moment(script: &Script, state: State, beat: Beat) -> Moment<'_> {
        let act = &script.acts[1];
        let shop = Shop { beat, slots: 64, reached: [1, 2, 3] };
        let lamp = Lamp {
            upstream: Upstream::B,
            state,
            spared: 12,
            explain: "upstream-b is open because".to_owned(),
        };
        let ward = Some(Ward { refused: 34, explain: "per-client grants 20/s".to_owned() });
        let (lasts, lamps) = (script.lasts(), vec![lamp]);
        let rank = Some(Rank { slots: 7, waiting: 8, explain: "till: 7 of 7 slots".to_owned() });
        let explain = "depot: 9 attempts failed".to_owned();
        let attempts = Some(Attempts { slots: 5, repeated: 6, explain });
        Moment { at: act.from, lasts, act, shops: [shop; 2], lamps, ward, rank, attempts }
    }
}
