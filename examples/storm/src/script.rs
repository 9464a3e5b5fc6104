//! What happens when: the phases as one table, and the script made from it.

use std::time::Duration;

use crate::claim::Claim;
use crate::upstream::{Health, Upstream};

/// A part of the script: an upstream falls ill, then everything is well for a while.
#[derive(Debug)]
pub(crate) struct Phase {
    /// The name for `--phase`.
    pub(crate) name: &'static str,
    /// What happens, in a sentence for the view.
    pub(crate) says: &'static str,
    /// Who is ill, and how.
    pub(crate) fault: Option<(Upstream, Fault)>,
    /// How long the fault lasts, in seconds at speed 1.
    pub(crate) lasts: f64,
    /// How long all is well afterwards, so that recovery can be timed; in seconds at speed 1.
    pub(crate) rest: f64,
    /// What the protected shop owes in this phase.
    pub(crate) claims: &'static [Claim],
}

/// How an upstream is ill.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It takes calls and does not answer.
    Hangs,
    /// It answers 500.
    Fails,
    /// It hangs and is well by turns. `--speed` leaves these two times alone: flapping faster than
    /// the shop's timeout would be no fault at all.
    Flaps { down: Duration, up: Duration },
}

/// All phases, in the order of the script. The first is the lead-in of `--phase`.
pub(crate) static PHASES: [Phase; 5] = [
    Phase {
        name: "calm",
        says: "all upstreams are well",
        fault: None,
        lasts: 4.0,
        rest: 0.0,
        claims: &[Claim::Goodput { gain: -0.02 }],
    },
    Phase {
        name: "b-hangs",
        says: "B takes calls and does not answer",
        fault: Some((Upstream::B, Fault::Hangs)),
        lasts: 10.0,
        rest: 4.0,
        claims: &[
            Claim::Goodput { gain: 0.05 },
            Claim::Others { gain: 0.10 },
            Claim::SickCalls { share: 0.5 },
            Claim::Recovery { slack: Duration::from_secs(1) },
        ],
    },
    Phase {
        name: "c-fails",
        says: "C answers 500",
        fault: Some((Upstream::C, Fault::Fails)),
        lasts: 4.5,
        rest: 2.0,
        claims: &[
            Claim::Goodput { gain: -0.02 },
            Claim::Others { gain: -0.02 },
            Claim::SickCalls { share: 0.5 },
        ],
    },
    Phase {
        name: "a-flaps",
        says: "A hangs for 2.5 s, is well for 1 s, and again",
        fault: Some((
            Upstream::A,
            Fault::Flaps { down: Duration::from_millis(2_500), up: Duration::from_secs(1) },
        )),
        lasts: 9.5,
        rest: 3.0,
        claims: &[
            // A hang that ends while callers still wait rewards those who asked and waited.
            Claim::Goodput { gain: -0.05 },
            Claim::Others { gain: -0.02 },
            Claim::SickCalls { share: 0.8 },
        ],
    },
    Phase {
        name: "heal",
        says: "all upstreams are well again",
        fault: None,
        lasts: 4.0,
        rest: 0.0,
        claims: &[Claim::Goodput { gain: -0.02 }],
    },
];

/// The phases of a run with their times, counted from its start.
#[derive(Debug)]
pub(crate) struct Script {
    /// Never empty.
    pub(crate) acts: Vec<Act>,
}

/// A phase in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    pub(crate) phase: &'static Phase,
    /// When it begins.
    pub(crate) from: Duration,
    /// When the sick upstream is well again.
    pub(crate) heal: Duration,
    /// When it ends.
    pub(crate) to: Duration,
}

/// A change of an upstream's health.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Beat {
    pub(crate) at: Duration,
    pub(crate) upstream: Upstream,
    pub(crate) health: Health,
}

impl Phase {
    /// The upstream that is ill in this phase.
    pub(crate) fn sick(&self) -> Option<Upstream> {
        self.fault.map(|(upstream, _)| upstream)
    }
}

impl Script {
    /// The whole script, or one phase of it after the calm; all of it `speed` times as fast.
    pub(crate) fn new(only: Option<&'static Phase>, speed: f64) -> Self {
        let [lead_in, ..] = &PHASES;
        let phases: Vec<&'static Phase> = match only {
            None => PHASES.iter().collect(),
            Some(phase) if phase.name == lead_in.name => vec![phase],
            Some(phase) => vec![lead_in, phase],
        };
        let mut at = Duration::ZERO;
        let acts = phases.into_iter().map(|phase| {
            let from = at;
            let heal = from + Duration::from_secs_f64(phase.lasts / speed);
            at = heal + Duration::from_secs_f64(phase.rest / speed);
            Act { phase, from, heal, to: at }
        });
        Self { acts: acts.collect() }
    }

    /// How long the script takes.
    pub(crate) fn lasts(&self) -> Duration {
        self.acts.last().map_or(Duration::ZERO, |act| act.to)
    }

    /// The act that is on at this time: the last one, when all are over.
    pub(crate) fn act_at(&self, at: Duration) -> &Act {
        let on = self.acts.iter().position(|act| at < act.to);
        &self.acts[on.unwrap_or(self.acts.len() - 1)]
    }
}

