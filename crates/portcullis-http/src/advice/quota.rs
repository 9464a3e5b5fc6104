//! When a quota that is used up is back, from the headers of an answer.

use std::time::Duration;

use http::header::DATE;
use http::{HeaderMap, HeaderValue};

use crate::date;
use crate::rate_limit_headers::{REMAINING, RESET, STATE};
use crate::retry_after::delta_seconds;

/// So many lines of a header are looked at, and so much of each.
const MAX_LINES: usize = 8;
const MAX_LEN: usize = 1_024;

/// The wait for a quota that is used up: of `RateLimit`, else of `X-RateLimit-Reset`.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    in_draft(headers).or_else(|| in_legacy(headers)).map(Duration::from_secs)
}

/// Of several quotas that are used up, the one counts that is back last.
fn in_draft(headers: &HeaderMap) -> Option<u64> {
    let lines = headers.get_all(STATE).into_iter().take(MAX_LINES).map(HeaderValue::as_bytes);
    let members = lines.filter(|line| line.len() <= MAX_LEN).flat_map(|line| Split(line, b','));
    members.filter_map(exhausted).max()
}

/// The parameter `t` of a member of which nothing is left (`r=0`).
fn exhausted(member: &[u8]) -> Option<u64> {
    let (mut left, mut reset) = (None, None);
    for parameter in Split(member, b';').skip(1) {
        match parameter.trim_ascii_start() {
            [b'r', b'=', number @ ..] => left = integer(number),
            [b't', b'=', number @ ..] => reset = integer(number),
            _ => (),
        }
    }
    reset.filter(|_| left == Some(0))
}

/// Fifteen digits at most (RFC 9651, 3.3.1).
fn integer(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_end();
    if text.len() <= 15 { delta_seconds(text) } else { None }
}

/// Some send the seconds that are left, others a date in seconds since 1970; what is greater than
/// thirty years of seconds is a date. It is compared with the `Date` of the same answer.
fn in_legacy(headers: &HeaderMap) -> Option<u64> {
    const DATES: u64 = 1_000_000_000;

    let read = |value: &HeaderValue| delta_seconds(value.as_bytes().trim_ascii());
    if headers.get(REMAINING).is_some_and(|left| read(left) != Some(0)) {
        return None;
    }
    let reset = read(headers.get(RESET)?)?;
    if reset < DATES {
        return Some(reset);
    }
    let sent = date::parse(headers.get(DATE)?.as_bytes().trim_ascii())?;
    Some(reset.saturating_sub(sent))
}

/// The parts between these bytes, but for those within strings.
struct Split<'a>(&'a [u8], u8);

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.0.iter().position(|&byte| {
            let literal = escaped;
            escaped = quoted && !literal && byte == b'\\';
            if byte == b'"' && !literal {
                quoted = !quoted;
            }
            byte == self.1 && !quoted
        });
        let (part, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, &[][..]),
        };
        self.0 = rest;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::{any, proptest};

    use super::*;

    fn secs(pairs: &[(&'static str, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for &(name, value) in pairs {
            let value = HeaderValue::from_str(value).expect("a header value");
            headers.append(HeaderName::from_static(name), value);
        }
        wait(&headers).map(|wait| wait.as_secs())
    }

    // S-RETRY-02
    #[test]
    fn the_field_of_the_draft_tells_when_a_used_up_quota_is_back() {
        for (text, expected) in [
            (r#""a";r=0;t=12"#, Some(12)),
            (r#""a";r=0;t=12, "b";r=0;t=30, "c";r=5;t=99"#, Some(30)),
            (r#""a";t=12;r=0"#, Some(12)),
            (r#""a" ; r=0 ; t=7 "#, Some(7)),
            (r#""a;r=5, \";t=1";r=0;t=4"#, Some(4)),
            (r#""a";r=1;t=12"#, None),
            (r#""a";r=0"#, None),
            (r#""a";t=12"#, None),
            (r#""a";r=0;t=-1"#, None),
            (r#""a";r=0;t=1.5"#, None),
            (r#""a";r=0;t=1000000000000000"#, None),
            (r#""a";r=0;t=999999999999999"#, Some(999_999_999_999_999)),
            (r#""a;r=0;t=1"#, None),
            ("r=0;t=1", None),
            (",,;;=\"", None),
            ("", None),
        ] {
            assert_eq!(secs(&[("ratelimit", text)]), expected, "{text}");
        }
        assert_eq!(
            secs(&[("ratelimit", "\"a\";r=0;t=3"), ("ratelimit", "\"b\";r=0;t=9")]),
            Some(9)
        );
    }

    // S-RETRY-02
    #[test]
    fn the_old_fields_count_where_nothing_is_left() {
        let (left, reset) = ("x-ratelimit-remaining", "x-ratelimit-reset");
        let date = ("date", "Sun, 09 Sep 2001 01:46:50 GMT");
        assert_eq!(secs(&[(left, "0"), (reset, "30")]), Some(30));
        assert_eq!(secs(&[(reset, "30")]), Some(30));
        assert_eq!(secs(&[(left, "4"), (reset, "30")]), None);
        assert_eq!(secs(&[(left, "0"), (reset, "1000000040")]), None, "a date needs a date");
        assert_eq!(secs(&[(left, "0"), (reset, "1000000040"), date]), Some(30));
        assert_eq!(secs(&[(left, "0"), (reset, "1000000000"), date]), Some(0));
        assert_eq!(secs(&[(left, "0"), (reset, "soon"), date]), None);
        assert_eq!(secs(&[(left, "0"), (reset, "30"), ("ratelimit", "\"a\";r=0;t=3")]), Some(3));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let headers = [(STATE, value.clone()), (RESET, value)].into_iter().collect();
                let _ = wait(&headers);
            }
        }
    }
}
