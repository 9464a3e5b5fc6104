//! A run: callers who come by chance, a discipline, and the callee behind it.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker_core::{Priority, TokioClock};
use tokio::time::{sleep, timeout};
use tower::Service;

use crate::callee::{Ask, Away, Callee, Failed, RunTime, Work};
use crate::dice::Dice;
use crate::lines::Row;

/// After so many milliseconds a caller gives up.
pub(crate) const TIMEOUT: u64 = 1_000;
/// Calls per second that all five workers can do: 25 ms each.
pub(crate) const CAPACITY: f64 = 200.0;
const WORKERS: usize = 5;
const WORK: f64 = 25.0;
const SIGMA: f64 = 0.5;

/// Who calls when.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    /// How many times the capacity is asked for: from which millisecond on, up to the last.
    pub(crate) times: Vec<(u64, f64)>,
    pub(crate) ends: u64,
    /// Which share of the calls has which priority.
    pub(crate) priorities: Vec<(f64, Priority)>,
    /// How many users there are, and which share of the calls is user 0's.
    pub(crate) users: (u32, f64),
    pub(crate) away: Option<Away>,
    /// From when to when which share of the calls ends by an error of its own.
    pub(crate) broken: (u64, u64, f64),
}

impl Load {
    /// Half of the capacity, and `times` of it from the 20th second on, until this millisecond; a
    /// fifth of high priority.
    pub(crate) fn overload(seed: u64, times: f64, ends: u64) -> Self {
        Self {
            seed,
            times: vec![(0, 0.5), (20_000, times), (ends, 0.5)],
            ends: ends + 2_000,
            priorities: vec![(0.2, Priority::HIGH), (0.8, Priority::NORMAL)],
            users: (1, 1.0),
            away: None,
            broken: (0, 0, 0.0),
        }
    }

    fn times_at(&self, now: u64) -> f64 {
        let begun = self.times.iter().rev().find(|(from, _)| *from <= now);
        begun.map_or(0.0, |(_, times)| *times)
    }

    fn ask(&self, dice: &mut Dice, now: u64) -> Ask {
        let mut share = dice.share();
        let mut priority = Priority::NORMAL;
        for (of, is) in &self.priorities {
            priority = *is;
            share -= of;
            if share <= 0.0 {
                break;
            }
        }
        let (users, greedy) = self.users;
        let user = if users == 1 || dice.hits(greedy) {
            0
        } else {
            1 + (dice.share() * f64::from(users - 1)) as u32 % (users - 1)
        };
        let (from, to, share) = self.broken;
        let fails = dice.hits(share) && (from..to).contains(&now);
        Ask { priority, user, sent: now, work: dice.lognormal(WORK, SIGMA), fails }
    }
}

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Answered,
    Broken,
    Refused,
    GaveUp,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) ask: Ask,
    pub(crate) at: u64,
    pub(crate) end: End,
}

/// What a run has shown.
#[derive(Debug)]
pub(crate) struct Seen {
    ended: Vec<Ended>,
    works: Vec<Work>,
    pub(crate) most_running: u32,
    /// What was probed ten times a second: the millisecond, and the limit.
    limits: Vec<(u64, u32)>,
}

/// What becomes of a call at the server when its caller gives up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Gone {
    /// It is dropped, wherever it is; a worker who has it already ends it.
    Dropped,
    /// Nobody notices.
    Kept,
}

/// Lets a load loose on a discipline, in virtual time.
pub(crate) fn run<S>(
    load: &Load,
    gone: Gone,
    discipline: impl FnOnce(Callee, TokioClock) -> (S, Box<dyn Fn() -> u32>),
) -> Seen
where
    S: Service<Ask, Response = (), Error = Failed> + Clone,
    S::Future: Send + 'static,
{
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = TokioClock::new();
        let callee = Callee::new(clock, WORKERS, load.away);
        let (service, limit) = discipline(callee.clone(), clock);
        let ended = Arc::new(Mutex::new(Vec::new()));
        let mut limits = Vec::new();
        let mut dice = Dice::new(load.seed);
        // Time goes in steps of a millisecond, as tokio's timers do.
        for now in 0..load.ends {
            if now % 100 == 0 {
                limits.push((now, limit()));
            }
            for _ in 0..dice.arrivals(load.times_at(now) * CAPACITY / 1e3) {
                let ask = load.ask(&mut dice, now);
                call(service.clone(), ask, gone, (callee.time(), ended.clone())).await;
            }
            sleep(Duration::from_millis(1)).await;
        }
        // The last callers give up.
        sleep(Duration::from_millis(2 * TIMEOUT)).await;
        let ended = std::mem::take(&mut *ended.lock().unwrap());
        let (works, most_running) = (callee.works(), callee.most_running());
        Seen { ended, works, most_running, limits }
    })
}

