//! What every layer of the family promises to Tower, shown for retries.

mod contract {
    mod budgets;
    mod decisions;
    mod ends;
    mod keys;
    mod readiness;
    mod requests;
    mod sharing;
    mod support;
    mod types;
    mod waits;
}
