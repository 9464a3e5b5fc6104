//! Reads the texts of Linux about itself: `proc(5)`, and the "Control Group v2" of the kernel.
//!
//! What cannot be read is `None`, and nothing panics. A line without its end is not a line: of a
//! text that was cut off, no half number is believed.

use crate::percent::Percent;

/// Processor time since the machine began, in ticks of the kernel, over all cores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Jiffies {
    pub(super) busy: u64,
    pub(super) total: u64,
}

/// So much processor time in each period, both in microseconds and above zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct CpuQuota {
    pub(super) quota: u64,
    pub(super) period: u64,
}

/// The first line of `/proc/stat`.
///
/// What is not idle is busy: also what the host of a virtual machine has taken for others, since
/// nobody here can have it. The time of guests stands in that of users already.
pub(super) fn jiffies(stat: &str) -> Option<Jiffies> {
    let line = lines(stat).next()?.strip_prefix("cpu ")?;
    let mut sums = [0_u64; 8];
    let mut known = 0;
    for (sum, word) in sums.iter_mut().zip(line.split_ascii_whitespace()) {
        *sum = word.parse().ok()?;
        known += 1;
    }
    let [.., idle, waiting, _, _, _] = sums;
    let total = sums.iter().try_fold(0_u64, |total, sum| total.checked_add(*sum))?;
    (known >= 4).then(|| Jiffies { busy: total - idle - waiting, total })
}

/// How many cores `/proc/stat` tells of.
pub(super) fn cores(stat: &str) -> Option<u32> {
    let mut cores = 0_u32;
    for line in lines(stat) {
        match line.strip_prefix("cpu") {
            Some(core) => cores += u32::from(core.starts_with(|c: char| c.is_ascii_digit())),
            // Behind the last core; a list that was cut off has none.
            None => return (cores > 0).then_some(cores),
        }
    }
    None
}

/// The first of the three averages in `/proc/loadavg`, per core.
pub(super) fn load(loadavg: &str, cores: u32) -> Option<Percent> {
    let average: f64 = lines(loadavg).next()?.split_ascii_whitespace().next()?.parse().ok()?;
    let per_core = average / f64::from(cores);
    if !per_core.is_finite() {
        return None;
    }
    Percent::from_fraction(per_core.min(1.0))
}

/// The number behind a name: in `/proc/meminfo`, where it is in kibibytes and the name ends with
/// a colon, and in `memory.stat` and `cpu.stat`.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    lines(text).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == name).then_some(words.next()?.parse().ok()?)
    })
}

/// `memory.current`, or `memory.max` where it is not "max".
pub(super) fn number(text: &str) -> Option<u64> {
    lines(text).next()?.parse().ok()
}

/// `cpu.max`, where it does not begin with "max".
pub(super) fn cpu_quota(text: &str) -> Option<CpuQuota> {
    let mut words = lines(text).next()?.split_ascii_whitespace();
    let quota = words.next()?.parse().ok()?;
    let period = words.next()?.parse().ok()?;
    (quota > 0 && period > 0).then_some(CpuQuota { quota, period })
}

/// The path of the process's own group in `/proc/self/cgroup`, without a slash at its end.
///
/// A process that was moved out of what it may see has a path that leads upwards: for it, that is
/// the topmost group.
pub(super) fn own_group(cgroup: &str) -> Option<&str> {
    let path = lines(cgroup).find_map(|line| line.strip_prefix("0::/"))?;
    let outside = path.split('/').any(|step| step == "..");
    Some(if outside { "" } else { path.trim_end_matches('/') })
}

