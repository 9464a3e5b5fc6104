//! Many calls to callees of several kinds, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use breaker_core::{Clock, Cloned, ErrorsAreFailures, Percent, TokioClock};
use portcullis_timeout::{HedgeConfig, HedgeLayer, HedgeSnapshot};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_service::Service;

/// Numbers that look like chance (splitmix64, Steele et al. 2014).
#[derive(Clone)]
struct Chance(Arc<AtomicU64>);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// In 0..1.
    fn next(&self) -> f64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What was seen of a number of calls.
struct Seen {
    sorted: Vec<Duration>,
    attempts: u64,
    snapshot: HedgeSnapshot,
}

impl Seen {
    fn at(&self, part: f64) -> Duration {
        self.sorted[((self.sorted.len() - 1) as f64 * part) as usize]
    }

    fn extra(&self) -> f64 {
        self.attempts as f64 / self.sorted.len() as f64 - 1.0
    }
}

/// Makes so many calls, so many at a time, to a callee that takes so many milliseconds.
async fn run(
    layer: Option<&HedgeLayer<ErrorsAreFailures, Cloned>>,
    (calls, at_a_time): (u64, u64),
    takes: impl Fn(u64) -> f64 + Clone + Send + Sync + 'static,
) -> Seen {
    let attempts = Arc::new(AtomicU64::new(0));
    let callee = {
        let attempts = attempts.clone();
        service_fn(move |number: u64| {
            attempts.fetch_add(1, Ordering::Relaxed);
            let wait = Duration::from_secs_f64(takes(number) / 1e3);
            async move {
                tokio::time::sleep(wait).await;
                Ok::<_, std::io::Error>(())
            }
        })
    };
    let made = Arc::new(AtomicU64::new(0));
    let bare = HedgeLayer::generic(HedgeConfig::new());
    let hedged = layer.unwrap_or(&bare).layer(callee.clone());
    let tasks: Vec<_> = (0..at_a_time)
        .map(|_| {
            let (callee, mut hedged, made) = (callee.clone(), hedged.clone(), made.clone());
            let with = layer.is_some();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let number = made.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return seen;
                    }
                    let began = TokioClock::new().now();
                    let ended = if with {
                        hedged.call(number).await
                    } else {
                        callee.clone().oneshot(number).await
                    };
                    ended.expect("an answer");
                    seen.push(TokioClock::new().now().since(began));
                }
            })
        })
        .collect();
    let mut sorted = Vec::new();
    for task in tasks {
        sorted.extend(task.await.expect("no panic"));
    }
    sorted.sort_unstable();
    let snapshot = layer.unwrap_or(&bare).handle().snapshot();
    Seen { sorted, attempts: attempts.load(Ordering::Relaxed), snapshot }
}

fn layer(config: HedgeConfig) -> HedgeLayer<ErrorsAreFailures, Cloned> {
    HedgeLayer::with_clock(config, TokioClock::new()).classify(ErrorsAreFailures).replay(Cloned)
}

/// One of twenty takes a second, the others 10 to 20 ms.
fn tail(seed: u64) -> impl Fn(u64) -> f64 + Clone + Send + Sync + 'static {
    let chance = Chance::new(seed);
    move |_| if chance.next() < 0.05 { 1_000.0 } else { chance.next().mul_add(10.0, 10.0) }
}

#[tokio::test(start_paused = true)]
async fn a_tail_of_five_percent_is_cut_off_for_as_many_calls_more() {
    for (name, share) in [("5 %", 5), ("6 %", 6)] {
        for at_a_time in [1, 20] {
            let size = (20_000, at_a_time);
            let bare = run(None, size, tail(1)).await;
            let layer = layer(HedgeConfig::new().max_share(Percent::new(share)));
            let hedged = run(Some(&layer), size, tail(2)).await;
            let [before, after] = [&bare, &hedged].map(|seen| seen.at(0.99));
            let extra = hedged.extra();
            println!(
                "share {name}, {at_a_time} at a time: p99 {before:?} -> {after:?}, \
                 {:.2} % more calls; {}",
                extra * 100.0,
                layer.handle().explain()
            );
            assert!(extra <= f64::from(share) / 100.0 + 1e-9, "{extra}");
            assert!(after * 5 <= before, "{before:?} became {after:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_delay_does_not_drift_over_a_hundred_thousand_calls() {
    let hedges = layer(HedgeConfig::new());
    let takes = tail(3);
    for round in 0..100 {
        run(Some(&hedges), (1_000, 10), takes.clone()).await;
        let HedgeSnapshot { calls, hedged, delay, .. } = hedges.handle().snapshot();
        let delay = delay.expect("enough").as_secs_f64() * 1e3;
        assert!((19.0..=41.0).contains(&delay), "{delay} ms in round {round}");
        assert!(hedged * 20 <= calls, "{hedged} of {calls}");
    }
    println!("{}", hedges.handle().explain());
}

// Nothing but the percentile holds the delay here: without what is known of the losers it would fall.
#[tokio::test(start_paused = true)]
async fn the_delay_of_a_smooth_tail_stays_at_its_percentile() {
    let config = HedgeConfig::new().max_share(Percent::new(50)).max_delay(Duration::from_secs(9));
    let hedges = layer(config);
    let chance = Chance::new(4);
    // Exponential, 100 ms on average: 95 % take less than 300 ms.
    let takes = move |_| -100.0 * (1.0 - chance.next()).ln();
    let mut delays = Vec::new();
    for _ in 0..60 {
        run(Some(&hedges), (1_000, 10), takes.clone()).await;
        let delay = hedges.handle().snapshot().delay.expect("enough");
        delays.push(delay.as_secs_f64() * 1e3);
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (early, late) = (mean(&delays[5..25]), mean(&delays[40..]));
    let share = hedges.handle().snapshot().share();
    println!(
        "p95 is 300 ms: {early:.0} ms early, {late:.0} ms late, {:.1} % hedged",
        share * 100.0
    );
    assert!((270.0..=330.0).contains(&early) && (270.0..=330.0).contains(&late), "{delays:?}");
    assert!((0.04..=0.06).contains(&share), "{share}");
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_is_slow_as_a_whole_gets_hardly_any_call_more() {
    for healthy in [0, 2_000] {
        let hedges = layer(HedgeConfig::new());
        run(Some(&hedges), (healthy, 20), tail(5)).await;
        let chance = Chance::new(6);
        let slow = move |_| chance.next().mul_add(1_000.0, 1_001.0);
        let seen = run(Some(&hedges), (2_000, 100), slow).await;
        println!(
            "after {healthy} good calls: {:.2} % more while all are slow; {}",
            seen.extra() * 100.0,
            seen.snapshot.explain()
        );
        assert!(seen.extra() <= 0.01, "{}", seen.extra());
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_are_slow_for_good_the_delay_follows() {
    let hedges = layer(HedgeConfig::new().max_delay(Duration::from_secs(9)));
    run(Some(&hedges), (2_000, 20), tail(7)).await;
    let chance = Chance::new(8);
    let slow =
        move |_| if chance.next() < 0.03 { 5_000.0 } else { chance.next().mul_add(50.0, 400.0) };
    run(Some(&hedges), (6_000, 20), slow.clone()).await;
    let before = hedges.handle().snapshot();
    let seen = run(Some(&hedges), (2_000, 20), slow).await;
    println!("{}", seen.snapshot.explain());
    assert!(seen.snapshot.won > before.won + 20, "{:?}", seen.snapshot);
}
