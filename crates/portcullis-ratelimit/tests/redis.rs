//! A quota in a real Redis server, shared by several limiters, which stand for processes.

#![cfg(feature = "redis")]

mod redis_server;

use std::future::Future;
use std::time::Duration;

use breaker_core::{ManualClock, Reason, Rejected};
use portcullis_ratelimit::redis::Share;
use portcullis_ratelimit::{OnStoreFailure, Rate, RedisLimit, RedisLimiter};
use redis_server::{Server, now};

/// Nothing comes back while a test runs.
const SLOW: Rate = Rate::new(1, Duration::from_secs(100));

/// The tests of this file are about a store that answers: however slowly, on a busy machine.
const fn limit(rate: Rate, burst: u32) -> RedisLimit {
    RedisLimit::new(rate, burst, OnStoreFailure::FailClosed).deadline(Duration::from_secs(5))
}

fn limiter(server: &Server, config: RedisLimit) -> RedisLimiter {
    RedisLimiter::new(config, server.client()).expect("a valid limit")
}

/// How many of so many calls in a row are admitted.
async fn admitted(limiter: &RedisLimiter, key: &str, calls: u32) -> u32 {
    let mut admitted = 0;
    for _ in 0..calls {
        admitted += u32::from(limiter.acquire(key, 1).await.is_ok());
    }
    admitted
}

fn refusal(decided: Result<Share, Rejected>) -> Rejected {
    decided.expect_err("a refusal")
}

// S-RATE-01, S-RATE-10
#[tokio::test]
async fn a_call_at_a_time_the_count_is_exact() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 50).slice(1));
    assert_eq!(admitted(&limiter, "a", 60).await, 50);
    let refused = refusal(limiter.acquire("a", 1).await);
    assert_eq!(refused.reason(), Reason::RateLimited);
    let wait = refused.retry_after().expect("a time");
    assert!(wait > Duration::from_secs(90) && wait <= Duration::from_secs(100), "{wait:?}");
    let quota = refused.quota().expect("a quota");
    assert_eq!((quota.limit(), quota.remaining()), (50, 0));
    assert_eq!(quota.window(), Duration::from_secs(5_000));
    // The bucket is forgotten when it is full, and not before.
    let redis::Value::Int(left) = server.command(&["PTTL", "portcullis:limit:a"]) else {
        panic!("a number")
    };
    assert!((4_990_000..=5_000_001).contains(&left), "{left} ms");
    // Keys do not know each other.
    assert_eq!(admitted(&limiter, "b", 60).await, 50);
}

#[tokio::test]
async fn who_is_refused_does_not_reach_the_store() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 5).slice(1));
    assert_eq!(admitted(&limiter, "a", 500).await, 5);
    let seen = limiter.snapshot();
    assert_eq!((seen.round_trips, seen.granted, seen.refused), (5, 5, 495));
}

#[tokio::test]
async fn a_refused_caller_who_waits_as_told_is_admitted() {
    let server = Server::start();
    let limiter = limiter(&server, limit(Rate::per_second(3), 1));
    assert_eq!(admitted(&limiter, "a", 2).await, 1);
    for _ in 0..3 {
        let wait = refusal(limiter.acquire("a", 1).await).retry_after().expect("a time");
        assert!(wait <= Duration::from_nanos(333_333_334), "{wait:?}");
        tokio::time::sleep(wait).await;
        assert!(limiter.acquire("a", 1).await.is_ok());
    }
}

// S-RATE-01
#[tokio::test]
async fn no_rounding_adds_up_in_the_store() {
    let server = Server::start();
    let rate = Rate::new(7, Duration::from_secs(1_000));
    let sevenths = limiter(&server, limit(rate, 100).slice(1));
    assert_eq!(admitted(&sevenths, "a", 50).await, 50);
    let bucket = server.command(&["GET", "portcullis:limit:a"]);
    let bucket: String = redis::from_redis_value(bucket).expect("a text");
    let numbers: Vec<u64> = bucket.split(' ').map(|n| n.parse().expect("a number")).collect();
    // Fifty times 142,857,142 microseconds and six sevenths of one.
    let began = numbers[0] - 50 * 142_857_142 - 42;
    assert_eq!(numbers[1], 6);
    assert!(began <= numbers[2] && numbers[2] - began < 60_000_000, "{bucket}");

    let fast = limiter(&server, limit(Rate::per_second(1_000_000_000), 1_000_000_000).slice(1));
    assert!(fast.acquire("b", 1_000_000_000).await.is_ok());
}

