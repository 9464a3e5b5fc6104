//! Reads the entries of `X-Forwarded-For` and `Forwarded`, from the right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;

/// The longest entry that is looked at, spaces included; a longer one is no address.
const MAX_LEN: usize = 512;

/// The entries of a line, the last one first.
///
/// From the right, since only that end was written by proxies of ours: what a caller sends cannot
/// move the borders of the entries that were appended to it. The last entry that is given may be a
/// text that is too long to be one: it ends the walk, and nothing left of it is looked at.
pub(super) fn from_right(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let comma = last_comma(line);
        rest = comma.map(|comma| &line[..comma]);
        Some(&line[comma.map_or(0, |comma| comma + 1)..])
    })
}

/// The last comma that is in no quotes.
fn last_comma(line: &[u8]) -> Option<usize> {
    // Room for the longest entry and its comma.
    let from = line.len().saturating_sub(MAX_LEN + 1);
    let mut quoted = false;
    for (index, byte) in line.iter().enumerate().skip(from).rev() {
        match byte {
            b',' if !quoted => return Some(index),
            // Within quotes, what a backslash precedes is escaped: no string begins behind one.
            b'"' if !(quoted && line[..index].ends_with(b"\\")) => quoted = !quoted,
            _ => (),
        }
    }
    None
}

/// The address in an element of `Forwarded` (RFC 7239, section 4).
pub(super) fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = Some(within_bound(element)?);
    while let Some(pairs) = rest {
        let (pair, more) = split_pair(pairs);
        rest = more;
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        if name.trim_ascii().eq_ignore_ascii_case("for") {
            let node = address(unquoted(value.trim_ascii())?.as_bytes())?;
            // Two of them contradict each other.
            if found.replace(node).is_some() {
                return None;
            }
        }
    }
    found
}

/// Splits at the first semicolon that is in no quotes.
fn split_pair(text: &str) -> (&str, Option<&str>) {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b';' if !quoted => return (&text[..index], Some(&text[index + 1..])),
            _ => (),
        }
    }
    (text, None)
}

/// No address has anything to escape, so nothing is unescaped.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// An address, perhaps with a port; one of IPv6 perhaps in brackets or with a zone.
pub(super) fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = within_bound(entry)?;
    if let Some(rest) = entry.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return is_port_or_nothing(rest).then_some(IpAddr::V6(ipv6(address)?));
    }
    if let Some(address) = ipv6(entry) {
        return Some(IpAddr::V6(address));
    }
    let (address, rest) = entry.split_at(entry.find(':').unwrap_or(entry.len()));
    let address: Ipv4Addr = address.parse().ok()?;
    is_port_or_nothing(rest).then_some(IpAddr::V4(address))
}

fn ipv6(text: &str) -> Option<Ipv6Addr> {
    match text.split_once('%') {
        Some((_, "")) => None,
        Some((address, _zone)) => address.parse().ok(),
        None => text.parse().ok(),
    }
}

/// `:80`, or a made-up name for a port, such as `:_p`.
fn is_port_or_nothing(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    let number = matches!(port.len(), 1..=5) && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_hidden = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let hidden = port.strip_prefix('_').is_some_and(|name| !name.is_empty());
    number || hidden && port.bytes().all(is_hidden)
}

