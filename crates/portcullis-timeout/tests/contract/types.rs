//! What the compiler promises: these compile, or nothing does.

use std::convert::Infallible;
use std::fmt::Debug;

use http::{Request, Response};
use portcullis_timeout::breaker_core::Outcome;
use portcullis_timeout::portcullis_http::key;
use portcullis_timeout::{
    AdaptiveTimeout, AdaptiveTimeoutLayer, AdaptiveTimeouts, BoxErrors, FromScope, Rejected,
    Snapshot, TimeoutConfig,
};
use tower::service_fn;
use tower_layer::Layer;
use tower_service::Service;

use super::support::{Act, CONFIG, Inner, layer};

type Page = Response<String>;

fn shareable<T: Clone + Debug + Send + Sync + 'static>(_: &T) {}

/// A layer that a router takes, and that leaves response and error as they are.
fn fits<L>(layer: L)
where
    L: Layer<Inner> + Clone + Debug + Send + Sync + 'static,
    L::Service: Service<Request<()>, Response = Page, Error = Infallible>
        + Clone
        + Debug
        + Send
        + Sync
        + 'static,
    <L::Service as Service<Request<()>>>::Future: Debug + Send + 'static,
{
    let _ = layer.layer(Inner::new(Act::Answer(200)));
}

// S-TIMEOUT-06
#[test]
fn response_and_error_stay_what_they_were() {
    fits(layer());
    fits(layer().http());
    fits(layer().grpc());
    fits(layer().keyed(key::header("x-host")));
    fits(layer().keyed_fn(|_: &Request<()>| Some(1_u8)).http());
    fits(layer().remaining_fn(|_: &Request<()>| None));
    fits(layer().deadline(FromScope));
    fits(layer().classify_fn(|_: Result<&Page, &Infallible>| Outcome::Success));
    fits(
        layer()
            .expire_fn(|rejected: Rejected| Ok::<_, Infallible>(Page::new(rejected.to_string()))),
    );
}

#[test]
fn handles_and_figures_are_shared_between_threads() {
    shareable(&AdaptiveTimeout::new(CONFIG));
    shareable(&AdaptiveTimeouts::<String>::new(CONFIG));
    shareable::<TimeoutConfig>(&CONFIG);
    shareable::<Snapshot>(&AdaptiveTimeout::new(CONFIG).snapshot());
}

#[test]
fn a_client_needs_room_for_the_timeout_in_its_error() {
    fn sends<S: Service<Request<()>>>(_: &S) {}
    let client =
        service_fn(|_: Request<()>| std::future::ready(Err::<Page, _>(std::io::Error::other("x"))));
    let layer = AdaptiveTimeoutLayer::new(CONFIG);
    sends(&layer.layer(BoxErrors.layer(client)));
}
