//! The error details of gRPC: `google.rpc.Status` with RetryInfo, QuotaFailure and ErrorInfo.

use std::time::Duration;

use crate::wire::{Fields, Message, Value};

/// What a status says beyond its code, as far as a classifier wants to know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Hints {
    /// RetryInfo is there, with or without a readable wait.
    pub(crate) retry_info: bool,
    /// The wait in RetryInfo.
    pub(crate) retry_delay: Option<Duration>,
    /// QuotaFailure is there.
    pub(crate) quota_failure: bool,
}

impl Hints {
    /// Reads an encoded `google.rpc.Status`; of bytes that are none, what could be read.
    pub(crate) fn read(status: &[u8]) -> Self {
        let mut hints = Self::default();
        for (type_url, value) in messages(status, 3).map(any) {
            // The host before the slash is free to choose.
            match type_url.rsplit(|&byte| byte == b'/').next() {
                Some(b"google.rpc.RetryInfo") => {
                    hints.retry_info = true;
                    hints.retry_delay = messages(value, 1).next().and_then(duration);
                }
                Some(b"google.rpc.QuotaFailure") => hints.quota_failure = true,
                _ => (),
            }
        }
        hints
    }
}

/// What a refusal says in its `google.rpc.Status`.
pub(crate) struct Details<'a> {
    pub(crate) code: u8,
    pub(crate) message: &'a str,
    pub(crate) retry_delay: Option<Duration>,
    pub(crate) violation: Option<Violation<'a>>,
    pub(crate) reason: &'a str,
    pub(crate) policy: Option<&'a str>,
    pub(crate) priority: Option<&'a str>,
}

/// Which quota is used up.
#[derive(Clone, Copy)]
pub(crate) struct Violation<'a> {
    pub(crate) subject: &'a str,
    pub(crate) description: &'a str,
}

impl Details<'_> {
    /// An encoded `google.rpc.Status`, byte for byte as other encoders write it.
    pub(crate) fn encode(&self) -> Message {
        // google.protobuf.Duration ends at ten thousand years.
        const LONGEST: Duration = Duration::new(315_576_000_000, 999_999_999);

        let mut status = Message::default().number(1, u64::from(self.code)).text(2, self.message);
        if let Some(delay) = self.retry_delay {
            let delay = delay.min(LONGEST);
            let duration = Message::default()
                .number(1, delay.as_secs())
                .number(2, u64::from(delay.subsec_nanos()));
            let info = Message::default().message(1, &duration);
            status = status.any(3, "type.googleapis.com/google.rpc.RetryInfo", &info);
        }
        if let Some(Violation { subject, description }) = self.violation {
            let violation = Message::default().text(1, subject).text(2, description);
            let failure = Message::default().message(1, &violation);
            status = status.any(3, "type.googleapis.com/google.rpc.QuotaFailure", &failure);
        }
        let mut info = Message::default().text(1, self.reason).text(2, "portcullis");
        for (name, value) in [("policy", self.policy), ("priority", self.priority)] {
            if let Some(value) = value {
                info = info.message(3, &Message::default().text(1, name).text(2, value));
            }
        }
        status.any(3, "type.googleapis.com/google.rpc.ErrorInfo", &info)
    }
}

