//! The closing table.

use std::fmt::Write;
use std::time::Duration;

use portcullis_priority::Class;

use crate::drill::{AFTER, DURING, Drilled};
use crate::figures::{Figures, Greedy};
use crate::owed::{recovered, times};
use crate::report::{ActReport, Report};
use crate::rush::Rush;
use crate::world::Side;

/// How a figure reads, if it was measured.
type Read = fn(&Figures) -> Option<String>;

/// The width of the longest name of a phase.
const NAME: usize = 10;

/// The columns: heading, and how a figure reads.
const COLUMNS: [(&str, Read); 8] = [
    ("goodput", |figures| figures.goodput.map(percent)),
    ("others", |figures| figures.others.map(percent)),
    ("p99", |figures| figures.p99.map(millis)),
    ("p99 others", |figures| figures.others_p99.map(millis)),
    ("sick calls", |figures| figures.sick_calls.map(|calls| calls.to_string())),
    ("spared", |figures| Some(figures.spared.to_string())),
    ("X in / 429", |figures| figures.greedy.map(greedy)),
    ("95 % after", |figures| figures.recovery.map(|recovery| recovery.to_string())),
];

/// The notes under the table.
const LEGEND: &str = "\
goodput       requests answered 200 before the caller hung up, of all that were due in the fault
others        the same, for the requests that the fault is not about: those that do not need the
              sick upstream, or those of all callers but the greedy one
sick calls    calls that reached the sick upstream, or that of the flood; spared: calls that a
              circuit refused
X in / 429    requests of the greedy caller X that got into the shop, and those that were refused
95 % after    from the heal until 95 % of the requests of half a second were good again
";

/// The notes under the table of the till.
const LEGEND_OF_TILL: &str = "\
critical ..   good answers in time, of all requests of this class; 503: refused, with when to come
              again
capacity      good answers in time, of all that the workers could have given
inside        the most requests inside the till at a time, and the most slots
limit         the mean limit at the end of each quarter: in the phase capacity, with all workers,
              with half of them, with all of them, and while 30 of 100 answers are errors
";

/// The notes under the table of the depot.
const LEGEND_OF_DEPOT: &str = "\
before ..     good answers of the depot, of all requests that were due before, during and after
              what was the matter
again         from the heal until three seconds in a row were good, 95 % of their requests
attempts      those that reached the depot for each request that was due, during and after
";

/// The whole closing text: figures, claims, verdict.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_figures(&mut text, report);
    let _ = write!(text, "\n{LEGEND}\n");
    if report.acts.iter().any(|act| act.act.phase.overloads()) {
        let _ = write_till(&mut text, report);
        let _ = write!(text, "\n{LEGEND_OF_TILL}\n");
    }
    if report.acts.iter().any(|act| act.act.phase.drill().is_some()) {
        let _ = write_depot(&mut text, report);
        let _ = write!(text, "\n{LEGEND_OF_DEPOT}\n");
    }
    let _ = write_claims(&mut text, report);
    text
}

fn write_figures(text: &mut String, report: &Report) -> std::fmt::Result {
    write!(text, "{:<NAME$} {:<9}", "phase", "")?;
    for (heading, _) in COLUMNS {
        write!(text, "  {heading:>10}")?;
    }
    text.push('\n');
    for act in &report.acts {
        for side in Side::BOTH {
            let name = if side == Side::Bare { act.act.phase.name } else { "" };
            write!(text, "{name:<NAME$} {:<9}", side.as_str())?;
            for (heading, read) in COLUMNS {
                let figure = read(act.side(side)).unwrap_or_else(|| "-".to_owned());
                write!(text, "  {figure:>width$}", width = heading.len().max(10))?;
            }
            text.push('\n');
        }
    }
    Ok(())
}

/// What a row of the till says, behind the classes.
const TILL: [&str; 4] = ["capacity", "inside", "503", "limit"];

fn write_till(text: &mut String, report: &Report) -> std::fmt::Result {
    write!(text, "{:<NAME$} {:<9}", "till", "")?;
    let classes = Class::ALL.into_iter().rev().map(Class::as_str);
    for heading in classes.chain(TILL) {
        write!(text, "  {heading:>10}")?;
    }
    text.push('\n');
    let rows =
        |act: &ActReport| Side::BOTH.map(|side| (act.act.phase.name, side, act.side(side).till));
    for (name, side, till) in report.acts.iter().flat_map(rows) {
        let Some(till) = till else { continue };
        let name = if side == Side::Bare { name } else { "" };
        write!(text, "{name:<NAME$} {:<9}", side.as_str())?;
        for cell in cells(&till) {
            write!(text, "  {cell:>10}")?;
        }
        text.push('\n');
    }
    Ok(())
}

fn cells(till: &Rush) -> Vec<String> {
    let none = || "-".to_owned();
    let share = |share: Option<f64>| share.map_or_else(none, percent);
    let limit = |limit: Option<f64>| limit.map_or_else(none, |limit| format!("{limit:.0}"));
    let slots = till.slots.map_or_else(none, |slots| slots.to_string());
    let classes = Class::ALL.into_iter().rev().map(|class| share(till.class(class)));
    let rest = [
        share(till.of_capacity),
        format!("{} / {slots}", till.peak),
        till.refused.to_string(),
        till.limits.map(limit).join(" "),
    ];
    classes.chain(rest).collect()
}

/// What a row of the depot says.
const DEPOT: [&str; 6] = ["before", "during", "after", "again", "attempts", "after"];

