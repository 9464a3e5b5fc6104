//! What retries, hedges and timeouts of others do, and ours in the same scene. Tokio's time is
//! paused, so that nothing here waits for real time to pass.

mod budgets;
#[path = "../common/mod.rs"]
mod common;
mod hedges;
mod repeats;
mod results;
mod support;
mod timeouts;
mod waits;
