//! What every layer of the family promises to Tower, shown for the queue and the bulkhead.

mod contract {
    mod bodies;
    mod bulkhead;
    mod ends;
    mod inherits;
    mod readiness;
    mod refusals;
    mod sharing;
    mod support;
    mod types;
    mod waiting;
}
