//! One timeout per key, in bounded memory.

use http::Request;
use portcullis_timeout::breaker_core::{ManualClock, TokioClock};
use portcullis_timeout::portcullis_http::key;
use portcullis_timeout::{AdaptiveTimeoutLayer, AdaptiveTimeouts, TimeoutConfig};
use tower_layer::Layer as _;

use super::support::{Act, CONFIG, Inner, Told, layer, ms, request, send};

fn to(host: &str) -> Request<()> {
    let mut request = request();
    request.headers_mut().insert("x-host", host.parse().expect("a value"));
    request
}

// S-TIMEOUT-01
#[tokio::test(start_paused = true)]
async fn each_key_has_a_timeout_of_its_own() {
    let told = Told::default();
    let layer = layer().observe(told.clone()).keyed(key::header("x-host"));
    let mut slow = layer.layer(Inner::new(Act::After(150, 200)));
    send(&mut slow, to("a")).await;
    send(&mut slow, request()).await;
    let timeouts = layer.timeouts();
    assert_eq!((timeouts.len(), timeouts.unmatched().timeout()), (1, ms(500)));
    let mut never = layer.layer(Inner::new(Act::Never));
    assert_eq!(send(&mut never, to("a")).await.1, ms(500));
    assert_eq!(send(&mut never, to("b")).await.1, ms(1_000));
    assert!(!told.all().is_empty());
    timeouts.reconfigure(TimeoutConfig::fixed(ms(70))).expect("it fits");
    for asked in [to("a"), to("b"), to("c"), request()] {
        assert_eq!(send(&mut never, asked).await.1, ms(70));
    }
}

// S-TIMEOUT-01
#[tokio::test(start_paused = true)]
async fn a_closure_picks_the_key() {
    let layer = AdaptiveTimeoutLayer::with_clock(CONFIG, TokioClock::new());
    let layer = layer.keyed_fn(|request: &Request<()>| Some(request.uri().path().to_owned()));
    send(&mut layer.layer(Inner::new(Act::After(150, 200))), request()).await;
    assert_eq!(layer.timeouts().len(), 1);
    let root = layer.timeouts().get(&"/".to_owned());
    assert_eq!((root.timeout(), layer.timeouts().len()), (ms(500), 1));
}

#[test]
fn a_flood_of_keys_takes_no_more_than_its_share() {
    let timeouts = AdaptiveTimeouts::with_clock(CONFIG.max_keys(32), ManualClock::new());
    let kept = timeouts.get(&u32::MAX);
    for key in 0..10_000_u32 {
        let _ = timeouts.get(&key);
        // What is used again and again keeps its place.
        assert_eq!(timeouts.get(&u32::MAX).snapshot(), kept.snapshot());
        assert!(timeouts.len() <= 32);
    }
    let again = timeouts.get(&u32::MAX);
    kept.reconfigure(TimeoutConfig::fixed(ms(70))).expect("it fits");
    assert_eq!(again.timeout(), ms(70), "it is the same one still");
}
