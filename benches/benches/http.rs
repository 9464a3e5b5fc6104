//! What the layer costs a real server: requests per second over loopback, bare and with it.
//!
//! The server has one thread, the load generator another. Each round goes through the servers
//! forwards and backwards, so that a machine that gets slower does so for all of them. The bare
//! server is there twice: how far it is from itself says what a difference is worth.
#![allow(clippy::disallowed_methods, reason = "to measure time one has to read it")]

use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use portcullis::{CircuitBreakerConfig, CircuitBreakerLayer};
use portcullis_benches::waits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

const CONNECTIONS: usize = 16;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// The largest share of a phase for which a thread may have waited for a core.
const LARGEST_WAIT: f64 = 0.02;

/// From how many rounds a median is worth something.
const FEWEST: usize = 5;

/// What the ratio should be at least.
const TARGET: f64 = 0.99;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (rounds, requests) = if quick { (8, 250) } else { (30, 1_000) };
    let layer = CircuitBreakerLayer::new(CircuitBreakerConfig::new());
    let apps = [app(), app(), app().layer(layer)];
    let (addresses, server) = serve(apps);
    let client = runtime();
    let phase = |address| client.block_on(load(address, requests));
    for address in addresses {
        let _warm = phase(address);
    }
    let (mut calm, mut all) = (Rounds::default(), Rounds::default());
    for _ in 0..rounds {
        let waited = || waits::of_this_thread().zip(waits::of_thread(server));
        let (before, begun) = (waited(), Instant::now());
        let mut rates = [0.0; 3];
        for index in [0, 1, 2, 2, 1, 0] {
            rates[index] += phase(addresses[index]) / 2.0;
        }
        all.add(rates);
        if !has_waited(before.zip(waited()), begun.elapsed().as_secs_f64()) {
            calm.add(rates);
        }
    }
    let kept = calm.bare.len();
    println!("rounds: {rounds}, of which {kept} in which no thread waited for a core");
    if kept >= FEWEST {
        calm.print();
    } else {
        println!("the machine has other things to do; all rounds are taken, and worth less");
        all.print();
    }
}

/// What the rounds gave: a speed, and two ratios to it.
#[derive(Default)]
struct Rounds {
    bare: Vec<f64>,
    again: Vec<f64>,
    protected: Vec<f64>,
}

impl Rounds {
    fn add(&mut self, [bare, again, protected]: [f64; 3]) {
        self.bare.push(f64::midpoint(bare, again));
        self.again.push(again / bare);
        self.protected.push(protected / f64::midpoint(bare, again));
    }

    fn print(mut self) {
        println!("bare: {:.0} requests/s", quartiles(&mut self.bare)[1]);
        for (name, ratios) in
            [("bare again", &mut self.again), ("with the layer", &mut self.protected)]
        {
            let [low, middle, high] = quartiles(ratios);
            println!("{name}: {middle:.4} of bare (half of the rounds: {low:.4} to {high:.4})");
        }
        let met = quartiles(&mut self.protected)[1] >= TARGET;
        println!("target: >= {TARGET}, {}", if met { "met" } else { "not met" });
    }
}

fn app() -> Router {
    Router::new().route("/", get(|| async { "as ever" }))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_io().build().expect("a runtime")
}

/// Serves all of them on one thread; their addresses, and which thread it is.
fn serve(apps: [Router; 3]) -> ([SocketAddr; 3], u64) {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let mut addresses = Vec::new();
            for app in apps {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
                addresses.push(listener.local_addr().expect("bound"));
                tokio::spawn(async move { axum::serve(listener, app).await });
            }
            let addresses = addresses.try_into().expect("three");
            tell.send((addresses, waits::this_thread())).expect("it is waited for");
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("the servers are up")
}

/// Requests per second over keep-alive connections.
async fn load(address: SocketAddr, requests: usize) -> f64 {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        let length = first(&mut stream).await;
        connections.push((stream, length));
    }
    let begun = Instant::now();
    let tasks = connections.into_iter().map(|(mut stream, length)| {
        tokio::spawn(async move {
            let mut answer = vec![0; length];
            for _ in 0..requests {
                stream.write_all(REQUEST).await.expect("sent");
                stream.read_exact(&mut answer).await.expect("answered");
            }
            assert!(answer.starts_with(b"HTTP/1.1 200"), "every answer is as long as the first");
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    (CONNECTIONS * requests) as f64 / begun.elapsed().as_secs_f64()
}

/// The length of an answer: all are equally long.
async fn first(stream: &mut TcpStream) -> usize {
    stream.write_all(REQUEST).await.expect("sent");
    let mut answer = vec![0; 4_096];
    let mut length = 0;
    while !answer[..length].ends_with(b"as ever") {
        let read = stream.read(&mut answer[length..]).await.expect("answered");
        assert!(read > 0, "the connection stays open");
        length += read;
    }
    length
}

type Waits = (u64, u64);

fn has_waited(waits: Option<(Waits, Waits)>, seconds: f64) -> bool {
    waits.is_some_and(|((client, server), (client_after, server_after))| {
        let longest = (client_after - client).max(server_after - server);
        longest as f64 / 1e9 > LARGEST_WAIT * seconds
    })
}

fn quartiles(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
