//! A Redis server that is killed, stalled, paused and begun anew while calls go on: the decision is
//! the one that was chosen, and comes in time.
//!
//! "In time" is a second here: twenty times the deadline, for a busy machine, and less than the
//! server is away or asleep.

#![cfg(feature = "redis")]

mod redis_server;

use std::time::Duration;

use breaker_core::{Reason, Rejected, State};
use portcullis_ratelimit::redis::{RedisSnapshot, Share};
use portcullis_ratelimit::{OnStoreFailure, Rate, RedisLimit, RedisLimiter};
use redis_server::{Server, now};

/// Nothing comes back while a test runs.
const SLOW: Rate = Rate::new(1, Duration::from_secs(100));
const POLICIES: [OnStoreFailure; 3] =
    [OnStoreFailure::LocalShare, OnStoreFailure::FailOpen, OnStoreFailure::FailClosed];
const IN_TIME: Duration = Duration::from_secs(1);
/// An open period of the store's circuit is at most a second; the rest is for a busy machine.
const RECOVERY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Sickness {
    Killed,
    Stalled,
    Paused,
}

impl Sickness {
    fn strikes(self, server: &mut Server) {
        match self {
            Self::Killed => server.kill(),
            Self::Stalled => server.stall(),
            Self::Paused => server.pause_writes(),
        }
    }

    fn ends(self, server: &mut Server) {
        match self {
            Self::Killed => server.restart(),
            Self::Stalled => server.go_on(),
            Self::Paused => server.end_pause(),
        }
    }
}

fn limiter(server: &Server, config: RedisLimit) -> RedisLimiter {
    RedisLimiter::new(config, server.client()).expect("a valid limit")
}

/// A decision, which has to come in time.
async fn decide(limiter: &RedisLimiter, key: &str) -> Result<Share, Rejected> {
    let began = now();
    let decided = limiter.acquire(key, 1).await;
    assert!(began.elapsed() < IN_TIME, "answered after {:?}", began.elapsed());
    decided
}

/// Until the store decides again.
async fn recover(limiter: &RedisLimiter) {
    let began = now();
    loop {
        let decided = decide(limiter, "probe").await;
        let by_store = match &decided {
            Ok(share) => !share.is_without_store(),
            Err(refused) => refused.reason() == Reason::RateLimited,
        };
        if by_store && limiter.store_circuit().state() == State::Closed {
            return;
        }
        assert!(began.elapsed() < RECOVERY, "{}", limiter.explain());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One limit through a sickness of its store.
async fn suffer(sickness: Sickness, policy: OnStoreFailure) {
    let mut server = Server::start();
    let config = RedisLimit::new(SLOW, 10, policy).slice(1).instances(2).max_keys(1_000);
    let limiter = limiter(&server, config);
    recover(&limiter).await;

    sickness.strikes(&mut server);
    let mut admitted = 0;
    for _ in 0..15 {
        match decide(&limiter, "key").await {
            Ok(share) => {
                assert!(share.is_without_store(), "{sickness:?}");
                admitted += 1;
            }
            Err(refused) => {
                let reason = refused.reason();
                match policy {
                    OnStoreFailure::LocalShare => assert_eq!(reason, Reason::RateLimited),
                    _ => assert_eq!(reason, Reason::StoreDown),
                }
            }
        }
    }
    let expected = match policy {
        OnStoreFailure::LocalShare => 5,
        OnStoreFailure::FailOpen => 15,
        OnStoreFailure::FailClosed => 0,
    };
    assert_eq!(admitted, expected, "{sickness:?} {policy:?}");
    // Five in a row have opened the circuit.
    let seen = limiter.snapshot();
    assert!(seen.store_failures >= 5, "{seen:?}");

    sickness.ends(&mut server);
    recover(&limiter).await;
    // What was asked for and came too late is lost; nothing is admitted twice.
    let mut by_store = 0;
    for _ in 0..15 {
        if let Ok(share) = decide(&limiter, "key").await {
            by_store += u32::from(!share.is_without_store());
        }
    }
    assert!(by_store <= 10, "{by_store}");
    assert!(limiter.explain().contains("the store decides"), "{}", limiter.explain());
}

async fn suffer_all(sickness: Sickness) {
    let runs = POLICIES.map(|policy| tokio::spawn(suffer(sickness, policy)));
    for run in runs {
        run.await.expect("as chosen");
    }
}

// T9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_dead_the_choice_decides() {
    suffer_all(Sickness::Killed).await;
}

// T9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_stalled_the_choice_decides() {
    suffer_all(Sickness::Stalled).await;
}

