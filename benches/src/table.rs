//! The tables, as markdown and as JSON.

use std::collections::BTreeMap;

use crate::floor::{ADDITION, BARE, CLOCK, FLOOR};
use crate::json;
use crate::ours::OURS;
use crate::rounds::Figures;
use crate::targets::{Ratio, TARGETS, Target};

/// What is known of one case.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) who: &'static str,
    pub(crate) name: &'static str,
    pub(crate) figures: Figures,
    pub(crate) instructions: Option<f64>,
    pub(crate) allocations: Option<f64>,
    pub(crate) reads: Option<f64>,
}

/// All that was measured in one run.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) measured: Vec<Measured>,
    pub(crate) bytes: BTreeMap<String, f64>,
}

/// One figure beside its limit; what was not measured is not met, and not missed either.
struct Check {
    text: String,
    met: Option<bool>,
}

/// One line of the table of targets.
struct Line {
    target: &'static Target,
    gates: Vec<Check>,
    must: Vec<Check>,
    aim: Vec<Check>,
}

impl Table {
    fn find(&self, who: &str, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|case| case.who == who && case.name == name)
    }

    fn floor(&self, name: &str) -> Option<f64> {
        self.find(FLOOR, name)?.figures.one
    }

    fn over(&self, case: &Measured, name: &str) -> Option<f64> {
        Some(case.figures.one? / self.floor(name)?)
    }

    fn lines(&self) -> Vec<Line> {
        TARGETS.iter().map(|target| self.line(target)).collect()
    }

    fn line(&self, target: &'static Target) -> Line {
        let case = self.find(OURS, target.case);
        let of = |figure: fn(&Measured) -> Option<f64>| case.and_then(figure);
        let gates = [
            ("instructions", target.instructions, of(|case| case.instructions)),
            ("clock reads", target.reads, of(|case| case.reads)),
            ("allocations", target.allocations, of(|case| case.allocations)),
            (
                "B",
                target.bytes.map(|(_, most)| most),
                target.bytes.and_then(|(name, _)| self.bytes.get(name).copied()),
            ),
        ];
        let gates =
            gates.into_iter().filter_map(|(unit, most, figure)| Some(at_most(unit, most?, figure)));
        let ratio = |ratio: &Ratio| case.map(|case| self.ratio(case, ratio)).unwrap_or_default();
        Line { target, gates: gates.collect(), must: ratio(&target.must), aim: ratio(&target.aim) }
    }

    fn ratio(&self, case: &Measured, ratio: &Ratio) -> Vec<Check> {
        let mut checks = Vec::new();
        if let Some(most) = ratio.bare {
            checks.push(at_most("x bare", most, self.over(case, BARE)));
        }
        if let Some(most) = ratio.additions {
            let figure = self.over(case, ADDITION);
            let clock = self.floor(CLOCK).zip(self.floor(ADDITION));
            let clock = clock.map_or(0.0, |(clock, addition)| clock / addition);
            let most = ratio.clocks.mul_add(clock, most);
            checks.push(at_most("additions", most, figure));
        }
        if let Some((who, name, most)) = ratio.peer {
            let peer = self.find(who, name).and_then(|peer| peer.figures.one);
            let figure = case.figures.one.zip(peer).map(|(ours, theirs)| ours / theirs);
            checks.push(at_most(&format!("x {who}, {name}"), most, figure));
        }
        if let Some(least) = ratio.scale {
            checks.push(at_least("1->2", least, case.figures.scale));
        }
        checks
    }

    /// The whole as JSON, for those who want to keep it.
    pub(crate) fn to_json(&self) -> String {
        let cases: Vec<String> = self.measured.iter().map(|case| self.case(case)).collect();
        let lines: Vec<String> = self.lines().iter().map(Line::to_json).collect();
        let bytes: Vec<(&str, String)> =
            self.bytes.iter().map(|(name, b)| (name.as_str(), json::number(Some(*b)))).collect();
        json::object(&[
            ("targets", json::list(&lines)),
            ("cases", json::list(&cases)),
            ("bytes", json::object(&bytes)),
        ])
    }

    fn case(&self, case: &Measured) -> String {
        json::object(&[
            ("who", json::string(case.who)),
            ("case", json::string(case.name)),
            ("nanoseconds", json::number(case.figures.one)),
            ("over_bare_call", json::number(self.over(case, BARE))),
            ("over_atomic_addition", json::number(self.over(case, ADDITION))),
            ("two_threads_over_one", json::number(case.figures.scale)),
            ("instructions", json::number(case.instructions)),
            ("allocations", json::number(case.allocations)),
            ("clock_reads", json::number(case.reads)),
            ("rounds_kept", case.figures.kept.to_string()),
            ("rounds_thrown_away", case.figures.thrown.to_string()),
        ])
    }
}

