use std::time::Duration;

use crate::clock::ManualClock;

use super::*;

type Text = (&'static str, &'static str);

const STAT: Text = ("/proc/stat", "cpu  100 0 100 700 100\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\nintr\n");
/// 200 ticks later, of which 50 were busy.
const LATER: Text =
    ("/proc/stat", "cpu  130 0 120 850 100\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\nintr\n");
const MEMINFO: Text = ("/proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n");
const LOADAVG: Text = ("/proc/loadavg", "3.00 9.00 9.00 1/2 3\n");
const CGROUP: Text = ("/proc/self/cgroup", "0::/a/b\n");

/// A machine with these files; the first of a name is the one.
fn machine(files: &[Text]) -> impl Fn(&str) -> Option<String> {
    move |path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
}

/// What is said a second after the first asking.
fn after_a_second(first: &[Text], then: &[Text]) -> Usage {
    let clock = ManualClock::new();
    let probe = SystemProbe::with_clock(clock.clone()).and_load();
    assert_eq!(probe.usage_by(machine(first)).cpu, None);
    clock.advance(Duration::from_secs(1));
    probe.usage_by(machine(then))
}

fn percent(share: u8) -> Option<Percent> {
    Some(Percent::new(share))
}

// S-RATE-08
#[test]
fn without_a_limit_it_is_the_machine_that_counts() {
    let rest = [MEMINFO, LOADAVG, CGROUP, ("/sys/fs/cgroup/a/b/memory.max", "max\n")];
    let usage = after_a_second(&[&[STAT], &rest[..]].concat(), &[&[LATER], &rest[..]].concat());
    assert_eq!((usage.cpu, usage.memory, usage.load), (percent(25), percent(60), percent(75)));
}

// S-RATE-08
#[test]
fn with_a_limit_it_is_the_nearest_group_that_has_one() {
    let rest = [
        STAT,
        MEMINFO,
        CGROUP,
        ("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
        ("/sys/fs/cgroup/a/b/cpu.stat", "usage_usec 1\n"),
        ("/sys/fs/cgroup/a/cpu.max", "200000 100000\n"),
        ("/sys/fs/cgroup/a/b/memory.max", "512000\n"),
        ("/sys/fs/cgroup/a/b/memory.current", "509600\n"),
        ("/sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file 48800\n"),
        ("/sys/fs/cgroup/a/memory.max", "1\n"),
    ];
    let first = [("/sys/fs/cgroup/a/cpu.stat", "usage_usec 1000000\n")];
    let then = [("/sys/fs/cgroup/a/cpu.stat", "usage_usec 2600000\nuser_usec 1\n")];
    let usage = after_a_second(&[&first[..], &rest].concat(), &[&then[..], &rest].concat());
    assert_eq!((usage.cpu, usage.memory, usage.load), (percent(80), percent(90), None));
}

#[test]
fn the_topmost_group_counts_where_no_other_is_seen() {
    for cgroup in ["0::/\n", "0::/../x\n", "1:cpu:/\n"] {
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", cgroup),
            ("/sys/fs/cgroup/memory.max", "1000\n"),
            ("/sys/fs/cgroup/memory.current", "300\n"),
        ];
        let usage = SystemProbe::new().usage_by(machine(&files));
        assert_eq!(usage, Usage::new().memory(Percent::new(30)), "{cgroup:?}");
    }
}

#[test]
fn a_limit_above_what_the_machine_has_is_none() {
    let rest = [
        MEMINFO,
        ("/sys/fs/cgroup/cpu.max", "400000 100000\n"),
        ("/sys/fs/cgroup/cpu.stat", "usage_usec 5\n"),
        ("/sys/fs/cgroup/memory.max", "9223372036854771712\n"),
        ("/sys/fs/cgroup/memory.current", "300\n"),
    ];
    let usage = after_a_second(&[&[STAT], &rest[..]].concat(), &[&[LATER], &rest[..]].concat());
    assert_eq!((usage.cpu, usage.memory), (percent(25), percent(60)));
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let probe = SystemProbe::new().and_load();
    assert_eq!(probe.usage_by(|_| None), Usage::new());
    assert_eq!(probe.usage_by(|_| Some("\u{0}garbage".to_owned())), Usage::new());
    assert_eq!(read("/nowhere"), None);
}

#[test]
fn the_load_is_asked_for_only_where_it_is_wanted() {
    let usage = SystemProbe::new().usage_by(machine(&[STAT, MEMINFO, LOADAVG]));
    assert_eq!(usage, Usage::new().memory(Percent::new(60)));
}
