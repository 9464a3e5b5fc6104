//! The table of what was aimed at and what was measured, with the other crates in the same rounds.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_benches::program::run(portcullis_peers::peers())
}