fn within_bound(entry: &[u8]) -> Option<&str> {
    if entry.len() > MAX_LEN { None } else { str::from_utf8(entry.trim_ascii()).ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    // S-RATE-10
    #[test]
    fn addresses_are_read_with_and_without_their_trimmings() {
        for (entry, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7\t", "192.0.2.7"),
            ("192.0.2.7:80", "192.0.2.7"),
            ("192.0.2.7:_p-1.x", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:65535", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ] {
            assert_eq!(address(entry.as_bytes()), ip(expected), "{entry}");
        }
    }

    // S-RATE-10
    #[test]
    fn what_is_no_address_is_not_guessed_at() {
        for entry in [
            "",
            " ",
            "unknown",
            "_hidden",
            "localhost",
            "192.0.2",
            "192.0.2.07",
            "192.0.2.7:",
            "192.0.2.7:_",
            "192.0.2.7:_a b",
            "192.0.2.7:123456",
            "192.0.2.7:+1",
            "192.0.2.7:80:80",
            "192.0.2.7 192.0.2.8",
            "192.0.2.7%eth0",
            "[192.0.2.7]",
            "[2001:db8::1",
            "[2001:db8::1]80",
            "2001:db8::1]",
            "fe80::1%",
            "\"192.0.2.7\"",
            "http://192.0.2.7",
            "192.0.2.\u{ff17}",
        ] {
            assert_eq!(address(entry.as_bytes()), None, "{entry:?}");
        }
        assert_eq!(address(b"192.0.2.7\xff"), None);
        let padded = format!("{}192.0.2.7", " ".repeat(MAX_LEN));
        assert_eq!(address(padded.as_bytes()), None);
    }

    // S-RATE-10: the examples of RFC 7239 among them.
    #[test]
    fn an_element_of_forwarded_names_one_address_or_none() {
        for (element, expected) in [
            ("for=192.0.2.43", ip("192.0.2.43")),
            ("For=\"[2001:db8:cafe::17]:4711\"", ip("2001:db8:cafe::17")),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", ip("192.0.2.60")),
            ("by=203.0.113.43 ; FOR = 192.0.2.60", ip("192.0.2.60")),
            (";;for=192.0.2.60;", ip("192.0.2.60")),
            ("host=\"a;for=192.0.2.1\";for=192.0.2.2", ip("192.0.2.2")),
            ("host=\"a\\\";for=192.0.2.1\";for=192.0.2.2", ip("192.0.2.2")),
            ("for=\"_gazonk\"", None),
            ("for=unknown", None),
            ("for=\"192.0.2.7", None),
            ("for=\"192.0.2.\\7\"", None),
            ("for=", None),
            ("for", None),
            ("by=192.0.2.7", None),
            ("192.0.2.7", None),
            ("", None),
            ("for=192.0.2.1;for=192.0.2.2", None),
            ("for=192.0.2.1;garbage", None),
        ] {
            assert_eq!(forwarded_for(element.as_bytes()), expected, "{element}");
        }
    }

    #[test]
    fn entries_come_from_the_right_and_quotes_hide_their_commas() {
        for (line, expected) in [
            ("", &[""][..]),
            ("a", &["a"]),
            ("a,b,,c,", &["", "c", "", "b", "a"]),
            ("a,\"b,c\",d", &["d", "\"b,c\"", "a"]),
            ("a,\"b\\\",c\",d", &["d", "\"b\\\",c\"", "a"]),
            ("a,\"b\\\\\",c", &["c", "\"b\\\\\"", "a"]),
            // What was never closed does not reach what stands right of it.
            ("\"a,b", &["b", "\"a"]),
        ] {
            let entries: Vec<_> = from_right(line.as_bytes()).collect();
            let expected: Vec<_> = expected.iter().map(|entry| entry.as_bytes()).collect();
            assert_eq!(entries, expected, "{line}");
        }
    }

    #[test]
    fn the_longest_entry_is_read_and_a_longer_one_is_none() {
        let entry = |len: usize| format!("192.0.2.1,{:>len$}", "192.0.2.7");
        for (len, expected) in [(MAX_LEN, ip("192.0.2.7")), (MAX_LEN + 1, None)] {
            let line = entry(len);
            assert_eq!(from_right(line.as_bytes()).next().and_then(address), expected);
        }
    }

    proptest! {
        // T2
        #[test]
        fn no_bytes_make_the_reader_panic(line in proptest::collection::vec(any::<u8>(), 0..99)) {
            for entry in from_right(&line) {
                let _ = (address(entry), forwarded_for(entry));
            }
        }

        #[test]
        fn nothing_that_looks_like_an_element_makes_the_reader_panic(
            line in "([fF]or=|by=|;|,|\"|\\\\|=|\\[|\\]|%|::1|192\\.0\\.2\\.7|:80|é){0,20}",
        ) {
            for entry in from_right(line.as_bytes()) {
                let _ = (address(entry), forwarded_for(entry));
            }
        }
    }
}
