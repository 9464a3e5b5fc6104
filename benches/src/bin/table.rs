//! The table of what was aimed at and what was measured, without other crates.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_benches::program::run(Vec::new())
}
