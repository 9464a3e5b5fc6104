//! The cases of this house for the rate limit.

use std::hint::black_box;
use std::rc::Rc;

use portcullis::{
    Algorithm, AsError, Clock, ErrorsAreFailures, RateLimit, RateLimitLayer, RateLimiter,
    RateLimiters,
};
use tower_layer::Layer as _;

use crate::case::{Case, Live, Once, cloned, reused};
use crate::ours::{KEYS, OURS};
use crate::service::Nothing;

/// A thousand million a second: a call takes longer than what it uses up.
const PLENTY: RateLimit = RateLimit::per_second(1_000_000_000);

/// As large as the limit of a busy service: a share of it is lent to each thread.
const LARGE: RateLimit = PLENTY.burst(10_000);

/// So small that each call reads the clock.
const SMALL: RateLimit = PLENTY.burst(1_000);

/// One for each hundred thousand seconds: used up after the first call.
const USED_UP: RateLimit = RateLimit::per_hour(4).burst(1);

const HOT: u32 = 777;

type Layer = RateLimitLayer<ErrorsAreFailures, AsError>;
type Maker = Rc<dyn Fn(RateLimit) -> RateLimiter>;

/// Every path through the rate limit that the targets name, on this clock.
pub(crate) fn limits(clock: impl Clock + Clone + 'static) -> Vec<Case> {
    let maker: Maker = Rc::new(move |config| RateLimiter::with_clock(config, clock.clone()));
    let case = |name, make: fn(&Maker) -> Live| {
        let maker = maker.clone();
        Case::new(OURS, name, move || make(&maker))
    };
    vec![
        case("limit, burst of 10,000", |limit| {
            reused::<Once, _>(layer(limit(LARGE)).layer(Nothing))
        }),
        case("limit, burst of 10,000, cloned per call", |limit| {
            cloned::<Once, _>(layer(limit(LARGE)).layer(Nothing))
        }),
        case("limit, burst of 10,000, handle", |limit| acquired(limit(LARGE))),
        case("limit, burst of 1,000", |limit| {
            reused::<Once, _>(layer(limit(SMALL)).layer(Nothing))
        }),
        case("limit, burst of 1,000, handle", |limit| acquired(limit(SMALL))),
        case("limit, refusal", |limit| acquired(limit(USED_UP))),
        case("limit, adaptive", |limit| {
            acquired(limit(PLENTY.burst(1_000).algorithm(Algorithm::Adaptive)))
        }),
        case("limit keyed, one of 1,000", |limit| keyed(&limit(SMALL.max_keys(4_000)), 1_000)),
        case("limit keyed, one of 100,000", |limit| keyed(&limit(SMALL.max_keys(4 * KEYS)), KEYS))
            .counted_over(500_000),
    ]
}

fn layer(limiter: RateLimiter) -> Layer {
    RateLimitLayer::from_limiter(limiter).classify(ErrorsAreFailures).refuse(AsError)
}

fn acquired(limiter: RateLimiter) -> Live {
    Live::new(move |calls| {
        for _ in 0..calls {
            drop(black_box(black_box(&limiter).try_acquire()));
        }
    })
}

fn keyed(like: &RateLimiter, keys: u32) -> Live {
    let limits = RateLimiters::like(like);
    (0..keys).for_each(|key| drop(limits.try_acquire(&key)));
    Live::new(move |calls| {
        for _ in 0..calls {
            drop(black_box(black_box(&limits).try_acquire(black_box(&HOT))));
        }
    })
}