// T9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_paused_the_choice_decides() {
    suffer_all(Sickness::Paused).await;
}

// T9
#[tokio::test]
async fn a_store_that_is_known_to_be_down_is_not_asked() {
    let server = Server::start();
    let config = RedisLimit::new(SLOW, 10, OnStoreFailure::FailClosed).slice(1);
    let limiter = limiter(&server, config);
    limiter.store_circuit().force_open(breaker_core::Override::new("maintenance"));
    for _ in 0..100 {
        let refused = limiter.acquire("a", 1).now().expect("at once").expect_err("refused");
        assert_eq!(refused.reason(), Reason::StoreDown);
    }
    let RedisSnapshot { round_trips, refused_without_store, .. } = limiter.snapshot();
    assert_eq!((round_trips, refused_without_store), (0, 100));
}

// T1, T9
#[tokio::test]
async fn a_flood_of_keys_gains_nothing_while_the_store_is_down() {
    let server = Server::start();
    let config = RedisLimit::new(SLOW, 2, OnStoreFailure::LocalShare).slice(1).max_keys(16);
    let limiter = limiter(&server, config);
    limiter.store_circuit().force_open(breaker_core::Override::new("maintenance"));
    let mut admitted = 0;
    for key in 0..10_000 {
        admitted += u32::from(limiter.acquire(&format!("flood {key}"), 1).await.is_ok());
    }
    // One for each place, and what the overflow buckets hold.
    assert!(admitted <= 16 + 16 * 2, "{admitted}");
    assert!(limiter.snapshot().keys <= 16);
}

// T9
#[tokio::test]
async fn a_share_of_a_process_that_is_given_back_is_spent_by_the_next() {
    let server = Server::start();
    let config = RedisLimit::new(SLOW, 10, OnStoreFailure::LocalShare).instances(2);
    let limiter = limiter(&server, config);
    limiter.store_circuit().force_open(breaker_core::Override::new("maintenance"));
    for _ in 0..20 {
        limiter.acquire("a", 1).await.expect("nobody spends").give_back();
    }
    let mut admitted = 0;
    for _ in 0..20 {
        admitted += u32::from(limiter.acquire("a", 1).await.is_ok());
    }
    assert_eq!(admitted, 5);
    // More than the process ever has only the store could admit.
    let refused = limiter.acquire("a", 6).await.expect_err("too much");
    assert_eq!(refused.reason(), Reason::StoreDown);
}

