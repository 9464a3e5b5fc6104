//! Shorthands for tower-resilience.

use std::time::Duration;

use portcullis_benches::Live;
use tower_layer::Layer as _;
use tower_resilience_circuitbreaker::{
    CircuitBreakerConfigBuilder, CircuitBreakerLayer, SlidingWindowType,
};

/// Half of the last hundred calls, open for a day.
#[must_use]
pub fn last_100() -> CircuitBreakerConfigBuilder {
    CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .wait_duration_in_open(Duration::from_secs(86_400))
}

/// The layer that a builder makes.
///
/// # Panics
/// When the configuration is wrong.
#[must_use]
pub fn layer(builder: CircuitBreakerConfigBuilder) -> CircuitBreakerLayer {
    builder.build().unwrap_or_else(|problem| panic!("{problem}"))
}

/// Ten seconds, with so many calls in them before each batch.
pub(crate) fn within_ten_seconds(held: u64) -> Live {
    let builder = last_100()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(Duration::from_secs(10));
    let (layer, handle) = builder.build_with_handle().unwrap_or_else(|p| panic!("{p}"));
    let service = layer.layer(portcullis_benches::Nothing);
    let live = portcullis_benches::reused::<portcullis_benches::UntilDone, _>(service.clone());
    let fill = std::sync::Mutex::new(service);
    live.prepared_by(move || {
        // Nothing but a change of the state empties the window.
        portcullis_benches::finish(async {
            handle.force_open().await;
            handle.force_closed().await;
        });
        let mut service = fill.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for _ in 0..held {
            let _ = portcullis_benches::call_later(&mut *service, false);
        }
    })
}
