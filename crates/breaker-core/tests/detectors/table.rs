//! The published table, and the detectors it is about.

use breaker_core::{Cusum, Percent, Trip, Window};

use crate::plain::Plain;

/// One line of the published table: false trips at 1, 10 and 30 % (nothing if none was seen), and
/// delays to 30, 50, 70 and 100 %, with the misses in percent.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) trip: Trip,
    pub(crate) plain: Plain,
    pub(crate) arl: [Option<f64>; 3],
    pub(crate) delays: [(f64, f64); 4],
}

pub(crate) fn lines() -> [Line; 13] {
    let rate = |size: u32, min: u32, percent: u8| {
        let window = Window::last(size).min_calls(min);
        let plain = Plain::window(size as usize, min as usize, f64::from(percent) / 100.0);
        (Trip::failure_rate(Percent::new(percent), window), plain)
    };
    let average = |calls: u32, percent: u8| {
        let plain = Plain::average(f64::from(calls), f64::from(percent) / 100.0);
        (Trip::success_average(Percent::new(percent), calls), plain)
    };
    let streak = |failures| (Trip::consecutive(failures), Plain::streak(failures));
    let line = |name, (trip, plain), arl, delays| Line { name, trip, plain, arl, delays };
    let sure = |delays: [f64; 4]| delays.map(|delay| (delay, 0.0));
    [
        line(
            "consecutive 5",
            streak(5),
            [None, Some(64_653.0), Some(554.0)],
            sure([620.1, 63.5, 17.6, 5.0]),
        ),
        line(
            "consecutive 7",
            streak(7),
            [None, None, Some(10_196.0)],
            [(2_249.0, 44.0), (258.1, 0.0), (38.9, 0.0), (7.0, 0.0)],
        ),
        line(
            "window 100/100 50 %",
            rate(100, 100, 50),
            [None, None, Some(86_694.0)],
            [(1_825.0, 97.0), (122.9, 0.0), (71.4, 0.0), (49.5, 0.0)],
        ),
        line(
            "window 50/20 50 %",
            rate(50, 20, 50),
            [None, None, Some(3_243.0)],
            [(1_940.0, 19.0), (60.3, 0.0), (35.3, 0.0), (24.8, 0.0)],
        ),
        line(
            "window 20/10 50 %",
            rate(20, 10, 50),
            [None, Some(90_224.0), Some(130.0)],
            sure([137.0, 24.4, 14.2, 9.9]),
        ),
        line(
            "window 10/5 50 %",
            rate(10, 5, 50),
            [None, Some(1_827.0), Some(31.0)],
            sure([36.1, 11.5, 7.1, 5.0]),
        ),
        line(
            "window 100/100 10 %",
            rate(100, 100, 10),
            [None, Some(119.0), Some(100.0)],
            sure([30.4, 18.5, 13.0, 9.1]),
        ),
        // The average of 20 calls keeps exp(-1/20), so that a = 0.0488, and so on.
        line(
            "average 20 < 50 %",
            average(20, 50),
            [None, None, Some(1_009.0)],
            sure([908.0, 51.0, 23.8, 13.8]),
        ),
        line(
            "average 10 < 50 %",
            average(10, 50),
            [None, Some(77_357.0), Some(116.0)],
            sure([125.3, 22.2, 11.9, 7.0]),
        ),
        line(
            "average 30 < 80 %",
            average(30, 80),
            [None, Some(604.0), Some(38.0)],
            sure([31.4, 15.5, 10.0, 6.8]),
        ),
        line(
            "cusum hard",
            (Trip::cusum(Cusum::hard()), Plain::sum(0.35, 0.95)),
            [None, None, Some(16_663.0)],
            [(2_448.0, 76.0), (333.9, 0.0), (35.6, 0.0), (8.0, 0.0)],
        ),
        line(
            "cusum classic",
            (Trip::cusum(Cusum::classic()), Plain::sum(0.1, 0.5)),
            [None, Some(7_654.0), Some(56.0)],
            sure([45.5, 13.3, 7.9, 5.0]),
        ),
        line(
            "cusum early warning",
            (Trip::cusum(Cusum::early_warning()), Plain::sum(0.02, 0.2)),
            [Some(79_933.0), Some(107.0), Some(15.0)],
            sure([14.2, 8.1, 5.6, 3.9]),
        ),
    ]
}