fn write_depot(text: &mut String, report: &Report) -> std::fmt::Result {
    write!(text, "{:<NAME$} {:<9}", "depot", "")?;
    for heading in DEPOT {
        write!(text, "  {heading:>10}")?;
    }
    text.push('\n');
    let rows =
        |act: &ActReport| Side::BOTH.map(|side| (act.act.phase.name, side, act.side(side).depot));
    for (name, side, depot) in report.acts.iter().flat_map(rows) {
        let Some(depot) = depot else { continue };
        let name = if side == Side::Bare { name } else { "" };
        write!(text, "{name:<NAME$} {:<9}", side.as_str())?;
        for cell in attempted(&depot) {
            write!(text, "  {cell:>10}")?;
        }
        text.push('\n');
    }
    Ok(())
}

fn attempted(depot: &Drilled) -> [String; 6] {
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    let [before, during, after] = depot.goodput.map(share);
    let attempts = [DURING, AFTER].map(|i| times(depot.amplification[i]));
    let [attempts, later] = attempts;
    [before, during, after, recovered(depot), attempts, later]
}

fn write_claims(text: &mut String, report: &Report) -> std::fmt::Result {
    for act in &report.acts {
        for (claim, holds) in act.claims() {
            let verdict = if holds { "ok" } else { "WORSE" };
            let what = claim.text(&act.bare, &act.protected);
            writeln!(text, "{:<NAME$} {verdict:<5} {what}", act.act.phase.name)?;
        }
    }
    let Report { seed, speed, took, .. } = report;
    let verdict = if report.holds() {
        "the protected shop kept all that it owes"
    } else {
        "the protected shop was worse than it owes"
    };
    writeln!(text, "\n{verdict} (seed {seed}, speed {speed}, {})", seconds(*took))
}

/// What became of the greedy caller's requests: let in, and refused.
fn greedy(greedy: Greedy) -> String {
    format!("{} / {}", greedy.admitted.calls, greedy.refused)
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A latency in milliseconds.
pub(crate) fn millis(latency: Duration) -> String {
    format!("{} ms", latency.as_millis())
}

/// A time in seconds.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Admitted, Recovery};
    use crate::report::ActReport;
    use crate::script::{Act, Script};

    fn sent(calls: u64, quota: Option<u64>, refused: u64) -> Greedy {
        Greedy { requests: 1_000, refused, admitted: Admitted { calls, quota } }
    }

    fn report(goodput: f64) -> Report {
        let acts = Script::new(None, 1.0).acts;
        let bare = Figures {
            goodput: Some(0.25),
            others: Some(0.5),
            p99: Some(Duration::from_millis(800)),
            sick_calls: Some(1_234),
            greedy: Some(sent(500, None, 0)),
            recovery: Some(Recovery::NotWithin(Duration::from_secs(4))),
            ..Figures::default()
        };
        let protected = Figures {
            goodput: Some(goodput),
            others: Some(goodput),
            p99: Some(Duration::from_millis(31)),
            sick_calls: Some(31),
            spared: 999,
            greedy: Some(sent(99, Some(100), 900)),
            recovery: Some(Recovery::After(Duration::from_millis(740))),
            ..bare
        };
        let depot = |act: &Act, recovery, amplification| {
            act.phase.drill().map(|_| Drilled {
                goodput: [None, Some(0.98), Some(0.5)],
                amplification: [None, Some(amplification), Some(1.0)],
                recovery: Some(recovery),
                late: Duration::ZERO,
            })
        };
        let never = Recovery::NotWithin(Duration::from_secs(8));
        let report = |act: Act| ActReport {
            act,
            bare: Figures { depot: depot(&act, never, 2.875), ..bare },
            protected: Figures {
                depot: depot(&act, Recovery::After(Duration::from_secs(1)), 1.0),
                ..protected
            },
        };
        let acts = acts.into_iter().map(report).collect();
        Report { seed: 1, speed: 1.0, took: Duration::from_secs(41), acts }
    }

    #[test]
    fn the_table_sets_bare_beside_protected_in_columns() {
        let text = render(&report(0.975));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[3].starts_with("b-hangs    bare"), "{text}");
        for cell in ["25.0 %", "50.0 %", "800 ms", "1234", "500 / 0", "> 4.0 s"] {
            assert!(lines[3].contains(cell), "{cell}: {text}");
        }
        for cell in ["protected", "97.5 %", "31 ms", "31", "999", "99 / 900", "0.7 s"] {
            assert!(lines[4].contains(cell), "{cell}: {text}");
        }
        assert!(lines[..21].iter().all(|line| line.len() == lines[0].len()), "{text}");
    }

    #[test]
    fn a_drill_has_a_table_of_its_own() {
        let text = render(&report(0.975));
        let lines = text.lines().skip_while(|line| !line.starts_with("depot "));
        let lines: Vec<&str> = lines.take(5).collect();
        for (line, name, again, attempts) in [
            (lines[1], "gray       bare", "never", "x 2.88"),
            (lines[2], "           protected", "1.0 s", "x 1.00"),
            (lines[3], "metastable bare", "never", "x 2.88"),
        ] {
            assert!(line.starts_with(name), "{text}");
            let cells = format!("98.0 %      50.0 %       {again}      {attempts}      x 1.00");
            assert!(line.ends_with(&cells), "{text}");
            assert_eq!(line.len(), lines[0].len(), "{text}");
        }
    }

    #[test]
    fn the_verdict_follows_the_claims() {
        let good = render(&report(0.975));
        assert!(good.contains("kept all that it owes (seed 1, speed 1, 41.0 s)"), "{good}");
        assert!(!good.contains("WORSE"), "{good}");
        let bad = render(&report(0.1));
        assert!(bad.contains("was worse than it owes"), "{bad}");
        assert!(bad.contains("b-hangs    WORSE"), "{bad}");
    }
}
