//! The fuzz targets without a fuzzer: over the corpus, and over what chance makes of it. T2.

#[path = "../../breaker-core/tests/targets/feed.rs"]
mod feed;
#[path = "targets/forwarded.rs"]
mod forwarded;
#[path = "targets/hints.rs"]
mod hints;
#[path = "targets/priority.rs"]
mod priority;

/// What headers of proxies are made of.
const HOPS: [&str; 14] = [
    ", ",
    "\n",
    "10.0.0.3",
    "10.0.0.4:80",
    "192.0.2.66",
    "[fd00::1]:80",
    "::ffff:10.0.0.9",
    "fe80::1%eth0",
    "for=",
    "for=\"[2001:db8::1]:443\"",
    ";proto=https",
    "\"",
    "\\\"",
    "unknown",
];

// S-RATE-10
#[test]
fn no_bytes_in_a_header_make_up_an_address() {
    let lines = feed::feed("forwarded", &HOPS, |bytes| forwarded::run(bytes) as u64);
    println!("lines of headers: {lines}");
    assert!(lines > feed::INPUTS, "hardly any lines: {lines}");
}

/// What headers with a priority are made of.
const LEVELS: [&str; 16] = [
    "\n", ", ", "u=", "u=0", "u=-", "u", ";x=1", "\"", "\\", "(1 2)", "critical", "bulk", "100",
    "0", "250m", " ",
];

// S-PRIO-01, S-PRIO-07
#[test]
fn no_bytes_in_a_header_make_a_stranger_important() {
    let lines = feed::feed("priority", &LEVELS, |bytes| priority::run(bytes) as u64);
    println!("lines of headers: {lines}");
    assert!(lines > feed::INPUTS, "hardly any lines: {lines}");
}

/// What headers with attempts and deadlines are made of.
const HINTS: [&str; 18] = [
    "\n",
    "-1",
    "0",
    "1",
    "false",
    "250m",
    "99999999H",
    "99999999999999999999",
    "application/grpc",
    ";",
    "r=0",
    "t=12",
    "\"",
    "\\",
    " GMT",
    "Sun, 06 Nov 1994 08:49:37",
    "\n0",
    "\n2",
];

// S-RETRY-02
#[test]
fn no_bytes_in_a_header_make_a_caller_wait_for_ever() {
    let lines = feed::feed("hints", &HINTS, |bytes| hints::run(bytes) as u64);
    println!("lines of headers: {lines}");
    assert!(lines > feed::INPUTS, "hardly any lines: {lines}");
}
