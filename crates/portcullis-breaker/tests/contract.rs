//! What every layer of the family promises to Tower, shown for the circuit breaker.

mod contract {
    mod body_end;
    mod keyed;
    mod matrix;
    mod matrix_walk;
    mod observers;
    mod panics;
    mod readiness;
    mod refusals;
    mod script;
    mod sharing;
    mod support;
    mod time;
    mod types;
}
