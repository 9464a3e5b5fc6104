#![no_main]

#[path = "../../crates/breaker-core/tests/targets/config.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    target::run(bytes);
});
