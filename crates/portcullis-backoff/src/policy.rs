//! What is done about a failure: [`Decision`], and the rules that lead to it.

use std::collections::VecDeque;
use std::time::Duration;

use breaker_core::{About, Advice, Chance, FailureKind, Percent, Tick};

use crate::config::BackoffConfig;
use crate::delays::DelayKind;
use crate::record::{Next, Record, Sequence};

/// What is done about a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// The call is made again after this wait.
    Retry(Duration),
    /// It is not made again.
    FailFast(Why),
    /// It is made again after this wait, and others at the same target wait as long.
    BackOff(Duration),
    /// It is made again after this wait, but at the alternative.
    Redirect(Duration),
}

/// Why a call is not made again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// Another attempt would not help against a failure of this kind.
    Kind,
    /// It was made as often as it may be.
    Attempts,
    /// It may not be made twice, and the callee may have begun with it.
    NotIdempotent,
    /// What another attempt needs is gone, or was never kept: a body that was sent as it came.
    NotKept,
    /// The callee asks not to be called again.
    Told,
    /// Somebody further out repeats it.
    RepeatedElsewhere,
    /// A layer further in refused it.
    Refused,
    /// The next attempt would come too late.
    TooLate,
    /// The budget is used up, or the circuit is open.
    Budget,
    /// The target is exhausted, and there is no alternative.
    NoAlternative,
}

impl Why {
    /// The word of events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Attempts => "attempts",
            Self::NotIdempotent => "not_idempotent",
            Self::NotKept => "not_kept",
            Self::Told => "told_not_to",
            Self::RepeatedElsewhere => "repeated_elsewhere",
            Self::Refused => "refused",
            Self::TooLate => "too_late",
            Self::Budget => "budget",
            Self::NoAlternative => "no_alternative",
        }
    }

    /// Whether those above are to hear that a call was made in vain, as often as it may be: here, by
    /// its last attempt, or further in, which has been told. So it goes up through all tiers.
    pub(crate) const fn is_in_vain(self, attempt: u32) -> bool {
        attempt > 1 || matches!(self, Self::Budget | Self::Told)
    }
}

/// An attempt that failed, and its call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    /// The number of the attempt; the first is 1.
    pub(crate) attempt: u32,
    pub(crate) kind: FailureKind,
    pub(crate) advice: Advice,
    /// A layer further in refused it.
    pub(crate) refused: bool,
    /// `None` where nothing was kept of the call.
    pub(crate) about: Option<About>,
    /// When the call began, where that matters.
    pub(crate) began: Tick,
    pub(crate) has_alternative: bool,
    /// Failures of unknown kind are repeated, whatever the config says.
    pub(crate) unknown_too: bool,
}

/// What the decision rests on besides the failure.
pub(crate) struct Circumstances<'c> {
    pub(crate) config: &'c BackoffConfig,
    pub(crate) now: Tick,
    pub(crate) usage: Option<Percent>,
    pub(crate) chance: &'c mut Chance,
}

/// What is remembered of a target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) record: Record,
    /// When it said last that a limit was reached or a resource exhausted: the newest 256 times.
    strains: VecDeque<(Tick, Strain)>,
    /// No attempt beyond a first one starts before, and none waits for longer than this: not even if
    /// the clock steps back meanwhile.
    held: (Tick, Duration),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Strain {
    RateLimited,
    Exhausted,
}

/// What has been decided, before it is paid for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) decision: Decision,
    pub(crate) next: Option<Next>,
}

impl Plan {
    const fn fail(why: Why) -> Self {
        Self { decision: Decision::FailFast(why), next: None }
    }

    /// The same, but nothing is repeated: what was found on the way is told all the same.
    pub(crate) const fn but(self, why: Why) -> Self {
        Self { decision: Decision::FailFast(why), ..self }
    }
}

const MOST_STRAINS: usize = 256;

impl Memory {
    /// Takes in that a target failed, whatever is done about it.
    pub(crate) fn note(&mut self, config: &BackoffConfig, now: Tick, kind: FailureKind) {
        let strain = match kind {
            FailureKind::RateLimited => Strain::RateLimited,
            FailureKind::ResourceExhausted => Strain::Exhausted,
            _ => return,
        };
        self.forget(config, now);
        if self.strains.len() == MOST_STRAINS {
            self.strains.pop_front();
        }
        self.strains.push_back((now, strain));
    }

    fn forget(&mut self, config: &BackoffConfig, now: Tick) {
        while self.strains.front().is_some_and(|&(at, _)| now.since(at) >= config.history) {
            self.strains.pop_front();
        }
    }

    fn count(&self, of: Strain) -> u32 {
        self.strains.iter().filter(|&&(_, strain)| strain == of).count() as u32
    }