impl Line {
    fn to_json(&self) -> String {
        json::object(&[
            ("path", json::string(self.target.path)),
            ("gate", json::string(&joined(&self.gates))),
            ("gate_met", json::string(verdict(&self.gates))),
            ("must", json::string(&joined(&self.must))),
            ("must_met", json::string(verdict(&self.must))),
            ("aim", json::string(&joined(&self.aim))),
            ("aim_met", json::string(verdict(&self.aim))),
        ])
    }
}

impl Table {
    /// What is aimed at, and what was measured.
    pub(crate) fn targets(&self) -> String {
        let mut text = "| path | gate | met | must | met | aim | met |\n".to_owned();
        text += "|---|---|---|---|---|---|---|\n";
        for line in self.lines() {
            text += &format!("| {} |", line.target.path);
            for checks in [&line.gates, &line.must, &line.aim] {
                text += &format!(" {} | {} |", joined(checks), verdict(checks));
            }
            text.push('\n');
        }
        text
    }

    /// What every case gave.
    pub(crate) fn cases(&self) -> String {
        let columns = "ns | x bare | additions | 1->2 | instructions | allocations";
        let mut text = format!("| who | case | {columns} |\n|---|---|--:|--:|--:|--:|--:|--:|\n");
        for case in &self.measured {
            let figures = [
                figure(case.figures.one),
                figure(self.over(case, BARE)),
                figure(self.over(case, ADDITION)),
                case.figures.scale.map_or_else(|| "-".to_owned(), |scale| format!("{scale:.2}")),
                figure(case.instructions),
                figure(case.allocations),
            ];
            text += &format!("| {} | {} | {} |\n", case.who, case.name, figures.join(" | "));
        }
        let kept: usize = self.measured.iter().map(|case| case.figures.kept).sum();
        let thrown: usize = self.measured.iter().map(|case| case.figures.thrown).sum();
        text += &format!(
            "\nMedians of {kept} batches on one thread, in interleaved rounds; {thrown} batches in \
             which a thread had to wait for a core were thrown away.\n"
        );
        text
    }
}

fn at_most(unit: &str, most: f64, value: Option<f64>) -> Check {
    let text = format!("{} <= {} {unit}", figure(value), figure(Some(most)));
    Check { text, met: value.map(|value| value <= most) }
}

fn at_least(unit: &str, least: f64, value: Option<f64>) -> Check {
    let shown = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    Check { text: format!("{unit} {shown} >= {least}"), met: value.map(|value| value >= least) }
}

fn joined(checks: &[Check]) -> String {
    checks.iter().map(|check| check.text.as_str()).collect::<Vec<_>>().join(", ")
}

fn verdict(checks: &[Check]) -> &'static str {
    if checks.is_empty() {
        "" // Nothing is asked.
    } else if checks.iter().any(|check| check.met == Some(false)) {
        "no"
    } else if checks.iter().any(|check| check.met.is_none()) {
        "?"
    } else {
        "yes"
    }
}

/// A figure with as many digits as mean something.
fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value == value.trunc() || value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(who: &'static str, name: &'static str, one: f64, scale: f64) -> Measured {
        let figures = Figures { one: Some(one), scale: Some(scale), kept: 9, thrown: 1 };
        let (instructions, allocations, reads) = (Some(41.0), Some(0.0), Some(0.0));
        Measured { who, name, figures, instructions, allocations, reads }
    }

    fn table() -> Table {
        let cases = [(FLOOR, BARE, 2.0), (FLOOR, ADDITION, 10.0), (OURS, "closed", 5.0)];
        let measured = cases.map(|(who, name, one)| measured(who, name, one, 1.9)).to_vec();
        Table { measured, bytes: BTreeMap::new() }
    }

    #[test]
    fn a_figure_stands_beside_its_limit_and_says_whether_it_is_met() {
        let text = table().targets();
        let gate = "41 <= 40 instructions, 0 <= 0 clock reads, 0 <= 0 allocations | no |";
        let must = "2.50 <= 3 x bare, 1->2 1.90 >= 1.8 | yes |";
        let aim = "2.50 <= 1.40 x bare, 1->2 1.90 >= 1.95 | no |";
        let line = format!("| closed, success, default configuration | {gate} {must} {aim}\n");
        assert!(text.contains(&line), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let text = table().targets();
        assert!(text.contains("| one breaker, fresh | - <= 256 B | ? |"), "{text}");
    }
}
