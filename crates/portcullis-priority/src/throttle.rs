//! Refuses here what the callee would refuse: [`Throttle`].

mod recent;
#[cfg(test)]
mod tests;

use std::time::Duration;

use breaker_core::{Chance, Class, Percent, Tick};

use self::recent::Recent;

/// How many calls are refused here while the callee refuses many.
///
/// Client-side throttling ("Handling Overload", in Beyer et al., Site Reliability Engineering, 2016):
/// of the calls that ended in the last two minutes, those that were refused here among them, the share
/// `(requests - K * accepts) / (requests + 1)` is refused. What the callee still takes, K times over,
/// is sent, so the way back is always open.
///
/// Calls count when they end. A failed connection, 429, an overload answer and a timeout of the callee
/// say that it was not taken; a call that its caller gives up says nothing, so put a timeout inside.
///
/// The share is taken from the lowest classes first, and from a higher one only what all below it
/// could not give.
///
/// ```
/// use breaker_core::Percent;
/// use portcullis_priority::Throttle;
/// use std::time::Duration;
///
/// const GENTLE: Throttle = Throttle::sre(3.0).max_share(Percent::new(90));
/// assert_eq!(GENTLE.share_of(100, 100), 0.0);
/// assert!(GENTLE.share_of(100, 10) > 0.69);
/// const ENVOY: Throttle = Throttle::admission(Percent::new(95)).window(Duration::from_secs(30));
/// assert!(ENVOY.share_of(1_000, 500) > 0.47);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Throttle {
    multiplier: f64,
    aggression: f64,
    max_share: Percent,
    window: Duration,
}

impl Throttle {
    /// Twice as many calls as are accepted.
    pub const fn new() -> Self {
        Self::sre(2.0)
    }

    /// `multiplier` times as many calls as are accepted, 1..=100: the K of the source. With 1, a
    /// single refusal of the callee refuses calls here.
    ///
    /// # Panics
    /// When `multiplier` lies outside 1..=100.
    pub const fn sre(multiplier: f64) -> Self {
        assert!(
            multiplier >= 1.0 && multiplier <= 100.0,
            "the multiplier of a throttle is 1..=100"
        );
        Self {
            multiplier,
            aggression: 1.0,
            max_share: Percent::FULL,
            window: Duration::from_secs(120),
        }
    }

    /// As Envoy's admission control: calls are refused where fewer than this share is accepted, 80 %
    /// of them at most, and the last 30 s count.
    ///
    /// # Panics
    /// When the share lies outside 1 %..=100 %.
    pub const fn admission(success_threshold: Percent) -> Self {
        let points = success_threshold.as_basis_points();
        assert!(points >= 100, "the threshold of an admission is 1 %..=100 %");
        Self::sre(10_000.0 / points as f64)
            .max_share(Percent::new(80))
            .window(Duration::from_secs(30))
    }

    /// The share is taken to the power of one by this, 1..=100; default 1. With more, many calls are
    /// refused here early on.
    ///
    /// # Panics
    /// When `aggression` lies outside 1..=100.
    pub const fn aggression(mut self, aggression: f64) -> Self {
        assert!(
            aggression >= 1.0 && aggression <= 100.0,
            "the aggression of a throttle is 1..=100"
        );
        self.aggression = aggression;
        self
    }

    /// The most that is refused here; default all but one of `requests + 1`, of an admission 80 %.
    ///
    /// By the formula alone, very little is sent to a callee that is down: once it is back after two
    /// minutes, at ten calls a second, it takes a quarter of an hour until all is sent again; with 95 %
    /// at most, five minutes.
    pub const fn max_share(mut self, share: Percent) -> Self {
        self.max_share = share;
        self
    }

    /// For how long a call counts, 1 s..=1 h, in 24 steps; default 2 min, of an admission 30 s.
    ///
    /// # Panics
    /// When `window` lies outside 1 s..=1 h.
    pub const fn window(mut self, window: Duration) -> Self {
        let millis = window.as_millis();
        assert!(millis >= 1_000 && millis <= 3_600_000, "the window of a throttle is 1 s..=1 h");
        self.window = window;
        self
    }

    /// The share that is refused, 0..=1, where so many of the calls that came were accepted.
    #[must_use]
    pub fn share_of(&self, requests: u64, accepts: u64) -> f64 {
        let requests = requests as f64;
        let excess = self.multiplier.mul_add(-(accepts as f64), requests);
        let share = (excess / (requests + 1.0)).max(0.0);
        share.powf(self.aggression.recip()).min(self.max_share.fraction())
    }
}

/// [`Throttle::new`].
impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// The calls of the last while, and what became of them. Pure; 632 bytes, whatever the traffic.
#[derive(Clone, Debug)]
pub(crate) struct Throttling {
    recent: Recent,
}

impl Throttling {
    pub(crate) const fn new(throttle: &Throttle) -> Self {
        Self { recent: Recent::new(throttle.window) }
    }

    /// Whether a call of this class is sent. One that is counts when it ends: what is still under way
    /// is no sign of anything.
    pub(crate) fn admit(
        &mut self,
        throttle: &Throttle,
        now: Tick,
        class: Class,
        chance: &mut Chance,
    ) -> bool {
        self.recent.advance(throttle.window, now);
        let share = throttle.share_of(self.recent.requests(), self.recent.accepts());
        if share <= 0.0 {
            return true;
        }
        let own = self.share_of_class(share, class);
        let sent = chance.below(1 << 53) as f64 >= own * (1_u64 << 53) as f64;
        if !sent {
            self.recent.came(class);
        }
        sent
    }

    /// Takes in how a call of this class ended that was sent: whether the callee took it.
    pub(crate) fn ended(&mut self, throttle: &Throttle, now: Tick, class: Class, accepted: bool) {
        self.recent.advance(throttle.window, now);
        self.recent.came(class);
        if accepted {
            self.recent.accepted();
        }
    }

    /// The share of calls that are refused just now, all classes together, 0..=1.
    pub(crate) fn share(&self, throttle: &Throttle, now: Tick) -> f64 {
        let mut recent = self.recent.clone();
        recent.advance(throttle.window, now);
        throttle.share_of(recent.requests(), recent.accepts())
    }

    /// What of it a call of this class bears: what the classes below could not give, though each gave
    /// all it has.
    fn share_of_class(&self, share: f64, class: Class) -> f64 {
        let below: u64 = self.recent.by_class()[..class.index()].iter().sum();
        let own = self.recent.by_class()[class.index()].max(1);
        let wanted = share * self.recent.requests() as f64;
        ((wanted - below as f64) / own as f64).clamp(0.0, 1.0)
    }
}
