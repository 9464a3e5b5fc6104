//! Ten thousand clients who found the callee down at the same moment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker_core::{Budget, Clock as _, FailureKind, Outcome, Percent, Tick, TokioClock};
use portcullis_backoff::{BackoffConfig, BackoffLayer, Delays};
use tokio::time::sleep;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::is_deep;
use crate::run::in_virtual_time;

const CLIENTS: usize = 10_000;
/// So long the callee is down, in milliseconds.
const OUTAGE: u64 = 30_000;
/// The longest wait, and so the time within which all have come back.
const CAP: u64 = 5_000;
const FIRST: Duration = Duration::from_millis(100);
/// A call is refused, or answered, after so long.
const ANSWERED: Duration = Duration::from_millis(2);

/// How many come in each millisecond, of the outage and of the longest wait after it.
struct Arrivals(Vec<u32>);

/// The most that come in any 100 ms, beside the mean.
#[derive(Clone, Copy, Debug)]
struct Spike {
    most: u32,
    mean: f64,
}

impl Spike {
    fn ratio(self) -> f64 {
        f64::from(self.most) / self.mean
    }
}

impl Arrivals {
    /// Lets all clients loose at once, each with retries of its own.
    fn of(delays: &Delays) -> Self {
        in_virtual_time(async {
            let clock = TokioClock::new();
            let began = clock.now();
            let arrivals = Arc::new(Mutex::new(vec![0; (OUTAGE + 2 * CAP) as usize]));
            for _ in 0..CLIENTS {
                tokio::spawn(client(*delays, clock, began, arrivals.clone()));
            }
            sleep(Duration::from_millis(OUTAGE + 2 * CAP)).await;
            let arrivals = std::mem::take(&mut *arrivals.lock().unwrap());
            Self(arrivals)
        })
    }

    /// Within a stretch of milliseconds.
    fn spike(&self, from: u64, to: u64) -> Spike {
        let stretch = &self.0[from as usize..to as usize];
        let most = stretch.windows(100).map(|window| window.iter().sum()).max().unwrap_or(0);
        let all: u32 = stretch.iter().sum();
        Spike { most, mean: f64::from(all) * 100.0 / stretch.len() as f64 }
    }

    /// At the end of the outage.
    fn before(&self) -> Spike {
        self.spike(OUTAGE - CAP, OUTAGE)
    }

    /// From the end of the outage on.
    fn after(&self) -> Spike {
        self.spike(OUTAGE, OUTAGE + CAP)
    }

    fn all_came_back(&self) -> bool {
        self.0[OUTAGE as usize..].iter().sum::<u32>() == CLIENTS as u32
    }

    fn print(&self, name: &str) {
        let (before, after) = (self.before(), self.after());
        println!(
            "{name}: in any 100 ms at most {} of {:.0} in the mean, {:.2}x (in the last 5 s of the \
             outage {} of {:.0}, {:.2}x)",
            after.most,
            after.mean,
            after.ratio(),
            before.most,
            before.mean,
            before.ratio()
        );
    }

    /// A line for each 100 ms after the outage.
    fn draw(&self) {
        let buckets = self.0[OUTAGE as usize..(OUTAGE + CAP) as usize].chunks(100);
        for (bucket, arrivals) in buckets.enumerate() {
            let came: u32 = arrivals.iter().sum();
            println!("{:>4} ms {came:>5} {}", bucket * 100, "#".repeat(came as usize / 8));
        }
    }
}

#[derive(Debug)]
struct Refused;

async fn client(delays: Delays, clock: TokioClock, began: Tick, log: Arc<Mutex<Vec<u32>>>) {
    let config = BackoffConfig::new()
        .max_attempts(BackoffConfig::MAX_ATTEMPTS)
        .same_for_all_methods()
        .delays(delays)
        .budget(Budget::unlimited());
    let callee = service_fn(move |()| {
        let now = clock.now().since(began).as_millis() as u64;
        if let Some(arrivals) = log.lock().unwrap().get_mut(now as usize) {
            *arrivals += 1;
        }
        async move {
            sleep(ANSWERED).await;
            if now < OUTAGE { Err(Refused) } else { Ok(()) }
        }
    });
    let judge = |result: Result<&(), &Refused>| match result {
        Ok(()) => Outcome::Success,
        Err(_) => Outcome::Failure(FailureKind::Connection),
    };
    let retries =
        BackoffLayer::with_clock(config, clock).replay(breaker_core::Cloned).classify(judge);
    retries.layer(callee).oneshot(()).await.expect("it comes back before its attempts are used up");
}

const CAPPED: Duration = Duration::from_millis(CAP);

fn crowd(name: &str, delays: &Delays) -> Arrivals {
    let arrivals = Arrivals::of(&delays.cap(CAPPED));
    assert!(arrivals.all_came_back());
    arrivals.print(name);
    arrivals
}

// S-BACKOFF-07
#[test]
fn a_crowd_that_waits_by_full_jitter_knocks_evenly_and_is_let_in_without_a_rush() {
    let arrivals = crowd("full jitter", &Delays::full_jitter(FIRST));
    if is_deep() {
        arrivals.draw();
    }
    assert!(arrivals.before().ratio() <= 1.3, "{:?}", arrivals.before());
    // Who is let in does not knock again, and so it is never more than it was while all were refused.
    let (before, after) = (arrivals.before(), arrivals.after());
    assert!(f64::from(after.most) <= 1.3 * before.mean, "{after:?}, before {before:?}");
    // A wait may be as short as nothing. So the rest of one is sooner short than long: nearly twice
    // the mean is to be expected in the first 100 ms, then fewer and fewer, and chance adds to that.
    assert!(after.ratio() <= 2.3, "{after:?}");
}

// S-BACKOFF-07
#[test]
fn a_crowd_that_waits_by_equal_jitter_never_comes_at_twice_the_mean() {
    let delays = Delays::equal_jitter(FIRST).cap(CAPPED);
    assert_eq!(BackoffConfig::new(), BackoffConfig::new().delays(delays), "it is the default");
    let arrivals = crowd("equal jitter", &delays);
    arrivals.draw();
    assert!(arrivals.after().ratio() <= 2.0, "{:?}", arrivals.after());
}

// S-BACKOFF-01
#[test]
fn a_crowd_that_waits_nearly_alike_comes_in_waves() {
    let waves = Delays::exponential(FIRST).jitter(Percent::new(10));
    let arrivals = crowd("exponential, 10 %", &waves);
    assert!(arrivals.after().ratio() > 3.0, "{:?}", arrivals.after());
    if is_deep() {
        arrivals.draw();
        crowd("decorrelated", &Delays::decorrelated(FIRST)).draw();
    }
}
