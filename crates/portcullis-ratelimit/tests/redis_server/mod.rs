//! A Redis server of a test's own, and the ways to make it sick.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A server on a port of its own; it ends with the value.
pub(crate) struct Server {
    port: u16,
    dir: PathBuf,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let own = format!("portcullis-redis-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(own);
        std::fs::create_dir_all(&dir).expect("a directory for the server");
        let mut server = Self { port: 0, dir, child: None };
        // Somebody else may take the port between the kernel's answer and the server's start.
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server did not come up");
    }

    /// The client of it, as an application opens it.
    pub(crate) fn client(&self) -> redis::Client {
        redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).expect("a valid address")
    }

    /// Sends one command on a connection of its own.
    pub(crate) fn command(&self, words: &[&str]) -> redis::Value {
        let mut connection = self.client().get_connection().expect("the server is up");
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query(&mut connection).expect("a good command")
    }

    /// Accepts connections and commands, and answers none for so long.
    pub(crate) fn pause(&self, time: Duration) {
        self.command(&["CLIENT", "PAUSE", &time.as_millis().to_string()]);
    }

    /// Answers no command that may write, until [`end_pause`](Self::end_pause). A full pause would
    /// not hear of its own end.
    pub(crate) fn pause_writes(&self) {
        self.command(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    }

    pub(crate) fn end_pause(&self) {
        self.command(&["CLIENT", "UNPAUSE"]);
    }

    /// Stalls: the kernel accepts connections, and nobody reads.
    pub(crate) fn stall(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Ends at once. Connections are refused from now on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Begins anew on the same port, with nothing in it.
    pub(crate) fn restart(&mut self) {
        self.kill();
        assert!(self.launch(), "redis-server did not come up again");
    }

    fn launch(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need redis-server on the path (Debian: apt install redis-server)");
        self.child = Some(child);
        let up = eventually(Duration::from_secs(10), || self.is_dead() || answers(self.port));
        up && !self.is_dead()
    }

    fn is_dead(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
            assert!(sent.is_ok_and(|status| status.success()), "kill {signal} did not work");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL ends a stalled process, too.
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut answer = [0; 5];
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && &answer == b"+PONG"
}

/// Whether something becomes true within a time; asks every 5 ms.
pub(crate) fn eventually(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = now();
    while began.elapsed() < time {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[allow(clippy::disallowed_methods, reason = "these tests speak with a process in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
