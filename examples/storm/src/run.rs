//! One run: starts both worlds, plays the script, sends the load, listens.

use std::error::Error;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::arrivals;
use crate::door::Entered;
use crate::drill;
use crate::figures::{Admitted, Calls};
use crate::flags::Flags;
use crate::ledger::Ledger;
use crate::load;
use crate::protect;
use crate::report::Report;
use crate::rush;
use crate::script::{Act, Script};
use crate::view::{Moment, Pulse, View};
use crate::world::{Side, World};

/// Between the start of the servers and the first request.
const LEAD: Duration = Duration::from_millis(200);

/// Plays the script, with the view open while it lasts.
#[allow(clippy::disallowed_methods, reason = "the traffic is real, and so is its time")]
pub(crate) async fn run(
    flags: &Flags,
    script: &Script,
    mut view: View,
) -> Result<Report, Box<dyn Error>> {
    let began = Instant::now();
    let worlds = [
        World::start(Side::Bare, flags.seed).await?,
        World::start(Side::Protected, flags.seed).await?,
    ];
    let mut ledger = Ledger::new(arrivals::draw(flags.seed, script));
    let start = Instant::now() + LEAD;
    let conductor = tokio::spawn(conduct(script.acts.clone(), worlds.clone(), start));
    let (sender, mut answers) = mpsc::unbounded_channel();
    tokio::spawn(load::send(ledger.arrivals.clone(), worlds.clone(), start, sender));

    let mut pulses = [Pulse::default(), Pulse::default()];
    let mut ticks = interval_at(start + view.period(), view.period());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let now = tokio::select! {
            answer = answers.recv() => {
                // The last sender is gone when the last request has ended.
                let Some(answer) = answer else { break };
                ledger.record(&answer);
                let arrival = ledger.arrivals[answer.arrival];
                pulses[answer.side as usize].record(start.elapsed(), arrival, &answer);
                continue;
            }
            _ = ticks.tick() => start.elapsed(),
        };
        view.show(&Moment::new(script, now, &worlds, &mut pulses))?;
    }
    drop(view);
    let calls = conductor.await?;
    let acts = Report::acts(&ledger, script, &calls);
    Ok(Report { seed: flags.seed, speed: flags.speed, took: began.elapsed(), acts })
}

/// Makes the upstreams ill and well, leads the tills and the depots, and counts the calls in each
/// fault, world by world.
async fn conduct(acts: Vec<Act>, worlds: [World; 2], start: Instant) -> Vec<[Calls; 2]> {
    let mut counted = Vec::with_capacity(acts.len());
    for act in acts {
        sleep_until(start + act.from).await;
        let before = worlds.each_ref().map(|world| calls(world, &act));
        for beat in act.beats() {
            sleep_until(start + beat.at).await;
            for world in &worlds {
                world.set(beat.upstream, beat.health);
            }
        }
        // On its own, since it goes on after the heal.
        let drilled = act
            .phase
            .drill()
            .map(|drill| tokio::spawn(drill::lead(drill, act, worlds.clone(), start)));
        let watched = match act.phase.course() {
            Some(course) => Some(rush::watch(course, &act, &worlds, start).await),
            None => None,
        };
        sleep_until(start + act.heal).await;
        let after = worlds.each_ref().map(|world| calls(world, &act));
        let seen = match drilled {
            Some(drilled) => {
                Some(drilled.await.expect("nobody aborts the drill, and a panic goes on"))
            }
            None => None,
        };
        counted.push(Side::BOTH.map(|side| {
            let side = side as usize;
            let greedy = act.phase.floods().then(|| greedy(&worlds[side], start + act.from));
            let till = watched.map(|watched| watched[side]);
            let depot = seen.map(|seen| seen[side]);
            Calls { greedy, till, depot, ..after[side].since(before[side]) }
        }));
    }
    counted
}

/// The calls in a world up to now, as they concern this act.
fn calls(world: &World, act: &Act) -> Calls {
    let to_the_struck = act.phase.struck().map(|struck| world.reached(struck));
    Calls { to_the_struck, spared: world.spared(), greedy: None, till: None, depot: None }
}

/// What the greedy caller got in since then, and what it may have got in.
fn greedy(world: &World, since: Instant) -> Admitted {
    let Entered { calls, within } = world.door.entered_since(since.into_std());
    Admitted { calls, quota: world.protection.as_ref().map(|_| protect::quota(within)) }
}
