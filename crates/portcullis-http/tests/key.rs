//! Keys: what they read, and that no request can make them grow or fall together.

use std::collections::HashSet;

use breaker_core::Key;
use http::{HeaderValue, Request};
use portcullis_http::key::{KeyText, extension, header, host};

fn tenant(value: &[u8]) -> Request<()> {
    let mut request = Request::new(());
    let value = HeaderValue::from_bytes(value).expect("a header value");
    request.headers_mut().insert("x-tenant", value);
    request
}

#[test]
fn a_header_is_a_key_and_its_absence_is_none() {
    let key = header("X-Tenant");
    assert_eq!(key.key(&Request::new(())), None);
    assert_eq!(key.key(&tenant(b"")), None);
    assert_eq!(key.key(&tenant(b"acme")), KeyText::new("acme"));
    assert_eq!(key.key(&tenant("søster".as_bytes())), KeyText::new("søster"));
}

#[test]
#[should_panic(expected = "the name of a header")]
fn a_name_that_is_none_is_refused_at_once() {
    let _ = header("not a name");
}

#[test]
fn values_up_to_the_limit_are_their_own_key() {
    let key = header("x-tenant");
    let longest = "a".repeat(KeyText::MAX_LEN);
    assert_eq!(key.key(&tenant(longest.as_bytes())), KeyText::new(&longest));
    assert_eq!(KeyText::new(&longest).as_ref().map(KeyText::as_str), Some(&*longest));
    assert_eq!(KeyText::new(""), None);
    assert_eq!(KeyText::new(&"a".repeat(65)), None);
}

#[test]
fn long_and_broken_values_are_told_apart_within_the_bound() {
    let key = header("x-tenant");
    let long = |tail: &str| format!("{}{tail}", "a".repeat(100)).into_bytes();
    let values = [
        long("b"),
        long("c"),
        vec![b'a'; 65],
        vec![b'a'; 8_000],
        "é".repeat(40).into_bytes(),
        b"caf\xe9".to_vec(),
        b"caf\xe8".to_vec(),
        b"\xff".to_vec(),
    ];
    let mut keys = HashSet::new();
    for value in &values {
        let text = key.key(&tenant(value)).expect("a key");
        assert_eq!(text.as_str().len(), 65, "{text}");
        assert_eq!(key.clone().key(&tenant(value)), Some(text), "a clone has the same keys");
        keys.insert(text);
    }
    assert_eq!(keys.len(), values.len());
}

// An attacker who knows a victim's long value cannot pick a value with the same key: neither the
// shortened text itself nor anything computed in advance.
#[test]
fn a_shortened_key_cannot_be_sent() {
    let key = header("x-tenant");
    let victim = key.key(&tenant(&[b'v'; 100])).expect("a key");
    assert_ne!(key.key(&tenant(victim.as_str().as_bytes())), Some(victim));
    assert_ne!(header("x-tenant").key(&tenant(&[b'v'; 100])), Some(victim));
}

#[test]
fn an_extension_is_a_key() {
    #[derive(Clone)]
    struct Route(String);
    let key = extension(|route: &Route| route.0.as_str());
    let mut request = Request::new(());
    assert_eq!(key.key(&request), None);
    request.extensions_mut().insert(Route("/users/{id}".into()));
    assert_eq!(key.clone().key(&request), KeyText::new("/users/{id}"));
    assert!(format!("{key:?}").contains("Route"));
}

#[test]
fn the_host_comes_from_the_uri_or_else_from_the_header() {
    let key = host();
    let of = |uri: &str, header: Option<&str>| {
        let mut request = Request::builder().uri(uri);
        if let Some(header) = header {
            request = request.header("host", header);
        }
        key.key(&request.body(()).expect("a request")).map(|key| key.to_string())
    };
    let uri = "https://me:secret@Shop.Example:8443/pay";
    assert_eq!(of(uri, Some("other")).as_deref(), Some("shop.example:8443"));
    assert_eq!(of("/pay", Some("Shop.Example")).as_deref(), Some("shop.example"));
    assert_eq!(of("/pay", None), None);
}

#[test]
fn keys_are_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    shared(&header("x-tenant"));
    shared(&extension(String::as_str));
    shared(&host());
}
