//! Who comes when, drawn from the seed before anything runs.

use std::time::Duration;

use portcullis_priority::Class;

use crate::depot;
use crate::drill::Drill;
use crate::script::Script;
use crate::till;
use crate::upstream::Upstream;

/// Requests per second that each shop is sent, on average.
const RATE: f64 = 240.0;
/// Of 100 requests, how many take which route.
const MIX: [(Route, u64); 4] = [(Route::A, 30), (Route::B, 40), (Route::C, 15), (Route::Home, 15)];

/// Exports per second that the greedy caller sends in a flood: ten times its share of the rest.
const FLOOD: f64 = 120.0;

/// In an overload, how many times as many requests come to the till as it can do; and in the rest
/// after it.
const TIMES: f64 = 4.0;
const TIMES_IN_REST: f64 = 0.5;
/// Of 100 requests to the till, how many are of which class.
const CLASSES: [(Class, u64); 5] = [
    (Class::Critical, 10),
    (Class::High, 10),
    (Class::Normal, 30),
    (Class::Low, 25),
    (Class::Bulk, 25),
];

/// A route of the shop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    A,
    B,
    C,
    Home,
    /// A list of things that B has to be asked for one by one. It is asked for in floods only.
    Export,
    /// The till, which is a server of its own. Somebody comes in overloads only.
    Till(Class),
    /// The depot, which is a server of its own. Somebody comes in drills only.
    Depot,
}

/// Who sends requests: one of twenty, who all send as many but for floods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Caller(usize);

/// A request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    /// When, counted from the start of the run.
    pub(crate) at: Duration,
    pub(crate) route: Route,
    pub(crate) caller: Caller,
}

/// The generator `splitmix64`: small, well mixed, and the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(u64);

impl Route {
    /// All routes of the shop itself.
    pub(crate) const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::Home, Self::Export];

    /// The path of the route.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::A => "/a",
            Self::B => "/b",
            Self::C => "/c",
            Self::Home => "/home",
            Self::Export => "/export",
            Self::Till(_) => till::PATH,
            Self::Depot => depot::PATH,
        }
    }

    /// The upstream that the route cannot do without.
    pub(crate) const fn needs(self) -> Option<Upstream> {
        match self {
            Self::A => Some(Upstream::A),
            Self::B | Self::Export => Some(Upstream::B),
            Self::C => Some(Upstream::C),
            Self::Home | Self::Till(_) | Self::Depot => None,
        }
    }

    /// How many calls of that upstream it takes, one after the other.
    pub(crate) const fn calls(self) -> usize {
        match self {
            Self::Home | Self::Till(_) | Self::Depot => 0,
            Self::A | Self::B | Self::C => 1,
            Self::Export => 10,
        }
    }

    /// The class of a request to the till.
    pub(crate) const fn class(self) -> Option<Class> {
        match self {
            Self::Till(class) => Some(class),
            Self::A | Self::B | Self::C | Self::Home | Self::Export | Self::Depot => None,
        }
    }
}

impl Caller {
    /// The one that sends the floods.
    pub(crate) const GREEDY: Self = Self(Self::NAMES.len() - 1);
    const NAMES: &'static str = "EFGHIJKLMNOPQRSTUVWX";

    /// The caller of this name.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self(Self::NAMES.find(name).expect("the name of a caller"))
    }

    /// The name by which it calls itself.
    pub(crate) fn as_str(self) -> &'static str {
        &Self::NAMES[self.0..=self.0]
    }
}

impl SplitMix {
    /// The numbers of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number above 0 and at most 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// The time between two arrivals of a Poisson stream.
    fn gap(&mut self, per_second: f64) -> Duration {
        Duration::from_secs_f64(-self.unit().ln() / per_second)
    }
}

