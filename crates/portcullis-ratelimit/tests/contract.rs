//! What every layer of the family promises to Tower, shown for the rate limit.

mod contract {
    mod ends;
    mod readiness;
    mod refusals;
    mod sharing;
    mod support;
    mod types;
    #[cfg(feature = "tokio")]
    mod waiting;
}
