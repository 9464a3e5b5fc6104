//! State lives in the layer value.

use std::sync::atomic::Ordering;

use portcullis_ratelimit::portcullis_http::key;
use portcullis_ratelimit::{RateLimitLayer, RateLimiter, RateLimiters};
use tower_layer::Layer as _;

use super::support::{Act, CONFIG, Inner, call, from, layer, request};

// S-RATE-09
#[test]
fn all_services_of_a_layer_and_of_its_clones_share_one_limit() {
    let (layer, _) = layer();
    let inner = Inner::new(Act::Answer(200));
    // As a router does: the layer is applied again and again.
    let codes: Vec<_> = (0..5)
        .map(|_| call(&mut layer.clone().layer(inner.clone()), request()).status().as_u16())
        .collect();
    assert_eq!(codes, [200, 200, 200, 429, 429]);
    assert_eq!(inner.calls().load(Ordering::Relaxed), 3);
    assert_eq!(layer.handle().snapshot().refused, 2);
}

#[test]
fn two_layers_have_two_limits_and_two_layers_of_one_limit_have_one() {
    let (a, b) = (RateLimitLayer::new(CONFIG), RateLimitLayer::new(CONFIG));
    assert!(a.handle().try_acquire_n(3).is_ok() && b.handle().try_acquire_n(3).is_ok());
    let limit = RateLimiter::new(CONFIG);
    let layers = [limit.clone(), limit].map(RateLimitLayer::from_limiter);
    assert!(layers[0].handle().try_acquire_n(3).is_ok());
    assert!(layers[1].clone().http().handle().try_acquire().is_err());
}

// S-RATE-10
#[test]
fn each_key_has_its_limit_and_requests_without_one_share_theirs() {
    let (layer, _) = layer();
    let layer = layer.keyed(key::header("x-client"));
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    for client in ["a", "b"] {
        let codes = [(); 4].map(|()| call(&mut service, from(client)).status().as_u16());
        assert_eq!(codes, [200, 200, 200, 429]);
    }
    let codes = [(); 4].map(|()| call(&mut service, request()).status().as_u16());
    assert_eq!(codes, [200, 200, 200, 429]);
    assert_eq!(layer.handle().len(), 2);
}

// S-RATE-10
#[test]
fn limits_that_exist_already_are_shared_by_the_layers_that_take_them() {
    let limits = RateLimiters::new(CONFIG);
    let layer = |path: &'static str| {
        let key = move |_: &http::Request<()>| Some(path);
        RateLimitLayer::new(CONFIG).keyed_by(key, limits.clone())
    };
    let inner = || Inner::new(Act::Answer(200));
    let (mut one, mut same) = (layer("a").layer(inner()), layer("a").layer(inner()));
    let codes = [(); 2].map(|()| {
        (call(&mut one, request()).status().as_u16(), call(&mut same, request()).status().as_u16())
    });
    assert_eq!(codes, [(200, 200), (200, 429)]);
}

// S-RATE-12
#[test]
fn a_request_costs_what_the_closure_says() {
    let (layer, _) = layer();
    let cost = |request: &http::Request<()>| request.headers().len() as u32 * 2;
    let mut service = layer.cost_fn(cost).layer(Inner::new(Act::Answer(200)));
    assert_eq!(call(&mut service, from("a")).status(), 200);
    assert_eq!(call(&mut service, from("a")).status(), 429);
    assert_eq!(call(&mut service, request()).status(), 200, "what costs nothing is admitted");
    let mut dear = from("a");
    dear.headers_mut().insert("x-more", http::HeaderValue::from_static("1"));
    let never = call(&mut service, dear);
    assert_eq!((never.status().as_u16(), never.headers().get("retry-after")), (429, None));
}