    /// What is to be done about a failure that has been [noted](Self::note).
    pub(crate) fn decide(
        &mut self,
        sequence: &mut Sequence,
        failed: &Failed,
        with: &mut Circumstances<'_>,
    ) -> Plan {
        let config = with.config;
        let about = match may_repeat(config, failed) {
            Ok(about) => about,
            Err(why) => return Plan::fail(why),
        };
        self.forget(config, with.now);
        let exhausted = failed.kind == FailureKind::ResourceExhausted
            && self.count(Strain::Exhausted) >= config.exhausted_redirect;
        if exhausted && !failed.has_alternative {
            return Plan::fail(Why::NoAlternative);
        }
        let limited = failed.kind == FailureKind::RateLimited
            && self.count(Strain::RateLimited) >= config.rate_limited_backoff;
        let run = (sequence, factor(failed.kind) * (1 + u32::from(limited)));
        let next = self.record.next(&config.delays, run, with.now, with.usage, with.chance);
        let hint = failed.advice.wait.map_or(Duration::ZERO, |hint| hint.min(config.hint_cap));
        let hold = if exhausted { Duration::ZERO } else { self.hold_left(with.now) };
        let floor = hint.max(hold);
        let delay = if floor > next.delay {
            // All callers are told the same moment, and they shall not come together.
            floor.saturating_add(config.delays.spread(floor, with.chance))
        } else {
            next.delay
        };
        let decision = if !fits(config, failed, about, with.now, delay) {
            Decision::FailFast(Why::TooLate)
        } else if exhausted {
            Decision::Redirect(delay)
        } else if limited {
            Decision::BackOff(delay)
        } else {
            Decision::Retry(delay)
        };
        Plan { decision, next: Some(next) }
    }

    /// Holds further attempts at the target back for so long.
    pub(crate) fn hold(&mut self, now: Tick, delay: Duration) {
        if delay > self.hold_left(now) {
            self.held = (now.after(delay), delay);
        }
    }

    fn hold_left(&self, now: Tick) -> Duration {
        let (until, longest) = self.held;
        until.since(now).min(longest)
    }

    /// Whether a call that goes well changes nothing here.
    pub(crate) fn is_at_rest(&self, now: Tick) -> bool {
        self.record.is_at_rest(now)
    }

    /// Whether it is as new.
    pub(crate) fn is_forgettable(&self, config: &BackoffConfig, now: Tick) -> bool {
        self.is_at_rest(now)
            && self.hold_left(now).is_zero()
            && self.strains.back().is_none_or(|&(at, _)| now.since(at) >= config.history)
    }
}

/// What is known of the call, if it may be made again at all.
fn may_repeat(config: &BackoffConfig, failed: &Failed) -> Result<About, Why> {
    if failed.refused {
        // Whoever comes sooner than it says is refused again, so its wait is not cut short.
        let fits = failed.advice.wait.is_some_and(|wait| wait <= config.hint_cap);
        if !config.retry_refusals || !fits {
            return Err(Why::Refused);
        }
    } else {
        let unknown = failed.unknown_too && failed.kind == FailureKind::Unknown;
        if !unknown && !config.retries(failed.kind) {
            return Err(Why::Kind);
        }
    }
    let about = failed.about.ok_or(Why::NotKept)?;
    if failed.attempt >= limit(config, &about) {
        return Err(Why::Attempts);
    }
    if failed.advice.never {
        return Err(Why::Told);
    }
    if about.repeated_elsewhere {
        return Err(Why::RepeatedElsewhere);
    }
    if !about.idempotent && !failed.advice.unsent {
        return Err(Why::NotIdempotent);
    }
    Ok(about)
}

/// How often a call is made at most: a priority only lowers what the method, or else the config, says.
fn limit(config: &BackoffConfig, about: &About) -> u32 {
    let own = about.verb.map_or(0, |verb| config.methods[verb.index()]);
    let most = if own == 0 { config.max_attempts } else { u32::from(own) };
    match about.priority {
        Some(priority) => most.min(u32::from(config.priorities[priority.class().index()])),
        None => most,
    }
}

const fn factor(kind: FailureKind) -> u32 {
    match kind {
        FailureKind::RateLimited => 2,
        FailureKind::ResourceExhausted => 3,
        _ => 1,
    }
}

/// Whether an attempt after this delay comes in time.
fn fits(config: &BackoffConfig, failed: &Failed, about: About, now: Tick, delay: Duration) -> bool {
    let start = now.after(delay);
    let in_time = about.deadline.is_none_or(|deadline| deadline.left(start) > config.least_time);
    in_time && config.max_elapsed.is_none_or(|longest| start.since(failed.began) <= longest)
}

/// What an attempt was preceded by, for the record.
pub(crate) const fn credit(next: &Next) -> (DelayKind, bool) {
    (next.kind, next.grown)
}

#[cfg(test)]
mod tests;
