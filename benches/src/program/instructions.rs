//! Instructions per call, by callgrind: the difference of two runs that differ in their length.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::case::Case;

/// The shorter run: what happens at the first calls only is behind it.
const SHORT: u64 = 1_000;

/// How many are counted at a time: unlike time, instructions do not depend on who else is running.
const AT_A_TIME: usize = 2;

/// Counts every case and writes one line for each.
pub(super) fn write(cases: &[Case], dir: &str) -> Result<(), String> {
    let cases: Vec<(String, u64)> = cases.iter().map(|case| (case.label(), case.counted)).collect();
    let mut lines = String::new();
    for some in cases.chunks(AT_A_TIME) {
        let counted: Vec<_> = thread::scope(|scope| {
            let counts = some.iter().map(|(label, calls)| scope.spawn(|| each(label, *calls)));
            counts.collect::<Vec<_>>().into_iter().map(|count| count.join()).collect()
        });
        for ((label, _), each) in some.iter().zip(counted) {
            let each = each.map_err(|_| format!("{label}: the count panicked"))??;
            println!("{each:>10.1}  {label}");
            lines += &format!("instructions\t{label}\t{each}\n");
        }
    }
    let path = Path::new(dir).join("instructions.tsv");
    fs::write(&path, lines).map_err(|error| format!("{}: {error}", path.display()))
}

/// The instructions of each of so many calls.
fn each(label: &str, calls: u64) -> Result<f64, String> {
    let short = collected(label, SHORT)?;
    let long = collected(label, SHORT + calls)?;
    Ok(long.saturating_sub(short) as f64 / calls as f64)
}

/// The instructions of a whole run of this very program.
fn collected(label: &str, calls: u64) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["count", label, &calls.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let found = if output.status.success() { total(&text) } else { None };
    found.ok_or_else(|| format!("callgrind said of {label}:\n{text}"))
}

/// The number in `==123== Collected : 456`.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_among_what_valgrind_says() {
        let text = "==7== Events    : Ir\n==7== Collected : 1234\n==7==\n";
        assert_eq!(total(text), Some(1234));
        assert_eq!(total("==7== Command: table\n"), None);
    }
}