/// Makes a call in a task of its own, and writes down how it ended.
async fn call<S>(
    mut service: S,
    ask: Ask,
    gone: Gone,
    (time, log): (RunTime, Arc<Mutex<Vec<Ended>>>),
) where
    S: Service<Ask, Response = (), Error = Failed>,
    S::Future: Send + 'static,
{
    if poll_fn(|cx| service.poll_ready(cx)).await.is_err() {
        return;
    }
    let answer = service.call(ask);
    tokio::spawn(async move {
        let patience = Duration::from_millis(TIMEOUT);
        let answer = match gone {
            Gone::Dropped => timeout(patience, answer).await,
            Gone::Kept => {
                let kept = timeout(patience, tokio::spawn(answer)).await;
                kept.map(|joined| joined.expect("it does not panic"))
            }
        };
        let end = match answer {
            Ok(Ok(())) => End::Answered,
            Ok(Err(Failed::Broken)) => End::Broken,
            Ok(Err(Failed::Refused)) => End::Refused,
            Err(_) => End::GaveUp,
        };
        log.lock().unwrap().push(Ended { ask, at: time.millis(), end });
    });
}

impl Seen {
    /// The row of the table, from one millisecond to another.
    pub(crate) fn row(&self, from: u64, to: u64) -> Row {
        let within = from..to;
        let here = self.ended.iter().filter(|ended| within.contains(&ended.at));
        let answered = here.filter(|ended| ended.end == End::Answered);
        let mut took: Vec<_> = answered.map(|ended| ended.at - ended.ask.sent).collect();
        took.sort_unstable();
        let at =
            |share| took.get((share * took.len() as f64) as usize).map_or(0.0, |&ms| ms as f64);
        let works = self.works.iter().filter(|work| within.contains(&work.ended));
        let (works, late) = works.fold((0_u32, 0_u32), |(works, late), work| {
            (works + 1, late + u32::from(work.ended > work.ask.sent + TIMEOUT))
        });
        let high = self.served(from, to, |ask| ask.priority == Priority::HIGH);
        let late = f64::from(late) / f64::from(works.max(1));
        [self.goodput(from, to, WORKERS), high, at(0.5), at(0.99), late]
    }

    /// Answers in time, per what so many workers could have done of such calls as came: the mean of
    /// the work that was drawn is not exactly 25 ms.
    pub(crate) fn goodput(&self, from: u64, to: u64, workers: usize) -> f64 {
        let within = from..to;
        let good = |ended: &&Ended| ended.end == End::Answered && within.contains(&ended.at);
        let good = self.ended.iter().filter(good).count();
        let works = self.works.iter().filter(|work| within.contains(&work.ended));
        let (works, sum) =
            works.fold((0_u32, 0), |(works, sum), work| (works + 1, sum + work.ask.work));
        let capacity = (workers as u64 * (to - from)) as f64 * f64::from(works) / sum as f64;
        good as f64 / capacity
    }
    /// The share of the calls of a kind that were answered in time, of those sent in a stretch.
    pub(crate) fn served(&self, from: u64, to: u64, kind: impl Fn(&Ask) -> bool) -> f64 {
        let sent = |ended: &&Ended| (from..to).contains(&ended.ask.sent) && kind(&ended.ask);
        let all = self.ended.iter().filter(sent);
        let (all, answered) = all.fold((0_u32, 0_u32), |(all, answered), ended| {
            (all + 1, answered + u32::from(ended.end == End::Answered))
        });
        f64::from(answered) / f64::from(all.max(1))
    }

    /// The limits that were probed in a stretch.
    pub(crate) fn limits(&self, from: u64, to: u64) -> Vec<u32> {
        let probes = self.limits.iter().filter(|(at, _)| (from..to).contains(at));
        probes.map(|(_, limit)| *limit).collect()
    }
}
