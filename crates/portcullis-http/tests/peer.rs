//! Keys from addresses: whom a request is counted against, and that nobody can forge it.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use breaker_core::Key;
use http::{HeaderValue, Request};
use portcullis_http::key::{ForwardedIp, PeerIp, TrustedProxy, peer, peer_ip};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

const XFF: &str = "x-forwarded-for";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn request(peer: &str, name: &'static str, lines: &[&[u8]]) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(SocketAddr::new(ip(peer), 4711));
    for line in lines {
        let value = HeaderValue::from_bytes(line).expect("a header value");
        request.headers_mut().append(name, value);
    }
    request
}

fn caller(key: &ForwardedIp<SocketAddr>, peer: &str, lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    key.key(&request(peer, XFF, &lines)).expect("a key").to_string()
}

fn cidrs(networks: &[&str]) -> TrustedProxy {
    TrustedProxy::cidrs(networks).expect("networks")
}

// S-RATE-10
#[test]
fn the_key_of_a_connection_is_its_address() {
    for (address, expected) in [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:3:ffff:4:5:6", "2001:db8:1:3::"),
        ("::1", "::"),
    ] {
        assert_eq!(peer().key(&request(address, XFF, &[])), Some(ip(expected)), "{address}");
    }
    assert_eq!(peer().key(&Request::new(())), None);
}

// S-RATE-10
#[test]
fn a_zone_is_no_part_of_the_key() {
    let mut request = Request::new(());
    let scoped: SocketAddr = "[fe80::1%7]:80".parse().expect("an address");
    request.extensions_mut().insert(scoped);
    assert_eq!(peer().key(&request), Some(ip("fe80::")));
}

// S-RATE-10
#[test]
fn as_many_bits_of_ipv6_count_as_were_asked_for() {
    const SITE: PeerIp = peer().ipv6_prefix(48);
    let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    for (key, expected) in [
        (SITE, "ffff:ffff:ffff::"),
        (peer().ipv6_prefix(1), "8000::"),
        (peer().ipv6_prefix(128), all),
    ] {
        assert_eq!(key.key(&request(all, XFF, &[])), Some(ip(expected)));
        assert_eq!(key.key(&request("255.255.255.255", XFF, &[])), Some(ip("255.255.255.255")));
        let behind = key.behind(TrustedProxy::hops(1));
        assert_eq!(caller(&behind, "::2", &[all]), expected, "behind a proxy");
    }
}

#[test]
#[should_panic(expected = "1..=128 bits")]
fn a_prefix_of_no_bits_is_refused_at_once() {
    let _ = peer().ipv6_prefix(0);
}

#[test]
#[should_panic(expected = "1..=128 bits")]
fn a_prefix_of_too_many_bits_is_refused_at_once() {
    let _ = peer().ipv6_prefix(129);
}

// S-RATE-10: what axum and tonic leave there are types of their own.
#[test]
fn the_address_comes_out_of_any_extension() {
    #[derive(Clone)]
    struct ConnectInfo<T>(T);
    let key = peer_ip(|info: &ConnectInfo<Option<SocketAddr>>| info.0);
    assert!(format!("{key:?}").contains("ConnectInfo"));
    let mut request = request("192.0.2.7", XFF, &[]);
    assert_eq!(key.key(&request), None, "another type is not looked at");
    request.extensions_mut().insert(ConnectInfo(None::<SocketAddr>));
    assert_eq!(key.key(&request), None, "a Unix socket has no address");
    assert_eq!(key.behind(TrustedProxy::hops(1)).key(&request), None);
    let address = SocketAddr::new(ip("192.0.2.8"), 1);
    request.extensions_mut().insert(ConnectInfo(Some(address)));
    assert_eq!(key.clone().key(&request), Some(ip("192.0.2.8")));
}

// S-RATE-10, T2
#[test]
fn so_many_hops_are_believed_and_no_more() {
    let lines = ["9.9.9.9, 3.3.3.3", "2.2.2.2,1.1.1.1"];
    for (hops, expected) in
        [(1, "1.1.1.1"), (2, "2.2.2.2"), (3, "3.3.3.3"), (4, "9.9.9.9"), (32, "9.9.9.9")]
    {
        let key = peer().behind(TrustedProxy::hops(hops));
        assert_eq!(caller(&key, "10.0.0.1", &lines), expected, "{hops}");
    }
    let key = peer().behind(TrustedProxy::hops(2));
    assert_eq!(caller(&key, "10.0.0.1", &[]), "10.0.0.1", "nobody has named another");
    assert_eq!(caller(&key, "10.0.0.1", &["1.1.1.1"]), "1.1.1.1", "the chain is shorter");
}

