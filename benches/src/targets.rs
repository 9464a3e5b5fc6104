//! What is aimed at, path by path.
//!
//! A gate is a figure that is the same in every run. A ratio is a time over another time of the
//! same run: `bare` over a bare call, `additions` over an atomic addition, `scale` the throughput
//! of two threads over that of one.

/// One path through the breaker, and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) path: &'static str,
    /// The case of ours that measures it; empty where no time is measured.
    pub(crate) case: &'static str,
    pub(crate) instructions: Option<f64>,
    pub(crate) reads: Option<f64>,
    pub(crate) allocations: Option<f64>,
    /// The weight that is asked for, by its name among the weights, and its limit in bytes.
    pub(crate) bytes: Option<(&'static str, f64)>,
    pub(crate) must: Ratio,
    pub(crate) aim: Ratio,
}

/// What a time may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) bare: Option<f64>,
    pub(crate) additions: Option<f64>,
    /// Clock reads that come on top of the additions.
    pub(crate) clocks: f64,
    pub(crate) scale: Option<f64>,
    /// How many times the time of a peer's case: who, the case, the factor.
    pub(crate) peer: Option<(&'static str, &'static str, f64)>,
}

impl Ratio {
    const NONE: Self = Self { bare: None, additions: None, clocks: 0.0, scale: None, peer: None };

    const fn peer(who: &'static str, case: &'static str, times: f64) -> Self {
        Self { peer: Some((who, case, times)), ..Self::NONE }
    }

    const fn bare(times: f64) -> Self {
        Self { bare: Some(times), ..Self::NONE }
    }

    const fn additions(times: f64) -> Self {
        Self { additions: Some(times), ..Self::NONE }
    }

    const fn and_clocks(self, clocks: f64) -> Self {
        Self { clocks, ..self }
    }

    const fn scale(self, scale: f64) -> Self {
        Self { scale: Some(scale), ..self }
    }
}

const fn path(path: &'static str, case: &'static str, must: Ratio, aim: Ratio) -> Target {
    let (instructions, reads, allocations, bytes) = (None, None, None, None);
    Target { path, case, instructions, reads, allocations, bytes, must, aim }
}

const fn weight(path: &'static str, name: &'static str, limit: f64) -> Target {
    let none = Ratio::NONE;
    Target { bytes: Some((name, limit)), ..self::path(path, "", none, none) }
}

const fn queue(path: &'static str, case: &'static str) -> Target {
    let (must, aim) = (Ratio::additions(2.5), Ratio::additions(1.8));
    self::path(path, case, must, aim).reads(0.0).allocations(0.0)
}

/// A layer that has nothing to do for a call which goes well at once.
const fn at_once(path: &'static str, case: &'static str) -> Target {
    let (must, aim) = (Ratio::bare(3.0), Ratio::bare(1.0));
    self::path(path, case, must, aim).reads(0.0).allocations(0.0)
}

impl Target {
    const fn instructions(mut self, most: f64) -> Self {
        self.instructions = Some(most);
        self
    }

    const fn reads(mut self, most: f64) -> Self {
        self.reads = Some(most);
        self
    }

    const fn allocations(mut self, most: f64) -> Self {
        self.allocations = Some(most);
        self
    }
}

