//! A line a second, for logs.

use std::io::{self, Write};

use crate::table::{millis, percent};
use crate::view::{Moment, Shop};
use portcullis::State;

/// A view that prints.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    phase: Option<&'static str>,
    states: Vec<State>,
}

impl Lines {
    /// Prints the moment, under a heading where a phase begins, over a sentence of each circuit
    /// that has changed.
    pub(crate) fn show(&mut self, moment: &Moment<'_>, out: &mut impl Write) -> io::Result<()> {
        let phase = moment.act.phase;
        if self.phase.replace(phase.name) != Some(phase.name) {
            writeln!(out, "-- {}: {}", phase.name, phase.says)?;
        }
        let [bare, protected] = moment.shops.each_ref().map(shop);
        let at = moment.at.as_secs_f64();
        write!(out, "{at:>5.1} s  bare {bare}  |  protected {protected}  |")?;
        for lamp in &moment.lamps {
            write!(out, " {} {:<9}", lamp.upstream, lamp.state.as_str())?;
        }
        let spared: u64 = moment.lamps.iter().map(|lamp| lamp.spared).sum();
        let refused = moment.ward.as_ref().map_or(0, |ward| ward.refused);
        write!(out, " spared {spared:>5} refused {refused:>5}")?;
        if let Some(rank) = &moment.rank {
            write!(out, " till {:>2} slots, {:>2} wait", rank.slots, rank.waiting)?;
        }
        if let Some(attempts) = &moment.attempts {
            write!(out, " depot {:>2} slots, {:>4} again", attempts.slots, attempts.repeated)?;
        }
        writeln!(out)?;
        for (i, lamp) in moment.lamps.iter().enumerate() {
            let before = self.states.get(i).copied().unwrap_or(State::Closed);
            if lamp.state != before {
                writeln!(out, "         {}", lamp.explain)?;
            }
        }
        self.states = moment.lamps.iter().map(|lamp| lamp.state).collect();
        out.flush()
    }
}

fn shop(shop: &Shop) -> String {
    let goodput = shop.beat.goodput.map_or_else(|| "-".to_owned(), percent);
    let p99 = shop.beat.p99.map_or_else(|| "-".to_owned(), millis);
    let others = shop.beat.others.map_or_else(|| "-".to_owned(), percent);
    format!("{goodput:>7} good, others {others:>7}, p99 {p99:>6}, slots {:>2}", shop.slots)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::script::{PHASES, Script};
    use crate::view::{Beat, tests::moment};

    #[test]
    fn a_heading_a_line_and_a_sentence_only_when_something_changes() {
        let script = Script::new(Some(&PHASES[1]), 1.0);
        let mut lines = Lines::default();
        let mut printed = |state| {
            let mut out = Vec::new();
            let beat = Beat {
                goodput: Some(0.5),
                p99: Some(Duration::from_millis(7)),
                others: Some(0.25),
            };
            lines.show(&moment(&script, state, beat), &mut out).expect("a vector takes all");
            String::from_utf8(out).expect("text")
        };
        let first = printed(State::Open);
        assert!(first.starts_with("-- b-hangs: B takes calls"), "{first}");
        assert!(first.contains("50.0 % good, others  25.0 %, p99   7 ms, slots 64"), "{first}");
        assert!(
            first.contains("B open")
                && first.contains(
                    "spared    12 refused    34 till  7 slots,  8 wait depot  5 slots,    6 again\n"
                ),
            "{first}"
        );
        assert!(first.ends_with("upstream-b is open because\n"), "{first}");
        let second = printed(State::Open);
        assert_eq!(second.lines().count(), 1, "{second}");
        assert!(printed(State::Closed).ends_with("because\n"));
    }
}
