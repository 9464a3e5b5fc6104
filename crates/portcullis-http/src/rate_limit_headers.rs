//! The state of a quota in the headers of an answer: [`RateLimitHeaders`].

use std::fmt::{self, Write as _};
use std::time::Duration;

use breaker_core::{Name, Quota, Rejected};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::terms::terms;
use crate::{Announce, answer, grpc};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(crate) const STATE: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(crate) const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub(crate) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How callers are told about their quota, in the headers of HTTP; gRPC answers get none.
///
/// The fields are those of draft-ietf-httpapi-ratelimit-headers-10:
///
/// ```text
/// RateLimit-Policy: "per-client";q=100;w=60
/// RateLimit: "per-client";r=0;t=12
/// ```
///
/// `q` calls are granted in a window of `w` seconds, and `r` of them are left. Of a refused call,
/// `t` says the same as `Retry-After`: when it will be admitted; it is left out where it never
/// will be. Of an admitted one, `t` says when all of the quota is back. Seconds are rounded up,
/// and `w` is at least one: ten calls in 100 ms are written `q=10;w=1`. In names, what is not
/// visible ASCII becomes "-".
///
/// Both fields tell how much there is. By default only refused callers learn it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimitHeaders {
    draft10: bool,
    legacy: bool,
    every_answer: bool,
}

impl RateLimitHeaders {
    /// The two fields of the draft: what a refusal has by itself.
    #[must_use]
    pub const fn draft10() -> Self {
        Self { draft10: true, legacy: false, every_answer: false }
    }

    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, the last one in
    /// seconds from now. They have no names: of several limits only the one with the fewest calls
    /// left is shown.
    #[must_use]
    pub const fn legacy() -> Self {
        Self { draft10: false, legacy: true, every_answer: false }
    }

    /// The same, and those of [`legacy`](Self::legacy) as well.
    #[must_use]
    pub const fn and_legacy(mut self) -> Self {
        self.legacy = true;
        self
    }

    /// The same, on the answers of admitted calls as well. Each limit on the way adds an entry of
    /// its own.
    #[must_use]
    pub const fn on_every_answer(mut self) -> Self {
        self.every_answer = true;
        self
    }

    /// Adds to what is there: a quota further in may have spoken.
    fn write(self, headers: &mut HeaderMap, name: &Name, quota: &Quota, reset: Option<u64>) {
        if self.draft10 {
            let window = seconds(quota.window()).max(1);
            append(headers, POLICY, format!("{};q={};w={window}", SfString(name), quota.limit()));
            let mut state = format!("{};r={}", SfString(name), quota.remaining());
            if let Some(reset) = reset {
                // Writing to a string does not fail.
                let _ = write!(state, ";t={}", reset.min(LARGEST));
            }
            append(headers, STATE, state);
        }
        if self.legacy && !fewer_are_left(headers, quota.remaining()) {
            insert(headers, LIMIT, Some(quota.limit().into()));
            insert(headers, REMAINING, Some(quota.remaining().into()));
            insert(headers, RESET, reset);
        }
    }
}

impl<B> Announce<Response<B>> for RateLimitHeaders {
    fn refused(&self, response: &mut Response<B>, rejected: &Rejected) {
        if !grpc::is_grpc(response.headers()) {
            for name in [POLICY, STATE, LIMIT, REMAINING, RESET] {
                response.headers_mut().remove(name);
            }
            refused(*self, response.headers_mut(), rejected);
        }
    }

    fn admitted(&self, response: &mut Response<B>, name: &Name, quota: &Quota) {
        if self.every_answer && !grpc::is_grpc(response.headers()) {
            self.write(response.headers_mut(), name, quota, Some(seconds(quota.reset())));
        }
    }

    fn wants_admitted(&self) -> bool {
        self.every_answer
    }
}

/// What a refusal says of a quota, if one is behind it.
pub(crate) fn refused(style: RateLimitHeaders, headers: &mut HeaderMap, rejected: &Rejected) {
    let exceeded = terms(rejected.reason()).quota;
    if let Some(quota) = rejected.quota().filter(|_| exceeded) {
        let wait = answer::retry_after_secs(rejected);
        style.write(headers, rejected.by(), &quota, wait);
    }
}

/// A name as the fields can show it.
pub(crate) fn shown(name: &Name) -> String {
    name.chars().map(visible).collect()
}

const fn visible(letter: char) -> char {
    if matches!(letter, ' '..='~') { letter } else { '-' }
}

/// The largest integer of structured fields (RFC 9651, 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// Rounded up: who comes back at that time must not be too early.
const fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add((time.subsec_nanos() > 0) as u64)
}

/// Writes a String of structured fields (RFC 9651, 3.3.3).
struct SfString<'n>(&'n str);

impl fmt::Display for SfString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars().map(visible) {
            if matches!(letter, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(letter)?;
        }
        f.write_char('"')
    }
}

fn fewer_are_left(headers: &HeaderMap, remaining: u32) -> bool {
    let there = headers.get(REMAINING).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    there.is_some_and(|there| there <= remaining.into())
}

// The handler fills the map before us: a full one keeps what it has, where `append` would panic.

fn append(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        let _ = headers.try_append(name, value);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<u64>) {
    match value {
        Some(value) => drop(headers.try_insert(name, HeaderValue::from(value))),
        None => drop(headers.remove(name)),
    }
}
