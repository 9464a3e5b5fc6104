//! Runs the programs of a crate that show what its users get wrong: each of them is a file of its
//! `tests/ui`, and its test `compile_fail` takes this module in.
//!
//! Each file is a program. A line `//~ text` says what its error contains; a program
//! without such a line compiles. Only these texts are compared: the rest is the compiler's own and
//! changes with it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program of `tests/ui`.
struct Program {
    name: String,
    path: PathBuf,
    expected: Vec<String>,
}

impl Program {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).expect("a program");
        let expected = text.lines().filter_map(|line| line.strip_prefix("//~ "));
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Self { name, expected: expected.map(str::to_owned).collect(), path }
    }

    /// What is wrong with what the compiler said, if anything is.
    fn complaint(&self, said: &Output) -> Option<String> {
        let name = &self.name;
        let stderr = String::from_utf8_lossy(&said.stderr);
        if said.status.success() != self.expected.is_empty() {
            return Some(format!("{name}: {}\n{stderr}", said.status));
        }
        let missing: Vec<_> = self.expected.iter().filter(|text| !stderr.contains(*text)).collect();
        (!missing.is_empty()).then(|| format!("{name}: without {missing:?}\n{stderr}"))
    }
}

/// Compiles all programs of this crate, of which there are so many at least.
///
/// # Panics
/// When the compiler says something else of one than is expected.
pub(crate) fn check_all(krate: &str, (here, tmp): (&str, &str), least: usize) {
    let (here, there) = (Path::new(here), Path::new(tmp).join("compile-fail"));
    let files = fs::read_dir(here.join("tests/ui")).expect("programs");
    let mut programs: Vec<_> =
        files.map(|file| Program::read(file.expect("a file").path())).collect();
    programs.sort_by(|a, b| a.name.cmp(&b.name));

    fs::create_dir_all(&there).expect("a place to compile");
    fs::write(there.join("Cargo.toml"), manifest(krate, here, &programs)).expect("a manifest");
    // The versions of the workspace, which are on this machine already.
    fs::copy(here.join("../../Cargo.lock"), there.join("Cargo.lock")).expect("a lock file");

    let complaints: Vec<_> = programs
        .iter()
        .filter_map(|program| program.complaint(&check(&there, &program.name)))
        .collect();
    println!("{} programs", programs.len());
    assert!(programs.len() >= least, "programs are missing");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// A package of its own, with no more than the programs need.
fn manifest(krate: &str, here: &Path, programs: &[Program]) -> String {
    let mut text = format!(
        "[package]\nname = \"compile-fail\"\nedition = \"2024\"\npublish = false\n\n\
         [workspace]\n\n\
         [dependencies]\nhttp = \"1\"\n{krate} = {{ path = {here:?} }}\n\
         tower = {{ version = \"0.5\", features = [\"util\"] }}\n"
    );
    for Program { name, path, .. } in programs {
        // Writing to a String does not fail.
        let _ = write!(text, "\n[[bin]]\nname = {name:?}\npath = {path:?}\n");
    }
    text
}

fn check(there: &Path, program: &str) -> Output {
    Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--offline", "--color", "never", "--bin", program])
        .arg("--target-dir")
        .arg(there.join("target"))
        .current_dir(there)
        .output()
        .expect("cargo runs")
}
