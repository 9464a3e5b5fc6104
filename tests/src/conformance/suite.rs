//! All cases of a directory, one line each: [`run`].

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::case::Case;
use super::component;
use super::verdict::{Verdict, one_line};

/// The verdicts of a run, in the order of files and cases.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<(String, Verdict)>,
}

impl Report {
    /// Each id, or file that cannot be read, with what became of it.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        self.lines.iter().map(|(id, verdict)| (id.as_str(), verdict))
    }

    /// The lines that make the run fail.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        self.lines().filter(|(_, verdict)| matches!(verdict, Verdict::Fail(_))).map(|(id, _)| id)
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.lines().filter(|(_, verdict)| wanted(verdict)).count()
    }

    fn add(&mut self, id: &str, verdict: Verdict) {
        self.lines.push((id.to_owned(), verdict));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, verdict) in self.lines() {
            writeln!(f, "{id} {verdict}")?;
        }
        write!(
            f,
            "conformance: {} PASS, {} FAIL, {} VARIANT, {} DISPUTED, {} SKIP",
            self.count(|verdict| matches!(verdict, Verdict::Pass | Verdict::SameResult)),
            self.count(|verdict| matches!(verdict, Verdict::Fail(_))),
            self.count(|verdict| matches!(verdict, Verdict::Variant(_))),
            self.count(|verdict| matches!(verdict, Verdict::Disputed(_))),
            self.count(|verdict| matches!(verdict, Verdict::Skip(_))),
        )
    }
}

/// Where our copy of the cases lies.
#[must_use]
pub fn home() -> PathBuf {
    crate::root().join("tests/conformance")
}

/// Runs every `*.json` in each of these directories.
#[must_use]
pub fn run(dirs: &[PathBuf]) -> Report {
    let mut report = Report::default();
    let disputed = match disputed(&home().join("DISPUTED.md")) {
        Ok(disputed) => disputed,
        Err(why) => {
            report.add("DISPUTED.md", Verdict::Fail(why));
            BTreeMap::new()
        }
    };
    for dir in dirs {
        match json_files(dir) {
            Ok(files) => files.iter().for_each(|file| run_file(file, &disputed, &mut report)),
            Err(why) => report.add(&dir.display().to_string(), Verdict::Fail(why)),
        }
    }
    report
}

fn json_files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("expected a directory of cases got {error}");
    let entries = fs::read_dir(dir).map_err(unreadable)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err("expected *.json files got none".to_owned()) } else { Ok(files) }
}

fn run_file(file: &Path, disputed: &BTreeMap<String, String>, report: &mut Report) {
    let name = file.display().to_string();
    let cases = match read_cases(file) {
        Ok(cases) => cases,
        Err(why) => return report.add(&name, Verdict::Fail(why)),
    };
    for (number, case) in cases.iter().enumerate() {
        let id = Case::id_of(case).map_or_else(|| format!("{name}#{number}"), one_line);
        let reason = disputed.get(&id).cloned();
        report.add(&id, reason.map_or_else(|| judge(case), Verdict::Disputed));
    }
}

fn read_cases(file: &Path) -> Result<Vec<Value>, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("expected a text got {}", one_line(&error.to_string())))?;
    match serde_json::from_str(&text) {
        Ok(Value::Array(cases)) => Ok(cases),
        Ok(_) => Err("expected an array of cases got something else".to_owned()),
        Err(error) => Err(format!("expected JSON got {}", one_line(&error.to_string()))),
    }
}

/// Judges one case. A panic is a failure of the case, not the end of the run.
#[must_use]
pub fn judge(case: &Value) -> Verdict {
    if Case::id_of(case).is_none() {
        return Verdict::Fail("expected `id` in the case got none".to_owned());
    }
    if let Some(component) = Case::component_of(case).filter(|name| !component::exists(name)) {
        return Verdict::Skip(format!("there is no component {component} yet"));
    }
    match catch_unwind(AssertUnwindSafe(|| component::judge(case))) {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(mismatch)) => Verdict::Fail(mismatch.to_string()),
        Err(panic) => Verdict::Fail(format!("expected an answer got a panic: {}", said(&*panic))),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    one_line(text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?"))
}

/// The lines ``| `id` | what is wrong | evidence |`` of the list.
fn disputed(file: &Path) -> Result<BTreeMap<String, String>, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("expected the list got {error}"))?;
    let rows = text.lines().filter_map(|line| {
        let (id, reason) = line.trim().trim_matches('|').trim().split_once('|')?;
        let id = id.trim().strip_prefix('`')?.strip_suffix('`')?;
        Some((id.to_owned(), one_line(reason)))
    });
    Ok(rows.filter(|(id, _)| id != "id").collect())
}
