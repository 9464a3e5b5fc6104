//! How long a caller waits, as headers spell it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::deadline::{GRPC_TIMEOUT, X_TIMEOUT_MS, grpc_timeout_of};
use crate::grpc;
use crate::retry_after::delta_seconds;

/// `x-timeout-ms`: one that is there twice, or is no number, is as if it were absent.
pub(super) fn timeout_ms_of(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all(X_TIMEOUT_MS).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    delta_seconds(value.as_bytes().trim_ascii()).map(Duration::from_millis)
}

/// What the header says that the protocol of the request has.
pub(crate) fn own(headers: &HeaderMap) -> Option<Duration> {
    if grpc::is_grpc(headers) { grpc_timeout_of(headers) } else { timeout_ms_of(headers) }
}

/// Writes that header. Rounded down, since a callee must not work longer than somebody waits; but
/// zero is only said where no time is left.
pub(crate) fn write(headers: &mut HeaderMap, left: Duration) {
    let (name, value) = if grpc::is_grpc(headers) {
        (GRPC_TIMEOUT, grpc_value(left))
    } else {
        let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let floor = u64::from(!left.is_zero());
        (X_TIMEOUT_MS, Some(HeaderValue::from(millis.max(floor))))
    };
    if let Some(value) = value {
        // It fails where there are thousands of headers already, of which no server takes as many.
        let _ = headers.try_insert(name, value);
    }
}

/// In the finest unit of which eight digits are enough.
fn grpc_value(left: Duration) -> Option<HeaderValue> {
    const MOST: u128 = 99_999_999;
    const UNITS: [(u128, char); 6] = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
        (3_600_000_000_000, 'H'),
    ];

    let nanos = left.as_nanos();
    let fits = UNITS.into_iter().find(|(unit, _)| nanos / unit <= MOST);
    let text = fits
        .map_or_else(|| format!("{MOST}H"), |(unit, letter)| format!("{}{letter}", nanos / unit));
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use proptest::prelude::{any, proptest};

    use super::*;

    fn written(grpc: bool, left: Duration) -> (String, Option<Duration>) {
        let mut headers = HeaderMap::new();
        if grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        }
        write(&mut headers, left);
        let name = if grpc { GRPC_TIMEOUT } else { X_TIMEOUT_MS };
        (headers[name].to_str().expect("a text").to_owned(), own(&headers))
    }

    #[test]
    fn grpc_gets_eight_digits_of_the_finest_unit_that_fits() {
        for (left, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(1), "1n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_millis(1_500), "1500000u"),
            (Duration::from_millis(100_000), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(100_000_059), "1666667M"),
            (Duration::from_secs(6_000_000_000), "1666666H"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(written(true, left).0, text, "{left:?}");
        }
    }

    #[test]
    fn http_gets_whole_milliseconds() {
        for (left, text) in [
            (Duration::ZERO, "0"),
            (Duration::from_nanos(1), "1"),
            (Duration::from_micros(1_999), "1"),
            (Duration::from_secs(30), "30000"),
            (Duration::MAX, "18446744073709551615"),
        ] {
            assert_eq!(written(false, left).0, text, "{left:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_never_more_than_was_left_but_for_a_unit(nanos in any::<u64>(), grpc in any::<bool>()) {
            let left = Duration::from_nanos(nanos);
            let read = written(grpc, left).1.expect("it can be read");
            assert!(read <= left.max(Duration::from_millis(1)));
            assert_eq!(read.is_zero(), left.is_zero());
        }
    }
}
