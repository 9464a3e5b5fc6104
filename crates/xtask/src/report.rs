//! The closing table and the exit code.

use std::fmt;
use std::time::Duration;

use crate::step::Verdict;

/// One step that is over.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) elapsed: Duration,
    pub(crate) command: String,
}

/// All steps of a command, in the order in which they ran.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Row {
    /// One line that says how the step ended.
    pub(crate) fn headline(&self) -> String {
        let Self { name, verdict, elapsed, .. } = self;
        let seconds = elapsed.as_secs_f64();
        match verdict {
            Verdict::Passed(_) => format!("PASS {name} ({seconds:.1} s)"),
            Verdict::Failed(reason) => format!("FAIL {name} ({seconds:.1} s): {reason}"),
            Verdict::Skipped(reason) => format!("SKIPPED {name}: {reason}"),
        }
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Passed(_) => "PASS",
            Verdict::Failed(_) => "FAIL",
            Verdict::Skipped(_) => "SKIPPED",
        }
    }

    /// What was run, and behind it what came of it.
    fn note(&self) -> String {
        let (Verdict::Passed(text) | Verdict::Failed(text) | Verdict::Skipped(text)) =
            &self.verdict;
        let parts = [self.command.as_str(), text.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  # ")
    }
}

impl Report {
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        Self { rows }
    }

    /// The same report, in which every skipped check is a failed one.
    pub(crate) fn strict(mut self) -> Self {
        for row in &mut self.rows {
            if let Verdict::Skipped(reason) = &row.verdict {
                row.verdict = Verdict::Failed(format!("skipped under --strict: {reason}"));
            }
        }
        self
    }

    /// Whether no step failed.
    pub(crate) fn is_success(&self) -> bool {
        self.count("FAIL") == 0
    }

    fn count(&self, word: &str) -> usize {
        self.rows.iter().filter(|row| row.word() == word).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
        writeln!(f, "{:width$}  {:7}  {:>7}  command", "step", "result", "seconds")?;
        for row in &self.rows {
            let seconds = row.elapsed.as_secs_f64();
            let line =
                format!("{:width$}  {:7}  {seconds:>7.1}  {}", row.name, row.word(), row.note());
            writeln!(f, "{}", line.trim_end())?;
        }
        let [passed, failed, skipped] = ["PASS", "FAIL", "SKIPPED"].map(|word| self.count(word));
        write!(f, "\n{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, verdict: Verdict) -> Row {
        let elapsed = Duration::from_millis(1_250);
        Row { name: name.to_owned(), verdict, elapsed, command: format!("cargo {name}") }
    }

    fn mixed() -> Report {
        Report::new(vec![
            row("fmt", Verdict::Passed(String::new())),
            row("tests", Verdict::Passed("7 tests".to_owned())),
            row("clippy", Verdict::Failed("exit status: 101".to_owned())),
            row("typos", Verdict::Skipped("not installed".to_owned())),
        ])
    }

    #[test]
    fn the_table_names_every_step_and_ends_with_the_counts() {
        let expected = "\
step    result   seconds  command
fmt     PASS         1.2  cargo fmt
tests   PASS         1.2  cargo tests  # 7 tests
clippy  FAIL         1.2  cargo clippy  # exit status: 101
typos   SKIPPED      1.2  cargo typos  # not installed

2 passed, 1 failed, 1 skipped";
        assert_eq!(mixed().to_string(), expected);
    }

    #[test]
    fn a_skip_is_no_failure_unless_strict() {
        let skipped = Report::new(vec![row("typos", Verdict::Skipped("absent".to_owned()))]);
        assert!(skipped.is_success());
        let strict = skipped.strict();
        assert!(!strict.is_success());
        assert!(strict.to_string().ends_with("0 passed, 1 failed, 0 skipped"));
    }

    #[test]
    fn one_failure_fails_the_whole() {
        assert!(!mixed().is_success());
    }

    #[test]
    fn a_skip_is_announced_with_its_reason() {
        let skip = row("miri", Verdict::Skipped("not installed".to_owned()));
        assert_eq!(skip.headline(), "SKIPPED miri: not installed");
    }
}