// S-RATE-12
#[tokio::test]
async fn a_call_may_cost_more_than_one_and_never_more_than_the_burst() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 10).slice(2));
    assert!(limiter.acquire("a", 8).await.is_ok());
    let refused = refusal(limiter.acquire("a", 3).await);
    assert_eq!(refused.reason(), Reason::RateLimited);
    let wait = refused.retry_after().expect("a time").as_secs_f64();
    assert!((wait - 100.0).abs() < 5.0, "one more call has to come back: {wait}");
    // The two that are left stay.
    assert_eq!(admitted(&limiter, "a", 5).await, 2);
    let refused = refusal(limiter.acquire("a", 11).await);
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::CostTooHigh, None));
}

#[tokio::test]
async fn most_calls_ask_nobody() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 1_000).slice(100));
    let mut local = 0;
    for _ in 0..1_000 {
        match limiter.try_local("a", 1) {
            Some(_) => local += 1,
            None => drop(limiter.acquire("a", 1).await.expect("within the burst")),
        }
    }
    let seen = limiter.snapshot();
    assert_eq!((local, seen.round_trips, seen.granted), (990, 10, 1_000));
    assert!(limiter.try_local("a", 1).is_none());
    assert!(limiter.try_local("never seen", 1).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_wait_for_one_key_wait_for_one_answer() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 100).slice(1));
    assert_eq!(admitted(&limiter, "warm", 1).await, 1);
    server.pause(Duration::from_millis(200));
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.acquire("a", 1).await.is_ok() })
        })
        .collect();
    for call in calls {
        assert!(call.await.expect("no panic"));
    }
    // One that the first of them sent, and one for all who came meanwhile.
    assert!(limiter.snapshot().round_trips <= 1 + 2, "{}", limiter.explain());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_an_answer_is_woken_once() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 200).slice(1));
    assert_eq!(admitted(&limiter, "warm", 1).await, 1);
    server.pause(Duration::from_millis(200));
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let mut call = limiter.acquire("a", 1);
            tokio::spawn(async move {
                let mut polls = 0;
                let decided = std::future::poll_fn(|cx| {
                    polls += 1;
                    std::pin::Pin::new(&mut call).poll(cx)
                })
                .await;
                (decided.is_ok(), polls)
            })
        })
        .collect();
    let mut all = 0;
    for call in calls {
        let (admitted, polls) = call.await.expect("no panic");
        assert!(admitted);
        all += polls;
    }
    // Twice each, and what those who asked were woken for.
    assert!(all <= 2 * 100 + 20, "{all} polls");
}

#[tokio::test]
async fn what_is_given_back_is_spent_by_the_next() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 4).slice(2));
    for _ in 0..20 {
        limiter.acquire("a", 1).await.expect("nobody spends").give_back();
        // Nor does a caller who goes before it hears of it.
        drop(limiter.acquire("a", 1));
    }
    assert_eq!(admitted(&limiter, "a", 10).await, 4);
}

#[tokio::test]
async fn an_answer_that_its_caller_does_not_hear_is_spent_by_the_next() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 10).slice(10));
    server.pause(Duration::from_millis(50));
    let mut first = limiter.acquire("a", 1);
    let mut deaf = [limiter.acquire("a", 4), limiter.acquire("a", 4)];
    assert!(is_pending(&mut first) && deaf.iter_mut().all(is_pending));
    assert!(first.await.is_ok());
    // By now they have been granted nine of ten, if they were in time for the same answer.
    drop(deaf);
    assert_eq!(admitted(&limiter, "a", 20).await, 9);
    assert_eq!(limiter.snapshot().round_trips, 1);
}

