#![no_main]

#[path = "../../crates/portcullis-ratelimit/tests/targets/quota.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    target::run(bytes);
});