// S-RATE-10, T2
#[test]
fn only_proxies_in_the_networks_are_believed() {
    let key = peer().behind(cidrs(&["10.0.0.0/8", "fd00::/8"]));
    for (peer, lines, expected) in [
        ("192.0.2.7", &["1.1.1.1"][..], "192.0.2.7"),
        ("10.0.0.1", &["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
        ("::ffff:10.0.0.1", &["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", &["9.9.9.9, 1.1.1.1, fd00::2, ::ffff:10.0.0.3"], "1.1.1.1"),
        ("fd00::1", &["9.9.9.9", "1.1.1.1", "10.0.0.2:80"], "1.1.1.1"),
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", &["2001:db8:1:2:3::4"], "2001:db8:1:2::"),
    ] {
        assert_eq!(caller(&key, peer, lines), expected, "{peer} {lines:?}");
    }
    let one = peer().behind(cidrs(&["10.0.0.0/8"]).at_most(1));
    assert_eq!(caller(&one, "10.0.0.1", &["1.1.1.1, 10.0.0.2"]), "10.0.0.2");
}

// S-RATE-10, T2: the proxy that should have written the entry is counted, not whom a stranger names.
#[test]
fn a_broken_entry_ends_the_walk() {
    let key = peer().behind(TrustedProxy::hops(3));
    for broken in ["", " ", "unknown", "_hidden", "1.1.1", "1.1.1.1:x", "[::1", "a b", "\""] {
        let line = format!("9.9.9.9, {broken}, 2.2.2.2");
        assert_eq!(caller(&key, "10.0.0.1", &[&line]), "2.2.2.2", "{broken:?}");
        assert_eq!(caller(&key, "10.0.0.1", &["9.9.9.9", broken, "2.2.2.2"]), "2.2.2.2");
        assert_eq!(caller(&key, "10.0.0.1", &["9.9.9.9", broken]), "10.0.0.1");
    }
}

// S-RATE-10
#[test]
fn forwarded_is_read_where_it_was_asked_for_and_nothing_else() {
    let proxy = TrustedProxy::hops(2).header_forwarded();
    let key = peer().behind(proxy);
    assert_eq!(caller(&key, "10.0.0.1", &["1.1.1.1"]), "10.0.0.1", "X-Forwarded-For");
    let line = b"for=9.9.9.9, for=\"[2001:db8::1]:80\";host=\"a,b\", by=_x;For=2.2.2.2;proto=http";
    let both = request("10.0.0.1", "forwarded", &[line]);
    assert_eq!(key.key(&both), Some(ip("2001:db8::")));
    let hidden = request("10.0.0.1", "forwarded", &[b"for=9.9.9.9", b"for=_a", b"for=2.2.2.2"]);
    assert_eq!(key.key(&hidden), Some(ip("2.2.2.2")));
    let other = peer().behind(TrustedProxy::hops(2));
    assert_eq!(other.key(&both), Some(ip("10.0.0.1")));
}

#[test]
fn whoever_would_be_trusted_by_mistake_is_refused_at_once() {
    let errors = TrustedProxy::cidrs(["10.0.0.1/8", "fd00::/8", "ten"]).expect_err("two errors");
    assert_eq!(errors.iter().count(), 2);
    assert_eq!(
        errors.to_string(),
        "2 problem(s) in the networks that are trusted\n  \
         cidrs[0] = \"10.0.0.1/8\": must be a network such as 10.0.0.0/8 or fd00::/8; \
         bits are set behind the prefix: write \"10.0.0.0/8\"\n  \
         cidrs[2] = \"ten\": must be a network such as 10.0.0.0/8 or fd00::/8; \
         write an address, a slash and the number of bits"
    );
    let empty = TrustedProxy::cidrs([""; 0]).expect_err("nobody is trusted");
    assert_eq!(empty.iter().count(), 1);
    for hops in [0, 33, u8::MAX] {
        assert!(std::panic::catch_unwind(|| TrustedProxy::hops(hops)).is_err());
        let all = cidrs(&["::/0"]);
        assert!(std::panic::catch_unwind(|| all.at_most(hops)).is_err());
    }
}

// T2
#[test]
fn a_thousand_forged_headers_from_one_peer_land_in_one_key() {
    let direct = peer();
    let hops = peer().behind(TrustedProxy::hops(1));
    let networks = peer().behind(cidrs(&["10.0.0.0/8"]));
    let forwarded = peer().behind(TrustedProxy::hops(1).header_forwarded());
    let mut keys = HashSet::new();
    for n in 0..1_000_u32 {
        let forged = std::net::Ipv4Addr::from_bits(0x0900_0000 + n).to_string();
        let stranger = request("192.0.2.7", XFF, &[forged.as_bytes()]);
        // A proxy appends to the line, or in a line of its own.
        let line = format!("{forged}, 192.0.2.7");
        let appended = request("10.0.0.1", XFF, &[line.as_bytes()]);
        let added = request("10.0.0.1", XFF, &[forged.as_bytes(), b"192.0.2.7"]);
        keys.extend([direct.key(&stranger), networks.key(&stranger)]);
        for request in [&appended, &added] {
            keys.extend([hops.key(request), networks.key(request)]);
        }
        let line = format!("for=\"{forged}, for=192.0.2.7");
        let quoted = request("10.0.0.1", "forwarded", &[line.as_bytes()]);
        keys.insert(forwarded.key(&quoted));
    }
    assert_eq!(keys, HashSet::from([Some(ip("192.0.2.7"))]));
}

// T2: of a header of any size no more than 32 entries are read, and an entry has a bound.
#[test]
fn headers_of_any_size_are_read_from_their_end() {
    let key = peer().behind(cidrs(&["0.0.0.0/0"]));
    let many = vec!["1.1.1.1"; 10_000].join(",");
    assert_eq!(caller(&key, "10.0.0.1", &[&many]), "1.1.1.1");
    let lines = vec!["1.1.1.1"; 10_000];
    assert_eq!(caller(&key, "10.0.0.1", &lines), "1.1.1.1");
    // The 33rd from the right is never reached.
    let far = format!("9.9.9.9{}", ",1.1.1.1".repeat(32));
    assert_eq!(caller(&key, "10.0.0.1", &[&far]), "1.1.1.1");
    let near = format!("9.9.9.9{}", ",1.1.1.1".repeat(31));
    assert_eq!(caller(&key, "10.0.0.1", &[&near]), "9.9.9.9");
    for long in ["a".repeat(1 << 20), " ".repeat(1 << 20) + "9.9.9.9", "\"".repeat(1 << 20)] {
        assert_eq!(caller(&key, "10.0.0.1", &[&long]), "10.0.0.1");
        let line = format!("9.9.9.9,{long},1.1.1.1");
        assert_eq!(caller(&key, "10.0.0.1", &[&line]), "1.1.1.1");
    }
}

/// Whatever HTTP lets into the value of a header.
fn forged() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..60).prop_map(|mut bytes| {
        bytes.retain(|&byte| HeaderValue::from_bytes(&[byte]).is_ok());
        bytes
    })
}

proptest! {
    // S-RATE-10, T2
    #[test]
    fn nothing_left_of_the_trusted_part_is_the_key(
        forged in proptest::collection::vec(forged(), 0..4),
        tricky in "([\"\\\\, ;]|for=|9\\.9\\.9\\.9|192\\.0\\.2\\.7|10\\.0\\.0\\.9|::1|\\[|\\])*",
        caller in any::<u32>(),
        inner in 1..4_u8,
        own_lines in any::<bool>(),
        standard in any::<bool>(),
    ) {
        // A public address, so that no network of the proxies holds it.
        let caller = IpAddr::V4((0x5000_0000 | caller >> 4).into());
        let entry = |ip: &str| if standard { format!("for={ip};host=\"a,b\"") } else { ip.into() };
        let mut trusted = vec![entry(&caller.to_string())];
        trusted.extend((1..inner).map(|n| entry(&format!("10.0.0.{n}"))));
        let mut lines = forged;
        let last = tricky + ",";
        if own_lines {
            lines.push(last.into_bytes());
            lines.extend(trusted.into_iter().map(String::into_bytes));
        } else {
            lines.push((last + &trusted.join(", ")).into_bytes());
        }
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        let name = if standard { "forwarded" } else { XFF };
        let request = request("10.0.0.200", name, &lines);
        for proxy in [TrustedProxy::hops(inner), cidrs(&["10.0.0.0/8"])] {
            let proxy = if standard { proxy.header_forwarded() } else { proxy };
            prop_assert_eq!(peer().behind(proxy).key(&request), Some(caller));
        }
    }
}
