//! A configuration whose values are wrong.
//~ attempts lie in 1..=100

use portcullis_backoff::BackoffConfig;

const NONE: BackoffConfig = BackoffConfig::new().max_attempts(0);

fn main() {
    let _ = NONE;
}
