//! What moves the slots: calls that end, limits, and operators.

use breaker_core::{Class, EventKind, Tick};

use crate::config::QueueConfig;
use crate::desk::out::Out;
use crate::desk::{Desk, State};
use crate::limit::{LimitAlgorithm, Sample};
use crate::planted::planted;
use crate::throttle::Throttling;

impl State {
    /// Takes in how a call ended, and moves the limit.
    pub(crate) fn sample(&mut self, desk: &Desk, sample: &Sample, out: &mut Out) {
        let took = sample.ended.since(sample.started).as_nanos() as f64;
        self.typical += (took - self.typical) * if self.typical == 0.0 { 1.0 } else { 0.1 };
        let Some(limit) = &mut self.limit else { return };
        limit.sample(sample);
        if limit.limit().max(1) != self.limited_to {
            self.share_out(desk, out);
        }
    }

    /// Has this algorithm move the limit.
    pub(crate) fn limit_by(
        &mut self,
        desk: &Desk,
        limit: Box<dyn LimitAlgorithm>,
        out: &mut Out,
    ) -> Option<Box<dyn LimitAlgorithm>> {
        let old = self.limit.replace(limit);
        self.own_limit = true;
        self.set_gate(desk);
        self.share_out(desk, out);
        old
    }

    /// Takes in whether the callee took a call of this class.
    pub(crate) fn ended(&mut self, now: Tick, class: Class, accepted: bool) {
        if let (Some(throttling), Some(throttle)) = (&mut self.throttling, &self.config.throttle) {
            throttling.ended(throttle, now, class, accepted);
        }
    }

    /// What is due by now.
    pub(crate) fn settle(&mut self, now: Tick, out: &mut Out) {
        self.queue.settle(&self.config, now, &mut out.left);
        self.settle_left(out);
    }

    pub(super) fn share_out(&mut self, desk: &Desk, out: &mut Out) {
        let from = desk.slots();
        desk.share_out(self);
        let to = desk.slots();
        if from != to {
            out.tell(|| EventKind::LimitChanged { from, to });
        }
    }

    /// Puts another configuration in force. An algorithm of the user's own stays, unless it is
    /// `replaced` as all the rest.
    pub(crate) fn reconfigure(
        &mut self,
        desk: &Desk,
        config: &QueueConfig,
        replaced: bool,
        out: &mut Out,
    ) -> Option<Box<dyn LimitAlgorithm>> {
        let least = self.config.min_priority;
        let mut old = None;
        let same = match (&self.config.limit, &config.limit) {
            (Some(old), Some(new)) => old.goes_by(new),
            (None, None) => true,
            _ => false,
        };
        if self.own_limit && replaced || !self.own_limit && !same {
            let so_far = self.limit.as_ref().map(|limit| limit.limit());
            let so_far = so_far.filter(|_| !self.own_limit);
            old = std::mem::replace(&mut self.limit, begin(config, so_far));
            self.own_limit = false;
        } else if let (false, Some(limit), Some(new)) =
            (self.own_limit, &mut self.limit, &config.limit)
        {
            // What it knows of the callee is as true as before.
            let (min, max) = new.bounds_within(slots_of(config));
            limit.bound(min, max);
        }
        if self.config.throttle != config.throttle {
            self.throttling = config.throttle.as_ref().map(Throttling::new);
        }
        self.config = *config;
        if !planted("gate-stays") {
            self.set_gate(desk);
        }
        self.share_out(desk, out);
        if least != config.min_priority {
            self.queue.shed_below(config.min_priority, &mut out.left);
            self.settle_left(out);
            out.tell(|| EventKind::MinimumChanged { from: least, to: config.min_priority });
        }
        old
    }
}

/// The algorithm of the configuration, which never lets more calls run than there are slots. It
/// begins where the one before it was.
pub(super) fn begin(config: &QueueConfig, now: Option<u32>) -> Option<Box<dyn LimitAlgorithm>> {
    Some(config.limit.as_ref()?.within(slots_of(config), now).begin())
}

fn slots_of(config: &QueueConfig) -> u32 {
    u32::try_from(config.total()).unwrap_or(u32::MAX).max(1)
}
