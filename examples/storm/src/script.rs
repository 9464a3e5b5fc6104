//! What happens when: the phases as one table, and the script made from it.

use std::time::Duration;

use crate::arrivals::{Arrival, Caller, Route};
use crate::claim::Claim;
use crate::drill::Drill;
use crate::due::Due;
use crate::owed::Owed;
use crate::rush::Course;
use crate::upstream::{Health, Upstream};

/// A part of the script: something goes wrong, then everything is well for a while.
#[derive(Debug)]
pub(crate) struct Phase {
    /// The name for `--phase`.
    pub(crate) name: &'static str,
    /// What happens, in a sentence for the view.
    pub(crate) says: &'static str,
    /// What goes wrong.
    pub(crate) fault: Option<Fault>,
    /// How long the fault lasts, in seconds at speed 1.
    pub(crate) lasts: f64,
    /// How long all is well afterwards, so that recovery can be timed; in seconds at speed 1.
    pub(crate) rest: f64,
    /// What the protected shop owes in this phase.
    pub(crate) claims: &'static [Claim],
}

/// What goes wrong in a phase.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// An upstream is ill.
    Ill(Upstream, Illness),
    /// One caller sends many times its share.
    Floods,
    /// The till is sent many times what it can do.
    Crowds(Course),
    /// The depot has errors of its own, or is slow for a while.
    Drills(Drill),
}

/// How an upstream is ill.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Illness {
    /// It takes calls and does not answer.
    Hangs,
    /// It answers 500.
    Fails,
    /// It hangs and is well by turns. `--speed` leaves these two times alone: flapping faster than
    /// the shop's timeout would be no fault at all.
    Flaps { down: Duration, up: Duration },
}

