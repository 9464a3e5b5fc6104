//! Processor time as the difference between two askings.

use crate::clock::Tick;
use crate::percent::Percent;

use super::parse::{CpuQuota, Jiffies, share};

/// A reading of the counters of processor time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CpuTime {
    pub(super) at: Tick,
    pub(super) of: CpuOf,
}

/// Whose time it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CpuOf {
    /// That of a group with a quota.
    Group {
        path: String,
        /// In microseconds.
        used: u64,
        limit: CpuQuota,
    },
    /// That of the whole machine.
    Machine(Jiffies),
}

impl CpuTime {
    /// What was used since an earlier reading; `None` where the two cannot be compared.
    fn since(&self, earlier: &Self) -> Option<Percent> {
        match (&self.of, &earlier.of) {
            (
                CpuOf::Group { path, used, limit },
                CpuOf::Group { path: old_path, used: old_used, .. },
            ) if path == old_path => {
                let used = u128::from(used.checked_sub(*old_used)?);
                let granted = self.at.since(earlier.at).as_micros() * u128::from(limit.quota);
                share(used.saturating_mul(limit.period.into()), granted)
            }
            (CpuOf::Machine(now), CpuOf::Machine(old)) => {
                // Time spent waiting can be taken back, says proc(5): then less was busy.
                let total = now.total.checked_sub(old.total)?;
                share(now.busy.saturating_sub(old.busy).into(), total.into())
            }
            _ => None,
        }
    }
}

/// The last reading, and what it said.
#[derive(Debug, Default)]
pub(super) struct CpuMeter {
    last: Option<CpuTime>,
    share: Option<Percent>,
}

impl CpuMeter {
    /// The kernel counts in hundredths of a second: what is shorter than ten of them says little.
    const SHORTEST: u128 = 100;

    /// What was used since the last reading; the first one has nothing to compare with.
    pub(super) fn read(&mut self, time: CpuTime) -> Option<Percent> {
        if let Some(last) = &self.last {
            if time.at.since(last.at).as_millis() < Self::SHORTEST {
                return self.share;
            }
            self.share = time.since(last);
        }
        self.last = Some(time);
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(millis: u64, path: &str, used: u64) -> CpuTime {
        // One and a half cores.
        let limit = CpuQuota { quota: 150_000, period: 100_000 };
        CpuTime {
            at: Tick::from_millis(millis),
            of: CpuOf::Group { path: path.to_owned(), used, limit },
        }
    }

    fn machine(millis: u64, busy: u64, total: u64) -> CpuTime {
        CpuTime { at: Tick::from_millis(millis), of: CpuOf::Machine(Jiffies { busy, total }) }
    }

    fn percent(share: u8) -> Option<Percent> {
        Some(Percent::new(share))
    }

    #[test]
    fn a_group_is_held_against_its_quota_and_the_time_between_two_readings() {
        let mut meter = CpuMeter::default();
        assert_eq!(meter.read(group(0, "a", 7_000_000)), None);
        assert_eq!(meter.read(group(1_000, "a", 7_750_000)), percent(50));
        assert_eq!(meter.read(group(3_000, "a", 10_750_000)), percent(100));
        assert_eq!(meter.read(group(4_000, "a", 99_000_000)), percent(100));
        assert_eq!(meter.read(group(5_000, "a", 99_000_000)), percent(0));
    }

    #[test]
    fn a_machine_is_held_against_its_own_time() {
        let mut meter = CpuMeter::default();
        assert_eq!(meter.read(machine(0, 900, 1_000)), None);
        assert_eq!(meter.read(machine(1_000, 940, 1_200)), percent(20));
        assert_eq!(meter.read(machine(2_000, 930, 1_400)), percent(0));
        assert_eq!(meter.read(machine(3_000, 930, 1_400)), None);
    }

    #[test]
    fn counters_that_began_anew_or_belong_to_others_say_nothing_once() {
        for other in [group(1_000, "b", 8_000_000), group(1_000, "a", 5), machine(1_000, 5, 10)] {
            let mut meter = CpuMeter::default();
            meter.read(group(0, "a", 7_000_000));
            assert_eq!(meter.read(other.clone()), None);
            let later = CpuTime { at: Tick::from_millis(2_000), of: other.of };
            assert!(meter.read(later).is_none_or(|share| share == Percent::ZERO));
        }
    }

    #[test]
    fn askings_in_quick_succession_repeat_the_last_answer() {
        let mut meter = CpuMeter::default();
        meter.read(machine(0, 0, 0));
        assert_eq!(meter.read(machine(99, 10, 10)), None);
        assert_eq!(meter.read(machine(1_000, 50, 100)), percent(50));
        assert_eq!(meter.read(machine(1_050, 60, 110)), percent(50));
        // They are not lost either.
        assert_eq!(meter.read(machine(2_000, 150, 200)), percent(100));
    }

    #[test]
    fn absurd_counters_are_no_panic() {
        let mut meter = CpuMeter::default();
        let limit = CpuQuota { quota: u64::MAX, period: u64::MAX };
        for (at, used) in [(Tick::ZERO, 0), (Tick::MAX, u64::MAX), (Tick::ZERO, 0)] {
            let of = CpuOf::Group { path: String::new(), used, limit };
            meter.read(CpuTime { at, of });
        }
    }
}
