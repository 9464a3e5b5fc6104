//! The server: five workers and one line.

use std::collections::VecDeque;

use super::SECOND;
use super::dice::Dice;
use super::scenario::Scenario;

/// How many calls are worked on at a time.
pub const WORKERS: usize = 5;
/// How long a call takes in the mean, in seconds.
pub const MEAN: f64 = 0.025;
const SIGMA: f64 = 0.5;
const LINE: usize = 400;
/// After so many nanoseconds a call for which there is no place is told so.
const TURNED_AWAY: u64 = 2_000_000;

/// What a call is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// What it asked for.
    Done,
    /// An error.
    Broken,
    /// That there is no place in the line.
    Overload,
}

/// Five workers and one line, in which calls stand in the order in which they came.
///
/// Since that order never changes, and it is drawn how long each call takes, it is known at once
/// when a call ends. Times are exact nanoseconds, whatever the timers of those who wait can do.
#[derive(Clone, Debug)]
pub struct Server {
    scenario: Scenario,
    seed: u64,
    /// When each worker is free.
    free: [u64; WORKERS],
    /// When those begin who wait.
    begins: VecDeque<u64>,
    /// Which request came when.
    attempts: Vec<(u64, usize)>,
    /// How often each request came.
    times: Vec<u64>,
}

impl Server {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        Self {
            scenario: *scenario,
            seed,
            free: [0; WORKERS],
            begins: VecDeque::new(),
            attempts: Vec::new(),
            times: Vec::new(),
        }
    }

    /// A request comes, for the first time or again: how it ends, and when.
    pub fn arrive(&mut self, now: u64, request: usize) -> (u64, Answer) {
        self.attempts.push((now, request));
        let mut dice = self.dice(request);
        self.leave(now);
        if self.begins.len() >= LINE {
            return (now + TURNED_AWAY, Answer::Overload);
        }
        let first = self.free.iter_mut().min().expect("somebody works");
        let begin = now.max(*first);
        let work = dice.lognormal(MEAN, SIGMA) / self.scenario.at(begin).speed;
        let end = begin + (work * SECOND as f64) as u64;
        *first = end;
        if begin > now {
            self.begins.push_back(begin);
        }
        let broken = dice.share() <= self.scenario.at(end).errors;
        (end, if broken { Answer::Broken } else { Answer::Done })
    }

    /// The draws of this attempt at a request: the same, whoever else calls, and whenever it comes.
    fn dice(&mut self, request: usize) -> Dice {
        if self.times.len() <= request {
            self.times.resize(request + 1, 0);
        }
        let time = self.times[request];
        self.times[request] += 1;
        Dice::stream("service", self.seed, (request as u64) << 8 | time)
    }

    /// Those who have begun stand in the line no longer.
    fn leave(&mut self, now: u64) {
        while self.begins.front().is_some_and(|&begin| begin <= now) {
            self.begins.pop_front();
        }
    }

    /// How long a call that came now would wait, in seconds, as far as the mean tells.
    pub fn wait(&mut self, now: u64) -> f64 {
        self.leave(now);
        let busy = self.free.iter().filter(|&&free| free > now).count();
        let speed = self.scenario.at(now).speed;
        (self.begins.len() + busy) as f64 * MEAN / (WORKERS as f64 * speed)
    }

    /// Which request came when, in order.
    #[must_use]
    pub fn attempts(&self) -> &[(u64, usize)] {
        &self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::S04;

    #[test]
    fn a_server_that_is_never_idle_completes_two_hundred_calls_per_second() {
        let calm = Scenario { during: (0, 0), ..S04 };
        let mut server = Server::new(&calm, 1);
        // One comes every 4 ms for 1000 s: more than can be done.
        let ends = (0..250_000).map(|number| server.arrive(number as u64 * 4_000_000, number));
        let done = ends.filter(|(at, answer)| *answer == Answer::Done && *at < 1_000 * SECOND);
        let rate = done.count() as f64 / 1e3;
        assert!((199.0..=201.0).contains(&rate), "{rate}");
    }

    #[test]
    fn the_line_has_four_hundred_places_and_five_are_worked_on() {
        let mut server = Server::new(&S04, 1);
        let answers: Vec<_> = (0..406).map(|number| server.arrive(0, number)).collect();
        assert!(answers[..405].iter().all(|(_, answer)| *answer == Answer::Done));
        assert_eq!(answers[405], (TURNED_AWAY, Answer::Overload));
        assert_eq!(server.wait(0), 405.0 * MEAN / 5.0);
    }
}
