#![no_main]

#[path = "../../crates/portcullis-http/tests/targets/hints.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    target::run(bytes);
});