/// `part` of `whole`, rounded down; 100 % at most, `None` of nothing.
pub(super) fn share(part: u128, whole: u128) -> Option<Percent> {
    let points = part.saturating_mul(10_000).checked_div(whole)?;
    Some(Percent::basis_points(points.min(10_000) as u16))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    const STAT: &str = "\
cpu  1409907 552304 327087 2221532 9118 0 4410 1306 0 0
cpu0 689491 270959 159911 1137043 2722 0 1465 655 0 0
cpu1 720416 281344 167175 1084488 6395 0 2944 650 0 0
intr 37 0 0
ctxt 9
";
    const MEMINFO: &str = "\
MemTotal:       24684084 kB
MemFree:        21301320 kB
MemAvailable:   24010900 kB
";
    const CPU_STAT: &str = "usage_usec 5120\nuser_usec 4000\nsystem_usec 1120\n";

    /// The answer to the whole text, which is also that to each beginning of it, or none is.
    fn whole_or_nothing<T: PartialEq + Debug>(text: &str, read: impl Fn(&str) -> Option<T>) -> T {
        let whole = read(text).expect("it can be read");
        for end in 0..text.len() {
            let answer = read(&text[..end]);
            assert!(answer.is_none() || answer.as_ref() == Some(&whole), "{:?}", &text[..end]);
        }
        assert_eq!(read(""), None);
        whole
    }

    #[test]
    fn texts_are_read_whole_or_not_at_all() {
        let total = 1_409_907 + 552_304 + 327_087 + 2_221_532 + 9_118 + 4_410 + 1_306;
        let busy = total - 2_221_532 - 9_118;
        assert_eq!(whole_or_nothing(STAT, jiffies), Jiffies { busy, total });
        assert_eq!(whole_or_nothing(STAT, cores), 2);
        assert_eq!(whole_or_nothing(MEMINFO, |text| field(text, "MemTotal:")), 24_684_084);
        assert_eq!(whole_or_nothing(MEMINFO, |text| field(text, "MemAvailable:")), 24_010_900);
        assert_eq!(whole_or_nothing(CPU_STAT, |text| field(text, "usage_usec")), 5_120);
        assert_eq!(whole_or_nothing("4096\n", number), 4_096);
        assert_eq!(
            whole_or_nothing("150000 100000\n", cpu_quota),
            CpuQuota { quota: 150_000, period: 100_000 }
        );
        let load = whole_or_nothing("1.83 0.77 0.71 4/104 7464\n", |text| load(text, 2));
        assert_eq!(load, Percent::basis_points(9_150));
        let path = "9:name=systemd:/x\n0::/system.slice/a.service\n";
        assert_eq!(whole_or_nothing(path, |text| own_group(text).map(str::to_owned)), PATH);
    }

    const PATH: &str = "system.slice/a.service";

    #[test]
    fn what_old_kernels_do_not_tell_is_no_time() {
        assert_eq!(jiffies("cpu 1 2 3 4\n"), Some(Jiffies { busy: 6, total: 10 }));
        assert_eq!(jiffies("cpu 1 2 3\n"), None);
    }

    #[test]
    fn garbage_is_nothing() {
        for text in [
            "",
            "\n",
            " \n",
            "cpu\n",
            "cpu \n",
            "cpu x 1 2 3 4\n",
            "cpu 1 2 3 -4\n",
            "cpux 1 2 3\n",
            "cpu 18446744073709551615 1 1 1\n",
            "max\n",
            "max 100000\n",
            "NaN\n",
            "inf\n",
            "-1.0\n",
            "\u{0}\n",
            "0::\n",
            "1:x:/a\n",
            "MemTotal: kB\n",
            "MemTotal:\n",
            "MemTotal: -5 kB\n",
            "€\n",
        ] {
            assert_eq!(jiffies(text), None, "{text:?}");
            assert_eq!(cores(text), None, "{text:?}");
            assert_eq!(load(text, 2), None, "{text:?}");
            assert_eq!(field(text, "MemTotal:"), None, "{text:?}");
            assert_eq!(number(text), None, "{text:?}");
            assert_eq!(cpu_quota(text), None, "{text:?}");
            assert_eq!(own_group(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_quota_of_nothing_or_in_no_time_is_none() {
        for text in ["0 100000\n", "100000 0\n", "100000\n"] {
            assert_eq!(cpu_quota(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_none() {
        assert_eq!(number("18446744073709551615\n"), Some(u64::MAX));
        assert_eq!(number("18446744073709551616\n"), None);
        assert_eq!(field("a 18446744073709551616\n", "a"), None);
    }

    #[test]
    fn a_load_of_more_than_the_cores_is_all_of_them() {
        for (text, cores, points) in [
            ("0.00 1\n", 4, 0),
            ("0.50 1\n", 4, 1_250),
            ("4.00 1\n", 4, 10_000),
            ("99 1\n", 4, 10_000),
        ] {
            assert_eq!(load(text, cores), Some(Percent::basis_points(points)));
        }
        assert_eq!(load("1.0 1\n", 0), None);
    }

    #[test]
    fn a_group_above_what_can_be_seen_is_the_topmost_one() {
        for (text, path) in
            [("0::/\n", ""), ("0::/a/b\n", "a/b"), ("0::/a/\n", "a"), ("0::/../../etc\n", "")]
        {
            assert_eq!(own_group(text), Some(path), "{text:?}");
        }
    }

    #[test]
    fn shares_are_rounded_down_and_end_at_all() {
        assert_eq!(share(1, 3), Some(Percent::basis_points(3_333)));
        assert_eq!(share(5, 3), Some(Percent::FULL));
        assert_eq!(share(u128::MAX, 1), Some(Percent::FULL));
        assert_eq!((share(0, 3), share(3, 0)), (Some(Percent::ZERO), None));
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "(cpu[0-9]? |0::/|[a-z:]{1,4} )?[ -~\n0-9]{0,60}\n?") {
            jiffies(&text);
            cores(&text);
            load(&text, 1);
            field(&text, "a");
            number(&text);
            cpu_quota(&text);
            own_group(&text);
        }
    }
}