#[tokio::test]
async fn what_is_granted_and_not_wanted_any_more_makes_no_lease_beyond_a_slice() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 100).slice(3));
    assert_eq!(admitted(&limiter, "warm", 1).await, 1);
    server.pause(Duration::from_millis(100));
    let mut first = limiter.acquire("a", 1);
    let mut second = limiter.acquire("a", 5);
    let mut others = [limiter.acquire("a", 10), limiter.acquire("a", 10)];
    assert!(is_pending(&mut first) && is_pending(&mut second));
    assert!(others.iter_mut().all(is_pending));
    assert!(first.await.is_ok());
    // It asks for itself and the others, who go.
    assert!(is_pending(&mut second));
    drop(others);
    assert!(second.await.is_ok());
    assert_eq!((0..20).filter(|_| limiter.try_local("a", 1).is_some()).count(), 3);
}

#[tokio::test]
async fn a_call_that_is_refused_takes_nothing_from_others() {
    let server = Server::start();
    let config = limit(SLOW, 10).slice(1);
    let (ours, theirs) = (limiter(&server, config), limiter(&server, config));
    assert!(ours.acquire("a", 8).await.is_ok());
    assert!(theirs.acquire("a", 3).await.is_err());
    assert_eq!(admitted(&ours, "a", 5).await, 2);
}

#[tokio::test]
async fn calls_of_an_old_lease_are_lost() {
    let server = Server::start();
    let clock = ManualClock::new();
    let config = limit(SLOW, 20).slice(10);
    let limiter = RedisLimiter::with_clock(config, server.client(), clock.clone()).expect("valid");
    let share = limiter.acquire("a", 1).await.expect("a full bucket");
    clock.advance(Duration::from_millis(999));
    assert!(limiter.try_local("a", 1).is_some());
    clock.advance(Duration::from_millis(1));
    assert!(limiter.try_local("a", 1).is_none());
    assert_eq!(admitted(&limiter, "a", 1).await, 1);
    // What belongs to the old one comes too late.
    share.give_back();
    assert_eq!(admitted(&limiter, "a", 20).await, 9);
}

/// Calls as fast as they are admitted, for so long; how many were.
async fn insist(limiter: RedisLimiter, time: Duration) -> u32 {
    let began = now();
    let mut admitted = 0;
    while began.elapsed() < time {
        match limiter.acquire("a", 1).await {
            Ok(_) => admitted += 1,
            Err(refused) => {
                let wait = refused.retry_after().unwrap_or(Duration::from_millis(1));
                tokio::time::sleep(wait.min(Duration::from_millis(5))).await;
            }
        }
    }
    admitted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_use_up_one_quota_and_no_more() {
    let server = Server::start();
    let config = limit(Rate::per_second(200), 20).slice(5);
    let time = Duration::from_secs(2);
    let began = now();
    let processes: Vec<_> =
        (0..3).map(|_| tokio::spawn(insist(limiter(&server, config), time))).collect();
    let mut admitted = 0;
    for process in processes {
        admitted += process.await.expect("no panic");
    }
    let most = 20 + 200 * (began.elapsed().as_millis() + 1) / 1_000 + 3 * 5;
    assert!(u128::from(admitted) <= most, "{admitted} of at most {most}");
    assert!(admitted >= 2 * 200 * 9 / 10, "only {admitted}");
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_told_again() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 10).slice(1));
    assert_eq!(admitted(&limiter, "a", 3).await, 3);
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(admitted(&limiter, "a", 10).await, 7);
    assert_eq!(limiter.snapshot().store_failures, 0);
}

// T9
#[tokio::test]
async fn what_is_no_bucket_is_overwritten() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 5).slice(1));
    for (key, poison) in [
        ("text", vec!["SET", "portcullis:limit:text", "no bucket"]),
        ("number", vec!["SET", "portcullis:limit:number", "9e99 0 0"]),
        ("far", vec!["SET", "portcullis:limit:far", "9007199254740991 0 1"]),
        ("huge", vec!["SET", "portcullis:limit:huge", &HUGE]),
        ("list", vec!["RPUSH", "portcullis:limit:list", "1 0 1"]),
    ] {
        server.command(&poison);
        assert_eq!(admitted(&limiter, key, 10).await, 5, "{key}");
    }
    assert_eq!(limiter.snapshot().store_failures, 0);
}

