//! A service without bodies, and a slot that is held to the end of one.
//~ `ToEndOfBody` cannot hold a slot to the end of the response `u8`
//~ add `.hold_to_head()`

use std::convert::Infallible;
use std::future::{Ready, ready};

use portcullis_priority::breaker_core::{Outcome, Rejected};
use portcullis_priority::{Priority, PriorityQueueLayer, QueueConfig};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<u8>) {}

fn answer(request: u8) -> Ready<Result<u8, Infallible>> {
    ready(Ok(request))
}

fn refuse(_: &u8, _: Rejected) -> Result<u8, Infallible> {
    Ok(0)
}

fn main() {
    let layer = PriorityQueueLayer::generic(QueueConfig::new(), |_: &u8| Some(Priority::LOW))
        .classify_fn(|_: Result<&u8, &Infallible>| Outcome::Success)
        .refuse_fn(refuse)
        .hold_to_end_of_body();
    use_it(layer.layer(service_fn(answer)));
}
