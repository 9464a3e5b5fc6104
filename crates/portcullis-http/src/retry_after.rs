//! How long a callee asks to be left alone.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use crate::date;

/// The longest wait that is believed: one hour.
///
/// The value comes from outside; without a bound one wrong header would shut a callee off for
/// years.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Reads `Retry-After`, as seconds or as an HTTP date, capped at [`MAX_RETRY_AFTER`].
///
/// A date is compared with the `Date` of the same answer, not with the clock of this machine:
/// both were written by one clock, so it does not matter that the two machines disagree. Without
/// a readable `Date` the wait is unknown; a date that has passed is a wait of zero.
///
/// ```
/// # use std::time::Duration;
/// let mut headers = http::HeaderMap::new();
/// headers.insert("retry-after", "7".parse().unwrap());
/// assert_eq!(portcullis_http::retry_after(&headers), Some(Duration::from_secs(7)));
/// ```
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.as_bytes().trim_ascii();
    let seconds = match delta_seconds(value) {
        Some(seconds) => seconds,
        None => {
            let until = date::parse(value)?;
            let sent = date::parse(headers.get(DATE)?.as_bytes().trim_ascii())?;
            until.saturating_sub(sent)
        }
    };
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// Digits only; saturates, since a number too long to read is a long wait.
pub(crate) fn delta_seconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::{any, proptest};

    use super::*;

    fn headers(retry_after: &[u8], date: Option<&[u8]>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(retry_after) {
            headers.insert(RETRY_AFTER, value);
        }
        if let Some(Ok(value)) = date.map(HeaderValue::from_bytes) {
            headers.insert(DATE, value);
        }
        headers
    }

    fn read(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let headers = headers(retry_after.as_bytes(), date.map(str::as_bytes));
        super::retry_after(&headers).map(|wait| wait.as_secs())
    }

    // S-CORE-08
    #[test]
    fn seconds_are_read_and_capped() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1 s", None),
            ("soon", None),
        ] {
            assert_eq!(read(text, None), expected, "{text:?}");
        }
        assert_eq!(super::retry_after(&HeaderMap::new()), None);
    }

    // S-CORE-08
    #[test]
    fn a_date_is_compared_with_the_date_of_the_answer() {
        let sent = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", sent), Some(30));
        assert_eq!(read("Sunday, 06-Nov-94 08:49:38 GMT", sent), Some(1));
        assert_eq!(read("Sun Nov  6 08:49:37 1994", sent), Some(0));
        assert_eq!(read("Sat, 05 Nov 1994 08:49:37 GMT", sent), Some(0));
        assert_eq!(read("Wed, 06 Nov 2024 08:49:37 GMT", sent), Some(3600));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", Some("today")), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_exceed_the_cap(
            value in proptest::collection::vec(any::<u8>(), 0..64),
            date in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64)),
        ) {
            let wait = super::retry_after(&headers(&value, date.as_deref()));
            assert!(wait.is_none_or(|wait| wait <= MAX_RETRY_AFTER));
        }

        #[test]
        fn nothing_that_looks_like_a_date_makes_the_reader_panic(
            value in "[SMTW][a-z]{0,8},? ?[0-9]{0,5}[- ]?[A-Z][a-z]{2}[- ]?[0-9]{0,6} [0-9:]{0,9}( GMT)?",
        ) {
            let now = b"Sun, 06 Nov 1994 08:49:37 GMT";
            let wait = super::retry_after(&headers(value.as_bytes(), Some(now)));
            assert!(wait.is_none_or(|wait| wait <= MAX_RETRY_AFTER));
            let _ = super::retry_after(&headers(now, Some(value.as_bytes())));
        }
    }
}
