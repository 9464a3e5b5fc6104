//! A limit by how many calls come near their deadline: [`DeadlineAimd`].

use std::time::Duration;

use breaker_core::Tick;

use super::bounds::{Bounds, RoundTrip, used, whole};
use super::{Algorithm, Limit, LimitAlgorithm, Sample, Verdict, is_timeout};

/// One call more per window while the limit is used, and 0.7 of it after a window in which more than
/// a fifth of the calls were bad.
///
/// Additive increase, multiplicative decrease (Chiu and Jain 1989), by the deadline: bad is a call
/// that timed out, that the callee refused for its load, that its caller gave up after half of the
/// timeout, or whose answer took more than half of it. So it needs no least time, and cuts before
/// calls fail. A window is 10 replies, or half a second. At the start, and until the first cut, each
/// good reply adds a call.
///
/// Not every latency is a queue. After three cuts, after which calls took about as long as before,
/// the limit goes back to where it was, and for 20 s only timeouts and overload answers cut it
/// ([`blind_for`](Self::blind_for)). Where calls take longer after a cut, a queue still grows, and
/// the count begins anew; without that, the limit would take a callee that gets slower for one that
/// is far away.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct DeadlineAimd {
    timeout: Duration,
    backoff: f64,
    blind_for: Duration,
}

impl DeadlineAimd {
    /// For calls with this timeout, 1 ms..=1 h.
    ///
    /// # Panics
    /// When `timeout` lies outside 1 ms..=1 h.
    pub const fn new(timeout: Duration) -> Self {
        assert!(is_timeout(timeout), "the timeout of a limit is 1 ms..=1 h");
        Self { timeout, backoff: 0.7, blind_for: Duration::from_secs(20) }
    }

    /// What a cut multiplies the limit by, 0.1..=0.99; default 0.7.
    ///
    /// # Panics
    /// When `factor` lies outside 0.1..=0.99.
    pub const fn backoff(mut self, factor: f64) -> Self {
        assert!(factor >= 0.1 && factor <= 0.99, "a cut leaves 0.1..=0.99 of the limit");
        self.backoff = factor;
        self
    }

    /// For how long late answers do not cut the limit after three cuts were in vain, 0..=1 h;
    /// default 20 s. Zero: they always cut it.
    ///
    /// # Panics
    /// When `time` is longer than an hour.
    pub const fn blind_for(mut self, time: Duration) -> Self {
        assert!(time.as_millis() <= 3_600_000, "late answers are overlooked for an hour at most");
        self.blind_for = time;
        self
    }

    /// The limit that goes by it: 20 calls at the start, 1 to 200 later.
    pub const fn into_limit(self) -> Limit {
        Limit::of(Algorithm::Deadline(self), 20, 1)
    }

    /// From when on an answer is late.
    fn target(&self) -> Duration {
        self.timeout / 2
    }
}

#[derive(Debug)]
pub(super) struct State {
    config: DeadlineAimd,
    bounds: Bounds,
    limit: f64,
    /// Below it, each good reply adds a call.
    slow_start: f64,
    window: Replies,
    /// Calls that began after the last cut, and how long they took.
    cut: RoundTrip,
    since_cut: u32,
    seconds: f64,
    /// Late answers are overlooked until then.
    blind_until: Tick,
    futile: Option<Futile>,
}

/// The replies of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Replies {
    began: Option<Tick>,
    all: u32,
    bad: u32,
    hard: u32,
    /// The most calls at a time.
    peak: u32,
}

/// Cuts of one congestion.
#[derive(Clone, Copy, Debug)]
struct Futile {
    /// The limit before the first.
    limit: f64,
    /// How long calls took, in seconds, before the last that helped.
    seconds: f64,
    /// Cuts since then.
    cuts: u32,
}

impl State {
    pub(super) fn new(config: DeadlineAimd, bounds: Bounds) -> Self {
        Self {
            config,
            bounds,
            limit: bounds.first(),
            slow_start: f64::INFINITY,
            window: Replies::default(),
            cut: RoundTrip::default(),
            since_cut: 0,
            seconds: 0.0,
            blind_until: Tick::ZERO,
            futile: None,
        }
    }

