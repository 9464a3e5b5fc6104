//! The Redis server of this example, or one that is there already.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portcullis::BoxError;

/// Where the store is; a server of our own ends with the value.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) url: String,
    own: Option<Child>,
}

impl Store {
    /// The one that `REDIS_URL` names, or a new one on a free port.
    pub(crate) async fn open() -> Result<Self, BoxError> {
        let mut store = match env::var("REDIS_URL") {
            Ok(url) => Self { url, own: None },
            Err(_) => Self::start()?,
        };
        let client = redis::Client::open(store.url.as_str())?;
        for _ in 0..100 {
            if answers(&client).await {
                return Ok(store);
            }
            if let Some(own) = &mut store.own
                && let Some(status) = own.try_wait()?
            {
                return Err(format!("redis-server has ended: {status}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("no Redis server answers at {}", store.url).into())
    }

    fn start() -> Result<Self, BoxError> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let own = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|problem| {
                format!("redis-server does not start ({problem}): install it, or set REDIS_URL")
            })?;
        Ok(Self { url: format!("redis://127.0.0.1:{port}/"), own: Some(own) })
    }

    /// Ends a server of our own, at once; whether it was one.
    pub(crate) fn kill(&mut self) -> bool {
        let Some(mut own) = self.own.take() else { return false };
        own.kill().is_ok() && own.wait().is_ok()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn answers(client: &redis::Client) -> bool {
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
    redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
}
