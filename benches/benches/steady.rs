//! Whether a limit of 500 calls per second admits as many, under real load: `wrk` against
//! `axum::serve`, with 1 to 512 connections, and with one connection per request.
//!
//! It ends with an error where the calls that came through are off by more than a hundredth.
#![allow(clippy::disallowed_methods, reason = "to measure time one has to read it")]

use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use portcullis::{RateLimit, RateLimitLayer, RateLimiter};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

const RATE: u32 = 500;

/// Half a hundredth of what is granted in the whole time; and as much as a server gains that has to
/// wait for its core for 50 ms, which it would lose without a burst.
const LIMIT: RateLimit = RateLimit::per_second(RATE).burst(25).named("steady");

/// How far the calls that came through may be off.
const TOLERANCE: f64 = 0.01;

/// Connections of wrk, and whether each serves one request only.
const LOADS: [(u32, bool); 5] = [(1, false), (16, false), (128, false), (512, false), (16, true)];

fn main() -> ExitCode {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let seconds = if quick { 2 } else { 10 };
    let mut good = true;
    for (connections, short) in LOADS {
        good &= load(connections, short, seconds);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Puts a server of its own under load; whether as many came through as should.
fn load(connections: u32, short: bool, seconds: u64) -> bool {
    let (passed, address) = serve();
    let begun = Instant::now();
    let before = passed.load(Ordering::Relaxed);
    let mut wrk = Command::new("wrk");
    wrk.arg("-t1").arg(format!("-c{connections}")).arg(format!("-d{seconds}s"));
    if short {
        wrk.args(["-H", "Connection: close"]);
    }
    let Ok(mut wrk) =
        wrk.arg(format!("http://{address}/")).stdout(std::process::Stdio::null()).spawn()
    else {
        println!("wrk cannot be started");
        return false;
    };
    // Counted by the server in whole seconds of its own, beginning when the load has.
    while passed.load(Ordering::Relaxed) < before + u64::from(RATE) / 10 {
        if begun.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        std::thread::yield_now();
    }
    let (from, start) = (passed.load(Ordering::Relaxed), Instant::now());
    let measured = Duration::from_secs(seconds).saturating_sub(Duration::from_millis(400));
    std::thread::sleep(measured);
    let (through, time) = (passed.load(Ordering::Relaxed) - from, start.elapsed().as_secs_f64());
    let _ = wrk.wait();
    let expected = f64::from(RATE) * time;
    let off = through as f64 / expected - 1.0;
    let kind = if short { ", one request each" } else { "" };
    let verdict = if off.abs() <= TOLERANCE { "met" } else { "NOT MET" };
    println!(
        "{connections} connections{kind}: {through} in {time:.3} s, {expected:.0} expected, \
         {:+.2} %: {verdict}",
        off * 100.0
    );
    off.abs() <= TOLERANCE
}

/// A server behind a limit of its own; how many calls came through, and where it is.
fn serve() -> (Arc<AtomicU64>, SocketAddr) {
    let passed = Arc::new(AtomicU64::new(0));
    let (tell, told) = std::sync::mpsc::channel();
    let count = passed.clone();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
            let _ = tell.send(listener.local_addr().expect("bound"));
            let layer = RateLimitLayer::from_limiter(RateLimiter::new(LIMIT));
            let handler = async move || {
                count.fetch_add(1, Ordering::Relaxed);
                "as ever"
            };
            let app = Router::new().route("/", get(handler)).layer(layer);
            axum::serve(listener, app).await
        })
    });
    (passed, told.recv().expect("a server"))
}