const HUGE: &str = concat!(
    "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    " 0 99"
);

// T10
#[tokio::test]
async fn a_bucket_steps_back_with_the_servers_clock() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 10).slice(1));
    let redis::Value::Array(time) = server.command(&["TIME"]) else { panic!("two numbers") };
    let seconds: u64 = redis::from_redis_value(time[0].clone()).expect("seconds");
    // Written an hour from now, with three calls taken.
    let written = (seconds + 3_600) * 1_000_000;
    let bucket = format!("{} 0 {written}", written + 300_000_000);
    server.command(&["SET", "portcullis:limit:a", &bucket]);
    assert_eq!(admitted(&limiter, "a", 20).await, 7);
}

// T1
#[tokio::test]
async fn keys_may_be_long_or_strange() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 2).slice(1));
    let megabyte = "x".repeat(1 << 20);
    let like_it = format!("{}y", &megabyte[1..]);
    let short = "x".repeat(128);
    let strange = ["", " ", "\0\r\n*3\r\n$3", "{tag}", "\u{1f3f0}", "a:b", "*", "\\"];
    for key in strange.iter().copied().chain([&*megabyte, &*like_it, &*short]) {
        assert_eq!(admitted(&limiter, key, 4).await, 2, "{:?}", key.get(..8));
    }
    let redis::Value::Array(keys) = server.command(&["KEYS", "*"]) else { panic!("a list") };
    assert_eq!(keys.len(), strange.len() + 3);
    for key in keys {
        let key: Vec<u8> = redis::from_redis_value(key).expect("bytes");
        assert!(key.len() <= 256, "{} bytes", key.len());
    }
}

// T1, S-RATE-10
#[tokio::test]
async fn a_flood_of_keys_takes_no_more_than_its_places_and_refills_nobody() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 2).slice(1).max_keys(16));
    assert_eq!(admitted(&limiter, "victim", 5).await, 2);
    for key in 0..500 {
        assert_eq!(admitted(&limiter, &format!("flood {key}"), 1).await, 1);
    }
    assert!(limiter.snapshot().keys <= 16);
    assert_eq!(admitted(&limiter, "victim", 5).await, 0);
}

#[tokio::test]
async fn a_bucket_that_is_full_again_is_not_kept() {
    let server = Server::start();
    let limiter = limiter(&server, limit(Rate::per_second(100), 10).slice(1));
    assert_eq!(admitted(&limiter, "a", 10).await, 10);
    let gone = || matches!(server.command(&["DBSIZE"]), redis::Value::Int(0));
    assert!(redis_server::eventually(Duration::from_secs(3), gone));
}

#[tokio::test]
async fn when_the_caller_who_asks_for_all_goes_another_one_goes_on() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 10).slice(1));
    assert_eq!(admitted(&limiter, "warm", 1).await, 1);
    let trips = limiter.snapshot().round_trips;
    server.pause(Duration::from_millis(200));
    let mut first = limiter.acquire("a", 1);
    let mut others = [limiter.acquire("a", 1), limiter.acquire("a", 1)];
    assert!(is_pending(&mut first));
    assert!(others.iter_mut().all(is_pending));
    drop(first);
    for other in others {
        assert!(other.await.is_ok());
    }
    // The question was on its way, and somebody else heard the answer.
    let asked = limiter.snapshot().round_trips - trips;
    assert!(asked <= 2, "{asked} round trips");
    assert_eq!(admitted(&limiter, "a", 20).await, 8);
}

#[tokio::test]
async fn when_all_callers_go_the_key_goes_on() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 10).slice(1));
    assert_eq!(admitted(&limiter, "warm", 1).await, 1);
    server.pause(Duration::from_millis(100));
    let mut calls = [limiter.acquire("a", 1), limiter.acquire("a", 1)];
    assert!(calls.iter_mut().all(is_pending));
    drop(calls);
    // What they asked for may be lost, and no more.
    let left = admitted(&limiter, "a", 20).await;
    assert!((9..=10).contains(&left), "{left}");
}

