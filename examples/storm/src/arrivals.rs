//! Who comes when, drawn from the seed before anything runs.

use std::time::Duration;

use crate::upstream::Upstream;

/// Requests per second that each shop is sent, on average.
const RATE: f64 = 240.0;
/// Of 100 requests, how many take which route.
const MIX: [(Route, u64); 4] = [(Route::A, 30), (Route::B, 40), (Route::C, 15), (Route::Home, 15)];

/// A route of the shop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    A,
    B,
    C,
    Home,
}

/// A request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    /// When, counted from the start of the run.
    pub(crate) at: Duration,
    pub(crate) route: Route,
}

/// The generator `splitmix64`: small, well mixed, and the same on every machine.
#[derive(Clone, Debug)]
struct SplitMix(u64);

impl Route {
    /// All routes.
    pub(crate) const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::Home];

    /// The path of the route.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::A => "/a",
            Self::B => "/b",
            Self::C => "/c",
            Self::Home => "/home",
        }
    }

    /// The upstream that the route cannot do without.
    pub(crate) const fn needs(self) -> Option<Upstream> {
        match self {
            Self::A => Some(Upstream::A),
            Self::B => Some(Upstream::B),
            Self::C => Some(Upstream::C),
            Self::Home => None,
        }
    }
}

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number above 0 and at most 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

/// The arrivals of a run: a Poisson stream, the same for the same seed.
pub(crate) fn draw(seed: u64, lasts: Duration) -> Vec<Arrival> {
    let mut random = SplitMix(seed);
    let mut arrivals = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += Duration::from_secs_f64(-random.unit().ln() / RATE);
        if at >= lasts {
            return arrivals;
        }
        arrivals.push(Arrival { at, route: pick(random.next() % 100) });
    }
}

/// The route of the given one in a hundred.
fn pick(mut ticket: u64) -> Route {
    for (route, share) in MIX {
        if ticket < share {
            return route;
        }
        ticket -= share;
    }
    Route::Home
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_same_seed_draws_the_same_arrivals_and_another_seed_others() {
        assert_eq!(draw(7, MINUTE), draw(7, MINUTE));
        assert_ne!(draw(7, MINUTE), draw(8, MINUTE));
    }

    #[test]
    fn splitmix_gives_the_numbers_of_its_reference() {
        let mut random = SplitMix(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn arrivals_are_ordered_and_keep_rate_and_mix() {
        let arrivals = draw(1, MINUTE);
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
    }

    #[test]
    fn the_mix_sums_to_a_hundred() {
        assert_eq!(MIX.iter().map(|(_, share)| share).sum::<u64>(), 100);
    }
}