/// All of them, in the order of the table.
pub(crate) const TARGETS: [Target; 32] = [
    path(
        "closed, success, default configuration",
        "closed",
        Ratio::bare(3.0).scale(1.8),
        Ratio::bare(1.4).scale(1.95),
    )
    .instructions(40.0)
    .reads(0.0)
    .allocations(0.0),
    path(
        "the same, cloned per call",
        "closed, cloned per call",
        Ratio::bare(20.0).scale(1.5),
        Ratio::bare(3.0).scale(1.9),
    )
    .allocations(0.0),
    path(
        "the same, last 100 calls",
        "last 100 calls",
        Ratio::bare(12.0).scale(1.5),
        Ratio::bare(1.4),
    )
    .instructions(60.0)
    .reads(0.0),
    path(
        "the same, 10 x 1 s, 100 calls in it",
        "10 x 1 s, 100 calls in it",
        Ratio::additions(2.0).and_clocks(1.0),
        Ratio::additions(1.1),
    )
    .instructions(120.0)
    .reads(1.0),
    path(
        "the same, 10 x 1 s, 1,000,000 calls in it",
        "10 x 1 s, 1,000,000 calls in it",
        Ratio::additions(2.0).and_clocks(1.0),
        Ratio::additions(1.1),
    )
    .instructions(120.0)
    .reads(1.0),
    path(
        "the same, slow calls",
        "slow calls, answer at the second poll",
        Ratio::additions(9.0),
        Ratio::additions(5.5),
    )
    .reads(2.0),
    path(
        "1 % failures, last 100 calls",
        "last 100 calls, 1 % failures",
        Ratio::additions(2.0).scale(1.0),
        Ratio::additions(1.4).scale(1.9),
    )
    .allocations(0.0),
    path(
        "open, refusal with retry-after",
        "open, refusal",
        Ratio::additions(4.0),
        Ratio::additions(1.5).scale(1.9),
    )
    .reads(1.0)
    .allocations(0.0),
    path(
        "100,000 keys, look-up of a hot one",
        "keyed, look-up of one of 100,000",
        Ratio::bare(25.0).scale(1.2),
        Ratio::NONE,
    )
    .allocations(0.0),
    path("closed, call(closure)", "closed, call(closure)", Ratio::NONE, Ratio::NONE)
        .reads(2.0)
        .allocations(0.0),
    path(
        "rate limit, layer, burst of 10,000",
        "limit, burst of 10,000",
        Ratio::peer("governor", "direct", 1.0),
        Ratio::peer("governor", "direct", 0.5).scale(1.5),
    )
    .reads(1.0)
    .allocations(0.0),
    path(
        "the same, handle",
        "limit, burst of 10,000, handle",
        Ratio::peer("governor", "direct", 1.0),
        Ratio::peer("governor", "direct", 0.5).scale(1.5),
    )
    .reads(1.0)
    .allocations(0.0),
    path(
        "rate limit, handle, burst of 1,000",
        "limit, burst of 1,000, handle",
        Ratio::peer("governor", "direct, clock of std", 1.0),
        Ratio::NONE,
    )
    .reads(1.0)
    .allocations(0.0),
    path(
        "rate limit, refusal with its wait",
        "limit, refusal",
        Ratio::peer("governor", "direct, refusal and its wait", 3.0),
        Ratio::NONE,
    )
    .reads(1.0)
    .allocations(0.0),
    path(
        "rate limit, keyed, one of 1,000",
        "limit keyed, one of 1,000",
        Ratio::peer("governor", "keyed, one of 1,000", 3.0),
        Ratio::NONE,
    )
    .reads(1.0)
    .allocations(0.0),
    path(
        "rate limit, keyed, one of 100,000",
        "limit keyed, one of 100,000",
        Ratio::peer("governor", "keyed, one of 100,000", 3.0),
        Ratio::NONE,
    )
    .reads(1.0)
    .allocations(0.0),
    path("rate limit, adaptive", "limit, adaptive", Ratio::NONE, Ratio::NONE)
        .reads(1.0)
        .allocations(0.0),
    queue("priority queue, uncontended", "queue"),
    queue("the same, cloned per call", "queue, cloned per call"),
    queue("bulkhead, uncontended", "bulkhead"),
    queue("priority queue, handle", "queue, handle"),
    path("priority queue, refusal with its wait", "queue, refusal", Ratio::NONE, Ratio::NONE)
        .reads(1.0)
        .allocations(0.0),
    path("priority queue, adaptive", "queue, limit by service time", Ratio::NONE, Ratio::NONE)
        .reads(2.0)
        .allocations(0.0),
    at_once("retry, success", "retry"),
    at_once("timeout, ready at the first poll", "timeout"),
    at_once("hedge, ready at the first poll", "hedge"),
    weight("response future over the inner one", "response future", 40.0),
    weight("response future of a queue over the inner one", "response future of a queue", 136.0),
    weight("one breaker, fresh", "breaker, fresh", 256.0),
    weight("one breaker, last 128 calls, fresh", "breaker, last 128 calls, fresh", 256.0),
    weight("the same, after 1,000 calls", "breaker, last 128 calls, after 1,000 calls", 256.0),
    weight("each of 100,000 keys, map included", "one of 100,000 keys", 300.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// S-ADV-08: each path has its time, in ns per call, beside what is aimed at.
    #[test]
    fn every_path_is_measured_by_a_case_of_ours() {
        let cases = crate::ours(portcullis::ManualClock::new());
        for target in TARGETS.iter().filter(|target| !target.case.is_empty()) {
            let found = cases.iter().any(|case| case.name == target.case);
            assert!(found, "no case is called {}", target.case);
        }
    }
}