/// The arrivals of a run, floods among them; the same for the same seed.
pub(crate) fn draw(seed: u64, script: &Script) -> Vec<Arrival> {
    let mut arrivals = steady(seed, script.lasts());
    for act in script.acts.iter().filter(|act| act.phase.floods()) {
        arrivals.extend(flood(seed, act.from, act.heal));
    }
    for (i, act) in script.acts.iter().enumerate().filter(|(_, act)| act.phase.overloads()) {
        let mut random = SplitMix(seed.rotate_left(32) ^ i as u64);
        arrivals.extend(crowd(&mut random, TIMES, act.from, act.heal));
        arrivals.extend(crowd(&mut random, TIMES_IN_REST, act.heal, act.to));
    }
    for (i, act) in script.acts.iter().enumerate() {
        if let Some(drill) = act.phase.drill() {
            let mut random = SplitMix(seed.rotate_left(32) ^ i as u64);
            arrivals.extend(drilled(&mut random, drill, act.from, act.to));
        }
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals
}

/// What comes all the time: a Poisson stream, of all callers in equal parts.
fn steady(seed: u64, lasts: Duration) -> Vec<Arrival> {
    let mut random = SplitMix(seed);
    let mut arrivals = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += random.gap(RATE);
        if at >= lasts {
            return arrivals;
        }
        let ticket = random.next();
        let caller = Caller((ticket / 100) as usize % Caller::NAMES.len());
        arrivals.push(Arrival { at, route: pick(ticket % 100), caller });
    }
}

/// A flood: a Poisson stream of exports, of the greedy caller. Drawn apart, so that the rest of the
/// run is the same with and without it.
fn flood(seed: u64, from: Duration, to: Duration) -> Vec<Arrival> {
    let mut random = SplitMix(!seed);
    let mut arrivals = Vec::new();
    let mut at = from;
    loop {
        at += random.gap(FLOOD);
        if at >= to {
            return arrivals;
        }
        arrivals.push(Arrival { at, route: Route::Export, caller: Caller::GREEDY });
    }
}

/// A crowd at the till: a Poisson stream of all classes, so many times what the till can do.
fn crowd(random: &mut SplitMix, times: f64, from: Duration, to: Duration) -> Vec<Arrival> {
    let rate = times * f64::from(till::WORKERS) / till::WORK.as_secs_f64();
    let mut arrivals = Vec::new();
    let mut at = from;
    loop {
        at += random.gap(rate);
        if at >= to {
            return arrivals;
        }
        let ticket = random.next();
        let caller = Caller((ticket / 100) as usize % Caller::NAMES.len());
        let class = one_of(&CLASSES, ticket % 100).unwrap_or(Class::Bulk);
        arrivals.push(Arrival { at, route: Route::Till(class), caller });
    }
}

/// What comes to the depot in a drill: a Poisson stream.
fn drilled(random: &mut SplitMix, drill: Drill, from: Duration, to: Duration) -> Vec<Arrival> {
    let rate = drill.load() * f64::from(depot::WORKERS) / depot::WORK.as_secs_f64();
    let mut arrivals = Vec::new();
    let mut at = from;
    loop {
        at += random.gap(rate);
        if at >= to {
            return arrivals;
        }
        let caller = Caller(random.next() as usize % Caller::NAMES.len());
        arrivals.push(Arrival { at, route: Route::Depot, caller });
    }
}

/// The route of the given one in a hundred.
fn pick(ticket: u64) -> Route {
    one_of(&MIX, ticket).unwrap_or(Route::Home)
}