/// All phases, in the order of the script. The first is the lead-in of `--phase`.
pub(crate) static PHASES: [Phase; 10] = [
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
        fault: Some(Fault::Ill(Upstream::B, Illness::Hangs)),
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
        fault: Some(Fault::Ill(Upstream::C, Illness::Fails)),
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
        fault: Some(Fault::Ill(
            Upstream::A,
            Illness::Flaps { down: Duration::from_millis(2_500), up: Duration::from_secs(1) },
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
        name: "x-floods",
        says: "caller X sends ten times its share more, each worth ten calls of B",
        fault: Some(Fault::Floods),
        lasts: 7.0,
        rest: 2.0,
        claims: &[
            Claim::Others { gain: 0.20 },
            Claim::Quota { least: 0.5 },
            Claim::Refusals { share: 0.5 },
        ],
    },
    Phase {
        name: "overload",
        says: "four times what the till can do is asked of it, in five classes",
        fault: Some(Fault::Crowds(Course::Steady)),
        lasts: 5.5,
        rest: 1.0,
        claims: &[
            Claim::Till(Due::Critical { least: 0.99 }),
            Claim::Till(Due::Capacity { least: 0.95 }),
            Claim::Till(Due::Order { bulk: 0.05 }),
            Claim::Till(Due::Slots),
            Claim::Till(Due::Refusals { share: 0.5 }),
            Claim::Others { gain: -0.02 },
            Claim::Recovery { slack: Duration::from_millis(500) },
        ],
    },
    Phase {
        name: "capacity",
        says: "the same, and half of the till's workers go and come; later it has errors of its own",
        fault: Some(Fault::Crowds(Course::Moves)),
        lasts: 8.5,
        rest: 1.0,
        claims: &[
            Claim::Till(Due::Lowered { most: 0.85 }),
            Claim::Till(Due::Back { least: 1.2 }),
            Claim::Till(Due::Stands { least: 0.8 }),
            Claim::Till(Due::Slots),
            Claim::Till(Due::Refusals { share: 0.5 }),
        ],
    },
    Phase {
        name: "gray",
        says: "30 of 100 answers of the depot are 500, and its clients try again",
        fault: Some(Fault::Drills(Drill::Gray)),
        lasts: 5.0,
        rest: 1.0,
        claims: &[
            // Three attempts can give 0.973; a GET has five here.
            Claim::Depot(Owed::Goodput { least: 0.97 }),
            Claim::Depot(Owed::Gain { gain: -0.01 }),
            Claim::Others { gain: -0.02 },
        ],
    },
    Phase {
        name: "metastable",
        says: "the depot, at 85 % of what it can do, is slow for a while, and then is well",
        fault: Some(Fault::Drills(Drill::Trigger)),
        lasts: 8.0,
        rest: 8.0,
        claims: &[
            Claim::Depot(Owed::Amplification { most: 1.1 }),
            Claim::Depot(Owed::Recovery { within: Duration::from_secs(2) }),
            Claim::Others { gain: -0.02 },
        ],
    },
    Phase {
        name: "heal",
        says: "all is well again",
        fault: None,
        lasts: 3.0,
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
    /// When the fault is over.
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
        match self.fault {
            Some(Fault::Ill(upstream, _)) => Some(upstream),
            Some(Fault::Floods | Fault::Crowds(_) | Fault::Drills(_)) | None => None,
        }
    }

    /// Whether a caller sends many times its share.
    pub(crate) const fn floods(&self) -> bool {
        matches!(self.fault, Some(Fault::Floods))
    }

    /// How a crowd meets the till, where it does.
    pub(crate) const fn course(&self) -> Option<Course> {
        match self.fault {
            Some(Fault::Crowds(course)) => Some(course),
            Some(Fault::Ill(..) | Fault::Floods | Fault::Drills(_)) | None => None,
        }
    }

    /// What is the matter with the depot, where something is.
    pub(crate) const fn drill(&self) -> Option<Drill> {
        match self.fault {
            Some(Fault::Drills(drill)) => Some(drill),
            Some(Fault::Ill(..) | Fault::Floods | Fault::Crowds(_)) | None => None,
        }
    }

    /// Whether the till is sent many times what it can do.
    pub(crate) const fn overloads(&self) -> bool {
        self.course().is_some()
    }

    /// The upstream that the fault strikes: the sick one, or the one that the flood is for.
    pub(crate) fn struck(&self) -> Option<Upstream> {
        if self.floods() { Route::Export.needs() } else { self.sick() }
    }

    /// Whether a request is one of those that the fault is about: it needs the sick upstream, or it
    /// is of the greedy caller, or it comes to the till or the depot. All others ought to go on as if
    /// nothing had happened.
    pub(crate) fn concerns(&self, arrival: &Arrival) -> bool {
        match self.fault {
            None => false,
            Some(Fault::Ill(upstream, _)) => arrival.route.needs() == Some(upstream),
            Some(Fault::Floods) => arrival.caller == Caller::GREEDY,
            Some(Fault::Crowds(_)) => arrival.route.class().is_some(),
            Some(Fault::Drills(_)) => arrival.route == Route::Depot,
        }
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
        let Some(Fault::Ill(upstream, illness)) = self.phase.fault else { return Vec::new() };
        let mut beats = match illness {
            Illness::Hangs => vec![Beat { at: self.from, upstream, health: Health::Hanging }],
            Illness::Fails => vec![Beat { at: self.from, upstream, health: Health::Failing }],
            Illness::Flaps { down, up } => self.flaps(upstream, down, up),
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
    use portcullis_priority::Class;

    use super::*;

    fn phase(name: &str) -> &'static Phase {
        PHASES.iter().find(|phase| phase.name == name).expect("a phase of the table")
    }

    #[test]
    fn the_script_at_speed_1_takes_less_than_a_minute_and_a_half() {
        assert!(Script::new(None, 1.0).lasts() <= Duration::from_secs(90));
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
    fn every_illness_begins_with_its_act_and_ends_with_the_heal() {
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
    fn a_fault_concerns_who_needs_what_is_ill_or_is_greedy_or_comes_to_till_or_depot() {
        let till = Route::Till(Class::Bulk);
        let arrivals = [
            (Route::B, "E"),
            (Route::Home, "E"),
            (Route::Home, "X"),
            (till, "E"),
            (Route::Depot, "E"),
        ];
        let concerned = |name| {
            arrivals.map(|(route, caller)| {
                let at = Duration::ZERO;
                phase(name).concerns(&Arrival { at, route, caller: Caller::named(caller) })
            })
        };
        assert_eq!(concerned("calm"), [false; 5]);
        assert_eq!(concerned("b-hangs"), [true, false, false, false, false]);
        assert_eq!(concerned("x-floods"), [false, false, true, false, false]);
        assert_eq!(concerned("overload"), [false, false, false, true, false]);
        assert_eq!(concerned("gray"), [false, false, false, false, true]);
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