// T9
#[tokio::test]
async fn a_restart_refills_nothing_that_was_seen() {
    let mut server = Server::start();
    let config = RedisLimit::new(SLOW, 10, OnStoreFailure::FailClosed).slice(1);
    let limiter = limiter(&server, config);
    let mut admitted = 0;
    let began = now();
    loop {
        match limiter.acquire("a", 1).await {
            Ok(_) => admitted += 1,
            Err(refused) if refused.reason() == Reason::RateLimited => break,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        if admitted == 6 {
            server.restart();
        }
        assert!(began.elapsed() < RECOVERY, "{}", limiter.explain());
    }
    assert!((6..=10).contains(&admitted), "{admitted}");
    // A process that has seen nothing learns of it from the server.
    let fresh = RedisLimiter::new(config.deadline(IN_TIME), server.client()).expect("valid");
    assert!(fresh.acquire("a", 1).await.is_err());
}

/// Calls as fast as they are admitted, for so long.
async fn insist(limiter: RedisLimiter, time: Duration) -> RedisSnapshot {
    let began = now();
    while began.elapsed() < time {
        match decide(&limiter, "key").await {
            // Calls take time, also where nothing holds them back.
            Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(refused) => {
                let wait = refused.retry_after().unwrap_or(Duration::from_millis(1));
                tokio::time::sleep(wait.min(Duration::from_millis(5))).await;
            }
        }
    }
    limiter.snapshot()
}

async fn restart_amid_load(policy: OnStoreFailure) {
    let mut server = Server::start();
    let time = Duration::from_millis(2_200);
    let config = RedisLimit::new(Rate::per_second(100), 10, policy).slice(2).instances(2);
    let began = now();
    let processes = [(); 2].map(|()| tokio::spawn(insist(limiter(&server, config), time)));
    tokio::time::sleep(Duration::from_millis(400)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.restart();
    let mut granted = 0;
    let mut seen = Vec::new();
    for process in processes {
        let process = process.await.expect("no panic, and in time");
        granted += process.granted;
        seen.push(process);
    }
    let millis = began.elapsed().as_millis() as u64 + 1;
    // The burst, the rate, a slice each, and what no process had seen when the server forgot it: at
    // most another burst.
    let most = 10 + 100 * (millis + 50) / 1_000 + 2 * 2 + 10;
    assert!(granted <= most, "{granted} of at most {most}: {seen:?}");
    for process in seen {
        let alone = process.admitted_without_store;
        match policy {
            OnStoreFailure::LocalShare => assert!(alone <= 5 + 50 * millis / 1_000, "{process:?}"),
            OnStoreFailure::FailOpen => assert_eq!(process.refused_without_store, 0),
            OnStoreFailure::FailClosed => assert_eq!(alone, 0),
        }
    }
}

// T9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_amid_load_stays_within_the_bound() {
    let runs = POLICIES.map(|policy| tokio::spawn(restart_amid_load(policy)));
    for run in runs {
        run.await.expect("within the bound");
    }
}

// T9
#[tokio::test]
async fn an_answer_that_comes_too_late_admits_nobody() {
    let server = Server::start();
    let config = RedisLimit::new(SLOW, 3, OnStoreFailure::FailClosed).slice(3);
    let limiter = limiter(&server, config);
    recover(&limiter).await;
    server.pause(Duration::from_millis(500));
    let refused = decide(&limiter, "a").await.expect_err("no answer");
    assert_eq!(refused.reason(), Reason::StoreDown);
    // When it wakes, the server has granted all three, or has never heard of it.
    let mut admitted = 0;
    let began = now();
    while began.elapsed() < RECOVERY {
        match decide(&limiter, "a").await {
            Ok(_) => admitted += 1,
            Err(refused) if refused.reason() == Reason::RateLimited => break,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    assert!(admitted <= 3, "{admitted}");
}

// T9
#[tokio::test]
async fn a_server_that_answers_nonsense_is_a_store_that_is_down() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        // As many lines as anybody asks for, all of them nonsense.
        for stream in listener.incoming().take(20) {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut buffer = [0; 1_024];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    if stream.write_all(b"*4\r\n:1000000\r\n:-1\r\n:5\r\n:7\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("an address");
    let config = RedisLimit::new(SLOW, 10, OnStoreFailure::FailClosed);
    let limiter = RedisLimiter::new(config, client).expect("valid");
    for _ in 0..20 {
        let refused = decide(&limiter, "a").await.expect_err("nonsense");
        assert_eq!(refused.reason(), Reason::StoreDown);
    }
    assert_eq!(limiter.store_circuit().state(), State::Open);
}