/// What the given one in a hundred gets, by these shares.
fn one_of<T: Copy>(shares: &[(T, u64)], mut ticket: u64) -> Option<T> {
    for &(what, share) in shares {
        if ticket < share {
            return Some(what);
        }
        ticket -= share;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_same_seed_draws_the_same_arrivals_and_another_seed_others() {
        let script = Script::new(None, 1.0);
        assert_eq!(draw(7, &script), draw(7, &script));
        assert_ne!(draw(7, &script), draw(8, &script));
    }

    #[test]
    fn splitmix_gives_the_numbers_of_its_reference() {
        let mut random = SplitMix(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn arrivals_are_ordered_and_keep_rate_and_mix() {
        let arrivals = steady(1, MINUTE);
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        assert!(arrivals.last().is_some_and(|last| last.at < MINUTE));
        let near = |counted: usize, share: f64| {
            let expected = RATE * 60.0 * share;
            (counted as f64 - expected).abs() < 5.0 * expected.sqrt()
        };
        assert!(near(arrivals.len(), 1.0));
        for (route, percent) in MIX {
            let counted = arrivals.iter().filter(|arrival| arrival.route == route).count();
            assert!(near(counted, percent as f64 / 100.0), "{route:?}: {counted}");
        }
        for caller in (0..20).map(Caller) {
            let counted = arrivals.iter().filter(|arrival| arrival.caller == caller).count();
            assert!(near(counted, 0.05), "{caller:?}: {counted}");
        }
    }

    #[test]
    fn a_flood_is_of_the_greedy_caller_and_leaves_the_others_as_they_were() {
        let script = Script::new(None, 1.0);
        let act = script.acts.iter().find(|act| act.phase.floods()).expect("a flood in the script");
        let arrivals = draw(1, &script);
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        let shop = arrivals.into_iter().filter(|it| Route::ALL.contains(&it.route));
        let (flood, rest): (Vec<_>, Vec<_>) =
            shop.partition(|arrival| arrival.route == Route::Export);
        assert_eq!(rest, steady(1, script.lasts()));
        let expected = FLOOD * (act.heal - act.from).as_secs_f64();
        assert!((flood.len() as f64 - expected).abs() < 5.0 * expected.sqrt(), "{}", flood.len());
        for arrival in flood {
            assert_eq!(arrival.caller, Caller::GREEDY);
            assert!(act.from <= arrival.at && arrival.at < act.heal, "{arrival:?}");
        }
    }

    #[test]
    fn a_crowd_is_four_times_what_the_till_can_do_and_half_of_it_later() {
        let script = Script::new(None, 1.0);
        let act = script.acts.iter().find(|act| act.phase.overloads()).expect("an overload");
        let crowd: Vec<_> = draw(1, &script)
            .into_iter()
            .filter(|it| it.route.class().is_some() && act.from <= it.at && it.at < act.to)
            .collect();
        let near = |counted: usize, rate: f64, time: Duration| {
            let expected = rate * time.as_secs_f64();
            assert!((counted as f64 - expected).abs() < 5.0 * expected.sqrt(), "{counted}");
        };
        let busy = crowd.iter().filter(|arrival| arrival.at < act.heal);
        near(busy.clone().count(), 320.0, act.heal - act.from);
        near(crowd.len() - busy.clone().count(), 40.0, act.to - act.heal);
        for (class, percent) in CLASSES {
            let counted = busy.clone().filter(|it| it.route == Route::Till(class)).count();
            near(counted, 3.2 * percent as f64, act.heal - act.from);
        }
    }

    #[test]
    fn a_drill_asks_for_its_share_of_what_the_depot_can_do_and_goes_on_in_the_rest() {
        let script = Script::new(None, 1.0);
        let arrivals = draw(1, &script);
        let mut drills = 0;
        for act in script.acts.iter().filter(|act| act.phase.drill().is_some()) {
            let due = arrivals.iter().filter(|it| act.from <= it.at && it.at < act.to);
            let counted = due.filter(|it| it.route == Route::Depot).count();
            let rate = act.phase.drill().map_or(0.0, |drill| drill.load() * 100.0);
            let expected = rate * (act.to - act.from).as_secs_f64();
            assert!((counted as f64 - expected).abs() < 5.0 * expected.sqrt(), "{counted}");
            drills += counted;
        }
        assert_eq!(arrivals.iter().filter(|it| it.route == Route::Depot).count(), drills);
    }

    #[test]
    fn the_mixes_sum_to_a_hundred() {
        assert_eq!(MIX.iter().map(|(_, share)| share).sum::<u64>(), 100);
        assert_eq!(CLASSES.iter().map(|(_, share)| share).sum::<u64>(), 100);
    }
}
