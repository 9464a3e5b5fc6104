//! The Redis server, asked one thing: [`Store`].

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisError, Script};
use breaker_core::FailureKind;
use tokio::sync::Semaphore;

use super::config::RedisLimit;
use super::gcra::Interval;
use super::key::in_store;
use super::lock;

/// The server, and the one connection to it.
pub(super) struct Store {
    client: Client,
    script: Script,
    prefix: Box<str>,
    limit: Box<str>,
    interval: Interval,
    burst: u32,
    deadline: Duration,
    /// The connection, and its number.
    connection: Mutex<Option<(u64, MultiplexedConnection)>>,
    /// Whoever connects holds it: one at a time.
    connecting: Semaphore,
    connections: AtomicU64,
    pub(super) round_trips: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// What is wanted of the bucket of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// So many calls, or none at all.
    pub(super) least: u32,
    /// And up to so many.
    pub(super) most: u32,
    /// What this process last saw of the bucket.
    pub(super) floor: Floor,
}

/// When the bucket will be full, by the clock of the server: microseconds and parts of one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Floor {
    pub(super) micros: u64,
    pub(super) parts: u64,
}

/// What the server said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) granted: u32,
    pub(super) floor: Floor,
    /// How far the floor lies ahead of the server's clock, in whole microseconds.
    pub(super) ahead: u64,
}

/// A question on its way.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Answer, FailureKind>> + Send>>;

impl Store {
    pub(super) fn new(config: &RedisLimit, client: Client) -> Self {
        Self {
            client,
            script: Script::new(include_str!("take.lua")),
            prefix: config.prefix.as_str().into(),
            limit: config.name.as_str().into(),
            interval: Interval::new(config.rate),
            burst: config.burst,
            deadline: config.deadline,
            connection: Mutex::new(None),
            connecting: Semaphore::new(1),
            connections: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub(super) const fn interval(&self) -> Interval {
        self.interval
    }

    /// Asks for calls of a key. It has answered, one way or the other, by the deadline.
    pub(super) fn ask(self: Arc<Self>, kept: &str, wanted: Wanted) -> Asking {
        let key = in_store(&self.prefix, &self.limit, kept);
        Box::pin(async move {
            let mut used = None;
            let asked = self.take(&key, wanted, &mut used);
            let failed = match tokio::time::timeout(self.deadline, asked).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failed)) => failed,
                Err(_) => FailureKind::Timeout,
            };
            // Whatever went wrong, the next one does not depend on this connection: it may be half
            // dead, lead to a server that only reads, or still have old questions to answer.
            if let Some(number) = used {
                self.forget(number);
            }
            self.failures.fetch_add(1, Ordering::Relaxed);
            Err(failed)
        })
    }

    async fn take(
        &self,
        key: &str,
        wanted: Wanted,
        used: &mut Option<u64>,
    ) -> Result<Answer, FailureKind> {
        let (number, mut connection) = self.connect().await?;
        *used = Some(number);
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let Interval { whole, part, per } = self.interval;
        let longest = Interval::LONGEST.as_micros() as u64;
        let mut asked = self.script.key(key);
        asked.arg(&[whole, part, per, u64::from(self.burst)]);
        asked.arg(&[wanted.least, wanted.most]);
        asked.arg(&[wanted.floor.micros, wanted.floor.parts, longest]);
        let told: Vec<i64> = asked.invoke_async(&mut connection).await.map_err(|e| kind(&e))?;
        self.understand(&told, wanted).ok_or(FailureKind::Internal)
    }

    /// A server may be wrong, or somebody else: an answer that cannot be is none.
    fn understand(&self, told: &[i64], wanted: Wanted) -> Option<Answer> {
        let &[granted, now, micros, parts] = told else { return None };
        let granted = u32::try_from(granted).ok()?;
        let (now, micros) = (u64::try_from(now).ok()?, u64::try_from(micros).ok()?);
        let parts = u64::try_from(parts).ok()?;
        let ahead = micros.checked_sub(now)?;
        let possible = granted <= wanted.most
            && (granted == 0 || granted >= wanted.least)
            && parts < self.interval.per
            && ahead <= Interval::LONGEST.as_micros() as u64;
        possible.then_some(Answer { granted, floor: Floor { micros, parts }, ahead })
    }

    /// The connection, made where there is none.
    async fn connect(&self) -> Result<(u64, MultiplexedConnection), FailureKind> {
        if let Some(connection) = self.present() {
            return Ok(connection);
        }
        // It is never closed. Where it were, everybody would connect for themselves.
        let _turn = self.connecting.acquire().await;
        if let Some(connection) = self.present() {
            return Ok(connection);
        }
        // The deadline of the question holds for all of it.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let connection = connected.map_err(|error| kind(&error))?;
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        *lock(&self.connection) = Some((number, connection.clone()));
        Ok((number, connection))
    }

    fn present(&self) -> Option<(u64, MultiplexedConnection)> {
        lock(&self.connection).clone()
    }

    /// Lets go of a connection, unless another one has taken its place.
    fn forget(&self, number: u64) {
        let mut connection = lock(&self.connection);
        let gone = match &*connection {
            Some((present, _)) if *present == number => connection.take(),
            _ => None,
        };
        drop(connection);
        // Ends a task of the client's: not under the lock.
        drop(gone);
    }
}

fn kind(error: &RedisError) -> FailureKind {
    if error.is_timeout() {
        FailureKind::Timeout
    } else if error.is_io_error() || error.is_connection_dropped() {
        FailureKind::Connection
    } else {
        FailureKind::Internal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Rate;
    use crate::redis::OnStoreFailure;

    // T9
    #[test]
    fn an_answer_that_cannot_be_is_none() {
        let config = RedisLimit::new(Rate::per_second(3), 10, OnStoreFailure::FailClosed);
        let store = Store::new(&config, Client::open("redis://127.0.0.1:1/").expect("an address"));
        let wanted = Wanted { least: 2, most: 5, floor: Floor::default() };
        let now = 1_700_000_000_000_000;
        let year = 366 * 86_400_000_000;
        for good in [[0, now, now, 0], [2, now, now + 7, 2], [5, now, now + year, 1]] {
            assert!(store.understand(&good, wanted).is_some(), "{good:?}");
        }
        for wrong in [
            &[1, now, now, 0],
            &[6, now, now, 0],
            &[-1, now, now, 0],
            &[2, now, now - 1, 0],
            &[2, now, now, 3],
            &[2, now, now, -1],
            &[2, now, now + year + 1, 0],
            &[i64::MAX, i64::MIN, i64::MAX, i64::MAX],
            &[2, now, now][..],
            &[],
        ] {
            assert!(store.understand(wrong, wanted).is_none(), "{wrong:?}");
        }
    }
}
