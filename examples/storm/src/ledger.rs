//! Every request of the run and what became of it, in both worlds.

use std::time::Duration;

use axum::http::{Response, StatusCode, header};

use crate::arrivals::Arrival;
use crate::world::Side;

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Answered 200 while the caller still waited.
    Good,
    /// Answered 503, with when to come again.
    Unavailable,
    /// Answered 503 without.
    Vague,
    /// Answered 429, with when to come again.
    Refused,
    /// Answered 429 without.
    Curt,
    /// Answered otherwise, or the connection broke.
    Failed,
    /// Not answered before the caller lost patience.
    GaveUp,
}

/// The end of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// The place of the request among the arrivals.
    pub(crate) arrival: usize,
    pub(crate) side: Side,
    pub(crate) end: End,
    /// From the time at which it was due to be sent, so that a late sender hides nothing.
    pub(crate) took: Duration,
}

/// All arrivals with their ends.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) arrivals: Vec<Arrival>,
    ends: [Vec<Option<(End, Duration)>>; 2],
}

impl End {
    /// How many there are.
    pub(crate) const COUNT: usize = 7;
}

impl<B> From<&Response<B>> for End {
    fn from(response: &Response<B>) -> Self {
        match response.status() {
            StatusCode::OK => Self::Good,
            StatusCode::SERVICE_UNAVAILABLE if says_when(response) => Self::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE => Self::Vague,
            StatusCode::TOO_MANY_REQUESTS if says_when(response) => Self::Refused,
            StatusCode::TOO_MANY_REQUESTS => Self::Curt,
            _ => Self::Failed,
        }
    }
}

/// Whether an answer says in how many seconds to come again.
fn says_when<B>(response: &Response<B>) -> bool {
    let value = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).is_some_and(|seconds: u64| seconds > 0)
}

impl Ledger {
    /// The ledger of these arrivals, none of which has ended.
    pub(crate) fn new(arrivals: Vec<Arrival>) -> Self {
        let ends = [vec![None; arrivals.len()], vec![None; arrivals.len()]];
        Self { arrivals, ends }
    }

    /// Takes in the end of a request.
    pub(crate) fn record(&mut self, answer: &Answer) {
        self.ends[answer.side as usize][answer.arrival] = Some((answer.end, answer.took));
    }

    /// What became of the requests that were due within a span of time.
    pub(crate) fn ends(
        &self,
        side: Side,
        from: Duration,
        to: Duration,
    ) -> impl Iterator<Item = (&Arrival, End, Duration)> {
        let first = self.arrivals.partition_point(|arrival| arrival.at < from);
        let last = self.arrivals.partition_point(|arrival| arrival.at < to);
        let ends = &self.ends[side as usize][first..last];
        self.arrivals[first..last]
            .iter()
            .zip(ends)
            .filter_map(|(arrival, end)| end.map(|(end, took)| (arrival, end, took)))
    }
}

/// The latency that `percent` of a hundred do not exceed (nearest rank); `None` for no latencies.
pub(crate) fn percentile(mut latencies: Vec<Duration>, percent: usize) -> Option<Duration> {
    latencies.sort_unstable();
    let rank = (latencies.len() * percent).div_ceil(100).max(1);
    latencies.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Caller, Route};

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred: Vec<_> = (1..=100).rev().map(millis).collect();
        assert_eq!(percentile(hundred.clone(), 50), Some(millis(50)));
        assert_eq!(percentile(hundred.clone(), 99), Some(millis(99)));
        assert_eq!(percentile(hundred, 100), Some(millis(100)));
        assert_eq!(percentile(vec![millis(7)], 99), Some(millis(7)));
        assert_eq!(percentile(vec![millis(1), millis(9)], 99), Some(millis(9)));
        assert_eq!(percentile(Vec::new(), 99), None);
    }

    #[test]
    fn a_span_holds_its_first_moment_and_not_its_last() {
        let (route, caller) = (Route::Home, Caller::GREEDY);
        let arrivals = [10, 20, 30].map(|at| Arrival { at: millis(at), route, caller }).to_vec();
        let mut ledger = Ledger::new(arrivals);
        for arrival in 0..3 {
            let took = millis(arrival as u64);
            let side = Side::Bare;
            ledger.record(&Answer { arrival, side, end: End::Good, took });
        }
        let span = |side| ledger.ends(side, millis(10), millis(30)).count();
        assert_eq!(span(Side::Bare), 2);
        assert_eq!(span(Side::Protected), 0);
    }

    #[test]
    fn only_200_is_good() {
        assert_eq!(end(StatusCode::OK, "1"), End::Good);
        assert_eq!(end(StatusCode::SERVICE_UNAVAILABLE, "1"), End::Unavailable);
        assert_eq!(end(StatusCode::BAD_GATEWAY, "1"), End::Failed);
        assert_eq!(end(StatusCode::NO_CONTENT, "1"), End::Failed);
    }

    #[test]
    fn a_refusal_says_in_how_many_seconds_to_come_again() {
        assert_eq!(end(StatusCode::TOO_MANY_REQUESTS, "1"), End::Refused);
        for vague in ["", "0", "soon"] {
            assert_eq!(end(StatusCode::SERVICE_UNAVAILABLE, vague), End::Vague, "{vague:?}");
            assert_eq!(end(StatusCode::TOO_MANY_REQUESTS, vague), End::Curt, "{vague:?}");
        }
    }

    fn end(status: StatusCode, retry_after: &str) -> End {
        let answer = Response::builder().status(status).header(header::RETRY_AFTER, retry_after);
        End::from(&answer.body(()).expect("an answer"))
    }
}