impl Act {
    /// The changes of health, in the order of time; the last one heals.
    pub(crate) fn beats(&self) -> Vec<Beat> {
        let Some((upstream, fault)) = self.phase.fault else { return Vec::new() };
        let mut beats = match fault {
            Fault::Hangs => vec![Beat { at: self.from, upstream, health: Health::Hanging }],
            Fault::Fails => vec![Beat { at: self.from, upstream, health: Health::Failing }],
            Fault::Flaps { down, up } => self.flaps(upstream, down, up),
        };
        beats.push(Beat { at: self.heal, upstream, health: Health::Well });
        beats
    }

    fn flaps(&self, upstream: Upstream, down: Duration, up: Duration) -> Vec<Beat> {
        let mut beats = Vec::new();
        let mut at = self.from;
        while at < self.heal {
            beats.push(Beat { at, upstream, health: Health::Hanging });
            if at + down < self.heal {
                beats.push(Beat { at: at + down, upstream, health: Health::Well });
            }
            at += down + up;
        }
        beats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str) -> &'static Phase {
        PHASES.iter().find(|phase| phase.name == name).expect("a phase of the table")
    }

    #[test]
    fn the_script_at_speed_1_ends_within_three_quarters_of_a_minute() {
        assert!(Script::new(None, 1.0).lasts() <= Duration::from_secs(45));
    }

    #[test]
    fn every_phase_owes_something_and_has_a_name_of_its_own() {
        for (i, phase) in PHASES.iter().enumerate() {
            assert!(!phase.claims.is_empty(), "{}", phase.name);
            assert!(PHASES[..i].iter().all(|other| other.name != phase.name), "{}", phase.name);
            assert_eq!(phase.fault.is_none(), phase.rest == 0.0, "{}", phase.name);
        }
    }

    #[test]
    fn acts_follow_one_another_and_scale_with_speed() {
        let (slow, fast) = (Script::new(None, 1.0), Script::new(None, 4.0));
        assert_eq!(slow.acts.len(), PHASES.len());
        for pair in slow.acts.windows(2) {
            assert_eq!(pair[0].to, pair[1].from);
        }
        assert_eq!(fast.lasts() * 4, slow.lasts());
    }

    #[test]
    fn one_phase_alone_has_a_calm_lead_in_but_calm_needs_none() {
        let names =
            |script: Script| -> Vec<_> { script.acts.iter().map(|act| act.phase.name).collect() };
        assert_eq!(names(Script::new(Some(phase("c-fails")), 1.0)), ["calm", "c-fails"]);
        assert_eq!(names(Script::new(Some(phase("calm")), 1.0)), ["calm"]);
    }

    #[test]
    fn the_act_of_a_time_is_found_and_the_last_one_stays() {
        let script = Script::new(None, 1.0);
        assert_eq!(script.act_at(Duration::ZERO).phase.name, "calm");
        assert_eq!(script.act_at(Duration::from_secs(5)).phase.name, "b-hangs");
        assert_eq!(script.act_at(Duration::from_secs(999)).phase.name, "heal");
    }

    #[test]
    fn every_fault_begins_with_its_act_and_ends_with_the_heal() {
        for act in Script::new(None, 1.0).acts {
            let beats = act.beats();
            let Some(upstream) = act.phase.sick() else {
                assert_eq!(beats, []);
                continue;
            };
            assert!(beats.is_sorted_by_key(|beat| beat.at));
            assert_eq!(beats[0].at, act.from);
            assert_ne!(beats[0].health, Health::Well);
            let heal = Beat { at: act.heal, upstream, health: Health::Well };
            assert_eq!(beats.last(), Some(&heal));
        }
    }

    #[test]
    fn flapping_takes_turns() {
        let script = Script::new(Some(phase("a-flaps")), 1.0);
        let beats = script.acts[1].beats();
        for pair in beats.windows(2) {
            assert_ne!(pair[0].health, pair[1].health);
        }
        assert!(beats.len() >= 4, "{beats:?}");
    }
}
