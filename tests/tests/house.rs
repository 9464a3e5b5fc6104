//! The rules of the house that no compiler holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_tests::root;
use toml::{Table, Value};

/// What stands at the top of the repository, and nothing else does.
const TOP_LEVEL: [&str; 20] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "COMPARE.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "DESIGN.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "clippy.toml",
    "crates",
    "deny.toml",
    "examples",
    "fuzz",
    "rustfmt.toml",
    "tests",
];

/// What never weighs on a library: whoever uses one of these brings it along in a version of their own.
/// Behind a feature that is off by default it may stand, for traits that are to be implemented: there is
/// no other way to fit what somebody brings along, and nobody else gets it.
const FRAMEWORKS: [&str; 5] = ["axum", "hyper", "tonic", "tower", "tower-http"];

/// The capabilities of the layers that are here. Each is named above the test that shows it.
const CAPABILITIES: [(&str, &[u32]); 10] = [
    ("S-CORE", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    ("S-WIN", &[1, 2, 3, 4, 5, 6, 7, 8, 11, 12]),
    ("S-STRAT", &[1, 2, 3, 4, 5, 6, 7, 8]),
    ("S-MET", &[6]),
    ("S-RATE", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ("S-PRIO", &[1, 2, 3, 4, 5, 6, 7, 8]),
    ("S-BACKOFF", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ("S-RETRY", &[1, 2, 3, 4, 5]),
    ("S-TIMEOUT", &[1, 2, 3, 4, 5, 6]),
    ("S-ADV", &[2, 8]),
];

// ===== manifests =====

#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    for dir in members() {
        let manifest = manifest(&dir);
        let inherited = at(&manifest, &["lints", "workspace"]).and_then(Value::as_bool);
        assert_eq!(inherited, Some(true), "{}: [lints] workspace = true", dir.display());
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let manifest = manifest(&root());
    let level = at(&manifest, &["workspace", "lints", "rust", "unsafe_code"]);
    assert_eq!(level.and_then(Value::as_str), Some("forbid"));
}

#[test]
fn every_published_crate_says_what_its_users_look_for() {
    for dir in published() {
        let manifest = manifest(&dir);
        let fields: [&[&str]; 6] = [
            &["package", "description"],
            &["package", "license"],
            &["package", "readme"],
            &["package", "rust-version"],
            &["package", "categories"],
            &["package", "metadata", "docs", "rs"],
        ];
        for field in fields {
            let missing = format!("{}: {} is missing", dir.display(), field.join("."));
            assert!(at(&manifest, field).is_some(), "{missing}");
        }
        let readme = at(&manifest, &["package", "readme"]).and_then(Value::as_str);
        let readme = dir.join(readme.expect("a path"));
        assert!(readme.is_file(), "{} is no file", readme.display());
    }
}

#[test]
fn no_library_depends_on_a_framework() {
    for dir in published() {
        let manifest = manifest(&dir);
        let dependencies = at(&manifest, &["dependencies"]).and_then(Value::as_table);
        for framework in FRAMEWORKS {
            let taken = dependencies.and_then(|table| table.get(framework));
            let optional = |taken: &Value| taken.get("optional").and_then(Value::as_bool);
            let forced = taken.is_some_and(|taken| optional(taken) != Some(true));
            assert!(!forced, "{} depends on {framework}", dir.display());
            let default = at(&manifest, &["features", "default"]).and_then(Value::as_array);
            let on = default.is_some_and(|on| on.contains(&Value::from(framework)));
            assert!(taken.is_none() || !on, "{} has {framework} by default", dir.display());
        }
    }
}

#[test]
fn the_front_page_of_a_library_is_its_readme() {
    for dir in published() {
        let source = read(&dir.join("src/lib.rs"));
        // From inside the crate, or a published archive would not compile.
        let included = source.contains("#![doc = include_str!(\"../README.md\")]");
        assert!(included, "{}: the README is the crate doc, so that it compiles", dir.display());
    }
}

// ===== the repository =====

#[test]
fn the_top_level_holds_what_belongs_there_and_nothing_else() {
    let expected: BTreeSet<String> = TOP_LEVEL.into_iter().map(str::to_owned).collect();
    let found = tracked().unwrap_or_else(present);
    let missing: Vec<_> = expected.difference(&found).collect();
    let strange: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && strange.is_empty(), "missing {missing:?}, strange {strange:?}");
}

#[test]
fn the_readme_names_the_test_command_and_the_main_job() {
    let readme = read(&root().join("README.md"));
    for command in ["cargo xtask test", "cargo run --release -p storm"] {
        assert!(readme.contains(command), "README.md does not name `{command}`");
    }
}

#[test]
fn what_is_said_of_others_names_tests_that_exist() {
    // The scenes of others; and what is said of ours alone, in the tests of the limit.
    let dirs = ["benches/peers/tests", "crates/portcullis-ratelimit/tests"];
    let files = dirs.iter().flat_map(|dir| sources(&root().join(dir)));
    let tests = files.map(|path| read(&path)).collect::<String>();
    let page = read(&root().join("COMPARE.md"));
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("_"));
    let mut named = 0;
    for name in rows.flat_map(|row| row.split('`').skip(1).step_by(2)) {
        if name.matches('_').count() > 3 {
            named += 1;
            assert!(tests.contains(&format!("fn {name}(")), "COMPARE.md names `{name}`");
        }
    }
    assert!(named > 20, "only {named} tests are named");
}

