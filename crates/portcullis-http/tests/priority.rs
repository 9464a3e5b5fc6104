//! How important a request is, and that no stranger makes himself important.

use std::cell::Cell;
use std::net::SocketAddr;

use breaker_core::{Prioritize, Priority};
use http::{HeaderName, HeaderValue, Request};
use portcullis_http::key::{self, TrustedProxy};
use portcullis_http::priority::{RequestPriority, Trust, from_request};

const CRITICAL: Option<Priority> = Some(Priority::CRITICAL);
const HIGH: Option<Priority> = Some(Priority::HIGH);
const NORMAL: Option<Priority> = Some(Priority::NORMAL);
const LOW: Option<Priority> = Some(Priority::LOW);
const BULK: Option<Priority> = Some(Priority::BULK);

fn request(headers: &[(&'static str, &[u8])]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value).expect("a header value");
        request.headers_mut().append(*name, value);
    }
    request
}

fn from(address: &str, headers: &[(&'static str, &[u8])]) -> Request<()> {
    let mut request = request(headers);
    let address = SocketAddr::new(address.parse().expect("an address"), 4711);
    request.extensions_mut().insert(address);
    request
}

/// Believes everybody.
fn open() -> RequestPriority<impl Trust<Request<()>>> {
    from_request().trusted_fn(|_: &Request<()>| true)
}

// S-PRIO-01
#[test]
fn a_level_is_read_by_its_name_and_by_its_number() {
    for (value, expected) in [
        ("critical", CRITICAL),
        ("High", HIGH),
        ("50", NORMAL),
        (" 25\t", LOW),
        ("0", BULK),
        ("80", Some(Priority::new(80))),
    ] {
        let request = request(&[("x-priority", value.as_bytes())]);
        assert_eq!(open().priority(&request), expected, "{value}");
    }
    assert_eq!(open().priority(&request(&[])), None);
}

// S-PRIO-01
#[test]
fn what_says_nothing_clear_is_as_if_it_were_absent() {
    for value in [&b""[..], b"101", b"-1", b"+5", b"0.5", b"urgent", b"high, low", b"\xff\xfe"] {
        let request = request(&[("x-priority", value)]);
        assert_eq!(open().priority(&request), None, "{value:?}");
    }
    assert_eq!(open().priority(&request(&[("x-priority", "٣".as_bytes())])), None);
    let twice = request(&[("x-priority", b"high"), ("x-priority", b"high")]);
    assert_eq!(open().priority(&twice), None);
    let then = request(&[("x-priority", b"urgent"), ("priority", b"u=5")]);
    assert_eq!(open().priority(&then), LOW, "then the urgency counts");
}

// S-PRIO-01
#[test]
fn the_extension_comes_first_then_the_header_then_the_urgency() {
    let mut request = request(&[("x-priority", b"high"), ("priority", b"u=0, i")]);
    assert_eq!(open().priority(&request), HIGH);
    request.headers_mut().remove("x-priority");
    assert_eq!(open().priority(&request), CRITICAL);
    assert_eq!(open().without_urgency().priority(&request), None);
    request.extensions_mut().insert(Priority::LOW);
    assert_eq!(open().priority(&request), LOW);
    // Only the service itself can have put it there.
    request.extensions_mut().insert(Priority::CRITICAL);
    assert_eq!(from_request().priority(&request), CRITICAL);
}

// S-PRIO-01
#[test]
fn strangers_can_only_lower_themselves() {
    let rules = from_request();
    for (name, value, expected) in [
        ("x-priority", "critical", NORMAL),
        ("x-priority", "51", NORMAL),
        ("x-priority", "50", NORMAL),
        ("x-priority", "low", LOW),
        ("priority", "u=0", NORMAL),
        ("priority", "u=7", BULK),
        ("accept", "text/html", None),
    ] {
        let request = from("10.0.0.1", &[(name, value.as_bytes())]);
        assert_eq!(rules.priority(&request), expected, "{name} {value}");
    }
}

// S-PRIO-01
#[test]
fn strangers_get_as_much_as_was_set_and_silence_brings_no_more() {
    let asks = |value: &'static str| request(&[("x-priority", value.as_bytes())]);
    let generous = from_request().max_external(Priority::HIGH);
    assert_eq!(generous.priority(&asks("critical")), HIGH);
    assert_eq!(generous.priority(&request(&[])), None);
    let strict = from_request().max_external(Priority::LOW);
    assert_eq!(strict.priority(&asks("critical")), LOW);
    assert_eq!(strict.priority(&asks("bulk")), BULK);
    assert_eq!(strict.priority(&asks("urgent")), LOW);
    assert_eq!(strict.priority(&request(&[])), LOW);
    let inside = strict.trusted_fn(|_: &Request<()>| true);
    assert_eq!(inside.priority(&asks("critical")), CRITICAL);
    assert_eq!(inside.priority(&request(&[])), None);
}

// S-PRIO-01
#[test]
fn a_closure_says_who_is_trusted_and_is_asked_only_where_it_matters() {
    let asked = Cell::new(0);
    let rules = from_request().trusted_fn(|request: &Request<()>| {
        asked.set(asked.get() + 1);
        request.headers().contains_key("x-signed")
    });
    let loud = request(&[("x-priority", b"high")]);
    assert_eq!((rules.priority(&loud), asked.get()), (NORMAL, 1));
    let signed = request(&[("x-priority", b"high"), ("x-signed", b"1")]);
    assert_eq!((rules.priority(&signed), asked.get()), (HIGH, 2));
    let humble = request(&[("x-priority", b"low")]);
    assert_eq!((rules.priority(&humble), asked.get()), (LOW, 2));
    assert!(format!("{rules:?}").contains("x-priority"));
}

// S-PRIO-01
#[test]
fn a_sender_is_trusted_by_the_network_of_its_connection() {
    let networks = ["10.0.0.0/8", "2001:db8:0:1::/96"];
    let rules = from_request().trusted_peers(key::peer(), networks).expect("networks");
    for (address, expected) in [
        ("10.1.2.3", HIGH),
        ("::ffff:10.1.2.3", HIGH),
        ("11.0.0.1", NORMAL),
        ("2001:db8:0:1::7", HIGH),
        // The key of a peer is cut to 64 bits; who is trusted hangs on all of them.
        ("2001:db8:0:1:1::7", NORMAL),
    ] {
        let request = from(address, &[("x-priority", b"high")]);
        assert_eq!(rules.priority(&request), expected, "{address}");
    }
    let nowhere = request(&[("x-priority", b"high")]);
    assert_eq!(rules.priority(&nowhere), NORMAL, "who has no address is a stranger");

    let wrong = from_request().trusted_peers(key::peer(), ["10.0.0.1/8", "ten"]);
    assert_eq!(wrong.expect_err("two errors").iter().count(), 2);
    assert!(from_request().trusted_peers(key::peer(), [""; 0]).is_err());
}

// S-PRIO-01: behind a proxy, everybody has the address of the proxy.
#[test]
fn behind_a_proxy_the_caller_is_trusted_and_not_the_proxy() {
    let proxies = TrustedProxy::cidrs(["10.0.0.0/8"]).expect("a network");
    let ours = ["10.0.0.0/8", "2001:db8:0:1::/96"];
    let rules = from_request().trusted_peers(key::peer().behind(proxies), ours);
    let rules = rules.expect("networks");
    let behind = |line: &'static str| {
        let headers = [("x-forwarded-for", line.as_bytes()), ("x-priority", &b"high"[..])];
        rules.priority(&from("10.0.0.1", &headers))
    };
    assert_eq!(behind("192.0.2.7"), NORMAL);
    assert_eq!(behind("10.0.0.9, 192.0.2.7"), NORMAL);
    assert_eq!(behind("10.0.0.9"), HIGH);
    assert_eq!(behind("2001:db8:0:1::7"), HIGH);
    assert_eq!(behind("2001:db8:0:1:1::7"), NORMAL, "all bits count");
}

// S-PRIO-01
#[test]
fn another_header_can_be_named() {
    let rules = open().header_name(HeaderName::from_static("x-importance"));
    let request = request(&[("x-importance", b"high"), ("x-priority", b"low")]);
    assert_eq!(rules.priority(&request), HIGH);
}

// S-PRIO-01
#[test]
fn headers_of_any_size_are_not_read_to_their_end() {
    let spaces = |count: usize| [b"high".to_vec(), vec![b' '; count]].concat();
    assert_eq!(open().priority(&request(&[("x-priority", &spaces(28))])), HIGH);
    for long in [spaces(29), b"0".repeat(1 << 20), b"\xff".repeat(1 << 20)] {
        assert_eq!(open().priority(&request(&[("x-priority", &long)])), None);
        assert_eq!(open().priority(&request(&[("priority", &long)])), None);
    }
    let many = vec![("x-priority", &b"high"[..]); 10_000];
    assert_eq!(open().priority(&request(&many)), None);
}
