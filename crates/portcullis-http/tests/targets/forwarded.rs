//! Any bytes as the headers that a caller sends through proxies: nobody names his own address.

use std::net::{IpAddr, SocketAddr};

use breaker_core::Key;
use http::{HeaderName, HeaderValue, Request};
use portcullis_http::key::{TrustedProxy, peer};

/// Whom the proxies had the request from.
const CALLER: &str = "192.0.2.7";

const STRANGER: &str = "198.51.100.1";

/// A network of proxies, and two that stand in it.
const PROXIES: &str = "10.0.0.0/8";
const NEAR: &str = "10.0.0.1";
const FAR: &str = "10.0.0.2";

/// How many lines a header can have of them. The first byte says by which header, and how often a
/// proxy begins a line of its own.
pub(crate) fn run(bytes: &[u8]) -> usize {
    let Some((&kind, sent)) = bytes.split_first() else { return 0 };
    let (forwarded, apart) = (kind & 1 > 0, kind & 2 > 0);
    let lines: Vec<_> = sent.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let proxies = || TrustedProxy::cidrs([PROXIES]).expect("a network");

    let whole = |proxy: TrustedProxy, peer: &str, lines: &[Vec<u8>]| {
        let proxy = if forwarded { proxy.header_forwarded() } else { proxy };
        caller(proxy, forwarded, peer, lines)
    };
    // A stranger who comes by himself is not believed.
    assert_eq!(whole(proxies(), STRANGER, &lines), ip(STRANGER), "a stranger was believed");

    // What proxies append is what counts, whatever stands before it.
    let one = appended(&lines, forwarded, apart, &[CALLER]);
    let two = appended(&lines, forwarded, apart, &[CALLER, FAR]);
    for (proxy, lines) in [
        (proxies(), &one),
        (proxies(), &two),
        (TrustedProxy::hops(1), &one),
        (TrustedProxy::hops(2), &two),
    ] {
        assert_eq!(whole(proxy, NEAR, lines), ip(CALLER), "the caller has made up an address");
    }

    // All of it as if proxies had written it: no further than their entries go.
    for (proxy, hops) in [(proxies().at_most(3), 3), (TrustedProxy::hops(2), 2)] {
        let only_proxies = hops == 3;
        let found = whole(proxy, NEAR, &lines);
        if !forwarded && !sent.contains(&b'"') {
            let known = trusted(&lines, hops, only_proxies);
            assert!(known.contains(&found), "{found} is left of the trusted part: {known:?}");
        }
    }
    lines.len()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn caller(proxy: TrustedProxy, forwarded: bool, from: &str, lines: &[Vec<u8>]) -> IpAddr {
    let name = if forwarded { "forwarded" } else { "x-forwarded-for" };
    let mut request = Request::new(());
    request.extensions_mut().insert(SocketAddr::new(ip(from), 4711));
    // What is no header value does not get through any server.
    for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    peer().ipv6_prefix(128).behind(proxy).key(&request).expect("a connection has an address")
}

/// The lines with what proxies append to them.
fn appended(lines: &[Vec<u8>], forwarded: bool, apart: bool, by: &[&str]) -> Vec<Vec<u8>> {
    let fits = |line: &&Vec<u8>| HeaderValue::from_bytes(line).is_ok();
    let mut lines: Vec<_> = lines.iter().filter(fits).cloned().collect();
    for address in by {
        let entry = if forwarded { format!("for={address}") } else { (*address).to_owned() };
        match lines.last_mut().filter(|_| !apart) {
            Some(last) => last.extend_from_slice(format!(", {entry}").as_bytes()),
            None => lines.push(entry.into_bytes()),
        }
    }
    lines
}

/// The address of the connection, and those that may be believed behind it: read in the plainest
/// way, which takes more for an address than there is.
fn trusted(lines: &[Vec<u8>], hops: usize, only_proxies: bool) -> Vec<IpAddr> {
    let fits = |line: &&Vec<u8>| HeaderValue::from_bytes(line).is_ok();
    let text = |line: &Vec<u8>| String::from_utf8_lossy(line).into_owned();
    let lines: Vec<String> = lines.iter().filter(fits).map(text).collect();
    let entries = lines.iter().rev().flat_map(|line| line.rsplit(','));
    let mut known = vec![ip(NEAR)];
    for entry in entries.take(hops) {
        let last = known[known.len() - 1];
        let is_proxy = matches!(last, IpAddr::V4(address) if address.octets()[0] == 10);
        let Some(address) = plain(entry).filter(|_| is_proxy || !only_proxies) else { break };
        known.push(address);
    }
    known
}

/// Without port, brackets and zone.
fn plain(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_ascii();
    let address = match entry.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if entry.matches(':').count() > 1 => entry,
        None => entry.split(':').next()?,
    };
    Some(address.split('%').next()?.parse::<IpAddr>().ok()?.to_canonical())
}