/// The message or text fields with this number.
fn messages(bytes: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    Fields(bytes).filter_map(move |field| match field {
        (found, Value::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

fn any(bytes: &[u8]) -> (&[u8], &[u8]) {
    (messages(bytes, 1).last().unwrap_or_default(), messages(bytes, 2).last().unwrap_or_default())
}

/// `None` for a negative duration, which is no wait that one could keep.
fn duration(bytes: &[u8]) -> Option<Duration> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields(bytes) {
        match field {
            (1, Value::Number(value)) => seconds = value,
            (2, Value::Number(value)) => nanos = value,
            _ => (),
        }
    }
    // Negative numbers come as their two's complement.
    let seconds = u64::try_from(seconds as i64).ok()?;
    let nanos = u32::try_from(nanos as i64).ok()?;
    Some(Duration::new(seconds, nanos.min(999_999_999)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Details<'_> = Details {
        code: 14,
        message: "m",
        retry_delay: Some(Duration::from_millis(3_870)),
        violation: None,
        reason: "CIRCUIT_OPEN",
        policy: None,
        priority: None,
    };

    // S-CORE-09
    #[test]
    fn the_status_is_written_byte_for_byte() {
        let mut expected = vec![0x08, 14, 0x12, 1, b'm', 0x1a, 54, 0x0a, 40];
        expected.extend(b"type.googleapis.com/google.rpc.RetryInfo");
        expected.extend([0x12, 10, 0x0a, 8, 0x08, 3, 0x10, 0x80, 0xcb, 0xec, 0x9e, 0x03]);
        expected.extend([0x1a, 70, 0x0a, 40]);
        expected.extend(b"type.googleapis.com/google.rpc.ErrorInfo");
        expected.extend([0x12, 26, 0x0a, 12]);
        expected.extend(b"CIRCUIT_OPEN");
        expected.extend([0x12, 10]);
        expected.extend(b"portcullis");
        assert_eq!(FULL.encode().as_bytes(), expected);
    }

    // S-RATE-09
    #[test]
    fn a_quota_failure_is_written_byte_for_byte() {
        let violation = Some(Violation { subject: "per-client", description: "gone" });
        let details = Details { code: 8, retry_delay: None, violation, reason: "R", ..FULL };
        let mut expected = vec![0x08, 8, 0x12, 1, b'm', 0x1a, 67, 0x0a, 43];
        expected.extend(b"type.googleapis.com/google.rpc.QuotaFailure");
        expected.extend([0x12, 20, 0x0a, 18, 0x0a, 10]);
        expected.extend(b"per-client");
        expected.extend([0x12, 4]);
        expected.extend(b"gone");
        assert_eq!(details.encode().as_bytes()[..expected.len()], expected);
        let hints = Hints { quota_failure: true, ..Hints::default() };
        assert_eq!(Hints::read(details.encode().as_bytes()), hints);
    }

    // S-PRIO-01
    #[test]
    fn what_the_answer_is_about_is_written_byte_for_byte() {
        let details = Details { policy: Some("search"), priority: Some("low"), ..FULL };
        let mut expected = vec![0x1a, 16, 0x0a, 6];
        expected.extend(b"policy");
        expected.extend([0x12, 6]);
        expected.extend(b"search");
        expected.extend([0x1a, 15, 0x0a, 8]);
        expected.extend(b"priority");
        expected.extend([0x12, 3]);
        expected.extend(b"low");
        assert!(details.encode().as_bytes().ends_with(&expected));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let read = |details: Details<'_>| Hints::read(details.encode().as_bytes());
        let delay = Some(Duration::from_millis(3_870));
        let hints = Hints { retry_info: true, retry_delay: delay, quota_failure: false };
        assert_eq!(read(FULL), hints);
        assert_eq!(read(Details { policy: Some("payments"), ..FULL }), hints);
        assert_eq!(read(Details { retry_delay: None, ..FULL }), Hints::default());
        let zero = Some(Duration::ZERO);
        assert_eq!(read(Details { retry_delay: zero, ..FULL }).retry_delay, zero);
        let endless =
            Hints::read(Details { retry_delay: Some(Duration::MAX), ..FULL }.encode().as_bytes());
        assert_eq!(endless.retry_delay.map(|wait| wait.as_secs()), Some(315_576_000_000));
    }

    #[test]
    fn quota_failures_and_negative_waits_are_recognised() {
        let quota =
            Message::default().any(3, "x.example/google.rpc.QuotaFailure", &Message::default());
        assert!(Hints::read(quota.as_bytes()).quota_failure);
        let wait = Message::default().number(1, (-5_i64) as u64);
        let info = Message::default().message(1, &wait);
        let status = Message::default().any(3, "/google.rpc.RetryInfo", &info);
        let expected = Hints { retry_info: true, retry_delay: None, quota_failure: false };
        assert_eq!(Hints::read(status.as_bytes()), expected);
        assert_eq!(Hints::read(b"no protocol buffer"), Hints::default());
    }
}