    fn grow(&mut self) {
        self.limit = self.bounds.keep(self.limit + 1.0);
    }

    fn take(&mut self, sample: &Sample, blind: bool, bad: bool) {
        let window = &mut self.window;
        let began = window.began.get_or_insert(sample.started);
        *began = (*began).min(sample.ended);
        window.all += 1;
        window.bad += u32::from(bad);
        window.hard += u32::from(sample.verdict != Verdict::Answered);
        window.peak = window.peak.max(sample.in_flight);
        if self.cut.holds(sample) {
            self.since_cut = self.since_cut.saturating_add(1);
            self.seconds += sample.took().as_secs_f64();
        }
        if self.limit < self.slow_start && !bad && used(sample.in_flight, self.limit) {
            self.grow();
        }
        if self.window.is_over(sample.ended, blind) {
            self.judge(sample, blind);
            self.window =
                Replies { began: Some(sample.ended), peak: sample.in_flight, ..Replies::default() };
        }
    }

    /// What the window that ends says of the limit.
    fn judge(&mut self, sample: &Sample, blind: bool) {
        if !self.window.is_congested(blind) {
            self.futile = None;
            if used(self.window.peak, self.limit) {
                self.grow();
            }
        } else if self.cut.holds(sample) {
            let seconds = if self.since_cut > 0 {
                self.seconds / f64::from(self.since_cut)
            } else {
                sample.took().as_secs_f64()
            };
            self.cut(sample.ended, seconds);
            self.cut.begin(sample.ended);
            (self.since_cut, self.seconds) = (0, 0.0);
        }
    }

    /// Cuts the limit, or gives up on that. Calls that began after the last cut took so long.
    fn cut(&mut self, now: Tick, seconds: f64) {
        let soft = 5 * self.window.hard <= self.window.all;
        let mut futile = self.futile.unwrap_or(Futile { limit: self.limit, seconds, cuts: 0 });
        if self.futile.is_some() {
            // What takes ever longer is a queue that still grows, and no latency of its own.
            let stands = seconds > 0.9 * futile.seconds && seconds < 1.25 * futile.seconds;
            let in_vain = soft && stands;
            futile.cuts = if in_vain { futile.cuts + 1 } else { 0 };
        }
        if futile.cuts >= 3 && self.config.blind_for > Duration::ZERO {
            self.blind_until = now.after(self.config.blind_for);
            self.limit = self.bounds.keep(self.limit.max(futile.limit));
            // No slow start: nothing late would end it.
            self.slow_start = self.limit;
            self.futile = None;
            return;
        }
        if futile.cuts == 0 {
            futile.seconds = seconds;
        }
        self.futile = Some(futile);
        // Of a limit that was not used up, the unused part is cut first.
        let in_use = self.limit.min(f64::from(self.window.peak) + 1.0);
        self.limit = self.bounds.keep(in_use * self.config.backoff);
        self.slow_start = self.limit;
    }
}

impl LimitAlgorithm for State {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn bound(&mut self, min: u32, max: u32) {
        self.bounds = Bounds { min, max, ..self.bounds };
        self.limit = self.bounds.keep(self.limit);
    }

    fn sample(&mut self, sample: &Sample) {
        let late = sample.took() > self.config.target();
        if sample.verdict == Verdict::Cancelled && !late {
            return;
        }
        // A clock that stepped back must not leave us blind for longer.
        self.blind_until = self.blind_until.min(sample.ended.after(self.config.blind_for));
        let blind = sample.ended < self.blind_until;
        let hard = sample.verdict != Verdict::Answered;
        self.take(sample, blind, hard || (late && !blind));
    }
}

impl Replies {
    /// Whether there are enough of them, or they have come for long enough.
    fn is_over(&self, now: Tick, blind: bool) -> bool {
        let clear = self.bad >= 2 && 2 * self.bad > self.all;
        let long = self.began.is_some_and(|began| now.since(began) > Duration::from_millis(500));
        clear || self.all >= if blind { 20 } else { 10 } || (long && self.all >= 4)
    }

    /// Whether more of them are bad than a fifth; while late answers are overlooked, than 0.3.
    const fn is_congested(&self, blind: bool) -> bool {
        10 * self.bad > if blind { 3 } else { 2 } * self.all
    }
}