// ===== sources =====

#[test]
fn only_the_clock_reads_the_time() {
    for dir in published() {
        for path in sources(&dir.join("src")) {
            let is_clock = path.file_name().is_some_and(|name| name == "clock.rs");
            let source = read(&path);
            for call in ["Instant::now(", "SystemTime::now("] {
                assert!(is_clock || !source.contains(call), "{}: {call}", path.display());
            }
        }
    }
}

#[test]
fn every_capability_is_named_above_a_test() {
    let named = words_above_tests();
    let missing: Vec<String> = CAPABILITIES
        .into_iter()
        .flat_map(|(family, numbers)| numbers.iter().map(move |n| format!("{family}-{n:02}")))
        .filter(|id| !named.iter().any(|words| words.contains(id)))
        .collect();
    assert!(missing.is_empty(), "above no test stands {missing:?}");
}

/// What is said directly above each test: a capability that is named anywhere else is not shown.
/// The tests of this file, which lists them all, say nothing.
fn words_above_tests() -> Vec<String> {
    let this = Path::new(file!()).file_name();
    let files = members().into_iter().flat_map(|dir| sources(&dir));
    files
        .filter(|path| path.file_name() != this)
        .flat_map(|path| words_above_tests_of(&read(&path)))
        .collect()
}

fn words_above_tests_of(source: &str) -> Vec<String> {
    let (mut words, mut above) = (Vec::new(), String::new());
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            words.push(std::mem::take(&mut above));
        } else if line.starts_with("//") {
            above.push_str(line);
        } else if !line.starts_with("#[") {
            above.clear();
        }
    }
    words
}

#[test]
fn only_what_stands_directly_above_a_test_is_said_of_it() {
    let source = "\
        //! S-NOT-01\n\n/// S-YES-01: it works,\n/// S-YES-02\n#[cfg(unix)]\n#[test]\nfn a() {\n\
        // S-NOT-02\n}\n/// S-NOT-03\nfn helper() {}\n/// S-NOT-04\n\n\
        #[tokio::test(start_paused = true)]\nasync fn b() {}\n// S-YES-03\n#[test]\nfn c() {}\n";
    let named = words_above_tests_of(source).concat();
    assert_eq!(named, "/// S-YES-01: it works,/// S-YES-02// S-YES-03");
}

// ===== finding things =====

fn members() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        ["crates", "examples"].iter().flat_map(|parent| entries(&root().join(parent))).collect();
    dirs.extend(["tests", "benches"].map(|dir| root().join(dir)));
    dirs.retain(|dir| dir.join("Cargo.toml").is_file());
    assert!(dirs.len() > 4, "the members are not where they were: {dirs:?}");
    dirs
}

/// The members that do not say `publish = false`.
fn published() -> Vec<PathBuf> {
    let mut dirs = members();
    dirs.retain(|dir| {
        at(&manifest(dir), &["package", "publish"]).and_then(Value::as_bool) != Some(false)
    });
    assert!(!dirs.is_empty(), "nothing is published");
    dirs
}

fn manifest(dir: &Path) -> Table {
    let path = dir.join("Cargo.toml");
    read(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn at<'table>(manifest: &'table Table, keys: &[&str]) -> Option<&'table Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(manifest.get(*first)?, |value, key| value.get(key))
}

/// Every Rust file below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let (dirs, mut files): (Vec<_>, Vec<_>) =
        entries(dir).into_iter().partition(|path| path.is_dir());
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.extend(dirs.iter().filter(|dir| !dir.ends_with("target")).flat_map(|dir| sources(dir)));
    files
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.map(|entry| entry.expect("a readable entry").path()).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The top level as git has it; nothing where this is no clone, or git is not here.
fn tracked() -> Option<BTreeSet<String>> {
    let git = Command::new("git").args(["ls-files", "--full-name"]).current_dir(root()).output();
    let output = git.ok().filter(|output| output.status.success() && !output.stdout.is_empty())?;
    let listing = String::from_utf8_lossy(&output.stdout);
    Some(listing.lines().filter_map(|path| Some(path.split('/').next()?.to_owned())).collect())
}

/// The top level as it lies on the disk, without what git ignores.
fn present() -> BTreeSet<String> {
    let names = entries(&root())
        .into_iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    names.filter(|name| name != ".git" && name != "target").collect()
}
