//! What every layer of the family promises to Tower, shown for the timeout.

mod contract {
    mod breaker;
    mod deadlines;
    mod ends;
    mod keys;
    mod learns;
    mod readiness;
    mod support;
    mod types;
}
