//! The urgency in the header `priority` (RFC 9218), which is a dictionary of RFC 9651.

use breaker_core::Priority;
use http::{HeaderMap, HeaderName};

const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// More than a browser or a server sends; a header with more lines or bytes is not looked at.
const MAX_LINES: usize = 4;
const MAX_LEN: usize = 256;

/// The priority that the urgency stands for. Where there is none, or one that is malformed or out
/// of range, it is as if the header were absent.
pub(super) fn in_headers(headers: &HeaderMap) -> Option<Priority> {
    let mut urgency = None;
    for (index, line) in headers.get_all(PRIORITY).into_iter().enumerate() {
        if index == MAX_LINES || line.len() > MAX_LEN {
            return None;
        }
        // The last of equal members counts, in all lines.
        urgency = members(line.as_bytes()).filter_map(urgency_in).last().or(urgency);
    }
    priority(integer(urgency?)?)
}

const fn priority(urgency: u8) -> Option<Priority> {
    Some(match urgency {
        0 => Priority::CRITICAL,
        1 | 2 => Priority::HIGH,
        3 => Priority::NORMAL,
        4 | 5 => Priority::LOW,
        6 | 7 => Priority::BULK,
        _ => return None,
    })
}

/// The texts between commas that are in no string.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => (),
        }
        false
    })
}

/// The value of `u`, without parameters; empty where it is malformed. `None` for another member.
fn urgency_in(member: &[u8]) -> Option<&[u8]> {
    let rest = member.trim_ascii().strip_prefix(b"u")?;
    match rest.first() {
        Some(b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*') => None,
        Some(b'=') => rest[1..].split(|&byte| byte == b';').next(),
        // Without a value it means "true", which is no urgency.
        _ => Some(b""),
    }
}

/// An Integer of RFC 9651, as far as it has one digit that is not a leading zero.
fn integer(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !matches!(digits.len(), 1..=15) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (last, zeros) = digits.split_last()?;
    let number = zeros.iter().all(|&zero| zero == b'0').then_some(last - b'0')?;
    // There is a negative zero, and it is zero.
    (digits.len() == text.len() || number == 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(lines: &[&[u8]]) -> Option<Priority> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PRIORITY, HeaderValue::from_bytes(line).expect("a header value"));
        }
        in_headers(&headers)
    }

    // S-PRIO-01
    #[test]
    fn each_urgency_has_its_priority() {
        for (urgency, level) in [100, 75, 75, 50, 25, 25, 0, 0].into_iter().enumerate() {
            let line = format!("u={urgency}");
            assert_eq!(read(&[line.as_bytes()]), Some(Priority::new(level)), "{line}");
        }
    }

    // S-PRIO-01
    #[test]
    fn what_else_is_in_the_dictionary_does_not_matter() {
        for line in [
            "u=1, i",
            "i,u=1",
            "  i=?0 ,\tu=1\t",
            "u=1;x=5;y",
            "a=\"u=7, u=7\", u=1",
            "a=\"\\\", u=7\", u=1",
            "a=(1 2 \",\");p, u=1, ux=7, u2=7, u-=7, u.x, U=7",
            "u=7, u=1",
            "u=9, u=1",
            "u=01",
            "%%, ,u=1",
        ] {
            assert_eq!(read(&[line.as_bytes()]), Some(Priority::HIGH), "{line}");
        }
        assert_eq!(read(&[b"u=7", b"i", b"u=1", b"x=\xff"]), Some(Priority::HIGH));
        assert_eq!(read(&[b"u=-0"]), Some(Priority::CRITICAL));
    }

    // S-PRIO-01
    #[test]
    fn an_urgency_that_is_none_is_absent() {
        for line in [
            "",
            "i",
            "u",
            "u;x",
            "u=",
            "u=8",
            "u=-1",
            "u=10",
            "u=1.0",
            "u=\"1\"",
            "u=?1",
            "u=(1)",
            "u =1",
            "u= 1",
            "u=1 ;x",
            "U=1",
            "u=+1",
            "u=0x1",
            "u=1, u",
            "u=1, u=8",
            "a=\"b, u=1",
            "u=0000000000000001",
            "u=1u",
        ] {
            assert_eq!(read(&[line.as_bytes()]), None, "{line:?}");
        }
        assert_eq!(read(&["u=٣".as_bytes()]), None);
        assert_eq!(read(&[]), None);
    }

    // S-PRIO-01
    #[test]
    fn headers_of_any_size_cost_no_more_than_small_ones() {
        let long = format!("u=1{}", " ".repeat(253));
        assert_eq!(read(&[long.as_bytes()]), Some(Priority::HIGH));
        assert_eq!(read(&[format!("{long} ").as_bytes()]), None);
        assert_eq!(read(&["u=1,".repeat(1 << 18).as_bytes()]), None);
        assert_eq!(read(&[&b"u=1"[..]; 4]), Some(Priority::HIGH));
        assert_eq!(read(&[&b"u=1"[..]; 5]), None);
        assert_eq!(read(&[&b"u=1"[..]; 10_000]), None);
    }
}
