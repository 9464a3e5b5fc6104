//! Asks the machine itself: [`SystemProbe`].

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Clock, MonotonicClock, Tick};
use crate::percent::Percent;

use super::cpu::{CpuMeter, CpuOf, CpuTime};
use super::{ResourceProbe, Usage, parse};

/// Reads the usage of processor and memory from the files of Linux.
///
/// What is limited is held against its limit: the nearest control group (version 2) around the
/// process that has a limit, if that is less than the machine has. What is not limited is held
/// against the whole machine.
///
/// | | of a group with a limit | of the machine |
/// |---|---|---|
/// | processor | `usage_usec` of `cpu.stat` against `cpu.max` | `/proc/stat`: what was not idle |
/// | memory | `memory.current` less `inactive_file` of `memory.stat`, against `memory.max` | `/proc/meminfo`: what is not `MemAvailable` |
/// | load, [if wanted](Self::and_load) | | `/proc/loadavg` against the cores |
///
/// Processor time is that between two askings, so the first one knows none; askings less than
/// 100 ms apart repeat the answer. A file that is missing or makes no sense leaves its figure out:
/// on other systems there is none at all, and then nothing is throttled.
///
/// An asking opens about half a dozen files, on the thread of the caller: tens of microseconds on a
/// small machine, more on one with hundreds of cores. It is meant for one per second.
///
/// ```
/// use breaker_core::{ResourceProbe, SystemProbe};
///
/// let usage = SystemProbe::new().usage();
/// println!("{:?} of the memory is taken", usage.memory);
/// ```
pub struct SystemProbe {
    clock: Arc<dyn Clock>,
    load: bool,
    cpu: Mutex<CpuMeter>,
}

impl SystemProbe {
    /// A probe for processor and memory.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(MonotonicClock::new())
    }

    /// The same, with the time between two askings from this clock.
    #[must_use]
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), load: false, cpu: Mutex::default() }
    }

    /// Counts the load average of the last minute among the resources; default no.
    ///
    /// It is that of the whole machine, with the neighbours of a container and with what waits for
    /// disks. It follows slowly, and is above what the processors can do before it falls.
    #[must_use]
    pub fn and_load(mut self) -> Self {
        self.load = true;
        self
    }

    fn usage_by(&self, read: impl Fn(&str) -> Option<String>) -> Usage {
        let files = Files::open(read);
        let cpu = files.cpu(self.clock.now());
        let memory = files.memory();
        let load = if self.load { files.load() } else { None };
        let cpu = cpu.and_then(|time| {
            // Nothing panics under this lock: what is in it is whole.
            self.cpu.lock().unwrap_or_else(PoisonError::into_inner).read(time)
        });
        Usage { cpu, memory, load }
    }
}

impl ResourceProbe for SystemProbe {
    fn usage(&self) -> Usage {
        self.usage_by(read)
    }
}

impl Default for SystemProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemProbe").field("load", &self.load).finish_non_exhaustive()
    }
}

/// The files, and what was read of them first.
struct Files<R> {
    read: R,
    /// `/proc/stat`.
    stat: Option<String>,
    /// The path of the own group; empty for the topmost one.
    group: String,
}

impl<R: Fn(&str) -> Option<String>> Files<R> {
    /// As many groups around a process are looked at.
    const DEPTH: usize = 32;

    fn open(read: R) -> Self {
        let cgroup = read("/proc/self/cgroup").unwrap_or_default();
        let group = parse::own_group(&cgroup).unwrap_or_default().to_owned();
        Self { stat: read("/proc/stat"), group, read }
    }

    fn cpu(&self, at: Tick) -> Option<CpuTime> {
        let of = match self.group_cpu() {
            Some(of) => of,
            None => CpuOf::Machine(parse::jiffies(self.stat.as_deref()?)?),
        };
        Some(CpuTime { at, of })
    }

    fn group_cpu(&self) -> Option<CpuOf> {
        let cores = self.cores().unwrap_or(u32::MAX);
        let (group, limit) = self.groups().find_map(|group| {
            let limit = parse::cpu_quota(&self.of_group(group, "cpu.max")?)?;
            let all = limit.period.saturating_mul(cores.into());
            (limit.quota < all).then_some((group, limit))
        })?;
        let used = parse::field(&self.of_group(group, "cpu.stat")?, "usage_usec")?;
        Some(CpuOf::Group { path: group.to_owned(), used, limit })
    }

    fn memory(&self) -> Option<Percent> {
        let meminfo = (self.read)("/proc/meminfo").unwrap_or_default();
        let kibibytes = |name| Some(u128::from(parse::field(&meminfo, name)?) * 1_024);
        let total = kibibytes("MemTotal:");
        self.group_memory(total).or_else(|| {
            let taken = total?.saturating_sub(kibibytes("MemAvailable:")?);
            parse::share(taken, total?)
        })
    }

    fn group_memory(&self, total: Option<u128>) -> Option<Percent> {
        let (group, limit) = self.groups().find_map(|group| {
            let limit = u128::from(parse::number(&self.of_group(group, "memory.max")?)?);
            total.is_none_or(|total| limit < total).then_some((group, limit))
        })?;
        let current = parse::number(&self.of_group(group, "memory.current")?)?;
        // Files that nobody has read for long are given up before anybody has to go without.
        let stat = self.of_group(group, "memory.stat").unwrap_or_default();
        let spare = parse::field(&stat, "inactive_file").unwrap_or(0);
        parse::share(current.saturating_sub(spare).into(), limit)
    }

    fn load(&self) -> Option<Percent> {
        parse::load(&(self.read)("/proc/loadavg")?, self.cores()?)
    }

    fn cores(&self) -> Option<u32> {
        parse::cores(self.stat.as_deref()?)
    }

    /// The own group and those around it, from the inside out.
    fn groups(&self) -> impl Iterator<Item = &str> {
        iter::successors(Some(self.group.as_str()), |group| around(group)).take(Self::DEPTH)
    }

    fn of_group(&self, group: &str, file: &str) -> Option<String> {
        let slash = if group.is_empty() { "" } else { "/" };
        (self.read)(&format!("/sys/fs/cgroup/{group}{slash}{file}"))
    }
}

/// The group around a group; `None` around the topmost one, whose path is empty.
fn around(group: &str) -> Option<&str> {
    let outer = group.rsplit_once('/').map_or("", |(outer, _)| outer);
    (!group.is_empty()).then_some(outer)
}

/// As much of a file is read.
const LONGEST: u64 = 256 * 1_024;

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests;