#[tokio::test]
async fn who_is_asked_for_by_a_caller_that_nobody_polls_is_answered_in_time() {
    let server = Server::start();
    let config = RedisLimit::new(SLOW, 10, OnStoreFailure::FailOpen).slice(1);
    let limiter = limiter(&server, config);
    let mut forgotten = limiter.acquire("a", 1);
    assert!(is_pending(&mut forgotten));
    assert!(limiter.acquire("a", 1).await.expect("failing open").is_without_store());
    // It is not waited for again: the next one asks for itself.
    let began = now();
    while limiter.acquire("a", 1).await.expect("failing open").is_without_store() {
        assert!(began.elapsed() < Duration::from_secs(3), "still waiting for the forgotten one");
    }
    drop(forgotten);
}

fn is_pending(future: &mut portcullis_ratelimit::redis::Acquire) -> bool {
    use std::task::{Context, Waker};
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn a_limit_says_what_it_does_in_one_sentence() {
    let server = Server::start();
    let limiter = limiter(&server, limit(Rate::per_second(100), 50).named("search"));
    assert_eq!(admitted(&limiter, "a", 3).await, 3);
    assert_eq!(
        limiter.explain(),
        "search grants 100/s with bursts of 50 over all processes; \
         the store decides (3 calls granted in 1 round trips, 0 failed)"
    );
    limiter.store_circuit().trip().expect("closed");
    let text = limiter.explain();
    assert!(text.ends_with("and all calls are refused meanwhile"), "{text}");
}

#[test]
fn all_that_is_wrong_with_a_limit_is_said_at_once() {
    let zero = Duration::ZERO;
    let good = limit(Rate::per_second(100), 50);
    let table: [(RedisLimit, &[&str]); 9] = [
        (limit(SLOW, 0), &["burst"]),
        (limit(SLOW, 1_000_000_000), &["burst"]),
        (limit(Rate::per_second(999_999_937), 9_007_199), &["burst"]),
        (good.slice(0), &["slice"]),
        (good.slice(51), &["slice"]),
        (good.lease_time(zero).deadline(zero), &["lease_time", "deadline"]),
        (good.deadline(Duration::from_millis(5_001)), &["deadline"]),
        (good.instances(0).max_keys(0), &["instances", "max_keys"]),
        (good.instances(10_001).lease_time(Duration::MAX), &["lease_time", "instances"]),
    ];
    for (config, fields) in table {
        let errors = config.check().expect_err("wrong");
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, fields, "{errors}");
        let client = redis::Client::open("redis://127.0.0.1:1/").expect("an address");
        assert_eq!(RedisLimiter::new(config, client).expect_err("wrong"), errors);
    }
    let errors = good.slice(51).check().expect_err("wrong");
    assert_eq!(
        errors.iter().next().expect("one").to_string(),
        "slice = 51: must be at most the burst of 50; take a smaller slice or allow a larger burst"
    );
    assert!(good.slice(50).check().is_ok() && limit(SLOW, 1).check().is_ok());
}

#[tokio::test]
async fn a_call_out_of_a_lease_allocates_nothing() {
    let server = Server::start();
    let limiter = limiter(&server, limit(SLOW, 100).slice(100));
    assert_eq!(admitted(&limiter, "a", 1).await, 1);
    let spent = allocation_counter::measure(|| {
        for _ in 0..10 {
            limiter.try_local("a", 1).expect("of the lease").give_back();
            assert!(limiter.acquire("a", 1).now().expect("at once").is_ok());
        }
    });
    assert_eq!(spent.count_total, 0);
    // Nor does a refusal.
    assert_eq!(admitted(&limiter, "a", 100).await, 89);
    let refused = allocation_counter::measure(|| {
        assert!(limiter.acquire("a", 1).now().expect("at once").is_err());
    });
    assert_eq!(refused.count_total, 0);
}
