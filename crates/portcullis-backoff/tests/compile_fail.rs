//! Wrong combinations do not compile, and the error says what to do instead.

#[path = "../../../tests/src/compile_fail.rs"]
mod programs;

#[test]
fn the_compiler_names_the_fix() {
    let places = (env!("CARGO_MANIFEST_DIR"), env!("CARGO_TARGET_TMPDIR"));
    programs::check_all(env!("CARGO_PKG_NAME"), places, 5);
}
